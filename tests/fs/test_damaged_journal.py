"""A journal that cannot be read: what was closed is sent all the same, and nothing is deleted."""

import random
import shutil

import pytest
import trio
from fsrig import mounted

from cognitofs.errors import Unreachable
from cognitofs.testing import FaultyStore, MemoryStore

BASE = b"what S3 had before: " * 3
WANTED = {
    "plain": b"plain bytes",
    "appended": b"first, second",
    "new name": b"renamed",
    "d/below": b"in a directory",
    "edited": b"WHAT" + BASE[4:],
    "overwritten": b"the second version",
    **{f"many/f{n}": b"%d" % n * 9 for n in range(40)},
}


def a_bucket():
    bucket = MemoryStore(part_minimum=16)
    bucket.outside_put("edited", BASE)
    return bucket


async def _populate(store, state, copied):
    """Close files while S3 does not answer; *copied* is what a crash leaves then."""
    async with mounted(store, state, sync="fsync") as m:
        for name in ("plain", "appended", "old name", "overwritten"):
            data = {"plain": WANTED["plain"], "appended": b"first", "overwritten": b"the first"}
            await m.store_file(name, data.get(name, b"renamed"))
        handle = await m.open("appended")
        await m.fs.write(handle, 5, b", second")
        await m.close(handle)
        await m.fs.rename(1, "old name", 1, "new name", replace=True)
        handle = await m.open("overwritten")
        await m.fs.write(handle, 0, WANTED["overwritten"])
        await m.close(handle)
        handle = await m.open("edited")
        await m.fs.write(handle, 0, b"WHAT")
        await m.close(handle)
        for where in ("d", "many"):
            parent = (await m.fs.mkdir(1, where, 0o755)).number
            for key in [key for key in WANTED if key.startswith(f"{where}/")]:
                await m.store_file(key.partition("/")[2], WANTED[key], parent=parent)
        await m.store_file("gone", b"unlinked before S3 heard of it")
        await m.fs.unlink(1, "gone")
        await m.create("open", b"never closed")
        shutil.copytree(state, copied, ignore=shutil.ignore_patterns("reserve"))


async def _outlives(state):
    """Mount with what is left of the journal, and check what S3 gets."""
    bucket = a_bucket()
    async with mounted(bucket, state, sync="fsync") as m:
        with trio.fail_after(60):
            await m.drain()
        assert m.recovered.missing == ()
        notices = m.notices
    keys = set(bucket.bucket.keys)
    if notices and "new name" not in keys:  # a rename is the journal's alone: it may be forgotten
        assert bucket.data("old name") == WANTED["new name"]
        keys -= {"old name"}
    held = {key: bucket.data(key) for key in WANTED if key != "new name" or key in keys}
    assert held == {key: WANTED[key] for key in held}
    assert not {"gone", "old name", "open"} & keys
    assert any(b"never closed" in each.read_bytes() for each in (state / "lost+found").iterdir())
    return notices


@pytest.fixture(scope="module")
def populated(tmp_path_factory):
    """Return two state directories: one whose rows are in the WAL, one with a checkpoint."""
    place = tmp_path_factory.mktemp("populated")
    for name in ("checkpoint", "wal"):
        (place / name).mkdir()
    store = FaultyStore(a_bucket())
    for operation in ("put", "begin_upload"):
        store.fail(operation, Unreachable("There is no network."), times=-1)
    (place / "wal").rmdir()
    trio.run(_populate, store, place / "checkpoint", place / "wal")
    assert (place / "wal/journal.db-wal").stat().st_size > 4096
    assert not (place / "checkpoint/journal.db-wal").exists()
    return place


def _flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :]


def _zeroed(data, page):
    return data[: page * 4096] + bytes(4096) + data[page * 4096 + 4096 :]


DAMAGES = {
    "truncated": lambda data, dice: data[: dice.randrange(len(data))],
    "one byte flipped": lambda data, dice: _flip(data, dice.randrange(len(data))),
    "header flipped": lambda data, dice: _flip(data, dice.randrange(100)),
    "page zeroed": lambda data, dice: _zeroed(data, dice.randrange(len(data) // 4096)),
    "noise": lambda data, dice: dice.randbytes(len(data)),
    "emptied": lambda data, dice: b"",
}


def _survives(populated, place, which, how, dice):
    shutil.copytree(populated / which, place)
    path = place / ("journal.db-wal" if which == "wal" else "journal.db")
    path.write_bytes(DAMAGES[how](path.read_bytes(), dice))
    notices = trio.run(_outlives, place)
    shutil.rmtree(place)
    return notices


@pytest.mark.parametrize("which", ["wal", "checkpoint"])
def test_an_undamaged_journal_is_not_doubted(populated, tmp_path, which):
    shutil.copytree(populated / which, tmp_path / "state")
    assert trio.run(_outlives, tmp_path / "state") == ()
    assert not list((tmp_path / "state").glob("*.damaged-*"))


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("which", ["wal", "checkpoint"])
def test_what_was_closed_is_sent_whatever_the_journal_looks_like(populated, tmp_path, which, how):
    said = [
        _survives(populated, tmp_path / "state", which, how, random.Random(n)) for n in range(2)
    ]
    assert any(said) or "flipped" in how  # where nothing was written


def test_the_damaged_journal_is_kept_and_named(populated, tmp_path):
    shutil.copytree(populated / "checkpoint", tmp_path / "state")
    (tmp_path / "state/journal.db").write_bytes(b"noise" * 2000)
    [sentence] = trio.run(_outlives, tmp_path / "state")
    [aside] = (tmp_path / "state").glob("journal.db.damaged-*")
    assert aside.name in sentence
    assert f"{len(WANTED)} closed files" in sentence
    assert aside.read_bytes() == b"noise" * 2000


@pytest.mark.reliability
def test_a_journal_damaged_anywhere_loses_nothing_that_was_closed(populated, tmp_path, effort):
    for seed in effort.rounds(20):
        for which in ("wal", "checkpoint"):
            for how in DAMAGES:
                dice = random.Random(f"{seed} {which} {how}")
                said = _survives(populated, tmp_path / "state", which, how, dice)
                effort.counts["damaged journals"] += 1
                effort.counts["rebuilt"] += any("damaged" in each for each in said)
                effort.counts["files found again beside a journal"] += any(
                    "lacked" in each for each in said
                )
                effort.counts["closed files checked"] += len(WANTED)
    effort.demand(10, "rebuilt", "files found again beside a journal")
