"""What fails, is cut off or is not answered in the middle leaves everything as it was, or done.

Each case was once a loss, found by generated lives (tests/model) or by reading every await.
"""

import os
import resource

import pytest
import trio
from fsrig import mounted, until

from cognitofs.errors import AccessDenied, NoSuchUpload, SpoolFull, Unreachable
from cognitofs.fs.filesystem import Changes
from cognitofs.fs.forerunners import Forerunners
from cognitofs.spool.intents import Doomed
from cognitofs.spool.journal import Journal
from cognitofs.spool.seal import Seal
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.store.interface import ETag, ObjectHead, ObjectHeaders
from cognitofs.store.records import TXID
from cognitofs.transfer.conflicts import Verdict, judge

DATA = bytes(range(100))
OFFLINE = Unreachable("There is no network.")
COMMITS = ("put", "complete_upload")


def go_offline(store):
    operations = ("put", "begin_upload", "upload_part", "complete_upload", "abort_upload", "head")
    for operation in (*operations, "copy", "copy_part", "delete", "read_into", "list_page"):
        store.fail(operation, OFFLINE, times=-1)


def lose_answers(store):
    for operation in COMMITS:
        store.fail(operation, OFFLINE, moment="after")
    store.fail("head", OFFLINE, times=-1)


async def mended(store, m):
    store.heal()
    m.fs.rig.uploader.nudge()
    await m.drain()


async def closed_unanswered(store, m, handle):
    """Close a file at level fsync; its commit happens, and nobody hears of it."""
    lose_answers(store)
    await m.close(handle)
    await until(lambda: is_waiting(m))


def is_waiting(m):
    return any(upload.state == "waiting" for upload in m.fs.rig.uploader.uploads())


# -- crashes --------------------------------------------------------------------------------------


async def test_a_part_that_was_rewritten_after_it_was_sent_is_sent_again_after_a_crash(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", DATA)
        await until(lambda: store.requests["upload_part"] >= 6)
        await trio.sleep(0.1)
        store.fail("upload_part", OFFLINE, times=-1)
        await m.fs.write(handle, 3, b"rewritten")
        await m.fs.flush(handle)
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.data("f") == DATA[:3] + b"rewritten" + DATA[12:]


async def test_a_stream_that_was_dropped_is_not_gone_on_with_after_a_crash(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, number = await m.create("f", DATA)
        await until(lambda: store.requests["upload_part"] >= 6)
        await trio.sleep(0.1)
        go_offline(store)
        await m.fs.setattr(number, Changes(size=0), handle)
        await m.fs.write(handle, 0, bytes(100))
        await m.fs.flush(handle)
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
        await until(lambda: not bucket.bucket.uploads)
    assert bucket.data("f") == bytes(100)


async def test_bytes_behind_an_empty_seal_go_to_lost_and_found(bucket, store, tmp_path):
    bucket.outside_put("f", b"old")
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"new")
        await m.fs.setattr(m.fs.handles.file(handle).file.inode.number, Changes(size=0), handle)
        await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"not closed")
    async with mounted(store, tmp_path) as m:
        assert m.recovered.lost_found == 1
        await m.drain()
    assert bucket.data("f") == b""
    assert os.listdir(tmp_path / "spool") == []


async def test_a_small_edit_whose_commit_was_cut_off_by_a_crash_is_no_conflict(
    bucket, store, tmp_path
):
    """The base, whose bytes the next mount would need, was replaced by that very commit."""
    bucket.outside_put("f", b"0123456789")
    stall = store.stall("put", moment="after")
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"ab")
        await m.fs.flush(handle)
        await stall.reached.wait()
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
        assert m.fs.rig.uploader.uploads() == []
        assert await m.read_file("f") == b"ab23456789"


async def test_a_rename_over_a_pending_file_keeps_that_until_the_new_one_is_sealed(
    bucket, store, tmp_path, quick_clock
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("doc", b"acknowledged")
        await m.create("tmp", b"never closed")
        await m.fs.rename(1, "tmp", 1, "doc", replace=True)
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
        assert await m.read_file("doc") == b"acknowledged"
    assert bucket.keys == ("doc",)


async def test_a_rename_does_not_seal_what_is_not_closed(bucket, store, tmp_path, quick_clock):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"closed")
        await m.fs.flush(handle)
        await m.fs.write(handle, 6, b" and not")
        await m.fs.rename(1, "f", 1, "g", replace=True)
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.data("g") == b"closed"


