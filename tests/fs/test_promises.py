"""What close() and fsync() promise at each level, and what happens when S3 does not answer."""

import os

import pytest
import trio
from fsrig import mounted, until

from cognitofs.errors import (
    AccessDenied,
    LoginRequired,
    PreconditionFailed,
    Stalled,
    Unreachable,
)

DATA = bytes(range(100))
OFFLINE = Unreachable("There is no network.")


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "small", "parts"])
async def test_at_level_close_the_object_is_on_s3_when_close_returns(bucket, store, tmp_path, data):
    async with mounted(store, tmp_path, sync="close") as m:
        handle, _ = await m.create("f", data)
        await m.fs.flush(handle)
        if data:
            assert bucket.data("f") == data
        await m.fs.release(handle)
        await m.drain()
        assert bucket.data("f") == data


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_below_level_close_a_close_returns_while_s3_is_away(
    bucket, store, tmp_path, level, quick_clock
):
    for operation in ("put", "begin_upload"):
        store.fail(operation, OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync=level) as m:
        await m.store_file("f", DATA)
        assert bucket.keys == ()
        assert await m.read_file("f") == DATA
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert bucket.data("f") == DATA


async def test_at_level_fsync_the_object_is_on_s3_when_fsync_returns(bucket, store, tmp_path):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", DATA)
        await m.fs.fsync(handle)
        assert bucket.data("f") == DATA


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_below_level_close_bytes_are_synced_and_the_row_is_committed_when_close_returns(
    bucket, store, tmp_path, level, monkeypatch
):
    synced = []
    monkeypatch.setattr(
        "cognitofs.spool.spoolfile.os.fdatasync",
        lambda fd: synced.append(os.pread(fd, 100, 0)),
    )
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"kept")
        await m.fs.flush(handle)
        assert synced == [b"kept"]
        assert [row.seal.key for row in m.fs.rig.journal.pending()] == ["f"]


async def test_at_level_local_fsync_returns_with_the_row_committed_while_s3_is_away(
    bucket, store, tmp_path
):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="local") as m:
        handle, _ = await m.create("f", b"kept")
        await m.fs.fsync(handle)
        assert [row.seal.key for row in m.fs.rig.journal.pending()] == ["f"]
        assert bucket.keys == ()


@pytest.mark.parametrize("level", ["close", "fsync"])
async def test_fsync_of_a_directory_waits_for_s3_to_have_what_is_below(
    bucket, store, tmp_path, level
):
    async with mounted(store, tmp_path, sync=level) as m:
        above = await m.fs.mkdir(1, "d", 0o755)
        handle, _ = await m.create("f", b"below", parent=above.number)
        await m.fs.fsyncdir(m.fs.opendir(above.number))
        assert bucket.data("d/f") == b"below"
        await m.fs.release(handle)


async def test_what_was_closed_survives_a_crash_and_is_sent_by_the_next_mount(
    bucket, store, tmp_path, quick_clock
):
    store.fail("put", OFFLINE, times=-1)
    store.fail("begin_upload", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("small", b"small")
        await m.store_file("large", DATA)
        directory = await m.fs.mkdir(1, "d", 0o755)
        await m.store_file("inside", b"in", parent=directory.number)
    assert bucket.keys == ()
    store.heal()
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert m.recovered.files == 4
        assert sorted(await m.listdir()) == ["d", "large", "small"]
        await m.drain()
    assert {key: bucket.data(key) for key in bucket.keys} == {
        "d/": b"",
        "d/inside": b"in",
        "large": DATA,
        "small": b"small",
    }


async def test_a_second_recovery_changes_nothing(bucket, store, tmp_path):
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", DATA)
        await m.drain()
    async with mounted(store, tmp_path) as m:
        assert m.recovered.files == 0
        assert m.recovered.lost_found == 0
    assert bucket.data("f") == DATA


async def test_unsealed_bytes_go_to_lost_and_found_and_the_old_object_stays(
    bucket, store, tmp_path
):
    bucket.outside_put("f", b"the old version")
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f", 2 | 0o1000)
        await m.fs.write(handle, 0, b"half of the n")
    async with mounted(store, tmp_path) as m:
        assert m.recovered.lost_found == 1
        assert await m.read_file("f") == b"the old version"
        await m.drain()
    assert bucket.data("f") == b"the old version"
    kept = [p for p in (tmp_path / "lost+found").iterdir() if p.suffix != ".json"]
    assert [p.read_bytes() for p in kept] == [b"half of the n"]


async def test_the_multipart_upload_of_an_unsealed_file_is_aborted_at_the_next_mount(
    bucket, store, tmp_path
):
    async with mounted(store, tmp_path) as m:
        await m.create("f", DATA)
        await until(lambda: bucket.bucket.uploads)
    async with mounted(store, tmp_path) as m:
        await until(lambda: not bucket.bucket.uploads)
    assert bucket.keys == ()


async def test_a_refusal_is_the_error_of_close_and_the_bytes_are_kept(bucket, store, tmp_path):
    store.fail("put", AccessDenied("The role may not."), times=-1)
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", b"kept")
        with pytest.raises(AccessDenied):
            await m.close(handle)
        assert await m.read_file("f") == b"kept"
        assert [u.state for u in m.fs.rig.uploader.uploads()] == ["failed"]
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.data("f") == b"kept"


async def test_a_refusal_of_a_streaming_part_is_the_error_of_the_next_write(
    bucket, store, tmp_path
):
    store.fail("begin_upload", AccessDenied("The role may not."), times=-1)
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", DATA)
        file = m.fs.handles.file(handle).file
        await until(lambda: file.content.multipart.refusal is not None)
        with pytest.raises(AccessDenied):
            await m.fs.write(handle, 100, b"more")


async def test_close_gives_up_waiting_when_nothing_moves_and_the_upload_goes_on(
    bucket, store, tmp_path, quick_clock
):
    stall = store.stall("put")
    async with mounted(store, tmp_path, stall_timeout=120.0) as m:
        handle, _ = await m.create("f", b"slow")
        with pytest.raises(Stalled):
            await m.close(handle)
        stall.release()
        await m.drain()
    assert bucket.data("f") == b"slow"


async def test_close_gives_up_waiting_for_a_server_that_fails_every_time(
    bucket, store, tmp_path, quick_clock
):
    """Another try is no progress, however often it comes."""
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, stall_timeout=120.0) as m:
        handle, _ = await m.create("f", b"slow")
        with pytest.raises(Unreachable):
            await m.close(handle)
        assert [u.state for u in m.fs.rig.uploader.uploads()] == ["waiting"]


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [(OFFLINE, 120.0), (LoginRequired("Sign in again."), 60.0)],
    ids=["network", "sign-in"],
)
async def test_close_gives_up_waiting_for_a_network_or_a_sign_in_that_stays_away(
    bucket, store, tmp_path, failure, seconds, quick_clock
):
    async with mounted(store, tmp_path, stall_timeout=120.0, auth_wait=60.0) as m:
        handle, _ = await m.create("f", b"kept")
        store.fail("put", failure, times=-1)
        store.fail("head", failure, times=-1)
        began = trio.current_time()
        with pytest.raises(type(failure)):
            await m.close(handle)
        assert seconds <= trio.current_time() - began < seconds + 5  # virtual seconds
        assert await m.read_file("f") == b"kept"
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert bucket.data("f") == b"kept"


