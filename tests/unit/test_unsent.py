"""What a mount without a process has not sent is counted from its spool and its journal."""

import pytest

from cognitofs.mounts import known_mounts
from cognitofs.spool.journal import Journal
from cognitofs.spool.seal import Seal, new_txid
from cognitofs.state import Binding, Note, StateDirectory
from cognitofs.store.interface import ObjectHeaders
from cognitofs.store.records import TXID
from cognitofs.unsent import unsent_sizes

ADA = Binding("", "photos", "private/eu-west-1:ada/", "eu-west-1:ada")
EMPTY, WHOLE, OPEN = "a" * 32, "b" * 32, "c" * 32


def seal(id_, size):
    headers = ObjectHeaders(metadata={TXID: new_txid()})
    touched = ((0, size),) if size else ()
    return Seal(id_, f"d/{id_}", size, touched, None, 0, "absent", headers, bool(size))


@pytest.fixture
async def left(tmp_path):
    """Return the files of a mount that was killed: its journal is not closed, its lock is free."""
    with StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud")) as state:
        files = state.files
        (files.spool / WHOLE).write_bytes(b"bytes")
        (files.spool / OPEN).write_bytes(b"open")
        journal = Journal.open(files.journal)
        await journal.seal(seal(EMPTY, 0), durable=True)
        await journal.seal(seal(WHOLE, 5), durable=True)
    yield files
    journal.close()


async def test_a_file_that_was_closed_empty_counts_though_the_spool_has_nothing_of_it(left):
    assert sorted(unsent_sizes(left)) == [0, 4, 5]


async def test_status_tells_of_an_empty_file_after_a_kill(left, tmp_path):
    (left.spool / WHOLE).unlink()
    (left.spool / OPEN).unlink()
    (found,) = known_mounts(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path / "none")})
    assert (found.state, found.pending_files) == ("unmounted", 2)


async def test_a_journal_that_cannot_be_read_leaves_the_count_of_the_spool(left):
    left.journal.write_bytes(b"no database" * 1000)
    left.journal.with_name("journal.db-wal").unlink()
    assert sorted(unsent_sizes(left)) == [4, 5]
