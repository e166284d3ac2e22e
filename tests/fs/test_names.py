"""Making, removing and renaming names; what other tools made is shown and kept."""

import pytest
import trio
from fsrig import mounted, until

from cognitofs.errors import (
    EntryExists,
    IsADirectory,
    LoginRequired,
    NoSuchEntry,
    NotADirectory,
    NotEmpty,
    ServerTrouble,
    SpoolFull,
    Unreachable,
)
from cognitofs.fs.filesystem import Changes
from cognitofs.store.interface import ObjectHeaders
from cognitofs.tree.away import SOON

OFFLINE = Unreachable("There is no network.")
DATA = bytes(range(100))


async def test_implicit_and_marked_directories_are_listed_alike(bucket, store, tmp_path):
    bucket.outside_put("implicit/f", b"1")
    bucket.outside_put("marked/", b"")
    async with mounted(store, tmp_path) as m:
        assert await m.listdir() == ["implicit", "marked"]
        directory = await m.fs.lookup(1, "implicit")
        assert await m.listdir(directory.number) == ["f"]


async def test_a_plain_listing_asks_no_head(bucket, store, tmp_path):
    for n in range(20):
        bucket.outside_put(f"f{n:02}", bytes(5000))
    async with mounted(store, tmp_path) as m:
        assert len(await m.listdir()) == 20
    assert store.requests["head"] == 0


async def test_a_directory_stays_when_its_last_child_goes(bucket, store, tmp_path):
    bucket.outside_put("d/f", b"1")
    async with mounted(store, tmp_path) as m:
        directory = await m.fs.lookup(1, "d")
        await m.fs.unlink(directory.number, "f")
        assert bucket.keys == ("d/",)
        await m.fs.rmdir(1, "d")
        assert bucket.keys == ()
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "d")


async def test_no_marker_is_written_while_others_are_left(bucket, store, tmp_path):
    for key in ("d/f", "d/foo"):
        bucket.outside_put(key, b"1")
    async with mounted(store, tmp_path) as m:
        directory = await m.fs.lookup(1, "d")
        await m.fs.unlink(directory.number, "f")
    assert bucket.keys == ("d/foo",)


async def test_a_directory_with_only_hidden_keys_is_not_empty(bucket, store, tmp_path):
    bucket.outside_put("d//x", b"hidden")
    async with mounted(store, tmp_path) as m:
        directory = await m.fs.lookup(1, "d")
        assert await m.listdir(directory.number) == []
        with pytest.raises(NotEmpty):
            await m.fs.rmdir(1, "d")
    assert bucket.keys == ("d//x",)


async def test_a_directory_hides_an_object_of_the_same_name(bucket, store, tmp_path):
    bucket.outside_put("a", b"object")
    bucket.outside_put("a/b", b"inside")
    async with mounted(store, tmp_path) as m:
        assert await m.listdir() == ["a"]
        assert (await m.fs.lookup(1, "a")).mode & 0o170000 == 0o040000


async def test_an_uploaded_file_is_renamed_by_copy_and_delete(bucket, store, tmp_path):
    headers = ObjectHeaders(content_type="text/x-odd", metadata={"mine": "kept"})
    bucket.outside_put("old", DATA, headers)
    async with mounted(store, tmp_path) as m:
        await m.fs.rename(1, "old", 1, "new", replace=True)
        assert await m.listdir() == ["new"]
        assert await m.read_file("new") == DATA
    assert bucket.keys == ("new",)
    found = bucket.bucket.head("new").headers
    assert (found.content_type, found.metadata["mine"]) == ("text/x-odd", "kept")


async def test_an_unsent_file_is_renamed_without_asking_s3(bucket, store, tmp_path, quick_clock):
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("tmp", b"data")
        await m.fs.rename(1, "tmp", 1, "final", replace=True)
        assert await m.listdir() == ["final"]
    store.heal()
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert (bucket.keys, bucket.data("final")) == (("final",), b"data")


async def test_saving_by_rename_replaces_the_old_version(bucket, store, tmp_path):
    bucket.outside_put("doc", b"old")
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("doc.tmp", b"new")
        await m.fs.rename(1, "doc.tmp", 1, "doc", replace=True)
        await m.close(handle)
        assert await m.read_file("doc") == b"new"
        assert await m.listdir() == ["doc"]
    assert (bucket.keys, bucket.data("doc")) == (("doc",), b"new")


