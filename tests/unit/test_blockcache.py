"""What was read or written is in the cache after a restart, within its limit, and never wrong."""

import errno
import os
import struct
from contextlib import closing
from dataclasses import replace

import apsw
import pytest
import trio

from cognitofs.spool import blockcache, spoolfile
from cognitofs.spool.blockcache import BLOCK
from cognitofs.spool.cachefiles import MemoryFile
from cognitofs.spool.sparsefile import local_disk
from tests.unit.cachemachine import KIB, Machine, noise, spooled, until, whole

PAGE = 4096


@pytest.fixture
def machine(tmp_path):
    tmp_path.chmod(0o700)
    return Machine(tmp_path)


async def test_what_was_read_is_read_again_after_a_restart_without_a_request(machine):
    large, small = noise(20 * BLOCK + 5), noise(5)
    infos = machine.bucket.outside_put("large", large), machine.bucket.outside_put("small", small)
    async with machine.process() as reader:
        assert [await whole(reader, info) for info in infos] == [large, small]
    before = machine.gets
    async with machine.process() as reader:
        assert [await whole(reader, info) for info in infos] == [large, small]
    assert machine.gets == before > 0


async def test_it_is_saved_a_moment_later_so_that_a_kill_takes_little(machine, autojump_clock):
    info = machine.bucket.outside_put("f", noise(9 * BLOCK))
    async with machine.process(saves=False) as reader:
        await whole(reader, info)
        await trio.sleep(2 * blockcache.SAVED_AFTER)
    before = machine.gets
    async with machine.process(saves=False) as reader:
        await whole(reader, info)
    assert machine.gets == before


async def test_what_was_not_saved_is_fetched_again_and_its_file_removed(machine):
    info = machine.bucket.outside_put("f", b"data")
    async with machine.process(saves=False) as reader:
        await reader.read(info, 0, 4)
    assert len(machine.files()) == 1
    async with machine.process() as reader:
        await until(lambda: not machine.files())
        assert await reader.read(info, 0, 4) == b"data"
    assert machine.gets == 2


async def test_a_file_that_grew_before_a_kill_is_removed_as_nobody_counts_it(machine):
    info = machine.bucket.outside_put("f", noise(20 * BLOCK))
    async with machine.process(saves=False) as reader:
        await reader.read(info, 0, 9)
        await reader._cache.save()
        await whole(reader, info)
    async with machine.process():
        await until(lambda: not machine.files())


async def test_another_version_of_the_object_is_fetched(machine):
    old = machine.bucket.outside_put("f", b"old bytes")
    async with machine.process() as reader:
        await reader.read(old, 0, 9)
    new = machine.bucket.outside_put("f", b"new bytes")
    async with machine.process() as reader:
        assert await reader.read(new, 0, 9) == b"new bytes"


@pytest.mark.parametrize("damage", ["flip", "hole", "cut", "gone", "link", "twin"])
async def test_bytes_that_the_disk_did_not_keep_are_fetched_again(machine, damage):
    data = noise(9 * BLOCK)
    info = machine.bucket.outside_put("f", data)
    async with machine.process() as reader:
        await whole(reader, info)
    (path,) = machine.files()
    bytes_there = bytearray(path.read_bytes())
    if damage == "flip":
        bytes_there[3 * BLOCK + 7] ^= 1
    elif damage == "hole":
        bytes_there[2 * BLOCK : 4 * BLOCK] = bytes(2 * BLOCK)
    elif damage == "cut":
        del bytes_there[5 * BLOCK :]
    path.unlink()
    elsewhere = machine.path / "elsewhere"
    elsewhere.write_bytes(bytes(len(data)))
    if damage == "link":
        path.symlink_to(elsewhere)
    elif damage == "twin":
        path.hardlink_to(elsewhere)
    elif damage != "gone":
        path.write_bytes(bytes_there)
    before = machine.gets
    async with machine.process() as reader:
        assert await whole(reader, info) == data
    assert machine.gets > before
    assert elsewhere.read_bytes() == bytes(len(data))


async def test_only_the_damaged_part_of_a_large_object_is_fetched_again(machine):
    data = noise(32 * BLOCK)
    info = machine.bucket.outside_put("f", data)
    async with machine.process() as reader:
        await whole(reader, info)
    (path,) = machine.files()
    with path.open("r+b") as file:
        file.seek(10 * BLOCK + 1)
        file.write(b"other bytes")
    before = machine.gets
    async with machine.process() as reader:
        assert await whole(reader, info) == data
    assert machine.gets <= before + BLOCK // (128 * KIB)


async def test_a_damaged_index_is_made_anew(machine):
    info = machine.bucket.outside_put("f", b"data")
    async with machine.process() as reader:
        await reader.read(info, 0, 4)
    (machine.path / "blocks.db").write_bytes(noise(20_000))
    for _ in range(2):
        async with machine.process() as reader:
            assert await reader.read(info, 0, 4) == b"data"
    assert machine.gets == 2