# -- answers that were lost -----------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"small", DATA], ids=["small", "parts"])
async def test_a_file_whose_commit_was_not_answered_does_not_come_back_after_unlink(
    bucket, store, tmp_path, data, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", data)
        await closed_unanswered(store, m, handle)
        store.heal()
        await m.fs.unlink(1, "f")
        await m.drain()
    assert bucket.keys == ()


@pytest.mark.parametrize("longer", ["truncate", "write"])
async def test_what_nobody_closed_before_a_crash_does_not_come_back_in_place_of_zeros(
    bucket, store, tmp_path, quick_clock, longer
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"closed")
        await m.fs.flush(handle)
        await m.fs.write(handle, 6, b"not closed")
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert await m.read_file("f") == b"closed"
        handle = await m.open("f")
        if longer == "truncate":
            await m.fs.setattr(
                m.fs.handles.file(handle).file.inode.number, Changes(size=20), handle
            )
        else:
            await m.fs.write(handle, 19, b"\0")
        await m.close(handle)
        assert await m.read_file("f") == b"closed" + bytes(14)
        await mended(store, m)
    assert bucket.data("f") == b"closed" + bytes(14)


async def test_a_file_whose_commit_was_not_answered_leaves_its_old_name(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("tmp", DATA)
        assert await m.listdir() == ["tmp"]  # so that the new name is known to be free
        await closed_unanswered(store, m, handle)
        await m.fs.rename(1, "tmp", 1, "f", replace=True)
        await mended(store, m)
    assert (bucket.keys, bucket.data("f")) == (("f",), DATA)


async def test_what_such_a_file_left_goes_when_another_takes_its_place(
    bucket, store, tmp_path, quick_clock
):
    """Its first name would come back: nobody else remembers that it was ours."""
    bucket.outside_put("other", b"other")
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert await m.listdir() == ["other"]
        handle, _ = await m.create("tmp", DATA)
        await closed_unanswered(store, m, handle)
        await m.fs.rename(1, "tmp", 1, "f", replace=True)
        store.heal()
        store.fail("put", OFFLINE, times=-1)
        store.fail("complete_upload", OFFLINE, times=-1)
        await m.fs.rename(1, "other", 1, "f", replace=True)
        await mended(store, m)
        assert await m.listdir() == ["f"]
        assert m.fs.rig.journal.is_empty()
    assert (bucket.keys, bucket.data("f")) == (("f",), b"other")


def test_what_such_a_file_left_is_known_by_each_commit_under_a_name_it_had_twice():
    """The journal has one deletion for a key."""
    mine = Forerunners()
    mine.doubts = ("first",)
    mine.renamed("f", "g")
    mine.renamed("g", "f")
    mine.doubts += ("second",)
    mine.renamed("f", "h")
    assert mine.left() == [Doomed("f", ETag(""), ("first", "second"))]
    assert mine.left(beside=[Doomed("f", ETag("e"))]) == []


async def test_a_large_edit_after_an_edit_that_was_not_answered_is_no_conflict(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("f", DATA)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle = await m.open("f")
        lose_answers(store)
        await m.fs.write(handle, 0, b"FIRST")
        await m.fs.flush(handle)
        await until(lambda: is_waiting(m))
        await m.fs.write(handle, 80, b"SECOND")
        await m.fs.flush(handle)
        await mended(store, m)
        assert m.fs.rig.uploader.uploads() == []
    assert bucket.data("f") == b"FIRST" + DATA[5:80] + b"SECOND" + DATA[86:]


async def test_emptying_a_file_whose_commit_was_not_answered_is_no_conflict(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"first")
        await closed_unanswered(store, m, handle)
        handle = await m.open("f", 0o1001)
        await m.close(handle)
        await mended(store, m)
        assert m.fs.rig.uploader.uploads() == []
    assert bucket.data("f") == b""


async def test_a_mode_whose_copy_was_not_answered_is_no_conflict_for_the_next_save(
    bucket, store, tmp_path, quick_clock
):
    """A self-copy turns the ETag of several parts into that of one."""
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", DATA)
        handle = await m.open("f")
        store.fail("copy", OFFLINE, moment="after", times=-1)
        await m.fs.setattr(number, Changes(mode=0o600), None)
        await until(lambda: store.requests["copy"])
        await m.fs.write(handle, 0, b"saved")
        store.heal()
        await m.close(handle)
        await m.drain()
        assert m.fs.rig.uploader.uploads() == []
    assert bucket.data("f") == b"saved" + DATA[5:]
    assert bucket.bucket.head("f").headers.metadata["file-permissions"] == "0100600"


async def test_a_delete_that_was_not_answered_is_done_when_the_object_is_gone(
    bucket, store, tmp_path
):
    bucket.outside_put("f", b"1")
    store.fail("delete", OFFLINE, moment="after")
    async with mounted(store, tmp_path) as m:
        await m.fs.unlink(1, "f")
    assert bucket.keys == ()


def test_a_rebased_seal_whose_upload_is_gone_is_sent_again_and_not_rebased_forever(bucket):
    ours = ObjectHeaders(metadata={TXID: "earlier"})
    info = bucket.outside_put("f", b"earlier", ours)
    seal = Seal("id", "f", 9, ((0, 9),), info, 0, info.etag, ObjectHeaders(), True, ("earlier",))
    found = ObjectHead(info, ours)
    assert judge(seal, NoSuchUpload("gone"), found) is Verdict.RESTART


# -- failures in the middle -----------------------------------------------------------------------


async def test_a_seal_that_fails_leaves_the_one_before_it_on_its_way(
    bucket, store, tmp_path, quick_clock, monkeypatch
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"first")
        await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"SECOND")

        async def full(*_, **__):
            raise SpoolFull("There is no room.")

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "seal", full)
            with pytest.raises(SpoolFull):
                await m.fs.flush(handle)
        await mended(store, m)
        assert bucket.data("f") == b"first"
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == b"SECOND"


async def test_a_cancelled_seal_leaves_the_one_before_it_on_its_way(
    bucket, store, tmp_path, quick_clock, monkeypatch
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"first")
        await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"SECOND")
        with trio.CancelScope() as scope:
            monkeypatch.setattr(m.fs.rig.journal, "seal", lambda *_, **__: _cancel(scope))
            await m.fs.flush(handle)
        assert scope.cancelled_caught
        monkeypatch.undo()
        await mended(store, m)
    assert bucket.data("f") == b"first"


