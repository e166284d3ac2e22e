"""Directories get other names with all that is in them, or nothing has changed."""

import pytest
import trio
import trio.testing
from fsrig import mounted, until

from cognitofs.errors import (
    AccessDenied,
    EntryExists,
    InvalidArgument,
    NameTooLong,
    NoSuchEntry,
    NotADirectory,
    NotEmpty,
    OtherFileSystem,
    PreconditionFailed,
    Unreachable,
)
from cognitofs.fs.filesystem import Changes
from cognitofs.store.interface import ObjectHeaders

OFFLINE = Unreachable("There is no network.")
DATA = bytes(range(100))


async def rename(m, old, new, **how):
    await m.fs.rename(1, old, 1, new, **{"replace": True, **how})


async def test_everything_below_moves_markers_and_hidden_keys_too(bucket, store, tmp_path):
    for key in ("d/", "d/a", "d/e/b", "d/empty/", "d//hidden", "d/" + "x" * 300):
        bucket.outside_put(key, key.encode())
    bucket.outside_put("da", b"not below")
    async with mounted(store, tmp_path) as m:
        await rename(m, "d", "n")
        assert sorted(await m.listdir()) == ["da", "n"]
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "d")
        moved = await m.fs.lookup(1, "n")
        assert await m.listdir(moved.number) == ["a", "e", "empty"]
        assert await m.read_file("a", parent=moved.number) == b"d/a"
    below = ("n/", "n//hidden", "n/a", "n/e/b", "n/empty/", "n/" + "x" * 300)
    assert set(bucket.keys) == {"da", *below}


async def test_inodes_handles_and_metadata_follow(bucket, store, tmp_path):
    headers = ObjectHeaders(content_type="image/png", metadata={"own": "1"})
    bucket.outside_put("d/e/f", DATA, headers)
    async with mounted(store, tmp_path) as m:
        d = await m.fs.lookup(1, "d")
        e = await m.fs.lookup(d.number, "e")
        f = await m.fs.lookup(e.number, "f")
        handle = await m.open("f", 0, parent=e.number)
        await rename(m, "d", "n")
        assert (await m.fs.lookup(1, "n")).number == d.number
        assert (await m.fs.lookup(e.number, "f")).number == f.number
        assert await m.fs.read(handle, 10, 5) == DATA[10:15]
        assert await m.listdir(e.number) == ["f"]
    assert bucket.bucket.head("n/e/f").headers == headers


@pytest.mark.parametrize("level", ["close", "fsync", "local"])
async def test_open_dirty_and_pending_files_follow(bucket, store, tmp_path, level, quick_clock):
    bucket.outside_put("d/changed", DATA)
    async with mounted(store, tmp_path, sync=level) as m:
        d = (await m.fs.mkdir(1, "new", 0o755)).number
        old = (await m.fs.lookup(1, "d")).number
        dirty, _ = await m.create("dirty", b"one", parent=old)
        changed = await m.open("changed", parent=old)
        await m.fs.write(changed, 0, b"XX")
        streamed, _ = await m.create("streamed", DATA, parent=old)
        if level != "close":
            store.fail("put", OFFLINE, times=-1)
            await m.store_file("sealed", b"sealed", parent=old)
        await rename(m, "d", "moved")
        await m.fs.rename(1, "moved", d, "again", replace=True)
        store.heal()
        await m.fs.write(dirty, 3, b" two")
        await m.fs.write(streamed, 100, b"end")
        for handle in (dirty, changed, streamed):
            await m.close(handle)
        m.fs.rig.uploader.nudge()
        await m.drain()
        assert m.fs.rig.journal.is_empty()
    found = {key: bucket.data(key) for key in bucket.keys if not key.endswith("/")}
    expected = {"dirty": b"one two", "changed": b"XX" + DATA[2:], "streamed": DATA + b"end"}
    expected |= {"sealed": b"sealed"} if level != "close" else {}
    assert found == {f"new/again/{name}": data for name, data in expected.items()}
    assert bucket.bucket.uploads == ()