@pytest.mark.parametrize(
    "piece",
    [(0, 9 * BLOCK), (0, 1 << 62), (9 * BLOCK, 0), (0, 0)],
    ids=["whole file", "beyond", "backwards", "empty"],
)
async def test_an_index_that_claims_what_cannot_be_is_not_believed(machine, piece):
    data = noise(9 * BLOCK)
    info = machine.bucket.outside_put("f", data)
    async with machine.process() as reader:
        await whole(reader, info)
    (path,) = machine.files()
    path.write_bytes(bytes(len(data)))
    with closing(apsw.Connection(str(machine.path / "blocks.db"))) as database:
        packed = struct.pack("<QQQ", *piece, 0)
        database.execute("UPDATE entry SET pieces = ?", (packed,))
    async with machine.process() as reader:
        assert await whole(reader, info) == data


async def test_files_have_names_that_tell_nothing_and_are_ours_alone(machine):
    async with machine.process() as reader:
        await reader.read(machine.bucket.outside_put("salaries.ods", b"data"), 0, 4)
    (path,) = machine.files()
    assert "salaries" not in path.name
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


# -- the limit ------------------------------------------------------------------------------------


def taken(machine):
    return sum(path.stat().st_blocks * 512 for path in machine.files())


async def test_the_limit_holds_over_restarts_and_what_was_used_last_stays(machine):
    infos = [machine.bucket.outside_put(f"f{n}", noise(BLOCK, n)) for n in range(12)]
    for info in infos:
        async with machine.process(limit=4 * BLOCK) as reader:
            await whole(reader, info)
            await whole(reader, infos[0])
    assert taken(machine) <= 4 * BLOCK
    before = machine.gets
    async with machine.process(limit=4 * BLOCK) as reader:
        for info in (infos[0], infos[11], infos[10]):
            await whole(reader, info)
        assert machine.gets == before
        await whole(reader, infos[3])
    assert machine.gets == before + 1


async def test_a_smaller_limit_is_obeyed_at_the_next_start(machine):
    infos = [machine.bucket.outside_put(f"f{n}", noise(BLOCK, n)) for n in range(12)]
    async with machine.process() as reader:
        for info in infos:
            await whole(reader, info)
    async with machine.process(limit=3 * BLOCK) as reader:
        assert reader._cache.total <= 3 * BLOCK
    assert 0 < taken(machine) <= 3 * BLOCK


async def test_small_objects_count_as_what_they_take_on_the_disk(machine):
    async with machine.process(limit=BLOCK) as reader:
        for number in range(200):
            await reader.read(machine.bucket.outside_put(f"f{number}", b"data"), 0, 4)
        assert reader._cache.total == 200 * PAGE


async def test_unsent_bytes_that_need_the_disk_get_it(machine):
    async with machine.process() as reader:
        for number in range(8):
            await whole(reader, machine.bucket.outside_put(f"f{number}", noise(BLOCK, number)))
    async with machine.process() as reader:
        cache = reader._cache
        assert cache.give_back(3 * BLOCK)
        assert 0 < cache.total <= 5 * BLOCK
        assert cache.give_back(100 * BLOCK)
        assert not cache.give_back(1)
    assert taken(machine) == 0


async def test_many_objects_need_neither_memory_nor_descriptors(machine, monkeypatch):
    monkeypatch.setattr(blockcache, "WARM", 50)
    infos = [machine.bucket.outside_put(f"f{n:04}", b"%d" % n) for n in range(600)]
    before = len(os.listdir("/proc/self/fd"))
    async with machine.process() as reader:
        for info in infos:
            await whole(reader, info)
            if len(reader._cache._unsaved) > 100:
                await reader._cache.save()
        await reader._cache.save()
        assert len(reader._cache._warm) <= 50
        assert len(os.listdir("/proc/self/fd")) < before + 350
        for number, info in enumerate(infos):
            assert await whole(reader, info) == b"%d" % number
    assert machine.gets == 600