async def test_an_object_changed_elsewhere_is_not_overwritten(bucket, store, tmp_path):
    bucket.outside_put("f", b"first")
    async with mounted(store, tmp_path, host="here") as m:
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"OURS!")
        bucket.outside_put("f", b"theirs")
        await m.close(handle)
    assert sorted(bucket.data(key) for key in bucket.keys) == [b"OURS!", b"theirs"]
    assert bucket.data("f") == b"theirs"


async def test_a_name_made_elsewhere_meanwhile_is_not_overwritten(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("f", b"ours")
        bucket.outside_put("f", b"theirs")
        await m.close(handle)
    assert sorted(bucket.data(key) for key in bucket.keys) == [b"ours", b"theirs"]
    assert bucket.data("f") == b"theirs"


async def test_an_edit_beats_a_delete(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("f", b"first")
    async with mounted(store, tmp_path) as m:
        handle = await m.open("f", 2 | 0o1000)
        await m.fs.write(handle, 0, b"edited")
        bucket.outside_delete("f")
        await m.close(handle)
    assert bucket.data("f") == b"edited"


@pytest.mark.parametrize(
    ("operation", "data"),
    [("put", b"small"), ("complete_upload", DATA)],
    ids=["put", "complete_upload"],
)
async def test_a_lost_answer_is_settled_and_is_no_conflict(
    bucket, store, tmp_path, operation, data, quick_clock
):
    store.fail(operation, OFFLINE, moment="after")
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", data)
        assert bucket.data("f") == data
        assert store.requests[operation] == 1


@pytest.mark.parametrize(
    ("operation", "data"),
    [("put", b"small"), ("complete_upload", DATA)],
    ids=["put", "complete_upload"],
)
async def test_a_commit_that_never_arrived_is_sent_again(
    bucket, store, tmp_path, operation, data, quick_clock
):
    store.fail(operation, OFFLINE, moment="before", times=2)
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", data)
        assert bucket.data("f") == data
        assert store.requests[operation] == 3


async def test_a_newer_seal_after_a_lost_answer_is_no_conflict_with_ourselves(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("f", b"first version")
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle = await m.open("f")
        store.fail("put", OFFLINE, moment="after")
        store.fail("head", OFFLINE, times=2)
        await m.fs.write(handle, 0, b"FIRST")
        await m.fs.flush(handle)
        await until(lambda: any(u.state == "waiting" for u in m.fs.rig.uploader.uploads()))
        await m.fs.write(handle, 6, b"VERSION")
        await m.close(handle)
        await m.drain()
        assert bucket.data("f") == b"FIRST VERSION"


async def test_a_precondition_that_fails_on_our_own_retry_is_no_conflict(
    bucket, store, tmp_path, quick_clock
):
    """The SDK's blind resend of a conditional PUT answers 412 against our own write."""
    store.fail("put", PreconditionFailed("412"), moment="after")
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", b"once")
    assert bucket.data("f") == b"once"


async def test_an_empty_file_whose_release_was_lost_is_published_at_the_end(
    bucket, store, tmp_path
):
    async with mounted(store, tmp_path) as m:
        closed, _ = await m.create("closed")
        await m.fs.flush(closed)
        written, _ = await m.create("written")
        await m.fs.flush(written)
        await m.fs.write(written, 0, b"not closed")
        await m.fs.files.seal_deferred()
        await m.drain()
        assert bucket.keys == ("closed",)
