"""Files larger than the space for unsent bytes: what S3 has of them is given up here meanwhile."""

import json

import pytest
import trio
from fsrig import SMALL, mounted, until

from cognitofs.errors import (
    AccessDenied,
    BytesLost,
    ConditionalConflict,
    NoSuchUpload,
    OnlyInUpload,
    PreconditionFailed,
    SpoolDamaged,
    SpoolFull,
    Stale,
    Unreachable,
)
from cognitofs.spool.journal import SentPart
from cognitofs.store.interface import ETag, ObjectHeaders, PartReceipt
from cognitofs.transfer.parts import Ladder

SPOOL = 64
DATA = bytes(range(1, 256)) * 2
OFFLINE = Unreachable("There is no network.")
FOREIGN = b"somebody else's"


async def _write(m, handle, data=DATA, start=0):
    for at in range(start, len(data), 5):
        await m.fs.write(handle, at, data[at : at + 5])


async def _written(m, name="f", data=DATA):
    """Create a file and write it, not closed yet."""
    handle, _ = await m.create(name)
    await _write(m, handle, data)
    return handle, m.fs.handles.file(handle).file


async def _foreign(bucket, name="f"):
    return await bucket.put(name, FOREIGN, ObjectHeaders(), expect="any")


@pytest.mark.parametrize("sync", ["close", "fsync", "local"])
async def test_a_file_larger_than_the_spool_is_on_s3_when_close_returns(
    bucket, store, tmp_path, sync
):
    async with mounted(store, tmp_path, spool_size=SPOOL, sync=sync) as m:
        handle, file = await _written(m)
        assert file.content.spool.given_up
        assert m.fs.rig.spools.space.used <= SPOOL
        await m.fs.flush(handle)
        assert bucket.data("f") == DATA
        assert await m.fs.read(handle, 0, len(DATA)) == DATA
        await m.fs.release(handle)
        assert m.fs.rig.spools.space.used == 0
        assert m.fs.rig.journal.is_empty()


async def test_nothing_is_given_up_while_there_is_room(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=len(DATA) + 5) as m:
        handle, file = await _written(m)
        assert not file.content.spool.given_up
        assert await m.fs.read(handle, 0, len(DATA)) == DATA
        await m.close(handle)


async def test_what_was_given_up_can_be_neither_read_nor_changed_before_the_close(
    bucket, store, tmp_path
):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, file = await _written(m)
        with pytest.raises(OnlyInUpload, match="closed"):
            await m.fs.read(handle, 0, 8)
        with pytest.raises(SpoolFull, match="in order"):
            await m.fs.write(handle, 3, b"again")
        with pytest.raises(SpoolFull):
            await file.truncate(10)
        at = len(DATA) - 4
        assert await m.fs.read(handle, at, 4) == DATA[at:]
        await m.fs.write(handle, at, b"tail")
        await m.close(handle)
        assert bucket.data("f") == DATA[:at] + b"tail"
        assert await m.read_file("f") == DATA[:at] + b"tail"


async def test_it_can_be_changed_and_appended_to_once_it_was_synced(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL, sync="local") as m:
        handle, _ = await _written(m)
        await m.fs.fsync(handle)
        await m.fs.write(handle, 3, b"again")
        await m.fs.write(handle, len(DATA), b"more")
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == DATA[:3] + b"again" + DATA[8:] + b"more"


