"""Directories of any size: listed in a stream, steady while others make and remove names."""

import resource

import pytest
from fsrig import mounted

from cognitofs.errors import ServerTrouble

ENTRIES = 1_000_000


async def test_a_listing_skips_and_repeats_nothing_that_stayed_while_names_come_and_go(
    bucket, store, tmp_path
):
    stays = {f"s{n:05}" for n in range(2500)}
    for name in stays | {f"t{n:05}" for n in range(500)}:
        bucket.outside_put(name, bytes(5000))
    async with mounted(store, tmp_path) as m:
        handle, names, cookie = m.fs.opendir(1), [], 0
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            inode, cookie = found
            names.append(inode.name)
            if len(names) % 250 == 0:
                await m.store_file(f"a{len(names)}")
                await m.store_file(f"z{len(names)}")
                await m.fs.unlink(1, f"t{len(names) // 250:05}")
                bucket.outside_put(f"b{len(names)}", b"")
        m.fs.releasedir(handle)
    assert len(names) == len(set(names))
    assert stays <= set(names)


async def test_a_server_that_always_lists_the_beginning_is_not_listened_to_for_ever(
    bucket, store, tmp_path, monkeypatch
):
    for n in range(1500):
        bucket.outside_put(f"f{n:05}", bytes(5000))
    list_page = store.list_page

    async def from_the_beginning(prefix, *, start_after="", token=None, **more):
        return await list_page(prefix, **more)

    monkeypatch.setattr(store, "list_page", from_the_beginning)
    async with mounted(store, tmp_path) as m:
        with pytest.raises(ServerTrouble, match="again and again"):
            await m.listdir()


async def test_seekdir_and_rewinddir_go_back_to_the_same_names(bucket, store, tmp_path):
    for n in range(2300):
        bucket.outside_put(f"f{n:05}", bytes(5000))
    async with mounted(store, tmp_path) as m:
        handle, places, cookie = m.fs.opendir(1), [], 0
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            places.append((cookie, found[0].name))
            cookie = found[1]
        for at in (0, 999, 1000, 2299, 0, 1500, 0, 1):
            cookie, name = places[at]
            found = await m.fs.readdir(handle, cookie)
            assert found is not None
            assert found[0].name == name
        m.fs.releasedir(handle)


@pytest.mark.parametrize("level", ["close", "fsync"])
async def test_names_can_be_removed_while_they_are_listed(
    bucket, store, tmp_path, level, quick_clock
):
    """As `rm -rf` and `find -delete` do, page by page."""
    for n in range(2200):
        bucket.outside_put(f"d/f{n:05}", bytes(5000))
    async with mounted(store, tmp_path, sync=level) as m:
        directory = (await m.fs.lookup(1, "d")).number
        handle, cookie = m.fs.opendir(directory), 0
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            inode, cookie = found
            await m.fs.unlink(directory, inode.name)
        m.fs.releasedir(handle)
        await m.fs.rmdir(1, "d")
        await m.drain()
    assert bucket.keys == ()


@pytest.mark.reliability
async def test_a_million_entries_stream_with_bounded_memory(bucket, store, tmp_path):
    for n in range(ENTRIES):
        bucket.outside_put(f"f{n:07}", b"")
    async with mounted(store, tmp_path) as m:
        handle, count, cookie, asked = m.fs.opendir(1), 0, 0, 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            cookie = found[1]
            count += 1
            asked = asked or store.requests["list_page"]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        m.fs.releasedir(handle)
        inodes = len(m.fs.rig.table)
    print(f"{count} entries, {grown} KiB more, {inodes} inodes")
    assert (count, asked) == (ENTRIES, 1)
    assert inodes < 20_000
    assert grown < 64 * 1024


@pytest.mark.parametrize("first", [990, 1000, 1500])
async def test_a_program_that_goes_back_after_removing_what_it_saw_skips_and_repeats_nothing(
    bucket, store, tmp_path, first
):
    """The kernel asks again from the last entry that fitted the program's buffer."""
    for n in range(2500):
        bucket.outside_put(f"f{n:05}", bytes(5000))
    async with mounted(store, tmp_path) as m:
        handle, cookie, back = m.fs.opendir(1), 0, 0
        for n in range(2100):
            inode, cookie = await m.fs.readdir(handle, cookie)
            if n == first - 1:
                back = cookie
        for n in range(first):
            bucket.outside_delete(f"f{n:05}")
        for n in range(700):
            bucket.outside_put(f"f00999-{n:03}", b"")
        names = []
        while (found := await m.fs.readdir(handle, back)) is not None:
            inode, back = found
            names.append(inode.name)
        m.fs.releasedir(handle)
    assert len(names) == len(set(names))
    assert {f"f{n:05}" for n in range(first, 2500)} <= set(names)


async def test_a_page_that_is_read_again_does_not_pass_for_the_directory(bucket, store, tmp_path):
    for n in range(2500):
        bucket.outside_put(f"f{n:05}", bytes(5000))
    async with mounted(store, tmp_path) as m:
        handle, cookie, cookies = m.fs.opendir(1), 0, []
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            cookie = found[1]
            cookies.append(cookie)
        for place in (cookies[5], cookies[2400]):
            assert await m.fs.readdir(handle, place) is not None
        m.fs.releasedir(handle)
        assert (await m.fs.lookup(1, "f00007")).size == 5000


async def test_rewinding_shows_what_is_there_by_then(bucket, store, tmp_path):
    bucket.outside_put("old", b"x")
    async with mounted(store, tmp_path) as m:
        handle = m.fs.opendir(1)
        inode, _ = await m.fs.readdir(handle, 0)
        assert inode.name == "old"
        bucket.outside_delete("old")
        bucket.outside_put("new", b"x")
        inode, _ = await m.fs.readdir(handle, 0)
        assert inode.name == "new"
        m.fs.releasedir(handle)


async def test_a_name_that_is_replaced_while_it_is_listed_is_shown_and_one_that_moves_is_not(
    bucket, store, tmp_path
):
    for name in "abcd":
        bucket.outside_put(name, b"x")
    bucket.outside_put("elsewhere/file", b"x")
    async with mounted(store, tmp_path) as m:
        elsewhere = (await m.fs.lookup(1, "elsewhere")).number
        handle = m.fs.opendir(1)
        inode, cookie = await m.fs.readdir(handle, 0)
        names = [inode.name]
        await m.store_file("new", b"new")
        await m.fs.rename(1, "new", 1, "b", replace=True)
        await m.fs.rename(1, "c", elsewhere, "c", replace=True)
        while (found := await m.fs.readdir(handle, cookie)) is not None:
            inode, cookie = found
            names.append(inode.name)
        m.fs.releasedir(handle)
    assert names == ["a", "b", "d", "elsewhere"]