async def test_a_failed_rename_loses_nothing(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("a", b"old a")
    bucket.outside_put("b", b"old b")
    async with mounted(store, tmp_path, sync="fsync") as m:
        store.fail("put", OFFLINE, times=-1)
        for name in ("a", "b"):
            handle = await m.open(name)
            await m.fs.write(handle, 0, b"NEW")
            await m.close(handle)
        store.fail("copy", OFFLINE, times=-1)
        with pytest.raises(Unreachable):
            await m.fs.rename(1, "a", 1, "b", replace=True)
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert (bucket.data("a"), bucket.data("b")) == (b"NEW a", b"NEW b")


async def full(*_, **__):
    raise SpoolFull("The local disk is full.")


async def test_a_failed_unlink_loses_nothing(bucket, store, tmp_path, quick_clock, monkeypatch):
    bucket.outside_put("a", b"old a")
    async with mounted(store, tmp_path, sync="fsync") as m:
        store.fail("put", OFFLINE, times=-1)
        handle = await m.open("a")
        await m.fs.write(handle, 0, b"NEW")
        await m.close(handle)
        store.fail("begin_upload", OFFLINE, times=-1)
        monkeypatch.setattr(m.fs.rig.intents, "doom", full)
        with pytest.raises(SpoolFull):
            await m.fs.unlink(1, "a")
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.drain()
    assert bucket.data("a") == b"NEW a"


async def test_a_dirty_file_with_a_base_is_renamed_with_its_changes(bucket, store, tmp_path):
    bucket.outside_put("old", DATA)
    async with mounted(store, tmp_path) as m:
        handle = await m.open("old")
        await m.fs.write(handle, 50, b"XX")
        await m.fs.rename(1, "old", 1, "new", replace=True)
        await m.close(handle)
    assert (bucket.keys, bucket.data("new")) == (("new",), DATA[:50] + b"XX" + DATA[52:])


async def test_a_streamed_open_file_is_renamed(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, _ = await m.create("old", DATA)
        await until(lambda: bucket.bucket.uploads)
        await m.fs.rename(1, "old", 1, "new", replace=True)
        await m.close(handle)
        await until(lambda: not bucket.bucket.uploads)
    assert (bucket.keys, bucket.data("new")) == (("new",), DATA)


async def test_rename_respects_noreplace_and_types(bucket, store, tmp_path):
    bucket.outside_put("a", b"1")
    bucket.outside_put("b", b"2")
    bucket.outside_put("d/x", b"3")
    async with mounted(store, tmp_path) as m:
        with pytest.raises(EntryExists):
            await m.fs.rename(1, "a", 1, "b", replace=False)
        with pytest.raises(IsADirectory):
            await m.fs.rename(1, "a", 1, "d", replace=True)
        with pytest.raises(NotADirectory):
            await m.fs.rename(1, "d", 1, "a", replace=True)


async def test_symlinks_are_objects_that_hold_their_target(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        link = await m.fs.symlink(1, "l", "some/where")
        assert await m.fs.readlink(link.number) == "some/where"
    assert bucket.data("l") == b"some/where"
    async with mounted(store, tmp_path) as m:
        found = await m.fs.lookup(1, "l")
        assert found.mode & 0o170000 == 0o120000
        assert await m.fs.readlink(found.number) == "some/where"


async def test_mode_and_times_survive_and_ride_on_the_upload(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f", b"data")
        await m.fs.setattr(number, Changes(mode=0o600, mtime_ns=1_500_000_000_123_456_789), handle)
        await m.close(handle)
        await m.drain()
    assert store.requests["copy"] == 0
    async with mounted(store, tmp_path) as m:
        found = await m.fs.lookup(1, "f")
        assert (found.mode & 0o777, found.mtime_ns) == (0o600, 1_500_000_000_123_456_789)


async def test_a_chmod_after_close_costs_one_self_copy(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", b"data")
        await m.fs.setattr(number, Changes(mode=0o640), None)
        await m.fs.setattr(number, Changes(mtime_ns=10**18), None)
        await m.drain()
        assert store.requests["copy"] == 1
        assert await m.read_file("f") == b"data"
    assert bucket.bucket.head("f").headers.metadata["file-permissions"] == "0100640"
    assert bucket.bucket.head("f").headers.metadata["file-mtime"] == f"{10**18}ns"


async def test_times_set_on_a_streamed_file_follow_its_upload(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f", DATA)
        await until(lambda: bucket.bucket.uploads)
        await m.fs.setattr(number, Changes(mtime_ns=10**18), handle)
        await m.close(handle)
        await m.drain()
    assert bucket.bucket.head("f").headers.metadata["file-mtime"] == f"{10**18}ns"
    assert bucket.data("f") == DATA


async def test_a_pending_chmod_survives_a_crash(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", b"data")
        await m.fs.setattr(number, Changes(mode=0o640), None)
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert bucket.bucket.head("f").headers.metadata["file-permissions"] == "0100640"


async def test_a_listing_streams_many_pages_and_shows_unsent_files_in_place(
    bucket, store, tmp_path, quick_clock
):
    for n in range(2500):
        bucket.outside_put(f"f{n:04}", b"")
    store.fail("put", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f0500x", b"unsent")
        names = await m.listdir()
    assert names == sorted([*(f"f{n:04}" for n in range(2500)), "f0500x"])


async def test_a_lookup_that_fails_half_way_leaves_no_inode_behind(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("may-be-a-link", b"123")
    async with mounted(store, tmp_path) as m:
        assert await m.listdir() == ["may-be-a-link"]
        store.fail("head", OFFLINE)
        with pytest.raises(Unreachable):
            await m.fs.lookup(1, "may-be-a-link")
        assert [inode.number for inode in m.fs.rig.table] == [1]
        await trio.sleep(SOON + 1)
        assert (await m.fs.lookup(1, "may-be-a-link")).size == 3


@pytest.mark.parametrize("operation", ["head", "list_page"])
@pytest.mark.parametrize("error", [OFFLINE, ServerTrouble("500"), LoginRequired("It has ended.")])
async def test_no_answer_is_not_taken_for_no_file(
    bucket, store, tmp_path, quick_clock, operation, error
):
    bucket.outside_put("there", b"123")
    async with mounted(store, tmp_path) as m:
        store.fail(operation, error)
        with pytest.raises(type(error)):
            await m.fs.lookup(1, "there")
        await trio.sleep(SOON + 1)
        assert (await m.fs.lookup(1, "there")).size == 3


async def test_a_directory_shows_when_its_entries_were_changed_until_a_time_is_set(
    bucket, store, tmp_path
):
    """Maildir readers, Python's imports and make look for new entries only when it moves."""
    bucket.outside_put("d/f", b"1")
    bucket.outside_put("e/f", b"1")
    async with mounted(store, tmp_path) as m:
        one, two = [(await m.fs.lookup(1, name)).number for name in "de"]

        async def moved(number):
            seen = (await m.fs.getattr(number)).mtime_ns
            await m.fs.setattr(number, Changes(mtime_ns=1), None)
            return seen != 1

        assert (await moved(one), await moved(two)) == (True, True)
        assert (await moved(one), await moved(two)) == (False, False)
        await m.store_file("new", b"x", parent=one)
        assert (await moved(one), await moved(two)) == (True, False)
        await m.fs.rename(one, "new", two, "new", replace=True)
        assert (await moved(one), await moved(two)) == (True, True)
        await m.fs.unlink(two, "new")
        assert (await moved(one), await moved(two)) == (False, True)
        await m.fs.mkdir(one, "below", 0o755)
        assert (await moved(one), await moved(two)) == (True, False)
        await m.fs.rmdir(one, "below")
        assert await moved(one)
        assert not await moved(one)


async def test_keys_that_cannot_be_shown_are_counted_and_the_first_are_named(
    bucket, store, tmp_path
):
    """A directory that is listed again is not counted twice."""
    too_long = "x/" + "l" * 256
    for key in ("x//y", too_long, "a", "a/b", "shown"):
        bucket.outside_put(key, b"1")
    async with mounted(store, tmp_path) as m:
        hidden = m.fs.rig.directories.hidden
        await m.listdir()
        assert (hidden.count, hidden.first) == (1, ("a",))
        number = (await m.fs.lookup(1, "x")).number
        for _ in range(2):
            assert await m.listdir(number) == []
            assert (hidden.count, hidden.first) == (3, ("a", too_long, "x//"))
        bucket.outside_delete("x//y")
        await m.listdir(number)
        assert hidden.count == 2
