"""What a program reads is what was written, wherever the bytes lie."""

import os

import pytest
from fsrig import mounted, until

from cognitofs.errors import Changed, Stale

OLD = bytes(range(200))


async def test_written_bytes_are_read_back_before_and_after_close(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", b"hello")
        assert await m.fs.read(handle, 0, 100) == b"hello"
        await m.close(handle)
        assert await m.read_file("f") == b"hello"


async def test_a_hole_reads_as_zeros(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", b"ab")
        await m.fs.write(handle, 50, b"yz")
        assert await m.fs.read(handle, 0, 100) == b"ab" + bytes(48) + b"yz"
        await m.close(handle)
    assert bucket.data("f") == b"ab" + bytes(48) + b"yz"


async def test_a_change_in_the_middle_sends_the_touched_part_and_copies_the_rest(
    bucket, store, tmp_path
):
    bucket.outside_put("f", OLD)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f")
        await m.fs.write(handle, 100, b"XX")
        assert await m.fs.read(handle, 90, 20) == OLD[90:100] + b"XX" + OLD[102:110]
        await m.close(handle)
    assert bucket.data("f") == OLD[:100] + b"XX" + OLD[102:]
    assert store.requests["upload_part"] == 1
    assert store.requests["copy_part"] >= 2


async def test_an_append_downloads_nothing(bucket, store, tmp_path):
    bucket.outside_put("f", OLD)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f", os.O_WRONLY | os.O_APPEND)
        await m.fs.write(handle, 200, b"tail")
        await m.close(handle)
    assert bucket.data("f") == OLD + b"tail"
    assert store.requests["read_into"] == store.requests["read"] == 0


async def test_truncating_down_and_up_leaves_zeros(bucket, store, tmp_path):
    bucket.outside_put("f", OLD)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f")
        file = m.fs.handles.file(handle).file
        await file.truncate(10)
        await file.truncate(60)
        assert await m.fs.read(handle, 0, 100) == OLD[:10] + bytes(50)
        await m.close(handle)
    assert bucket.data("f") == OLD[:10] + bytes(50)


async def test_what_is_written_after_a_seal_does_not_change_what_was_sealed(
    bucket, store, tmp_path
):
    stall = store.stall("put")
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"sealed")
        await m.fs.flush(handle)
        await stall.reached.wait()
        await m.fs.write(handle, 0, b"NEWER!")
        stall.release()
        await m.fs.rig.uploader.wait_drained()
        assert bucket.data("f") == b"sealed"
        assert await m.fs.read(handle, 0, 10) == b"NEWER!"
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == b"NEWER!"


async def test_parts_rewritten_while_they_stream_are_sent_again(bucket, store, tmp_path):
    stall = store.stall("upload_part")
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", bytes(100))
        await stall.reached.wait()
        await m.fs.write(handle, 0, b"rewritten")
        stall.release()
        await m.close(handle)
    assert bucket.data("f") == b"rewritten" + bytes(91)


async def test_full_parts_are_sent_while_the_file_is_written(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", bytes(100))
        await until(lambda: store.requests["upload_part"] >= 6)
        await m.close(handle)
        assert store.requests["upload_part"] == 7
    assert bucket.data("f") == bytes(100)


async def test_an_unlinked_open_file_stays_readable_and_writable(bucket, store, tmp_path):
    bucket.outside_put("f", OLD)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f")
        await m.fs.unlink(1, "f")
        assert bucket.keys == ()
        assert await m.fs.read(handle, 0, 300) == OLD
        await m.fs.write(handle, 0, b"ghost")
        assert await m.fs.read(handle, 0, 8) == b"ghost" + OLD[5:8]
        await m.close(handle)
        await m.drain()
    assert bucket.keys == ()


async def test_an_unsent_file_that_is_unlinked_never_reaches_s3(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", bytes(100))
        await m.fs.unlink(1, "f")
        await m.close(handle)
        await m.drain()
        assert await m.listdir() == []
    assert bucket.keys == ()
    assert bucket.bucket.uploads == ()
    assert os.listdir(tmp_path / "spool") == []


async def test_a_reader_of_a_version_that_is_gone_hears_so_and_never_a_mix(bucket, store, tmp_path):
    ladder_size = 9 * 1024 * 1024  # larger than what is fetched whole
    bucket.outside_put("f", b"a" * ladder_size)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f", 0)
        assert await m.fs.read(handle, 0, 10) == b"a" * 10
        bucket.outside_put("f", b"b" * ladder_size)
        with pytest.raises(Changed):
            await m.fs.read(handle, ladder_size - 10, 10)


async def test_a_foreign_version_gets_a_new_inode_at_open(bucket, store, tmp_path):
    bucket.outside_put("f", b"one")
    async with mounted(store, tmp_path, open_ttl=0.0, metadata_ttl=0.0) as m:
        first = await m.fs.lookup(1, "f")
        bucket.outside_put("f", b"two")
        with pytest.raises(Stale):
            await m.fs.open(first.number, 0)
        second = await m.fs.lookup(1, "f")
        assert second.number != first.number
        assert await m.read_file("f") == b"two"


async def test_our_own_upload_keeps_the_inode(store, tmp_path):
    async with mounted(store, tmp_path, open_ttl=0.0, metadata_ttl=0.0) as m:
        number = await m.store_file("f", b"one")
        assert (await m.fs.lookup(1, "f")).number == number


async def test_extending_a_stored_file_keeps_what_it_held(bucket, store, tmp_path):
    """Nothing of it was written here, so nothing but its length lies in the spool."""
    bucket.outside_put("f", OLD)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f")
        await m.fs.handles.file(handle).file.truncate(260)
        assert await m.fs.read(handle, 190, 100) == OLD[190:] + bytes(60)
        await m.close(handle)
    assert bucket.data("f") == OLD + bytes(60)
