"""The disk refuses an fdatasync: nobody believes it the next time, and nothing is lost or made up.

The kernel may have dropped what it could not write and say yes to a second fdatasync.
"""

import errno
import os

import pytest
from fsrig import mounted, until

from cognitofs.errors import SpoolDamaged, SpoolError, Unreachable
from cognitofs.fs.filesystem import Changes

OFFLINE = Unreachable("There is no network.")
LATER = b"and what was written behind it"


class Disk:
    """Refuses the next *refusals* fdatasyncs; what they were for reads as *instead* from then."""

    def __init__(self, monkeypatch):
        self.refusals, self.synced, self.instead, self.code = 0, [], None, errno.EIO
        self._fdatasync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)

    def fdatasync(self, fd):
        self.synced.append(os.stat(fd).st_ino)
        if not self.refusals:
            return self._fdatasync(fd)
        self.refusals -= 1
        if self.instead is not None:
            os.pwrite(fd, self.instead, 0)
        raise OSError(self.code, os.strerror(self.code))


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def spool_files(state):
    return sorted(each.name for each in (state / "spool").iterdir())


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_a_close_hears_of_a_refused_sync_and_the_file_goes_to_s3_from_a_synced_copy(
    bucket, store, tmp_path, disk, code
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"data")
        disk.refusals, disk.code = 1, code
        with pytest.raises(SpoolError):
            await m.fs.flush(handle)
        assert len(set(disk.synced)) == len(disk.synced) == 2
        await m.fs.flush(handle)
        await m.fs.release(handle)
        await m.drain()
        assert bucket.data("f") == b"data"
        assert spool_files(tmp_path) == []
        assert m.fs.rig.journal.is_empty()


async def test_what_was_written_again_and_cut_in_part_is_still_compared_as_written(
    bucket, store, tmp_path, disk
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, number = await m.create("f", bytes(range(200)))
        await m.fs.write(handle, 50, b"x" * 10)
        await m.fs.write(handle, 195, LATER)
        await m.fs.setattr(number, Changes(size=210), handle)
        disk.refusals = 1
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        await m.close(handle)
        await m.drain()
        data = bytes(range(50)) + b"x" * 10 + bytes(range(60, 195)) + LATER[:15]
        assert bucket.data("f") == data


async def test_every_handle_that_was_open_hears_once_of_a_refused_sync(store, tmp_path, disk):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="local") as m:
        first, _ = await m.create("f", b"data")
        second = await m.open("f")
        disk.refusals = 1
        for handle in (first, second):
            with pytest.raises(SpoolDamaged):
                await m.fs.fsync(handle)
            await m.fs.fsync(handle)
        assert len(set(disk.synced)) == len(disk.synced)


async def test_a_copy_that_the_disk_refuses_too_is_tried_again_behind_the_last_close(
    bucket, store, tmp_path, disk, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"data")
        disk.refusals = 4
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        with pytest.raises(SpoolDamaged):
            await m.fs.release(handle)
        assert bucket.keys == ()
        await until(lambda: bucket.keys == ("f",))
        assert bucket.data("f") == b"data"
        assert disk.refusals == 0
        assert len(set(disk.synced)) >= 2


async def test_bytes_that_the_disk_gives_back_otherwise_are_parked_and_never_sent(
    bucket, store, tmp_path, disk
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"data of ours")
        disk.refusals, disk.instead = 1, b"\0\0\0\0"
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        await until(lambda: any(u.is_parked for u in m.fs.rig.uploader.uploads()))
        with pytest.raises(SpoolDamaged, match="as they were written"):
            await m.fs.read(handle, 0, 100)
        await m.fs.release(handle)
    for _ in range(2):
        async with mounted(store, tmp_path, sync="fsync") as m:
            await until(lambda: any(u.is_parked for u in m.fs.rig.uploader.uploads()))
            (row,) = m.fs.rig.journal.pending()
            assert row.seal.damaged
            assert "recover export" in str(m.fs.rig.uploader.uploads()[0].error)
    assert bucket.keys == ()


async def test_damaged_bytes_that_are_written_again_are_sent(bucket, store, tmp_path, disk):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"data of ours")
        disk.refusals, disk.instead = 1, b"\0\0\0\0"
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"DATA OF OURS")
        await m.close(handle)
        await m.drain()
        assert bucket.data("f") == b"DATA OF OURS"


async def test_at_level_close_what_s3_did_not_answer_goes_on_from_a_synced_copy(
    bucket, store, tmp_path, disk
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="close", stall_timeout=0.2) as m:
        handle, _ = await m.create("f", b"data")
        disk.refusals = 1
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        assert len(set(disk.synced)) == len(disk.synced) == 2
        (row,) = m.fs.rig.journal.pending()
        assert spool_files(tmp_path) == [row.seal.id]
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.close(handle)
        assert bucket.data("f") == b"data"


async def test_an_upload_from_a_suspect_file_sends_nothing_that_was_not_written(
    bucket, store, tmp_path, disk
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="close", stall_timeout=0.2) as m:
        handle, _ = await m.create("f", b"data")
        disk.refusals, disk.instead = 2, b"\0\0"
        with pytest.raises(SpoolDamaged):
            await m.fs.flush(handle)
        store.heal()
        m.fs.rig.uploader.nudge()
        await until(lambda: any(u.is_parked for u in m.fs.rig.uploader.uploads()))
        assert bucket.keys == ()
