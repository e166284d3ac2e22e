"""Two writers, one name: theirs keeps the name, ours gets one of its own, and nothing is lost."""

import re
import time

import pytest
import trio

from cognitofs.errors import Changed, Stale, Unreachable
from cognitofs.fs.conflictcopies import copy_name, host_label
from cognitofs.store.checking import CheckingStore
from cognitofs.store.conditions import ALL_COMMITS
from tests.fs.fsrig import mounted, until
from tests.ignorant import Ignorant

OFFLINE = Unreachable("The network is away.")
LONG = b"0123456789abcdef" * 5
COPY = re.compile(r"f \(conflicted copy here [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{6}\)\.txt")


def here(store, path, **promises):
    return mounted(store, path, **{"host": "here", **promises})


def copies(bucket, name="f.txt"):
    return [key for key in bucket.keys if "(conflicted copy" in key]


@pytest.mark.parametrize("ours", [b"ours", LONG], ids=["put", "parts"])
@pytest.mark.parametrize("level", ["close", "fsync"])
async def test_the_other_version_keeps_the_name_and_ours_gets_one_of_its_own(
    bucket, store, tmp_path, ours, level
):
    bucket.outside_put("f.txt", b"first")
    async with here(store, tmp_path, sync=level) as m:
        handle = await m.open("f.txt", 2 | 0o1000)
        await m.fs.write(handle, 0, ours)
        bucket.outside_put("f.txt", b"theirs")
        await m.close(handle)  # and no error
        await m.drain()
        (copy,) = copies(bucket)
        assert COPY.fullmatch(copy)
        assert bucket.data(copy) == ours
        assert bucket.data("f.txt") == b"theirs"
        assert await m.read_file("f.txt") == b"theirs"
        assert await m.read_file(copy) == ours
        assert sorted(await m.listdir()) == [copy, "f.txt"]
        assert [(c.key, c.copy) for c in m.fs.rig.conflicts.all()] == [("f.txt", copy)]
    assert not bucket.bucket.uploads


@pytest.mark.parametrize("ours", [b"ours", LONG], ids=["put", "parts"])
async def test_a_server_that_ignores_conditions_makes_no_difference_to_that(bucket, tmp_path, ours):
    store = CheckingStore(Ignorant(bucket, *ALL_COMMITS), ALL_COMMITS)
    bucket.outside_put("f.txt", b"first")
    async with here(store, tmp_path) as m:
        handle = await m.open("f.txt", 2 | 0o1000)
        await m.fs.write(handle, 0, ours)
        bucket.outside_put("f.txt", b"theirs")
        await m.close(handle)
        (copy,) = copies(bucket)
        assert bucket.data(copy) == ours
        assert bucket.data("f.txt") == b"theirs"


