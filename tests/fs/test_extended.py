"""Extended attributes, as the kernel asks for them."""

import pytest
from fsrig import mounted

from cognitofs.errors import AttributesFull, NoSuchAttribute, NotOffered, NotPermitted, ReadOnly
from cognitofs.fs.filesystem import Changes
from cognitofs.store.interface import ObjectHeaders


def metadata(bucket, key):
    return bucket.bucket.head(key).headers.metadata


async def test_an_attribute_of_an_open_file_goes_with_its_upload(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f", b"data")
        await m.fs.xattrs.set(number, "user.author", b"Ada")
        await m.close(handle)
        assert metadata(bucket, "f")["author"] == "Ada"
        assert store.requests["copy"] == 0


async def test_an_attribute_of_a_stored_file_follows_by_one_self_copy(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", b"data")
        await m.fs.xattrs.set(number, "user.author", b"Ada")
        await m.fs.xattrs.set(number, "user.tag", b"\xff")
        await m.drain()
        assert store.requests["copy"] == 1
    async with mounted(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f")).number
        assert await m.fs.xattrs.names(number) == ["user.author", "user.tag"]
        assert await m.fs.xattrs.get(number, "user.tag") == b"\xff"


async def test_an_attribute_set_while_parts_stream_reaches_s3(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f", bytes(100))
        await m.fs.xattrs.set(number, "user.author", b"Ada")
        await m.close(handle)
        await m.drain()
    assert metadata(bucket, "f")["author"] == "Ada"


async def test_metadata_of_the_application_is_an_attribute_and_survives_rewrites(
    bucket, store, tmp_path, quick_clock
):
    bucket.outside_put("f", b"1", ObjectHeaders(metadata={"author": "Ada", "x!y": "kept"}))
    async with mounted(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "f")).number
        assert await m.fs.xattrs.get(number, "user.author") == b"Ada"
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"2")
        await m.close(handle)
        await m.fs.xattrs.remove(number, "user.author")
        await m.fs.setattr(number, Changes(mode=0o600), None)
        await m.fs.rename(1, "f", 1, "g", replace=True)
        await m.drain()
    assert "author" not in metadata(bucket, "g")
    assert metadata(bucket, "g")["x!y"] == "kept"


async def test_what_is_too_much_changes_nothing(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", b"1")
        with pytest.raises(AttributesFull):
            await m.fs.xattrs.set(number, "user.big", b"x" * 2000)
        assert await m.fs.xattrs.names(number) == []


async def test_what_is_not_there_and_other_namespaces_are_refused(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        number = await m.store_file("f", b"1")
        for call in (m.fs.xattrs.get, m.fs.xattrs.remove):
            with pytest.raises(NoSuchAttribute):
                await call(number, "user.none")
            with pytest.raises(NotOffered):
                await call(number, "trusted.x")
        with pytest.raises(NotPermitted):
            await m.fs.xattrs.set(number, "user.cognitofs.state", b"clean")


async def test_a_read_only_mount_sets_nothing(bucket, store, tmp_path):
    bucket.outside_put("f", b"1")
    async with mounted(store, tmp_path, read_only=True) as m:
        number = (await m.fs.lookup(1, "f")).number
        with pytest.raises(ReadOnly):
            await m.fs.xattrs.set(number, "user.a", b"1")


async def test_a_directory_keeps_attributes_with_its_marker(bucket, store, tmp_path, quick_clock):
    bucket.outside_put("d/f", b"1")
    async with mounted(store, tmp_path) as m:
        number = (await m.fs.lookup(1, "d")).number
        await m.fs.xattrs.set(number, "user.colour", b"red")
        await m.drain()
    assert metadata(bucket, "d/")["colour"] == "red"


async def test_facts_tell_the_state_and_are_not_listed(bucket, store, tmp_path):
    async def told(name):
        return await m.fs.xattrs.get(number, f"user.cognitofs.{name}")

    async with mounted(store, tmp_path) as m:
        handle, number = await m.create("f", b"12345")
        assert await told("state") == b"dirty"
        with pytest.raises(NoSuchAttribute):
            await told("etag")
        await m.close(handle)
        assert (await told("state"), await told("key")) == (b"clean", b"f")
        assert await told("uploaded_bytes") == b"5"
        assert await told("etag") == bucket.bucket.head("f").info.etag.encode()
        assert await m.fs.xattrs.names(number) == []
        with pytest.raises(NoSuchAttribute):
            await told("weather")
