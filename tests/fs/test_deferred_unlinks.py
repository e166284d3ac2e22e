"""In levels fsync and local unlink returns from the journal: hidden at once, and for good."""

import pytest
import trio
from fsrig import mounted

from cognitofs.errors import AccessDenied, NoSuchEntry, NotPermitted, Unreachable

OFFLINE = Unreachable("There is no network.")
LATER = ["fsync", "local"]


def go_offline(store):
    for operation in ("put", "head", "list_page", "delete", "delete_many"):
        store.fail(operation, OFFLINE, times=-1)


@pytest.mark.parametrize("level", LATER)
async def test_an_unlinked_name_is_gone_at_once_and_stays_gone(
    bucket, store, tmp_path, level, quick_clock
):
    for key in ("a", "b", "d/x"):
        bucket.outside_put(key, key.encode())
    async with mounted(store, tmp_path, sync=level) as m:
        d = (await m.fs.lookup(1, "d")).number
        await m.fs.lookup(1, "a")
        await m.fs.lookup(d, "x")
        go_offline(store)
        await m.fs.unlink(1, "a")
        await m.fs.unlink(d, "x")
        assert {"a", "d/x"} <= set(bucket.keys)
        store.heal()
        store.fail("delete_many", OFFLINE, times=-1)
        await trio.sleep(60)
        assert await m.listdir() == ["b", "d"]
        assert await m.listdir(d) == []
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "a")
    async with mounted(store, tmp_path) as m:
        assert await m.listdir() == ["b", "d"]
        store.heal()
        await m.drain()
    assert bucket.keys == ("b", "d/")


@pytest.mark.parametrize("level", LATER)
async def test_a_new_file_of_the_same_name_comes_after_the_deletion(
    bucket, store, tmp_path, level, quick_clock
):
    bucket.outside_put("f", b"old")
    async with mounted(store, tmp_path, sync=level) as m:
        await m.fs.lookup(1, "f")
        store.fail("delete_many", OFFLINE, times=-1)
        await m.fs.unlink(1, "f")
        await m.store_file("f", b"new")
        await trio.sleep(30)
        assert bucket.data("f") == b"old"
        assert await m.read_file("f") == b"new"
        store.heal()
        await m.drain()
    assert bucket.data("f") == b"new"


async def test_many_unlinks_are_few_requests(bucket, store, tmp_path, quick_clock):
    for n in range(300):
        bucket.outside_put(f"d/{n}", bytes(5000))
    async with mounted(store, tmp_path, sync="fsync") as m:
        d = (await m.fs.lookup(1, "d")).number
        for name in await m.listdir(d):
            await m.fs.unlink(d, name)
        await m.fs.rmdir(1, "d")
        await m.drain()
        assert bucket.keys == ()
        assert store.requests["delete_many"] <= 3
        assert store.requests["delete"] <= 1


async def test_what_somebody_else_wrote_meanwhile_is_not_deleted(bucket, store, tmp_path):
    bucket.outside_put("f", b"old")
    async with mounted(store, tmp_path, sync="local") as m:
        await m.fs.lookup(1, "f")
        await m.fs.unlink(1, "f")
        bucket.outside_put("f", b"theirs")
        await m.drain()
    assert bucket.data("f") == b"theirs"


async def test_a_denied_deletion_lets_the_name_show_again(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("f", b"old")
    async with mounted(store, tmp_path, sync="local") as m:
        store.fail("delete_many", AccessDenied("403"))
        await m.fs.unlink(1, "f")
        await m.drain()
        await trio.sleep(6)
        assert await m.listdir() == ["f"]


async def test_desktops_make_no_trash_unless_they_are_let(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        for name in (".Trash", ".Trash-1000"):
            with pytest.raises(NotPermitted):
                await m.fs.mkdir(1, name, 0o700)
        below = (await m.fs.mkdir(1, "d", 0o755)).number
        await m.fs.mkdir(below, ".Trash-1000", 0o700)
        await m.store_file(".Trash-of-mine", b"1")
    async with mounted(store, tmp_path, trash=True) as m:
        await m.fs.mkdir(1, ".Trash-1000", 0o700)
    assert ".Trash-1000/" in bucket.keys
