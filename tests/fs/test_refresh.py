"""`cognitofs refresh`: what is cached goes, what S3 does not have stays."""

from collections import Counter

import pytest

from cognitofs.errors import NoSuchEntry
from cognitofs.fs.refreshing import refresh
from tests.fs.fsrig import mounted

LONG = 3600.0


def here(store, tmp_path, **promises):
    return mounted(store, tmp_path, metadata_ttl=LONG, open_ttl=LONG, **promises)


async def refreshed(m, path):
    return await refresh(m.fs.rig, m.fs.files, path)


@pytest.fixture
def asked(store, monkeypatch):
    """Count the requests of each kind."""
    counts = Counter()
    around = store._around

    async def counted(operation, *arguments, **more):
        counts[operation] += 1
        return await around(operation, *arguments, **more)

    monkeypatch.setattr(store, "_around", counted)
    return counts


@pytest.mark.parametrize("path", ["f", ""])
async def test_the_next_look_sees_the_newest_version(bucket, store, tmp_path, path):
    bucket.outside_put("f", b"first")
    async with here(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f")).number
        bucket.outside_put("f", b"the second")
        assert (await m.fs.lookup(1, "f")).size == 5
        assert await refreshed(m, path) >= 1
        assert (await m.fs.lookup(1, "f")).size == 10
        assert (await m.fs.lookup(1, "f")).number != number


@pytest.mark.parametrize("path", ["new", "", "deep/new"])
async def test_a_name_that_was_missing_is_asked_for_again(bucket, store, tmp_path, path):
    async with here(store, tmp_path) as m:
        for name in ("new", "deep"):
            with pytest.raises(NoSuchEntry):
                await m.fs.lookup(1, name)
        bucket.outside_put("new", b"1")
        bucket.outside_put("deep/new", b"1")
        await refreshed(m, path)
        await m.fs.lookup(1, "deep" if "deep" in path else "new")


async def test_what_is_below_a_directory_is_asked_for_again(bucket, store, tmp_path):
    bucket.outside_put("a/b/f", b"first")
    async with here(store, tmp_path) as m:
        a = (await m.fs.lookup(1, "a")).number
        b = (await m.fs.lookup(a, "b")).number
        await m.fs.lookup(b, "f")
        bucket.outside_delete("a/b/f")
        await m.fs.lookup(b, "f")
        assert await refreshed(m, "a/") == 3
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(b, "f")


async def test_bytes_and_headers_are_fetched_again_and_the_inode_stays(
    bucket, store, tmp_path, asked
):
    bucket.outside_put("f", b"first")
    async with here(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f")).number
        assert await m.read_file("f") == b"first"
        asked.clear()
        assert await m.read_file("f") == b"first"
        assert not asked
        await refreshed(m, "f")
        assert await m.read_file("f") == b"first"
        assert asked["head"]
        assert asked["read"] + asked["read_into"]
        assert (await m.fs.lookup(1, "f")).number == number


async def test_unsent_files_and_names_are_untouched(bucket, store, tmp_path):
    bucket.outside_put("f", b"on S3")
    async with here(store, tmp_path) as m:
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"here!")
        await m.create("new", b"not closed")
        await refreshed(m, "")
        assert await m.fs.read(handle, 0, 100) == b"here!"
        assert await m.read_file("new") == b"not closed"
        assert sorted(await m.listdir()) == ["f", "new"]
        await m.close(handle)
        assert bucket.data("f") == b"here!"


async def test_an_open_file_keeps_the_bytes_and_headers_of_its_version(bucket, store, tmp_path):
    bucket.outside_put("f", b"first")
    async with here(store, tmp_path) as m:
        reader = await m.open("f", 0)
        assert await m.fs.read(reader, 0, 100) == b"first"
        bucket.outside_put("f", b"second")
        await refreshed(m, "f")
        assert await m.fs.read(reader, 0, 100) == b"first"
        assert await m.read_file("f") == b"second"


async def test_the_kernel_forgets_names_attributes_and_pages(bucket, store, tmp_path):
    bucket.outside_put("d/f", b"first")
    async with here(store, tmp_path) as m:
        directory = (await m.fs.lookup(1, "d")).number
        number = (await m.fs.lookup(directory, "f")).number
        kernel, told, pages = m.fs.rig.kernel, [], []

        async def forget_pages(numbers):
            pages.extend(numbers)

        kernel.forget_entry = lambda *entry: told.append(entry)
        kernel.forget_attributes = told.append
        kernel.forget_pages = forget_pages
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(directory, "missing")
        await refreshed(m, "d")
        assert {(directory, "f"), (directory, "missing"), directory, number} <= set(told)
        assert pages == [number]
