"""A layout of several prefixes as a file system: virtual tops, rights, links, moves, pages."""

import errno

import pytest

from cognitofs.errors import (
    NoSuchEntry,
    NotFound,
    NotPermitted,
    OtherFileSystem,
    ReadOnly,
    Rejected,
    SymlinkLoop,
)
from cognitofs.fuse.errnos import errno_of
from cognitofs.levels import Rights, levels_of
from cognitofs.store.interface import ObjectHeaders
from cognitofs.store.levels import LevelledStore
from cognitofs.testing import MemoryStore
from cognitofs.tree.inodes import ROOT
from tests.fs.fsrig import mounted

ME = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"
RIGHTS = Rights(levels_of("amplify", {"identity_id": ME}))
PLAIN = ObjectHeaders()
LINK = ObjectHeaders(metadata={"file-permissions": "0120777"})


@pytest.fixture
def stores():
    return {path: MemoryStore(part_minimum=16) for path in ("private/", "protected/", "public/")}


@pytest.fixture
def store(stores):
    return LevelledStore(stores, frozenset({f"protected/{ME}/"}))


async def number(fs, *names):
    found = ROOT
    for name in names:
        found = (await fs.fs.lookup(found, name)).number
    return found


async def test_the_levels_are_there_though_the_bucket_is_empty(store, tmp_path):
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        assert await fs.listdir() == ["private", "protected", "public"]
        assert await fs.listdir(await number(fs, "private")) == []
        assert await fs.listdir(await number(fs, "protected")) == [ME]
        assert await fs.listdir(await number(fs, "protected", ME)) == []
        with pytest.raises(NoSuchEntry):
            await fs.fs.lookup(ROOT, "other")
        assert (await fs.fs.getattr(ROOT)).mode & 0o777 == 0o555
        assert (await fs.fs.lookup(ROOT, "private")).mode & 0o777 == 0o755
        assert (await fs.fs.lookup(ROOT, "protected")).mode & 0o777 == 0o555


async def test_files_go_to_the_prefix_of_their_level(store, stores, tmp_path):
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        for names, path in (
            (("private",), "private/"),
            (("public",), "public/"),
            (("protected", ME), "protected/"),
        ):
            parent = await number(fs, *names)
            await fs.store_file("f", b"x" * 100, parent=parent)
            assert await fs.read_file("f", parent=parent) == b"x" * 100
            inner = "/".join((*names[1:], "f"))
            assert stores[path].keys == (inner,)
            assert await fs.listdir(parent) == ["f"]


async def test_nothing_is_made_or_removed_at_the_top(store, stores, tmp_path):
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        for attempt in (
            fs.fs.create(ROOT, "f", 0o644, 2),
            fs.fs.mkdir(ROOT, "d", 0o755),
            fs.fs.symlink(ROOT, "l", "x"),
            fs.fs.rmdir(ROOT, "public"),
            fs.fs.rename(ROOT, "public", ROOT, "open", replace=True),
        ):
            with pytest.raises(NotPermitted) as caught:
                await attempt
            assert errno_of(caught.value) == errno.EPERM
        assert not any(each.requests["put"] or each.requests["delete"] for each in stores.values())


async def test_others_files_are_read_and_not_changed(store, stores, tmp_path):
    await stores["protected/"].put("us-east-1:bob/photo", b"bob's", PLAIN, expect="any")
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        assert await fs.listdir(await number(fs, "protected")) == [ME, "us-east-1:bob"]
        theirs = await number(fs, "protected", "us-east-1:bob")
        assert await fs.read_file("photo", parent=theirs) == b"bob's"
        stat = await fs.fs.lookup(theirs, "photo")
        assert stat.mode & 0o222 == 0
        for attempt in (
            fs.fs.open(stat.number, 2),
            fs.fs.create(theirs, "mine", 0o644, 2),
            fs.fs.unlink(theirs, "photo"),
        ):
            with pytest.raises(ReadOnly):
                await attempt


async def test_between_levels_a_move_is_a_copy(store, stores, tmp_path):
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        private, public = await number(fs, "private"), await number(fs, "public")
        await fs.store_file("f", b"data", parent=private)
        with pytest.raises(OtherFileSystem) as caught:
            await fs.fs.rename(private, "f", public, "f", replace=True)
        assert errno_of(caught.value) == errno.EXDEV
        await fs.fs.rename(private, "f", private, "g", replace=True)
        assert stores["private/"].keys == ("g",)
        assert stores["public/"].keys == ()


async def test_links_of_others_that_lead_outside_are_loops(store, stores, tmp_path):
    await stores["public/"].put("trap", b"../private/secret", LINK, expect="any")
    await stores["private/"].put("link", b"/etc/hostname", LINK, expect="any")
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        trap = await fs.fs.lookup(await number(fs, "public"), "trap")
        with pytest.raises(SymlinkLoop) as caught:
            await fs.fs.readlink(trap.number)
        assert errno_of(caught.value) == errno.ELOOP
        own = await fs.fs.lookup(await number(fs, "private"), "link")
        assert await fs.fs.readlink(own.number) == "/etc/hostname"


async def test_a_crash_is_recovered_in_the_level_of_each_file(store, stores, tmp_path):
    async with mounted(store, tmp_path, rights=RIGHTS, sync="local") as fs:
        for name in ("private", "public"):
            await fs.store_file(f"in-{name}", b"late", parent=await number(fs, name))
    async with mounted(store, tmp_path, rights=RIGHTS) as fs:
        await fs.drain()
    assert stores["private/"].data("in-private") == b"late"
    assert stores["public/"].data("in-public") == b"late"


async def test_one_s_own_directory_is_listed_once_on_whichever_page(store, stores):
    """In S3's order it may lie before, between or behind what S3 names."""
    for name in ("a", "us-east-1:00000000", "z"):
        await stores["protected/"].put(f"{name}/f", b"", PLAIN, expect="any")
    seen, after = [], ""
    while True:
        page = await store.list_page("protected/", start_after=after, limit=1)
        seen += [each for each in page.prefixes if each not in seen]
        if page.token is None:
            break
        after = max(page.prefixes)
    assert sorted(seen) == [
        "protected/a/",
        "protected/us-east-1:00000000/",
        f"protected/{ME}/",
        "protected/z/",
    ]


async def test_no_key_outside_the_levels_causes_a_request(store, stores):
    with pytest.raises(NotFound):
        await store.head("elsewhere/f")
    for key in ("elsewhere/f", "private/", "private"):
        with pytest.raises(Rejected):
            await store.put(key, b"", PLAIN, expect="any")
        with pytest.raises(Rejected):
            await store.delete(key)
    assert (await store.list_page("elsewhere/")).prefixes == ()
    assert not any(each.requests for each in stores.values())


async def test_many_are_removed_each_in_its_level(store, stores):
    for path in ("private/", "public/"):
        await stores[path].put("f", b"", PLAIN, expect="any")
    failures = await store.delete_many(
        [("private/f", "any"), ("public/f", '"another"'), ("public/none", "any")]
    )
    assert list(failures) == ["public/f"]
    assert stores["private/"].keys == ()


async def test_nothing_is_copied_between_levels(store, stores):
    info = await store.put("private/f", b"1", PLAIN, expect="any")
    assert info.key == "private/f"
    with pytest.raises(OtherFileSystem):
        await store.copy(info, "public/f", expect="any", headers=None)
    copied = await store.copy(info, "private/g", expect="any", headers=None)
    assert (copied.key, await store.read(copied, 0, 1)) == ("private/g", b"1")
