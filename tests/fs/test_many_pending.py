"""More files wait for S3 than a process may have open."""

import os
import resource
from contextlib import contextmanager

import pytest
import trio
from fsrig import mounted, until

from cognitofs.errors import SpoolFull, Unreachable
from cognitofs.fs import files

COUNT = 700


@contextmanager
def few_descriptors(more):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_what_waits_for_s3_takes_no_descriptors(bucket, store, tmp_path):
    store.fail("put", Unreachable("There is no network."), times=-1)
    with few_descriptors(400):
        async with mounted(store, tmp_path, sync="fsync") as m:
            for n in range(COUNT):
                await m.store_file(f"f{n}", b"%d" % n)
            assert await m.read_file("f0") == b"0"
            handle = await m.open("f1")
            await m.fs.write(handle, 1, b"more")
            await m.close(handle)
            assert await m.read_file("f1") == b"1more"
        async with mounted(store, tmp_path, sync="fsync") as m:
            assert (m.recovered.files, m.recovered.missing) == (COUNT, ())
            assert await m.read_file("f2") == b"2"
            store.heal()
            m.fs.rig.uploader.nudge()
            await m.drain()
            assert m.fs.rig.spools.names() == []
    assert bucket.data("f1") == b"1more"
    assert bucket.data(f"f{COUNT - 1}") == b"%d" % (COUNT - 1)


async def test_missing_bytes_are_asked_for_together_and_not_while_s3_is_away(store, tmp_path):
    """After a power cut S3 may have what the journal still names."""
    stall = store.stall("put")
    async with mounted(store, tmp_path, sync="fsync") as m:
        for n in range(100):
            await m.store_file(f"f{n}", b"1")
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    store.fail("head", Unreachable("There is no network."), times=-1)
    asked = store.requests["head"]
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert len(m.recovered.missing) == 100
        assert store.requests["head"] - asked < 100
    store.heal()
    assert not stall.waiting
    head = store.stall("head")
    missing = []

    async def mount_again():
        async with mounted(store, tmp_path, sync="fsync") as m:
            missing.extend(m.recovered.missing)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mount_again)
        await until(lambda: head.waiting > 1)
        head.release()
    assert len(missing) == 100


async def test_more_files_than_a_mount_takes_wait_while_others_are_sent(
    bucket, store, tmp_path, quick_clock, monkeypatch
):
    monkeypatch.setattr(files, "MOST", 10)
    stall = store.stall("put")
    async with mounted(store, tmp_path, sync="fsync") as m:
        for n in range(10):
            await m.store_file(f"f{n}", b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.store_file, "one more", b"1")
            await trio.sleep(5)
            assert "one more" not in await m.listdir()
            stall.release()
        await m.drain()
    assert bucket.data("one more") == b"1"
    assert len(bucket.keys) == 11


async def test_when_none_of_them_can_be_sent_a_new_file_is_refused_and_nothing_is_lost(
    bucket, store, tmp_path, quick_clock, monkeypatch
):
    monkeypatch.setattr(files, "MOST", 3)
    store.fail("put", Unreachable("There is no network."), times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        for n in range(3):
            await m.store_file(f"f{n}", b"%d" % n)
        with pytest.raises(SpoolFull, match="wait for the network"):
            await m.create("one more")
        with pytest.raises(SpoolFull, match="wait for the network"):
            await m.fs.mkdir(1, "a directory", 0o755)
        handle = await m.open("f1")
        await m.fs.write(handle, 1, b" more")
        await m.close(handle)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
        await m.store_file("one more", b"1")
        await m.drain()
    assert {key: bucket.data(key) for key in bucket.keys} == {
        "f0": b"0",
        "f1": b"1 more",
        "f2": b"2",
        "one more": b"1",
    }