async def test_a_file_cut_to_nothing_begins_anew(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, file = await _written(m)
        await file.truncate(0)
        again = DATA[::-1]
        await _write(m, handle, again)
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == again
    assert not bucket.bucket.uploads


async def test_a_part_that_could_not_be_sent_is_sent_again_when_its_space_is_wanted(
    bucket, store, tmp_path, quick_clock
):
    store.fail("upload_part", OFFLINE, times=2)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        await m.close(handle)
    assert bucket.data("f") == DATA


async def test_without_a_network_write_hears_that_there_is_no_space(
    bucket, store, tmp_path, quick_clock
):
    store.fail("upload_part", OFFLINE, times=-1)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await m.create("f")
        with pytest.raises(SpoolFull, match="--spool-size"):
            await _write(m, handle)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.close(handle)
    assert DATA.startswith(bucket.data("f"))


async def test_a_writer_gets_the_space_of_another_file_that_is_still_open(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        first, file = await _written(m, "a", DATA[:60])
        await until(lambda: len(file.content.multipart.sent) == 3)
        await m.store_file("b", b"b" * 15)
        assert file.content.spool.given_up
        await m.close(first)
    assert bucket.data("a") == DATA[:60]
    assert bucket.data("b") == b"b" * 15


async def test_bytes_stay_here_as_long_as_the_journal_does_not_say_that_s3_alone_has_them(
    bucket, store, tmp_path, monkeypatch
):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, file = await _written(m, data=DATA[:60])
        await until(lambda: len(file.content.multipart.sent) == 3)

        async def fails(*_):
            raise SpoolDamaged("The journal could not be written.")

        with monkeypatch.context() as patch:
            patch.setattr(m.fs.rig.journal, "give_up", fails)
            with pytest.raises(SpoolDamaged):
                await m.fs.write(handle, 60, b"12345")
        assert await m.fs.read(handle, 0, 60) == DATA[:60]
        await m.close(handle)
    assert bucket.data("f") == DATA[:60]


async def test_a_crash_before_the_close_publishes_nothing_and_says_what_is_missing(
    bucket, store, tmp_path
):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        _, file = await _written(m)
        name, given_up = file.content.spool.name, list(file.content.spool.given_up)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        assert m.recovered.lost_found == 1
        await m.drain()
        assert m.fs.rig.journal.is_empty()
    assert not bucket.keys
    assert not bucket.bucket.uploads
    kept = (tmp_path / "lost+found" / name).read_bytes()
    note = json.loads((tmp_path / "lost+found" / f"{name}.json").read_text())
    assert note["missing"][0][0] == 0
    assert note["missing"][-1][1] == given_up[-1].stop
    assert kept[given_up[-1].stop :] == DATA[given_up[-1].stop :]


@pytest.mark.parametrize("may_list", [True, False])
async def test_a_crash_after_the_close_was_begun_is_gone_on_with(bucket, store, tmp_path, may_list):
    await _sealed_and_crashed(store, tmp_path)
    store.heal()
    if not may_list:
        store.fail("list_parts", AccessDenied("The role may not."), times=-1)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        await m.drain()
        assert await m.read_file("f") == DATA
    assert bucket.data("f") == DATA
    assert not bucket.bucket.uploads


async def _sealed_and_crashed(store, state, **options):
    store.fail("complete_upload", OFFLINE, times=-1)
    async with mounted(store, state, spool_size=SPOOL, **options) as m:
        handle, file = await _written(m)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.fs.flush, handle)
            await until(lambda: file.upload is not None and file.upload.state == "waiting")
            nursery.cancel_scope.cancel()


async def test_an_upload_that_a_rule_of_the_bucket_ended_is_reported_and_never_filled_with_zeros(
    bucket, store, tmp_path, quick_clock
):
    await _sealed_and_crashed(store, tmp_path)
    store.heal()
    for upload_id in list(bucket.bucket.uploads):
        await bucket.abort_upload("f", upload_id)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        await m.drain()
        [upload] = m.fs.rig.uploader.uploads()
        assert upload.state == "failed"
        assert isinstance(upload.error, BytesLost)
        assert not bucket.keys
        await m.fs.unlink(1, "f")
        await m.drain()
        assert m.fs.rig.journal.is_empty()


async def test_an_upload_that_ends_while_the_file_is_written_is_heard_by_the_writer(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        store.fail("upload_part", NoSuchUpload("It is gone."), times=-1)
        with pytest.raises(BytesLost):
            await _write(m, handle, DATA * 2, len(DATA))


async def test_theirs_is_copied_aside_when_somebody_else_took_the_name(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        await _foreign(bucket)
        await m.close(handle)
        [conflict] = m.fs.rig.conflicts.all()
        assert bucket.data("f") == DATA
        assert bucket.data(conflict.copy) == FOREIGN
        assert sorted(await m.listdir()) == sorted(["f", conflict.copy])
        assert await m.read_file(conflict.copy) == FOREIGN
        assert await m.read_file("f") == DATA
        await m.drain()
        assert m.fs.rig.journal.is_empty()


async def test_a_conflict_copy_whose_name_is_taken_gets_another(bucket, store, tmp_path):
    store.fail("copy", PreconditionFailed("The name is taken."))
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        await _foreign(bucket)
        await m.close(handle)
        assert bucket.data("f") == DATA
        assert bucket.data(m.fs.rig.conflicts.all()[0].copy) == FOREIGN


async def test_an_upload_that_met_changes_at_the_same_moment_is_completed_again_and_again(
    bucket, store, tmp_path, quick_clock
):
    store.fail("complete_upload", ConditionalConflict("Somebody writes it now."), times=5)
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        await m.close(handle)
    assert bucket.data("f") == DATA
    assert store.requests["begin_upload"] == 1


async def test_theirs_is_replaced_with_conflict_overwrite(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL, conflict="overwrite") as m:
        handle, _ = await _written(m)
        await _foreign(bucket)
        await m.close(handle)
    assert {key: bucket.data(key) for key in bucket.keys} == {"f": DATA}


async def test_a_conflict_that_a_person_decides_keeps_the_upload(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL, conflict="fail") as m:
        handle, _ = await _written(m)
        await _foreign(bucket)
        with pytest.raises(Stale):
            await m.close(handle)
        with pytest.raises(Stale):
            await m.fs.rename(1, "f", 1, "g", replace=True)
        assert len(bucket.bucket.uploads) == 1
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        await m.drain()
        [conflict] = m.fs.rig.conflicts.all()
    assert bucket.data("f") == DATA
    assert bucket.data(conflict.copy) == FOREIGN


async def test_a_rename_waits_until_the_file_is_complete(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL, sync="local") as m:
        handle, _ = await _written(m)
        await m.fs.rename(1, "f", 1, "g", replace=True)
        await m.fs.write(handle, len(DATA), b"more")
        await m.close(handle)
        await m.drain()
    assert {key: bucket.data(key) for key in bucket.keys} == {"g": DATA + b"more"}
    assert not bucket.bucket.uploads


async def test_another_file_takes_its_place(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        handle, _ = await _written(m)
        await m.store_file("other", b"other")
        await m.fs.rename(1, "other", 1, "f", replace=True)
        await m.close(handle)
        await m.drain()
    assert {key: bucket.data(key) for key in bucket.keys} == {"f": b"other"}
    assert not bucket.bucket.uploads


@pytest.mark.parametrize("sync", ["close", "local"])
async def test_removing_it_ends_its_upload(bucket, store, tmp_path, sync):
    async with mounted(store, tmp_path, spool_size=SPOOL, sync=sync) as m:
        handle, _ = await _written(m)
        await m.fs.unlink(1, "f")
        await m.close(handle)
        await m.drain()
        assert m.fs.rig.journal.is_empty()
        assert m.fs.rig.spools.space.used == 0
    assert not bucket.keys
    assert not bucket.bucket.uploads


async def test_a_removal_that_s3_refuses_lets_it_go_on(bucket, store, tmp_path):
    async with mounted(store, tmp_path, spool_size=SPOOL) as m:
        await m.store_file("f", b"old")
        handle = await m.open("f", 0o1002)
        await _write(m, handle)
        assert m.fs.handles.file(handle).file.has_sole_bytes
        store.fail("delete", OFFLINE, times=-1)
        with pytest.raises(Unreachable):
            await m.fs.unlink(1, "f")
        await m.close(handle)
    assert bucket.data("f") == DATA


def test_the_parts_of_an_upload_are_found_again_with_another_spool_size():
    cut = Ladder(first=16, minimum=16, most=64).cut(1 << 18)
    sent = [
        SentPart(p.start, p.stop, "spool", PartReceipt(p.number, ETag("e"), p.size, "c"))
        for p in cut[:-1]
    ]
    assert cut[-2].size == 64
    for now in (SMALL, Ladder(first=16, minimum=16, most=16), Ladder(99, 16, most=1000)):
        assert now.as_sent(sent, 1 << 18).cut(1 << 18) == cut
        few = now.as_sent(sent[:1100], 1 << 18).cut(1 << 18)
        assert few[:1000] == cut[:1000]


def test_parts_fit_into_the_spool_several_times():
    assert Ladder().within(20 << 30) == Ladder()
    assert {size for size, _ in Ladder().within(28 << 20).steps()} == {7 << 20}
    assert {size for size, _ in Ladder().within(1 << 20).steps()} == {5 << 20}
