"""Who hears that S3 refused what close() had acknowledged, and how often."""

import pytest
from fsrig import mounted, until

from cognitofs.errors import AccessDenied, LoginRequired, Unreachable
from cognitofs.tree.inodes import ROOT

DENIED = AccessDenied("The role may not write there.")


def refuse(store, *operations):
    for operation in operations or ("put",):
        store.fail(operation, DENIED, times=-1)


async def parked(m, count=1):
    """Wait until so many files are refused."""
    await until(lambda: sum(u.is_parked for u in m.fs.rig.uploader.uploads()) == count)


async def sync_directory(m, number=ROOT):
    handle = m.fs.opendir(number)
    try:
        await m.fs.fsyncdir(handle)
    finally:
        m.fs.releasedir(handle)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_each_handle_that_was_open_hears_of_a_failure_at_its_next_close_and_only_once(
    store, tmp_path, level
):
    refuse(store)
    async with mounted(store, tmp_path, sync=level) as m:
        first, _ = await m.create("f", b"data")
        second = await m.open("f")
        await m.fs.flush(first)
        await parked(m)
        later = await m.open("f")
        for handle in (first, second):
            with pytest.raises(AccessDenied):
                await m.fs.flush(handle)
            await m.fs.flush(handle)
        await m.fs.flush(later)


async def test_at_level_local_fsync_tells_a_failure_once(store, tmp_path):
    refuse(store)
    async with mounted(store, tmp_path, sync="local") as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.fsync(handle)
        await parked(m)
        with pytest.raises(AccessDenied):
            await m.fs.fsync(handle)
        await m.fs.fsync(handle)
        await m.fs.flush(handle)


async def test_at_level_fsync_fsync_fails_for_as_long_as_s3_lacks_the_file(store, tmp_path):
    refuse(store)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"data")
        for _ in range(2):
            with pytest.raises(AccessDenied):
                await m.fs.fsync(handle)
        await m.fs.flush(handle)  # this handle has heard it, and the bytes are safe here


async def test_at_level_close_every_close_fails_for_as_long_as_s3_lacks_the_file(
    bucket, store, tmp_path
):
    refuse(store)
    async with mounted(store, tmp_path, sync="close") as m:
        handle, _ = await m.create("f", b"data")
        later = await m.open("f")
        for opened in (handle, handle, later):
            with pytest.raises(AccessDenied):
                await m.fs.flush(opened)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
        await m.fs.flush(handle)
    assert bucket.data("f") == b"data"


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_another_failure_is_told_again(store, tmp_path, level):
    refuse(store)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        for _ in range(2):
            await parked(m)
            with pytest.raises(AccessDenied):
                await m.fs.flush(handle)
            await m.fs.write(handle, 0, b"DATA")
            await m.fs.flush(handle)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_the_same_refusal_of_the_same_bytes_is_not_told_again(store, tmp_path, level):
    refuse(store)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        await parked(m)
        with pytest.raises(AccessDenied):
            await m.fs.flush(handle)
        (upload,) = m.fs.rig.uploader.uploads()
        tries = upload.attempts
        m.fs.rig.uploader.nudge()
        await until(lambda: upload.attempts > tries and upload.is_parked)
        await m.fs.flush(handle)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_what_s3_has_taken_meanwhile_is_no_failure_any_more(store, tmp_path, level):
    refuse(store)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        await parked(m)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
        await m.fs.flush(handle)
        await sync_directory(m)


async def test_at_level_local_a_failure_that_no_handle_heard_is_told_once_by_a_directory_above(
    store, tmp_path
):
    async with mounted(store, tmp_path, sync="local") as m:
        directory = (await m.fs.mkdir(ROOT, "d", 0o755)).number
        beside = (await m.fs.mkdir(ROOT, "e", 0o755)).number
        await m.drain()
        refuse(store)
        await m.store_file("f", b"data", parent=directory)
        await parked(m)
        await sync_directory(m, beside)
        with pytest.raises(AccessDenied):
            await sync_directory(m, directory)
        await sync_directory(m, directory)
        await sync_directory(m)


