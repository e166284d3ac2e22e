"""Giving up what S3 does not have: the name stands for its version again, nothing else goes."""

from types import SimpleNamespace

import pytest
from fsrig import mounted, until

from cognitofs.control import FileStatus
from cognitofs.errors import AccessDenied, NoSuchEntry, UnsentFiles
from cognitofs.fs.recovery import Recovered
from cognitofs.mountface import Identity, RunningMount
from cognitofs.store.lanes import Lane

DENIED = AccessDenied("The role may not write.")
IDENTITY = Identity("/mnt", 1, "default", "ada", "", "s3://bucket/", "/state")
TIMES = SimpleNamespace(keys_expire="", sign_in_ends="", warning="")


def face_of(m):
    return RunningMount(m.fs, IDENTITY, m.recovered, TIMES, (), pace=Lane(8), metadata=Lane(8))


async def refused(store, m, name, data):
    """Close a file whose upload S3 refuses; return what status tells of it."""
    store.fail("put", DENIED, times=-1)
    await m.store_file(name, data)
    face = face_of(m)
    await until(lambda: [f.state for f in face.files()] == ["failed"])
    store.heal()
    return face, face.files()[0]


async def test_a_discarded_file_is_gone_here_and_never_sent(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="fsync") as m:
        face, kept = await refused(store, m, "new", b"bytes")
        assert (kept.attempts, kept.is_whole, kept.etag) == (1, True, "")
        await face.discard([kept.id])
        assert face.files() == []
        assert m.fs.rig.journal.is_empty()
        assert list((tmp_path / "spool").iterdir()) == []
        with pytest.raises(NoSuchEntry):
            await m.fs.lookup(1, "new")
        await m.drain()
        assert {key: bucket.data(key) for key in bucket.keys} == {}
    async with mounted(store, tmp_path) as m:
        assert m.recovered == Recovered()


async def test_a_discarded_change_leaves_the_version_of_s3(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", b"on S3")
        await m.drain()
        store.fail("put", DENIED, times=-1)
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"mine!")
        await m.close(handle)
        face = face_of(m)
        await until(lambda: [f.state for f in face.files()] == ["failed"])
        store.heal()
        assert face.files()[0].etag
        await face.discard([face.files()[0].id])
        assert await m.read_file("f") == b"on S3"
        await m.drain()
        assert {key: bucket.data(key) for key in bucket.keys} == {"f": b"on S3"}


async def test_a_file_that_a_program_has_open_is_not_discarded(store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="fsync") as m:
        face, kept = await refused(store, m, "f", b"bytes")
        handle = await m.open("f", 0)
        with pytest.raises(UnsentFiles, match="open in a program"):
            await face.discard([kept.id])
        assert await m.fs.read(handle, 0, 10) == b"bytes"
        assert [each.id for each in face.files()] == [kept.id]
        await m.fs.release(handle)


async def test_only_the_named_file_is_discarded(bucket, store, tmp_path, quick_clock):
    async with mounted(store, tmp_path, sync="fsync") as m:
        face, kept = await refused(store, m, "a", b"a")
        await m.store_file("b", b"b")
        await face.discard([kept.id, "not an id"])
        await m.drain()
        assert {key: bucket.data(key) for key in bucket.keys} == {"b": b"b"}


async def test_a_file_whose_bytes_are_missing_is_listed_until_it_is_discarded(
    store, tmp_path, quick_clock
):
    store.fail("put", DENIED, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", b"bytes")
    (spool,) = (tmp_path / "spool").iterdir()
    spool.unlink()
    async with mounted(store, tmp_path, sync="fsync") as m:
        face = face_of(m)
        (lost,) = face.files()
        assert lost == FileStatus(
            "f", "failed", 5, 0, "Its local bytes are missing.", spool.name, is_whole=False
        )
        await face.discard([lost.id])
        assert face.files() == []
        assert m.fs.rig.journal.is_empty()
