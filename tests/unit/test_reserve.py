"""A full disk: the reserve lets the journal go on, and is made again when there is room."""

from dataclasses import replace

import apsw
import pytest

from cognitofs.errors import SpoolDamaged, SpoolFull
from cognitofs.spool import reserve as reserve_module
from cognitofs.spool.journal import Journal
from cognitofs.spool.reserve import Reserve
from tests.baddisk import BROKEN, FULL, BadDisk
from tests.unit.test_journal import SEAL

SIZE = 64 * 1024


@pytest.fixture
def reserve(tmp_path, monkeypatch):
    monkeypatch.setattr(reserve_module, "EVERY", 0.0)
    return Reserve(tmp_path / "reserve", SIZE)


def _journal(path, disk, reserve=None):
    """Return a journal whose database lies on *disk*."""
    Journal.open(path).close()
    connection = apsw.Connection(str(path), vfs=disk.name)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    return Journal(connection, reserve)


def test_the_reserve_takes_its_space_at_once(reserve, tmp_path):
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE


def test_where_room_is_scarce_there_is_no_reserve(tmp_path):
    Reserve(tmp_path / "reserve", 1 << 60)
    assert not (tmp_path / "reserve").exists()


async def test_on_a_full_disk_the_journal_commits_with_the_space_of_the_reserve(tmp_path, reserve):
    place = tmp_path / "reserve"
    disk = BadDisk(lambda kind, _: FULL if kind == "write" and place.exists() else None)
    journal = _journal(tmp_path / "journal.db", disk, reserve)
    await journal.seal(SEAL, durable=True)
    assert disk.fired["write"] == 1
    journal.close()  # its checkpoint fails; nothing is lost by that
    again = Journal.open(tmp_path / "journal.db")
    assert [p.seal for p in again.pending()] == [SEAL]
    again.close()


async def test_the_reserve_is_made_again_when_there_is_room(tmp_path, reserve):
    journal = _journal(tmp_path / "journal.db", BadDisk(), reserve)
    assert reserve.give_up()
    await journal.seal(SEAL, durable=True)
    assert (tmp_path / "reserve").exists()
    journal.close()


@pytest.mark.parametrize(("error", "raised"), [(FULL, SpoolFull), (BROKEN, SpoolDamaged)])
@pytest.mark.parametrize("durable", [False, True])
async def test_wherever_a_commit_fails_it_is_whole_or_not_there(tmp_path, error, raised, durable):
    """Every write and sync of a commit fails once; the next commit of the same journal works."""
    newer = replace(SEAL, id="b" * 32, key="other")
    number = fired = 0
    while fired == number:
        number += 1
        path = tmp_path / f"{number}.db"
        disk = BadDisk()
        journal = _journal(path, disk)
        await journal.seal(SEAL, durable=True)
        before = disk.counts["operations"]
        disk.fails = lambda _, n, k=number + before: error if n == k else None
        try:
            await journal.seal(newer, replaces=[SEAL.id], durable=durable)
        except raised:
            fired += 1
            disk.fails = lambda *_: None
            assert [p.seal for p in journal.pending()] == [SEAL]
            await journal.seal(newer, replaces=[SEAL.id], durable=True)
        assert [p.seal for p in journal.pending()] == [newer]
        journal.close()
        again = Journal.open(path)
        assert [p.seal for p in again.pending()] == [newer]
        again.close()
    assert fired >= 1 + durable
