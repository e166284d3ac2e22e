"""ctime says when a file was changed, not when S3 heard of it.

Programs take a new one for a change: a git merge in which it moves by itself fails with "stash
failed".
"""

import trio

from cognitofs.fs.filesystem import Changes
from cognitofs.transfer.headerwriter import DEBOUNCE
from tests.fs.fsrig import mounted

NS = 1_000_000_000


async def ctime(m, name: str) -> int:
    number = (await m.fs.lookup(1, name)).number
    return (await m.fs.getattr(number)).ctime_ns


async def test_it_stays_when_s3_gets_the_file_and_its_mode(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="local", metadata_ttl=0.0) as m:
        await m.store_file("f", b"bytes")
        written = await ctime(m, "f")
        await trio.sleep(5)
        await m.drain()
        assert await ctime(m, "f") == written
        number = (await m.fs.lookup(1, "f")).number
        await m.fs.setattr(number, Changes(mode=0o600, mtime_ns=NS), None)
        changed = await ctime(m, "f")
        await trio.sleep(DEBOUNCE + 5)
        await m.drain()
        assert bucket.bucket.head("f").headers.metadata["file-permissions"] == "0100600"
        assert await ctime(m, "f") == changed > written


async def test_a_mode_or_time_that_is_set_moves_it_also_to_what_they_were(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", b"bytes")
        stat = await m.fs.lookup(1, "f")
        for changes in (Changes(mode=0o600), Changes(mtime_ns=NS), Changes(mtime_ns=NS)):
            before = await ctime(m, "f")
            await m.fs.setattr(stat.number, changes, None)
            assert await ctime(m, "f") > before


async def test_a_new_name_moves_it(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", b"bytes")
        before = await ctime(m, "f")
        await m.fs.rename(1, "f", 1, "g", replace=True)
        assert await ctime(m, "g") > before


async def test_what_somebody_else_did_moves_it(bucket, store, tmp_path):
    async with mounted(store, tmp_path, metadata_ttl=0.0, open_ttl=0.0) as m:
        await m.store_file("f", b"bytes")
        bucket.outside_put("f", b"other")
        assert await ctime(m, "f") == bucket.bucket.head("f").info.modified * NS
