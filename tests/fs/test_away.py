"""While S3 cannot be asked, names are answered from what was last known of them, and no others."""

import functools
import logging

import pytest
import trio

from cognitofs.errors import (
    EntryExists,
    LoginRequired,
    NoSuchEntry,
    NotEmpty,
    SignInError,
    Unreachable,
)
from cognitofs.fs.filesystem import Changes
from tests.fs.fsrig import mounted as mounted_with

mounted = functools.partial(mounted_with, cache_size=16 << 20)

OFFLINE = Unreachable("There is no network.")
EXPIRED = LoginRequired("Sign in again.")
OPERATIONS = (
    "put",
    "begin_upload",
    "upload_part",
    "complete_upload",
    "copy",
    "delete",
    "delete_many",
    "head",
    "list_page",
    "read",
    "read_into",
)
LONG = 3600.0
"""Seconds; nothing is fresh after them."""

either = pytest.mark.parametrize("error", [OFFLINE, EXPIRED], ids=["net", "login"])


def cut_off(store, error=OFFLINE):
    for operation in OPERATIONS:
        store.fail(operation, error, times=-1)


async def back(m, store):
    """Let S3 answer again, and wait until the mount has noticed."""
    store.heal()
    noticed = trio.Event()
    m.fs.rig.namespace.away.when_back = noticed.set
    with trio.fail_after(60):
        await noticed.wait()


def fill(bucket):
    for name in ("a", "b", "d/x", "d/y"):
        bucket.outside_put(name, name.encode())


async def look_around(m):
    """Do what `ls -lR` and reading everything does; return what it shows."""
    shown = {}
    for parent, prefix in ((1, ""), ((await m.fs.lookup(1, "d")).number, "d/")):
        for name in await m.listdir(parent):
            stat = await m.fs.lookup(parent, name)
            is_file = stat.mode & 0o170000 == 0o100000
            shown[prefix + name] = await m.read_file(name, parent=parent) if is_file else None
    return shown


@either
async def test_what_was_seen_is_shown_however_long_ago(bucket, store, tmp_path, quick_clock, error):
    fill(bucket)
    async with mounted(store, tmp_path, sync="local") as m:
        before = await look_around(m)
        cut_off(store, error)
        await trio.sleep(LONG)
        assert await look_around(m) == before
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "missing")
        assert m.fs.rig.namespace.away.since


@either
async def test_what_was_never_seen_is_not_taken_for_missing(bucket, store, tmp_path, error):
    fill(bucket)
    async with mounted(store, tmp_path) as m:
        directory = (await m.fs.lookup(1, "d")).number
        cut_off(store, error)
        for _ in range(2):
            with pytest.raises(type(error)):
                await m.fs.lookup(directory, "x")
            with pytest.raises(type(error)):
                await m.listdir(directory)
            with pytest.raises(type(error)):
                await m.fs.lookup(1, "missing")


async def test_a_new_file_is_made_where_the_listing_shows_that_the_name_is_free(
    bucket, store, tmp_path, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync="local") as m:
        await look_around(m)
        cut_off(store)
        await trio.sleep(LONG)
        directory = (await m.fs.lookup(1, "d")).number
        await m.store_file("new", b"new", parent=directory)
        made = await m.fs.mkdir(directory, "e", 0o755)
        await m.store_file("deep", b"deep", parent=made.number)
        await m.fs.rename(directory, "new", directory, "newer", replace=True)
        with pytest.raises(EntryExists):
            await m.create("a")
        await m.fs.unlink(directory, "x")
        assert sorted(await m.listdir(directory)) == ["e", "newer", "y"]
        assert await m.listdir(made.number) == ["deep"]
        with pytest.raises(Unreachable):
            await m.fs.rename(1, "a", 1, "c", replace=True)
        with pytest.raises(NotEmpty):
            await m.fs.rmdir(directory, "e")
        await back(m, store)
        await m.drain()
        assert sorted(await m.listdir(directory)) == ["e", "newer", "y"]
    assert bucket.data("d/newer") == b"new"
    assert bucket.data("d/e/deep") == b"deep"
    assert "d/x" not in bucket.keys


async def test_a_file_that_was_seen_is_changed_on_what_was_seen(
    bucket, store, tmp_path, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await look_around(m)
        cut_off(store)
        await trio.sleep(LONG)
        handle = await m.open("a")
        await m.fs.write(handle, 1, b"ppended")
        await m.close(handle)
        number = (await m.fs.lookup(1, "b")).number
        await m.fs.setattr(number, Changes(mode=0o600), None)
        await back(m, store)
        await m.drain()
    assert bucket.data("a") == b"appended"
    assert bucket.bucket.head("b").headers.metadata["file-permissions"] == "0100600"


async def test_what_was_wrongly_believed_becomes_a_conflict_copy(
    bucket, store, tmp_path, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync="local") as m:
        await look_around(m)
        cut_off(store)
        await trio.sleep(LONG)
        bucket.outside_put("a", b"theirs")
        bucket.outside_put("new", b"theirs")
        bucket.outside_put("gone", b"theirs")
        bucket.outside_delete("b")
        handle = await m.open("a")
        await m.fs.write(handle, 0, b"mine")
        await m.close(handle)
        await m.store_file("new", b"mine")
        await m.fs.unlink(1, "b")
        assert sorted(await m.listdir()) == ["a", "d", "new"]
        await back(m, store)
        await m.drain()
        await trio.sleep(10)
        shown = {name: await m.read_file(name) for name in await m.listdir() if name != "d"}
    copies = {name.split(" (")[0]: data for name, data in shown.items() if "conflicted" in name}
    assert copies == {"a": b"mine", "new": b"mine"}
    assert {k: v for k, v in shown.items() if "conflicted" not in k} == {
        "a": b"theirs",
        "new": b"theirs",
        "gone": b"theirs",
    }


@either
async def test_it_notices_by_itself_that_s3_is_back_and_shows_what_is_new(
    bucket, store, tmp_path, quick_clock, error, caplog
):
    caplog.set_level(logging.INFO, "cognitofs.tree.away")
    fill(bucket)
    async with mounted(store, tmp_path) as m:
        before = await look_around(m)
        cut_off(store, error)
        await trio.sleep(LONG)
        assert await look_around(m) == before
        bucket.outside_put("a", b"theirs")
        bucket.outside_put("other", b"theirs")
        tries = store.requests.total()
        await trio.sleep(1800)
        assert store.requests.total() - tries <= 31  # it goes on asking, but not all the time
        await back(m, store)
        assert await look_around(m) == before | {"a": b"theirs", "other": b"theirs"}
        assert m.fs.rig.namespace.away.since == ""
    said = [record.levelname for record in caplog.records]
    assert said == ["WARNING", "INFO"]


async def test_a_refusal_is_an_answer(bucket, store, tmp_path, quick_clock):
    fill(bucket)
    async with mounted(store, tmp_path) as m:
        await look_around(m)
        await trio.sleep(LONG)
        bucket.outside_delete("a")
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "a")
        assert not m.fs.rig.namespace.away.since


async def test_nobody_waits_twice_for_a_silent_s3(bucket, store, tmp_path, quick_clock):
    fill(bucket)
    async with mounted(store, tmp_path) as m:
        directory = (await m.fs.lookup(1, "d")).number
        cut_off(store)
        with pytest.raises(Unreachable):
            await m.listdir(directory)
        asked = store.requests.total()
        for number in range(20):
            with pytest.raises((Unreachable, SignInError)):
                await m.fs.lookup(directory, f"name {number}")
        assert store.requests.total() == asked
