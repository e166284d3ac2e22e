"""A spool of a limited size: writers wait while uploads free it, and hear ENOSPC at write."""

import pytest
import trio
from fsrig import mounted

from cognitofs.errors import SpoolFull, Unreachable
from cognitofs.spool.space import Space

OFFLINE = Unreachable("There is no network.")


async def test_a_writer_waits_while_uploads_free_the_spool(bucket, store, tmp_path):
    stall = store.stall("put")
    async with mounted(store, tmp_path, sync="fsync", spool_size=20) as m:
        await m.store_file("a", b"a" * 15)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.store_file, "b", b"b" * 15)
            await stall.reached.wait()
            await trio.sleep(0.05)
            assert m.fs.rig.spools.space.used == 15
            stall.release()
        await m.drain()
        assert m.fs.rig.spools.space.used == 0
    assert {key: bucket.data(key) for key in bucket.keys} == {"a": b"a" * 15, "b": b"b" * 15}


async def test_when_nothing_can_be_sent_write_hears_that_the_spool_is_full_and_close_does_not(
    bucket, store, tmp_path, quick_clock
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync", spool_size=20) as m:
        await m.store_file("a", b"a" * 10)
        handle, _ = await m.create("b", b"b" * 5)
        with pytest.raises(SpoolFull, match="--spool-size"):
            await m.fs.write(handle, 5, b"b" * 10)
        await m.close(handle)
        assert await m.read_file("a") == b"a" * 10
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert {key: bucket.data(key) for key in bucket.keys} == {"a": b"a" * 10, "b": b"b" * 5}


async def test_what_an_earlier_mount_left_counts(bucket, store, tmp_path, quick_clock):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("a", b"a" * 10)
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert m.fs.rig.spools.space.used == 10
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
        assert m.fs.rig.spools.space.used == 0


async def test_every_way_of_giving_bytes_up_frees_the_spool(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=200) as m:
        space = m.fs.rig.spools.space
        handle, _ = await m.create("f", b"f" * 15)
        assert space.used == 15
        await m.fs.write(handle, 10, b"g" * 10)
        assert space.used == 20
        await m.fs.unlink(1, "f")
        await m.close(handle)
        assert space.used == 0
        handle, _ = await m.create("f", b"f" * 15)
        await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"new")
        await m.close(handle)
        assert space.used == 0


async def test_what_can_be_fetched_again_goes_before_a_writer_waits(tmp_path):
    asked = []
    space = Space(tmp_path, 1000, 0, lambda size: not asked.append(size))
    space.min_free = 1 << 60
    assert not space.has_room(10)
    assert asked
    space.min_free = 0
    assert space.has_room(10)