async def test_a_sealed_file_in_a_moved_directory_is_sent_by_the_next_mount(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("d/base", DATA)
    async with mounted(store, tmp_path, sync="local") as m:
        d = (await m.fs.lookup(1, "d")).number
        store.fail("put", OFFLINE, times=-1)
        store.fail("complete_upload", OFFLINE, times=-1)
        handle = await m.open("base", parent=d)
        await m.fs.write(handle, 50, b"YY")
        await m.close(handle)
        await m.store_file("sealed", b"sealed", parent=d)
        await rename(m, "d", "n")
    store.heal()
    async with mounted(store, tmp_path) as m:
        n = (await m.fs.lookup(1, "n")).number
        assert await m.read_file("sealed", parent=n) == b"sealed"
        await m.drain()
    assert bucket.data("n/base") == DATA[:50] + b"YY" + DATA[52:]
    assert (bucket.keys, bucket.data("n/sealed")) == (("n/base", "n/sealed"), b"sealed")


async def test_what_rename_must_refuse_is_refused_before_anything_moves(bucket, store, tmp_path):
    for key in ("d/a", "full/x", "file", "empty/"):
        bucket.outside_put(key, key.encode())
    before = bucket.keys
    async with mounted(store, tmp_path, prefix_bytes=100, rename_limit=1) as m:
        d = (await m.fs.lookup(1, "d")).number
        with pytest.raises(NotEmpty):
            await rename(m, "d", "full")
        with pytest.raises(NotADirectory):
            await rename(m, "d", "file")
        with pytest.raises(EntryExists):
            await rename(m, "d", "empty", replace=False)
        with pytest.raises(InvalidArgument):
            await m.fs.rename(1, "d", d, "inside", replace=True)
        with pytest.raises(NameTooLong):
            await rename(m, "d", "x" * 923)
        bucket.outside_put("d/b", b"2")
        with pytest.raises(OtherFileSystem):
            await rename(m, "d", "n")
        assert store.requests["copy"] == 0
        assert m.fs.rig.journal.is_empty()
    assert set(bucket.keys) == {*before, "d/b"}


async def test_an_empty_directory_is_replaced(bucket, store, tmp_path):
    for key in ("d/a", "d/", "empty/"):
        bucket.outside_put(key, key.encode())
    async with mounted(store, tmp_path) as m:
        d = (await m.fs.lookup(1, "d")).number
        await m.fs.setattr(d, Changes(mode=0o700), None)
        await rename(m, "d", "empty")
        assert (await m.fs.lookup(1, "empty")).number == d
        await m.drain()
    assert bucket.keys == ("empty/", "empty/a")
    assert bucket.bucket.head("empty/").headers.metadata["file-permissions"] == "040700"


async def test_a_failed_copy_takes_back_what_was_copied(bucket, store, tmp_path):
    for n in range(20):
        bucket.outside_put(f"d/{n:02}", DATA)
    before = bucket.keys
    async with mounted(store, tmp_path) as m:
        store.fail("copy", AccessDenied("403"), key="n/11", times=-1)
        with pytest.raises(AccessDenied):
            await rename(m, "d", "n")
        assert await m.listdir() == ["d"]
        d = (await m.fs.lookup(1, "d")).number
        assert len(await m.listdir(d)) == 20
        assert m.fs.rig.journal.is_empty()
    assert bucket.keys == before


async def test_a_copy_whose_answer_is_lost_counts(bucket, store, tmp_path, quick_clock):
    for n in range(5):
        bucket.outside_put(f"d/{n}", DATA)
    async with mounted(store, tmp_path) as m:
        store.fail("copy", OFFLINE, moment="after", times=3)
        await rename(m, "d", "n")
    assert bucket.keys == tuple(f"n/{n}" for n in range(5))


async def test_offline_nothing_changes(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("d/a", DATA)
    async with mounted(store, tmp_path) as m:
        await m.fs.lookup(1, "d")
        for operation in ("list_page", "head", "copy"):
            store.fail(operation, OFFLINE, times=-1)
        with pytest.raises(Unreachable):
            await rename(m, "d", "n")
    assert bucket.keys == ("d/a",)


async def test_a_deletion_that_is_not_answered_is_made_up_for(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("d/a", DATA)
    async with mounted(store, tmp_path) as m:
        store.fail("delete_many", OFFLINE, times=-1)
        await rename(m, "d", "n")
        assert await m.listdir() == ["n"]
        await trio.sleep(20)
        assert await m.listdir() == ["n"]
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
        assert await m.listdir() == ["n"]
    assert bucket.keys == ("n/a",)


async def test_what_somebody_changes_meanwhile_is_moved_as_changed(bucket, store, tmp_path):
    bucket.outside_put("d/a", DATA)
    async with mounted(store, tmp_path) as m:
        gate = store.stall("copy", key="n/a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rename, m, "d", "n")
            await gate.reached.wait()
            bucket.outside_put("d/a", b"changed")
            bucket.outside_put("d/added", b"added")
            gate.release()
    assert {key: bucket.data(key) for key in bucket.keys} == {
        "n/a": b"changed",
        "d/added": b"added",
    }


async def test_what_is_made_inside_meanwhile_follows(bucket, store, tmp_path):
    bucket.outside_put("d/a", DATA)
    async with mounted(store, tmp_path) as m:
        d = (await m.fs.lookup(1, "d")).number
        handle, _ = await m.create("new", b"new", parent=d)
        gate = store.stall("copy", key="n/a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rename, m, "d", "n")
            await gate.reached.wait()
            nursery.start_soon(m.close, handle)
            nursery.start_soon(lambda: m.store_file("later", b"later", parent=d))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert bucket.keys == ("d/a",)
            gate.release()
    assert set(bucket.keys) == {"n/a", "n/new", "n/later"}


async def test_what_a_file_that_nobody_has_closed_took_the_place_of_follows_too(
    bucket, store, tmp_path, quick_clock
):
    """Until the new one is closed the journal has the old one, which a crash brings back."""
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.fs.mkdir(1, "e", 0o755)
        store.fail("put", OFFLINE, times=-1)
        directory = await m.fs.lookup(1, "e")
        await m.store_file("x", b"closed", parent=directory.number)
        await m.create("b", b"not closed")
        await m.fs.rename(1, "b", directory.number, "x", replace=True)
        await m.fs.rename(1, "e", 1, "d", replace=False)
    store.heal()
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.drain()
        assert m.fs.rig.journal.is_empty()
    assert [key for key in bucket.keys if not key.endswith("/")] == ["d/x"]
    assert bucket.data("d/x") == b"closed"


async def test_what_was_renamed_out_of_a_directory_does_not_move_along(
    bucket, store, tmp_path, quick_clock
):
    """A commit whose answer was lost, and that nobody could ask for before the file was renamed."""
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.fs.mkdir(1, "d", 0o755)
        await m.drain()
        directory = await m.fs.lookup(1, "d")
        store.fail("put", PreconditionFailed("412"), moment="after", times=1)
        store.fail("head", AccessDenied("403"), times=2)
        await m.store_file("x", b"data", parent=directory.number)
        await until(lambda: bucket.keys == ("d/", "d/x"))
        await trio.sleep(1)
        store.fail("put", OFFLINE, key="a", times=-1)
        await m.fs.rename(directory.number, "x", 1, "a", replace=False)
        await m.fs.rename(1, "d", 1, "e", replace=False)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert bucket.keys == ("a", "e/")
    assert bucket.data("a") == b"data"
