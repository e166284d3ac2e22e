"""A disk that is full to any degree: an error at write, nothing acknowledged lost, life goes on."""

import os
import random

import pytest
import trio

from cognitofs.errors import SpoolError, SpoolFull, Unreachable
from cognitofs.spool import space
from cognitofs.spool.reserve import Reserve
from cognitofs.testing import FaultyStore, MemoryStore
from tests.fs.busy_writer import LADDER
from tests.fs.disks import disk, require
from tests.fs.fsrig import mounted

RESERVE = 1024 * 1024


def _fill(place, leaving):
    """Take all but *leaving* bytes of the disk."""
    found = os.statvfs(place)
    size = found.f_bavail * found.f_frsize - leaving
    if size > 0:
        fd = os.open(place / "filler", os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(fd, 0, size)
        os.close(fd)


async def _fill_up(m, dice, counts):
    """Close files until the disk is full for some time; return what was acknowledged."""
    kept, refused = {}, 0
    for number in range(200):
        name, data = f"f{number}", dice.randbytes(dice.randrange(1, 120_000))
        try:
            handle, _ = await m.create(name)
        except SpoolError:
            counts["creates refused"] += 1
            continue
        try:
            for at in range(0, len(data), 50_000):
                await m.fs.write(handle, at, data[at : at + 50_000])
        except SpoolFull:
            counts["writes refused"] += 1
            refused += 1
        else:
            kept[name] = data
        try:
            await m.close(handle)
        except SpoolFull:
            counts["closes refused"] += 1
            kept.pop(name, None)
        counts["files written"] += 1
        if refused == 9:
            break
    return kept


async def _live_through(state, place, dice, counts):
    bucket = MemoryStore(part_minimum=16)
    store = FaultyStore(bucket)
    for operation in ("put", "begin_upload"):
        store.fail(operation, Unreachable("There is no network."), times=-1)
    reserve = Reserve(state / "reserve", RESERVE)
    _fill(place, leaving=dice.randrange(0, 4_000_000))
    async with mounted(store, state, sync="fsync", ladder=LADDER, reserve=reserve) as m:
        kept = await _fill_up(m, dice, counts)
        for name, data in kept.items():
            assert await m.read_file(name) == data
    store.heal()
    async with mounted(store, state, sync="fsync", ladder=LADDER, reserve=reserve) as m:
        for name, data in kept.items():
            assert await m.read_file(name) == data
        with trio.fail_after(60):
            await m.drain()  # with the disk as full as it was
        (place / "filler").unlink(missing_ok=True)
        await m.store_file("after", b"there is room again")
        await m.drain()
    for name, data in kept.items():
        assert bucket.data(name) == data
    assert bucket.data("after") == b"there is room again"
    counts["acknowledged files checked"] += len(kept)


@pytest.mark.reliability
def test_whatever_is_left_of_the_disk_nothing_acknowledged_is_lost(tmp_path, effort, monkeypatch):
    monkeypatch.setattr(space, "PATIENCE", 0.02)
    require("mkfs.ext4", "mount")
    with disk(tmp_path, "ext4") as small:
        for seed in effort.rounds(20):
            state = small.place / f"state-{seed}"
            state.mkdir(mode=0o700)
            trio.run(_live_through, state, small.place, random.Random(seed), effort.counts)
            for path in sorted(state.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    effort.demand(1, "writes refused", "acknowledged files checked")
