"""In levels fsync and local rmdir returns from the journal, without a network where it was seen."""

import pytest
import trio
from fsrig import mounted

from cognitofs.errors import AccessDenied, NoSuchEntry, NotEmpty, Unreachable

OFFLINE = Unreachable("There is no network.")
OPERATIONS = ("put", "head", "list_page", "delete", "delete_many", "copy", "read", "read_into")
LATER = ["fsync", "local"]

later = pytest.mark.parametrize("level", LATER)


def go_offline(store):
    for operation in OPERATIONS:
        store.fail(operation, OFFLINE, times=-1)


def fill(bucket):
    for key in ("d/", "d/x", "d/e/", "d/e/y", "implicit/z", "other"):
        bucket.outside_put(key, bytes(5000) if key[-1] != "/" else b"")


async def look_at(m, *names):
    """List the directory *names* lead to; return its number."""
    number = 1
    for name in names:
        number = (await m.fs.lookup(number, name)).number
    await m.listdir(number)
    return number


async def remove_all(m):
    """Do what `rm -rf d` does."""
    d, e = await look_at(m, "d"), await look_at(m, "d", "e")
    await m.fs.unlink(e, "y")
    await m.fs.unlink(d, "x")
    await m.fs.rmdir(d, "e")
    await m.fs.rmdir(1, "d")


@later
async def test_a_tree_is_removed_offline_and_goes_from_s3_later(
    bucket, store, tmp_path, level, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m)
        await look_at(m, "d", "e")
        await look_at(m, "d")
        go_offline(store)
        await remove_all(m)
        assert await m.listdir() == ["implicit", "other"]
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "d")
        assert "d/e/y" in bucket.keys
        store.heal()
        await m.drain()
        assert await m.listdir() == ["implicit", "other"]
    assert bucket.keys == ("implicit/z", "other")


@later
async def test_it_stays_removed_after_a_crash(bucket, store, tmp_path, level, quick_clock):
    fill(bucket)
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m)
        await look_at(m, "d", "e")
        await look_at(m, "d")
        go_offline(store)
        await remove_all(m)
    store.heal()
    async with mounted(store, tmp_path, sync=level) as m:
        assert await m.listdir() == ["implicit", "other"]
        await m.drain()
    assert bucket.keys == ("implicit/z", "other")


@later
async def test_a_directory_made_offline_is_removed_offline(
    bucket, store, tmp_path, level, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m)
        go_offline(store)
        made = await m.fs.mkdir(1, "new", 0o755)
        await m.store_file("f", b"1", parent=made.number)
        with pytest.raises(NotEmpty):
            await m.fs.rmdir(1, "new")
        await m.fs.unlink(made.number, "f")
        await m.fs.rmdir(1, "new")
        assert "new" not in await m.listdir()
        store.heal()
        await m.drain()
    assert not [key for key in bucket.keys if key.startswith("new")]


@later
async def test_what_was_not_seen_to_be_empty_is_not_removed_offline(
    bucket, store, tmp_path, level, quick_clock
):
    fill(bucket)
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m)
        await look_at(m, "d")
        go_offline(store)
        with pytest.raises(NotEmpty):
            await m.fs.rmdir(1, "d")
        with pytest.raises(Unreachable):
            await m.fs.rmdir(1, "implicit")
        store.heal()
        await m.drain()
    assert {"d/", "d/x", "implicit/z"} <= set(bucket.keys)


@later
async def test_made_again_it_is_there(bucket, store, tmp_path, level, quick_clock):
    bucket.outside_put("d/", b"")
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m, "d")
        store.fail("delete_many", OFFLINE, times=-1)
        await m.fs.rmdir(1, "d")
        made = await m.fs.mkdir(1, "d", 0o750)
        await m.store_file("f", b"1", parent=made.number)
        assert await m.listdir(made.number) == ["f"]
        store.heal()
        await m.drain()
        assert await m.listdir() == ["d"]
    assert bucket.keys == ("d/", "d/f")


@later
async def test_what_somebody_else_put_there_meanwhile_shows_when_the_deletion_is_over(
    bucket, store, tmp_path, level, quick_clock
):
    bucket.outside_put("d/", b"")
    async with mounted(store, tmp_path, sync=level) as m:
        await look_at(m, "d")
        store.fail("delete_many", OFFLINE, times=-1)
        await m.fs.rmdir(1, "d")
        bucket.outside_put("d/theirs", b"theirs")
        store.heal()
        await m.drain()
        await trio.sleep(10)
        assert await m.listdir() == ["d"]
        assert await m.listdir((await m.fs.lookup(1, "d")).number) == ["theirs"]
    assert bucket.keys == ("d/theirs",)


async def test_a_refused_one_shows_again_and_is_told_by_fsync(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("d/", b"")
    async with mounted(store, tmp_path, sync="fsync") as m:
        await look_at(m, "d")
        store.fail("delete_many", AccessDenied("403"))
        await m.fs.rmdir(1, "d")
        handle = m.fs.opendir(1)
        with pytest.raises(AccessDenied):
            await m.fs.fsyncdir(handle)
        await trio.sleep(10)
        assert await m.listdir() == ["d"]


async def test_in_level_close_it_needs_s3(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("d/", b"")
    async with mounted(store, tmp_path, sync="close") as m:
        await look_at(m, "d")
        go_offline(store)
        with pytest.raises(Unreachable):
            await m.fs.rmdir(1, "d")
        store.heal()
        await trio.sleep(60)
        await m.fs.rmdir(1, "d")
        assert bucket.keys == ()