async def _cancel(scope):
    scope.cancel()
    await trio.lowlevel.checkpoint()


async def test_a_journal_that_cannot_say_why_a_file_is_kept_does_not_end_the_mount(
    bucket, store, tmp_path, monkeypatch
):
    store.fail("put", AccessDenied("The role may not."), times=1)

    async def full(*_, **__):
        raise SpoolFull("There is no room.")

    async with mounted(store, tmp_path) as m:
        monkeypatch.setattr(Journal, "park", full)
        with pytest.raises(AccessDenied):
            await m.store_file("f", b"kept")
        m.fs.rig.uploader.nudge()
        await until(lambda: bucket.keys == ("f",))


async def test_a_link_that_cannot_be_written_leaves_no_name(store, tmp_path, monkeypatch):
    def full(_):
        raise SpoolFull("There is no room.")

    async with mounted(store, tmp_path) as m:
        with monkeypatch.context() as patch:
            patch.setattr(SpoolDirectory, "create", full)
            with pytest.raises(SpoolFull):
                await m.fs.symlink(1, "l", "target")
        assert await m.listdir() == []
        assert m.fs.files.all() == []


async def test_a_rename_whose_delete_is_not_answered_is_done_and_deletes_later(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("old", DATA)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("old")
        await m.fs.write(handle, 50, b"XX")
        store.fail("delete", OFFLINE)
        await m.fs.rename(1, "old", 1, "new", replace=True)
        await m.close(handle)
        assert await m.listdir() == ["new"]
        await m.drain()
    assert bucket.keys == ("new",)
    assert bucket.data("new") == DATA[:50] + b"XX" + DATA[52:]


async def test_a_rename_whose_delete_is_denied_says_so_and_shows_both_names(
    bucket, store, tmp_path
):
    bucket.outside_put("old", DATA)
    async with mounted(store, tmp_path) as m:
        store.fail("delete", AccessDenied("403"))
        with pytest.raises(AccessDenied):
            await m.fs.rename(1, "old", 1, "new", replace=True)
        assert sorted(await m.listdir()) == ["new", "old"]


async def test_an_upload_nobody_wants_is_aborted_when_the_network_is_back(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path) as m:
        await m.create("f", DATA)
        await until(lambda: bucket.bucket.uploads)
        store.fail("abort_upload", OFFLINE, times=-1)
        await m.fs.unlink(1, "f")
        await trio.sleep(1)
        assert bucket.bucket.uploads
        await mended(store, m)
        assert bucket.bucket.uploads == ()
        assert m.fs.rig.journal.is_empty()


# -- others at the same time ----------------------------------------------------------------------


async def test_a_close_that_is_overtaken_waits_for_what_took_its_place(
    bucket, store, tmp_path, quick_clock, monkeypatch
):
    store.fail("put", OFFLINE, times=-1)
    seen = []

    async def close(m, handle):
        await m.fs.flush(handle)
        seen.append(bucket.keys)

    async with mounted(store, tmp_path) as m:
        first, _ = await m.create("f", b"first")
        second = await m.open("f")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close, m, first)
            await until(lambda: is_waiting(m))
            await m.fs.write(second, 0, b"SECOND")
            nursery.start_soon(close, m, second)
            await trio.sleep(1)
            assert seen == []
            store.heal()
            m.fs.rig.uploader.nudge()
    assert seen == [("f",), ("f",)]
    assert bucket.data("f") == b"SECOND"