async def test_at_level_local_a_directory_does_not_repeat_what_a_handle_has_heard(store, tmp_path):
    refuse(store)
    async with mounted(store, tmp_path, sync="local") as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        await parked(m)
        with pytest.raises(AccessDenied):
            await m.close(handle)
        await sync_directory(m)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_a_missing_network_is_no_failure_that_a_close_tells(
    store, tmp_path, level, quick_clock
):
    store.fail("put", Unreachable("There is no network."), times=-1)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        await until(lambda: m.fs.rig.uploader.uploads()[0].state == "waiting")
        await m.fs.flush(handle)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_closing_a_file_that_was_removed_tells_nothing_of_what_it_was(store, tmp_path, level):
    refuse(store)
    async with mounted(store, tmp_path, sync=level) as m:
        handle, _ = await m.create("f", b"data")
        await m.fs.flush(handle)
        await parked(m)
        await m.fs.unlink(ROOT, "f")
        await m.fs.flush(handle)


@pytest.mark.parametrize("level", ["fsync", "local"])
async def test_a_refused_deletion_is_told_once_by_fsync_of_the_directory(
    bucket, store, tmp_path, level, quick_clock
):
    async with mounted(store, tmp_path, sync=level, metadata_ttl=0) as m:
        for name in ("a", "b"):
            await m.store_file(name, b"data")
        await m.drain()
        refuse(store, "delete", "delete_many")
        for name in ("a", "b"):
            await m.fs.unlink(ROOT, name)
        await until(lambda: not m.fs.rig.deletions.pending)
        with pytest.raises(AccessDenied):
            await sync_directory(m)
        await sync_directory(m)
        assert sorted(await m.listdir()) == ["a", "b"]
        refusals = m.fs.rig.deletions.refusals
        said = str(DENIED)
        assert [(each.key, each.error) for each in refusals] == [("a", said), ("b", said)]
        assert await m.read_file("a") == b"data"
        store.heal()
        await m.fs.unlink(ROOT, "b")
        assert [each.key for each in m.fs.rig.deletions.refusals] == ["a"]
        await until(lambda: bucket.keys == ("a",))


def lines_about(caplog, key):
    """Return the log lines that name *key*, as (level, message)."""
    said = [(r.levelname, r.getMessage()) for r in caplog.records]
    return [(level, message) for level, message in said if repr(key) in message]


async def test_the_log_says_each_trouble_once_and_that_it_is_over(
    store, tmp_path, caplog, quick_clock
):
    caplog.set_level("INFO")
    store.fail("put", Unreachable("There is no network."), times=2)
    store.fail("put", LoginRequired("The sign-in has ended."), times=1)
    store.fail("put", DENIED, times=2)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", b"data")
        await parked(m)
        (upload,) = m.fs.rig.uploader.uploads()
        for tries in (5, 6):
            m.fs.rig.uploader.nudge()
            await until(lambda tries=tries: upload.attempts == tries)
            await m.drain()
    (network, auth, refused, over) = lines_about(caplog, "f")
    assert network == ("WARNING", "'f' waits (network): There is no network.")
    assert auth == ("WARNING", "'f' waits (sign-in): The sign-in has ended.")
    assert refused == ("ERROR", "'f' is kept here (failed): The role may not write there.")
    assert over == ("INFO", "'f' is on S3 now, after 6 tries.")


async def test_the_next_mount_says_what_the_last_session_left(store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="local") as m:
        await m.store_file("old", b"data")
        await m.drain()
        for operation in ("put", "begin_upload", "delete", "delete_many"):
            store.fail(operation, Unreachable("There is no network."), times=-1)
        await m.fs.unlink(ROOT, "old")
        for name in ("a", "b"):
            await m.store_file(name, b"x" * 600)
    async with mounted(store, tmp_path, sync="local") as m:
        assert m.recovered.sentences() == (
            "2 files (1.2 kB) of the last session are still being uploaded.",
            "1 object is still to be deleted on S3 for the last session.",
        )
