"""Whatever changes without the kernel's doing, the kernel is told: it remembers names for long."""

import pytest
import trio

from cognitofs.errors import NoSuchEntry, Stale
from cognitofs.fs.filesystem import Changes
from tests.fs.fsrig import mounted, until

LONG = 3600.0


class Told:
    """Stands for the kernel: knows what it was told to forget."""

    def __init__(self, m):
        self.entries, self.attributes = [], []
        m.fs.rig.kernel.forget_entry = lambda parent, name: self.entries.append((parent, name))
        m.fs.rig.kernel.forget_attributes = self.attributes.append


def here(store, tmp_path, **promises):
    return mounted(store, tmp_path, metadata_ttl=LONG, open_ttl=0.0, **promises)


async def test_a_listing_tells_of_what_was_changed_and_removed_elsewhere(bucket, store, tmp_path):
    for name in ("changed", "kept", "removed"):
        bucket.outside_put(name, b"first")
    async with here(store, tmp_path) as m:
        for name in ("changed", "kept", "removed"):
            await m.fs.lookup(1, name)
        told = Told(m)
        bucket.outside_put("changed", b"second")
        bucket.outside_delete("removed")
        assert await m.listdir() == ["changed", "kept"]
        assert sorted(told.entries) == [(1, "changed"), (1, "removed")]


async def test_a_listing_tells_of_a_name_that_was_missing_a_moment_ago(bucket, store, tmp_path):
    async with here(store, tmp_path) as m:
        assert not await exists(m, "new")
        told = Told(m)
        bucket.outside_put("new", b"1")
        await m.listdir()
        assert told.entries == [(1, "new")]


async def test_a_name_that_the_kernel_never_heard_of_is_not_told(bucket, store, tmp_path):
    async with here(store, tmp_path) as m:
        told = Told(m)
        bucket.outside_put("new", b"1")
        await m.listdir()
        await m.fs.lookup(1, "new")
        assert told.entries == []


async def test_looking_for_one_name_tells_of_its_neighbours(bucket, store, tmp_path):
    """In a small directory one LIST answers for all of them."""
    bucket.outside_put("a", b"first")
    async with mounted(store, tmp_path, metadata_ttl=5.0) as m:
        await m.listdir()
        await m.fs.lookup(1, "a")
        await trio.sleep(6)
        told = Told(m)
        bucket.outside_put("a", b"second")
        bucket.outside_put("b", b"1")
        await m.fs.lookup(1, "b")
        assert told.entries == [(1, "a")]


async def test_an_open_that_finds_another_version_tells_of_it(bucket, store, tmp_path):
    bucket.outside_put("f", b"first")
    async with here(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f")).number
        told = Told(m)
        bucket.outside_put("f", b"second")
        with pytest.raises(Stale):  # the kernel asks again
            await m.fs.open(number, 0)
        assert told.entries == [(1, "f")]


async def test_an_upload_changes_nothing_that_the_kernel_knows(bucket, store, tmp_path):
    async with here(store, tmp_path, sync="fsync") as m:
        told = Told(m)
        number = await m.store_file("f", b"bytes")
        before = m.fs.stat(m.fs.rig.table.get(number))
        await m.drain()
        after = m.fs.stat(m.fs.rig.table.get(number))
        assert (after.mtime_ns, after.ctime_ns) == (before.mtime_ns, before.ctime_ns)
        assert (told.attributes, told.entries) == ([], [])


async def test_a_debounced_change_of_mode_tells_of_it_when_s3_has_it(bucket, store, tmp_path):
    async with here(store, tmp_path) as m:
        number = await m.store_file("f", b"bytes")
        told = Told(m)
        await m.fs.setattr(number, Changes(mode=0o600), None)
        await m.fs.files.headers.wait_drained()
        await until(lambda: told.attributes == [number])


async def test_the_kernel_trusts_a_name_no_longer_than_we_do(bucket, store, tmp_path):
    """Else what is nearly as old as allowed would be believed for twice as long."""
    bucket.outside_put("f", b"first")
    async with mounted(store, tmp_path, metadata_ttl=5.0) as m:
        await m.listdir()
        await trio.sleep(3)
        stat = await m.fs.lookup(1, "f")
        assert 1.0 < stat.entry_ttl <= 2.0
        assert not await exists(m, "g")
        assert 1.0 < m.fs.missing_ttl(1, "g") <= 5.0


async def exists(m, name):
    try:
        await m.fs.lookup(1, name)
    except NoSuchEntry:
        return False
    return True
