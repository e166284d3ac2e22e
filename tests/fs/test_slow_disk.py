"""A write that waits for a slow disk, while S3 acknowledges what was sealed before it."""

import pytest
import trio
from fsrig import mounted, until

from cognitofs.spool.sparsefile import SparseFile

OLD = bytes(range(12))


@pytest.mark.parametrize("start", [5, 12], ids=["within the seal", "behind the seal"])
async def test_an_acknowledgement_during_a_write_leaves_the_written_bytes_to_us(
    bucket, store, tmp_path, monkeypatch, start
):
    stall = store.stall("put")
    reached, go_on = trio.Event(), trio.Event()
    write_now = SparseFile.write

    async def write_slowly(self, at, data):
        if data == b"NEW":
            reached.set()
            await go_on.wait()
        await write_now(self, at, data)

    monkeypatch.setattr(SparseFile, "write", write_slowly)
    wanted = OLD[:start] + b"NEW" + OLD[start + 3 :]
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", OLD)
        await m.fs.flush(handle)
        await stall.reached.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.fs.write, handle, start, b"NEW")
            await reached.wait()
            stall.release()
            await until(lambda: not list(m.fs.rig.uploader.uploads()))
            go_on.set()
        assert await m.fs.read(handle, 0, 100) == wanted
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == wanted