async def test_the_open_handle_follows_the_copy_and_the_name_gets_a_new_inode(
    bucket, store, tmp_path
):
    bucket.outside_put("f.txt", b"first")
    async with here(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f.txt")).number
        handle = await m.fs.open(number, 2)
        await m.fs.write(handle, 0, b"OURS!")
        bucket.outside_put("f.txt", b"theirs")
        told = []
        m.fs.rig.kernel.forget_entry = lambda *entry: told.append(entry)
        await m.fs.flush(handle)
        (copy,) = copies(bucket)
        assert told == [(1, "f.txt"), (1, copy)]
        assert (await m.fs.lookup(1, copy)).number == number
        assert (await m.fs.lookup(1, "f.txt")).number != number
        await m.fs.write(handle, 5, b" more")
        await m.close(handle)
        assert bucket.data(copy) == b"OURS! more"
        assert bucket.data("f.txt") == b"theirs"


async def test_an_edit_of_a_part_whose_base_was_read_becomes_a_whole_copy(bucket, store, tmp_path):
    bucket.outside_put("f.txt", LONG)
    async with here(store, tmp_path) as m:
        handle = await m.open("f.txt")
        assert await m.fs.read(handle, 0, 100) == LONG
        await m.fs.write(handle, 3, b"OURS")
        bucket.outside_put("f.txt", b"theirs")
        await m.close(handle)
        (copy,) = copies(bucket)
        assert bucket.data(copy) == LONG[:3] + b"OURS" + LONG[7:]


async def test_a_version_that_was_partly_on_s3_alone_is_kept_and_said(bucket, store, tmp_path):
    """No mix of two versions is published, and no written byte is dropped."""
    bucket.outside_put("f.txt", LONG)
    async with here(store, tmp_path) as m:
        handle = await m.open("f.txt")
        bucket.outside_put("f.txt", b"theirs, which is another one altogether")
        await m.fs.write(handle, 3, b"OURS")
        with pytest.raises(Stale):
            await m.close(handle)
        assert [u.state for u in m.fs.rig.uploader.uploads()] == ["conflict"]
    async with here(store, tmp_path) as m:
        (upload,) = m.fs.rig.uploader.uploads()
        await until(lambda: upload.state == "conflict")
        assert await upload.spool.read(3, 7) == b"OURS"
    assert bucket.keys == ("f.txt",)
    assert bucket.data("f.txt").startswith(b"theirs")


async def test_what_is_written_while_the_conflict_is_settled_follows_too(bucket, store, tmp_path):
    bucket.outside_put("f.txt", LONG)
    async with here(store, tmp_path, sync="fsync") as m:
        handle = await m.open("f.txt")
        assert await m.fs.read(handle, 0, 100) == LONG
        await m.fs.write(handle, 3, b"ONE")
        bucket.outside_put("f.txt", b"theirs")
        stall = store.stall("complete_upload")
        await m.fs.flush(handle)
        with trio.fail_after(5):
            await stall.reached.wait()
        await m.fs.write(handle, 5, b"TWO")  # below the seal: into a copy of the spool file
        stall.release()
        await m.drain()
        (copy,) = copies(bucket)
        assert bucket.data(copy) == LONG[:3] + b"ONE" + LONG[6:]
        ours = LONG[:3] + b"ONTWO" + LONG[8:]
        assert await m.fs.read(handle, 0, 100) == ours
        await m.close(handle)
        await m.drain()
        assert bucket.data(copy) == ours


@pytest.mark.parametrize("data", [b"same", b"", LONG], ids=["small", "empty", "parts"])
async def test_the_same_bytes_on_both_sides_are_no_conflict(bucket, store, tmp_path, data):
    async with here(store, tmp_path) as m:
        handle, number = await m.create("f.txt", data)
        bucket.outside_put("f.txt", data)
        await m.fs.flush(handle)
        await m.fs.release(handle)
        await m.drain()
        assert bucket.keys == ("f.txt",)
        assert (await m.fs.lookup(1, "f.txt")).number == number
        assert not m.fs.rig.conflicts.all()
        handle = await m.open("f.txt")
        await m.fs.write(handle, 0, b"next")
        await m.close(handle)
        assert bucket.data("f.txt") == b"next" + data[4:]
    assert bucket.keys == ("f.txt",)


async def test_with_conflict_fail_close_says_so_and_the_bytes_wait_for_a_person(
    bucket, store, tmp_path
):
    async with here(store, tmp_path, conflict="fail") as m:
        handle, _ = await m.create("f.txt", b"ours")
        bucket.outside_put("f.txt", b"theirs")
        with pytest.raises(Stale):
            await m.close(handle)
        assert [u.state for u in m.fs.rig.uploader.uploads()] == ["conflict"]
        assert await m.read_file("f.txt") == b"ours"
    assert bucket.keys == ("f.txt",)
    assert bucket.data("f.txt") == b"theirs"
    async with here(store, tmp_path, conflict="copy") as m:  # another policy decides it
        await m.drain()
        (copy,) = copies(bucket)
        assert bucket.data(copy) == b"ours"


@pytest.mark.parametrize("ours", [b"ours", LONG], ids=["put", "parts"])
async def test_with_conflict_overwrite_ours_takes_the_place_of_what_was_seen_last(
    bucket, store, tmp_path, ours
):
    async with here(store, tmp_path, conflict="overwrite") as m:
        handle, _ = await m.create("f.txt", ours)
        bucket.outside_put("f.txt", b"theirs")
        await m.close(handle)
        assert bucket.keys == ("f.txt",)
        assert bucket.data("f.txt") == ours


@pytest.mark.parametrize("policy", ["copy", "fail", "overwrite"])
async def test_an_edit_of_a_part_beats_a_delete_when_its_base_was_read(
    bucket, store, tmp_path, policy
):
    bucket.outside_put("f.txt", LONG)
    async with here(store, tmp_path, conflict=policy) as m:
        handle = await m.open("f.txt")
        await m.fs.read(handle, 0, 100)
        await m.fs.write(handle, 3, b"OURS")
        bucket.outside_delete("f.txt")
        await m.close(handle)
        assert bucket.keys == ("f.txt",)
        assert bucket.data("f.txt") == LONG[:3] + b"OURS" + LONG[7:]


@pytest.mark.parametrize(("operation", "ours"), [("put", b"ours"), ("complete_upload", LONG)])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_while_the_copy_is_sent_leaves_both_versions_and_one_copy(
    bucket, store, tmp_path, operation, ours, moment
):
    async with here(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f.txt", ours)
        bucket.outside_put("f.txt", b"theirs")

        def cut_off(*_):
            store.fail(operation, OFFLINE, moment=moment)
            store.fail("head", OFFLINE, times=-1)

        m.fs.rig.kernel.forget_entry = cut_off  # the decision is in the journal by then
        await m.fs.flush(handle)
        await until(lambda: any(u.state == "waiting" for u in m.fs.rig.uploader.uploads()))
    store.heal()
    async with here(store, tmp_path) as m:
        await m.drain()
        (copy,) = copies(bucket)
        assert bucket.data(copy) == ours
        assert bucket.data("f.txt") == b"theirs"
        assert not m.fs.rig.uploader.uploads()


async def test_a_file_of_an_earlier_mount_conflicts_the_same_way(bucket, store, tmp_path):
    store.fail("put", OFFLINE, times=-1)
    async with here(store, tmp_path, sync="fsync") as m:
        await m.store_file("f.txt", b"ours")
    store.heal()
    bucket.outside_put("f.txt", b"theirs")
    async with here(store, tmp_path) as m:
        await m.drain()
        (copy,) = copies(bucket)
        assert bucket.data(copy) == b"ours"
        assert bucket.data("f.txt") == b"theirs"
        assert sorted(await m.listdir()) == [copy, "f.txt"]


async def test_a_copy_whose_name_is_taken_on_s3_gets_a_counter(
    bucket, store, tmp_path, monkeypatch
):
    monkeypatch.setattr("cognitofs.fs.contest.time.localtime", lambda _: time.gmtime(0))
    taken = "f (conflicted copy here 1970-01-01 000000).txt"
    async with here(store, tmp_path) as m:
        handle, _ = await m.create("f.txt", b"ours")
        bucket.outside_put("f.txt", b"theirs")
        bucket.outside_put(taken, b"another")
        await m.close(handle)
        assert bucket.data("f (conflicted copy here 1970-01-01 000000 2).txt") == b"ours"
        assert bucket.data(taken) == b"another"
        assert len(bucket.keys) == 3
        assert await m.read_file(taken) == b"another"


async def test_a_file_that_is_removed_or_renamed_while_it_conflicts_is_one_of_ours(
    bucket, store, tmp_path
):
    async with here(store, tmp_path, sync="fsync") as m:
        await m.store_file("a", b"mine")
        await m.drain()
        handle = await m.open("a")
        await m.fs.write(handle, 0, b"OURS")
        bucket.outside_put("a", b"theirs")
        stall = store.stall("put")
        await m.close(handle)
        with trio.fail_after(5):
            await stall.reached.wait()
        stall.release()
        await m.fs.rename(1, "a", 1, "b", replace=True)
        await m.drain()
        assert bucket.data("b") == b"OURS"
        assert bucket.data("a") == b"theirs"


async def test_a_changed_object_is_not_removed(bucket, store, tmp_path):
    async with here(store, tmp_path) as m:
        await m.store_file("f.txt", b"ours")
        bucket.outside_put("f.txt", b"theirs")
        await m.fs.unlink(1, "f.txt")
        assert bucket.data("f.txt") == b"theirs"


async def test_a_reader_of_a_replaced_version_gets_no_bytes_of_another(bucket, store, tmp_path):
    bucket.outside_put("f.txt", LONG)
    async with here(store, tmp_path) as m:
        handle = await m.open("f.txt", 0)
        bucket.outside_put("f.txt", LONG.upper())
        with pytest.raises(Changed):
            await m.fs.read(handle, 0, 10)


AT = time.struct_time((2026, 11, 22, 20, 4, 55, 6, 326, 0))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "a (conflicted copy pc 2026-11-22 200455).txt"),
        ("a", "a (conflicted copy pc 2026-11-22 200455)"),
        (".bashrc", ".bashrc (conflicted copy pc 2026-11-22 200455)"),
        ("a.tar.gz", "a.tar (conflicted copy pc 2026-11-22 200455).gz"),
        ("ends.", "ends. (conflicted copy pc 2026-11-22 200455)"),
        (
            "a (conflicted copy mac 2025-01-01 000000 7).txt",
            "a (conflicted copy pc 2026-11-22 200455).txt",
        ),
        ("x." + "y" * 40, "x." + "y" * 40 + " (conflicted copy pc 2026-11-22 200455)"),
    ],
)
def test_a_copy_is_named_after_the_file_the_host_and_the_time(name, expected):
    assert copy_name(name, "pc", AT, (), most=255) == expected