async def test_what_had_a_name_that_was_replaced_and_moved_away_does_not_come_back(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("f", b"old")
    async with mounted(store, tmp_path, sync="fsync") as m:
        store.fail("put", OFFLINE, times=-1)
        for fate in ("unlink", "rename"):
            await m.store_file("new", fate.encode())
            await m.fs.rename(1, "new", 1, "f", replace=True)
            if fate == "unlink":
                await m.fs.unlink(1, "f")
                await m.fs.rig.deletions.settle("f")
                assert bucket.keys == ()
                bucket.outside_put("f", b"old again")
                await trio.sleep(10)
            else:
                await m.fs.rename(1, "f", 1, "g", replace=True)
        await mended(store, m)
    assert (bucket.keys, bucket.data("g")) == (("g",), b"rename")


async def test_an_unlinked_file_that_is_written_is_not_streamed_and_leaves_nothing(
    bucket, store, tmp_path
):
    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f")
        m.fs.forget(number, 1)
        await m.fs.unlink(1, "f")
        await m.fs.write(handle, 0, DATA)
        await m.close(handle)
        await m.drain()
        assert store.requests["begin_upload"] == 0
        assert os.listdir(tmp_path / "spool") == []
        assert m.fs.files.all() == []
        assert len(m.fs.rig.table) == 1


async def test_a_handle_on_what_a_rename_replaced_does_not_write_into_the_journal_s_bytes(
    bucket, store, tmp_path, quick_clock
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("doc", b"acknowledged")
        await m.fs.flush(handle)
        await m.create("tmp", b"never closed")
        await m.fs.rename(1, "tmp", 1, "doc", replace=True)
        await m.fs.write(handle, 0, b"GHOSTLY")
        assert await m.fs.read(handle, 0, 100) == b"GHOSTLYedged"
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.data("doc") == b"acknowledged"


async def test_a_truncate_by_path_and_the_upload_before_it_share_one_file(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        stall = store.stall("put", moment="after")
        number = await m.store_file("f", b"0123456789")
        await stall.reached.wait()
        async with trio.open_nursery() as nursery:
            stall.release()
            nursery.start_soon(m.fs.setattr, number, Changes(size=3), None)
        assert len(m.fs.files.all()) <= 1
        await m.fs.unlink(1, "f")
        await m.drain()
    assert bucket.keys == ()


async def test_a_mode_on_its_way_shows_through_and_survives_a_save(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, open_ttl=0.0) as m:
        number = await m.store_file("f", DATA)
        await m.fs.setattr(number, Changes(mode=0o600), None)
        handle = await m.open("f")
        assert (await m.fs.getattr(number)).mode & 0o777 == 0o600
        await m.fs.write(handle, 0, b"saved")
        await m.close(handle)
        await m.drain()
    assert bucket.bucket.head("f").headers.metadata["file-permissions"] == "0100600"


async def test_a_listing_does_not_hide_what_was_sent_after_it(bucket, store, tmp_path):
    bucket.outside_put("old", b"1")
    async with mounted(store, tmp_path) as m:
        old = await m.fs.lookup(1, "old")
        m.fs.forget(old.number, 1)
        assert await m.listdir() == ["old"]
        handle, new = await m.create("new", b"22")
        await m.close(handle)
        m.fs.forget(new, 1)
        handle = await m.open("old", 0o1001)
        number = m.fs.handles.file(handle).file.inode.number
        await m.fs.write(handle, 0, b"333")
        await m.close(handle)
        m.fs.forget(number, 1)
        assert len(m.fs.rig.table) == 1
        assert (await m.fs.lookup(1, "new")).size == 2
        assert (await m.fs.lookup(1, "old")).size == 3


async def test_reading_many_files_takes_few_descriptors(bucket, store, tmp_path):
    for n in range(600):
        bucket.outside_put(f"f{n}", b"1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 300, hard))
    try:
        async with mounted(store, tmp_path, cache_size=1 << 30) as m:
            for n in range(600):
                assert await m.read_file(f"f{n}") == b"1"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_parts_that_a_crash_made_us_send_twice_are_dropped(bucket, store, tmp_path):
    """The first upload was complete, unknown to the journal; the second one must not stay."""
    begins = store.stall("begin_upload", moment="after")
    completes = store.stall("complete_upload", moment="after")
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", DATA)
        await begins.reached.wait()
        await m.fs.flush(handle)
        begins.release()
        await completes.reached.wait()
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.data("f") == DATA
    assert bucket.bucket.uploads == ()