# -- what else is done to them --------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_was_copied_inside_s3_need_not_be_fetched(machine, restarts):
    old = machine.bucket.outside_put("old", noise(3 * BLOCK))
    new, other = (machine.bucket.outside_put(key, noise(3 * BLOCK)) for key in ("new", "other"))
    async with machine.process() as reader:
        await whole(reader, old)
        if not restarts:
            reader._cache.rename(old, new)
    async with machine.process() as reader:
        if restarts:
            reader._cache.rename(old, new)
            reader._cache.rename(other, old)  # of which nothing is known
    before = machine.gets
    async with machine.process() as reader:
        assert await whole(reader, new) == noise(3 * BLOCK)
    assert machine.gets == before


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_was_copied_onto_itself_is_kept(machine, restarts):
    info = machine.bucket.outside_put("f", b"data")
    later = replace(info, modified=info.modified + 5)
    async with machine.process() as reader:
        await whole(reader, info)
        await reader._cache.save()
        if not restarts:
            reader._cache.rename(info, later)
            assert await whole(reader, later) == b"data"
    async with machine.process() as reader:
        reader._cache.rename(info, later)
        assert await whole(reader, later) == b"data"
    assert machine.gets == 1


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_is_below_a_directory_is_forgotten(machine, restarts):
    keys = ("d/a", "d/e/b", "d", "dd/a", "d/used")
    infos = {key: machine.bucket.outside_put(key, key.encode()) for key in keys}
    async with machine.process() as reader:
        for info in infos.values():
            await whole(reader, info)
        if not restarts:
            reader._cache.forget_below("d/", spared={"d/used"})
    async with machine.process() as reader:
        if restarts:
            reader._cache.forget_below("d/", spared={"d/used"})
        assert len(machine.files()) == 3
        before = machine.gets
        for key in ("d", "dd/a", "d/used"):
            assert await whole(reader, infos[key]) == key.encode()
        assert machine.gets == before
        reader._cache.forget_below("", spared=())
        assert machine.files() == []
        assert reader._cache.total == 0


@pytest.mark.parametrize("is_near", [True, False], ids=["one file system", "two file systems"])
async def test_what_was_written_is_in_it(machine, monkeypatch, is_near):
    def far(*_args, **_names):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not is_near:
        monkeypatch.setattr(spoolfile.os, "rename", far)
    data = noise(2 * BLOCK + 9)
    info = machine.bucket.outside_put("f", data)
    async with machine.process() as reader:
        reader._cache.adopt(info, await spooled(machine, data))
        assert await whole(reader, info) == data
        assert list((machine.path / "state/spool").iterdir()) == []
    assert machine.gets == 0
    async with machine.process() as reader:
        assert await whole(reader, info) == data
    assert machine.gets == (0 if is_near else 1)


async def test_bytes_that_the_disk_may_have_lost_are_not_taken_over(machine):
    info = machine.bucket.outside_put("f", b"right")
    async with machine.process() as reader:
        spool = await spooled(machine, b"wrong")
        spool.is_suspect = True
        reader._cache.adopt(info, spool)
        assert await whole(reader, info) == b"right"


async def test_a_second_process_reads_too_and_leaves_nothing(machine):
    infos = [machine.bucket.outside_put(f"f{n}", noise(10, n)) for n in range(300)]
    async with machine.process() as first:
        await whole(first, infos[0])
        async with machine.process() as second:
            for info in infos:
                await whole(second, info)
            assert await whole(second, infos[0]) == noise(10)
        assert len(machine.files()) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_disk_that_takes_nothing_fails_no_read(machine, monkeypatch, code):
    data = noise(100 * BLOCK)
    info = machine.bucket.outside_put("f", data)
    read_into, where = machine.bucket.read_into, []

    async def fails(info, start, stop, fd):
        where.append(os.readlink(f"/proc/self/fd/{fd}"))
        if "memfd" not in where[-1]:
            with local_disk("writing"):
                raise OSError(code, os.strerror(code))
        await read_into(info, start, stop, fd)

    monkeypatch.setattr(machine.bucket, "read_into", fails)
    async with machine.process(limit=200 * BLOCK) as reader:
        assert await whole(reader, info) == data
        assert reader._cache.total <= blockcache.IN_MEMORY
        assert isinstance(reader._cache.open(info).bytes, MemoryFile)
    assert machine.files() == []


async def test_a_file_that_is_gone_when_it_is_wanted_again_fails_no_read(machine):
    info = machine.bucket.outside_put("f", b"data")
    async with machine.process() as reader:
        await whole(reader, info)
        assert reader._cache.open(info).bytes.park()
        machine.files()[0].unlink()
        assert await whole(reader, info) == b"data"
    assert machine.gets == 2


async def test_an_index_that_somebody_has_open_is_left_alone(machine):
    info = machine.bucket.outside_put("f", b"data")
    async with machine.process() as reader:
        await whole(reader, info)
    with closing(apsw.Connection(str(machine.path / "blocks.db"))) as other:
        other.pragma("locking_mode", "EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        async with machine.process() as reader:
            assert await whole(reader, info) == b"data"
    before = machine.gets
    async with machine.process() as reader:
        assert await whole(reader, info) == b"data"
    assert machine.gets == before == 2


async def test_a_cache_directory_that_is_removed_fails_no_read(machine):
    infos = [machine.bucket.outside_put(f"f{n}", noise(9 * BLOCK, n)) for n in range(2)]
    async with machine.process() as reader:
        await whole(reader, infos[0])
        for path in machine.files():
            path.unlink()
        (machine.path / "blocks").rmdir()
        for number, info in enumerate(infos):
            assert await whole(reader, info) == noise(9 * BLOCK, number)