@pytest.mark.parametrize("most", [255, 120, 60])
def test_a_long_name_is_cut_between_two_characters(most):
    found = copy_name("ä€𝄞" * 60 + ".txt", "pc", AT, (), most=most)
    assert most - 4 < len(found.encode()) <= most
    assert found.endswith(" (conflicted copy pc 2026-11-22 200455).txt")


def test_a_host_s_name_is_reduced_to_what_every_system_takes():
    assert host_label("Ada's Mac/Büro") == "Ada-s-Mac-B-ro"
    assert host_label("äöü") == "unknown"


def test_a_copy_whose_name_was_taken_meanwhile_gets_a_higher_number_each_time():
    at = time.struct_time((2026, 1, 2, 3, 4, 5, 0, 0, 0))
    names = ["f.txt"]
    for _ in range(3):
        names.append(copy_name(names[-1], "host", at, {names[-1]}, most=255))
    assert names[1:] == [
        "f (conflicted copy host 2026-01-02 030405).txt",
        "f (conflicted copy host 2026-01-02 030405 2).txt",
        "f (conflicted copy host 2026-01-02 030405 3).txt",
    ]


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_rename_of_unknown_outcome_mixes_no_two_files(
    bucket, store, tmp_path, quick_clock, is_open
):
    """The target has an unsent change whose other bytes the copy may have replaced on S3."""
    bucket.outside_put("a", b"a" * 100)
    bucket.outside_put("b", b"b" * 200)
    async with here(store, tmp_path, sync="fsync") as m:
        store.fail("put", OFFLINE, times=-1)
        store.fail("complete_upload", OFFLINE, times=-1)
        handle = await m.open("a")
        await m.fs.write(handle, 100, b"more")
        if not is_open:
            await m.close(handle)
        store.fail("copy", OFFLINE, moment="after", times=1)
        store.fail("head", OFFLINE, key="a", times=1)
        with pytest.raises(Unreachable):
            await m.fs.rename(1, "b", 1, "a", replace=True)
        assert bucket.data("a") == b"b" * 200
        store.heal()
        if is_open:
            await m.close(handle)
        m.fs.rig.uploader.nudge()
        await m.drain()
        found = {bucket.data(key) for key in bucket.keys}
        assert found <= {b"b" * 200, b"a" * 100 + b"more"}
        parked = [upload.state for upload in m.fs.rig.uploader.uploads()]
        assert b"a" * 100 + b"more" in found or parked == ["conflict"]
