"""What only a HEAD tells is asked once for each version of an object."""

from collections import Counter

import pytest

from cognitofs.fs.filesystem import Changes
from tests.fs.fsrig import mounted

NAMES = [f"f{number}" for number in range(20)]


@pytest.fixture
def heads(store, monkeypatch):
    """Count the HEADs of each key."""
    counts = Counter()
    head = store.head

    async def counted(key):
        counts[key] += 1
        return await head(key)

    monkeypatch.setattr(store, "head", counted)
    return counts


async def look_at_all(m):
    """Do what `ls -l` does."""
    for name in await m.listdir():
        await m.fs.getattr((await m.fs.lookup(1, name)).number)


async def test_a_version_is_asked_for_once_however_often_it_is_looked_at(
    bucket, store, tmp_path, heads
):
    for name in NAMES:
        bucket.outside_put(name, b"1")
    async with mounted(store, tmp_path, metadata_ttl=0.0) as m:
        for _ in range(3):
            await look_at_all(m)
        assert heads == dict.fromkeys(NAMES, 1)
        bucket.outside_put("f7", b"other")
        await look_at_all(m)
        await look_at_all(m)
        assert heads == dict.fromkeys(NAMES, 1) | {"f7": 2}


async def test_what_was_written_here_is_never_asked_for(bucket, store, tmp_path, heads):
    async with mounted(store, tmp_path) as m:
        for name in NAMES:
            await m.store_file(name, b"bytes")
        number = (await m.fs.lookup(1, "f3")).number
        await m.fs.setattr(number, Changes(mode=0o600), None)
        await m.drain()
        heads.clear()
        await look_at_all(m)
        assert not heads
        assert (await m.fs.lookup(1, "f3")).mode & 0o777 == 0o600
