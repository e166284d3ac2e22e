"""The journal remembers what it was told, and harms no journal it does not understand."""

from dataclasses import replace

import apsw
import pytest
import trio

from cognitofs.errors import JournalTooNew, SpoolDamaged
from cognitofs.spool import schema
from cognitofs.spool.journal import Journal, SentPart
from cognitofs.spool.schema import VERSION
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo, PartReceipt, UploadId
from cognitofs.store.records import encode_headers, encode_info

SEAL = Seal(
    id="a" * 32,
    key="d/ü\n",
    size=10,
    touched=((0, 4), (6, 10)),
    base=ObjectInfo("d/ü\n", 8, ETag('"e"'), 7),
    base_limit=8,
    expect=ETag('"e"'),
    headers=ObjectHeaders(content_type="text/x", metadata={"cognitofs-txid": "t", "mine": "1"}),
    supersedes=("old",),
)
PART = SentPart(0, 4, "spool", PartReceipt(1, ETag('"p"'), 4, "crc"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def test_everything_comes_back_as_it_was_written(path):
    journal = Journal.open(path)
    await journal.seal(SEAL, durable=True)
    await journal.begin_upload(SEAL.id, SEAL.key, UploadId("u"))
    await journal.record_part("u", PART)
    await journal.set_attributes("x", ETag('"v"'), SEAL.headers)
    journal.close()
    journal = Journal.open(path)
    [pending] = journal.pending()
    assert (pending.seal, pending.state) == (SEAL, "sealed")
    [upload] = journal.uploads()
    assert (upload.upload_id, upload.id, upload.parts) == ("u", SEAL.id, (PART,))
    assert journal.attributes() == [("x", '"v"', SEAL.headers)]
    assert not journal.is_empty()
    await journal.finish(SEAL.id, "u")
    await journal.finish_attributes("x")
    assert journal.is_empty()
    assert (journal.pending(), journal.uploads(), journal.attributes()) == ([], [], [])
    journal.close()


async def test_a_newer_seal_takes_the_place_of_an_older_one_in_one_step(path):
    journal = Journal.open(path)
    await journal.seal(SEAL, durable=False)
    newer = replace(SEAL, id="b" * 32, key="other")
    await journal.seal(newer, replaces=[SEAL.id], durable=False)
    assert [p.seal for p in journal.pending()] == [newer]
    journal.close()


@pytest.mark.parametrize("version", range(1, VERSION))
async def test_the_rows_of_an_older_format_are_kept(path, version):
    made = (schema._TABLES, schema._NAMES, schema._GIVEN_UP, schema._CHECKED)
    made += (schema._DAMAGED, schema._REFUSED)
    connection = apsw.Connection(str(path))
    for tables in made[:version]:
        connection.execute(tables)
    connection.execute(
        "INSERT INTO file(id, key, size, touched, base, base_limit, expect, headers, has_spool,"
        " supersedes, leaves, state, error) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(SEAL.id, SEAL.key, SEAL.size, "[[0, 4], [6, 10]]", encode_info(SEAL.base)),
            *(SEAL.base_limit, SEAL.expect, encode_headers(SEAL.headers), 1),
            *('["old"]', "[]", "failed", "No."),
        ),
    )
    connection.execute("INSERT INTO upload VALUES('u', ?, ?)", (SEAL.id, SEAL.key))
    connection.execute("INSERT INTO part VALUES('u', 1, 0, 4, 'spool', '\"p\"', 'crc')")
    connection.pragma("user_version", version)
    connection.execute("INSERT INTO meta VALUES('format', ?)", (version,))
    connection.close()
    for _ in range(2):  # once more: it is of this format then
        journal = Journal.open(path)
        [pending] = journal.pending()
        assert (pending.seal, pending.state, pending.error) == (SEAL, "failed", "No.")
        [upload] = journal.uploads()
        assert (upload.id, upload.parts) == (SEAL.id, (PART,))
        journal.close()


async def test_a_parked_file_says_why(path):
    journal = Journal.open(path)
    await journal.seal(SEAL, durable=False)
    await journal.park(SEAL.id, "conflict", "Changed elsewhere.")
    [pending] = journal.pending()
    assert (pending.state, pending.error) == ("conflict", "Changed elsewhere.")
    journal.close()


async def test_commits_that_wait_for_each_other_share_a_transaction(path, monkeypatch):
    journal = Journal.open(path)
    batches = []
    apply = journal._apply
    monkeypatch.setattr(journal, "_apply", lambda b: (batches.append(len(b.statements)), apply(b)))
    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(journal.begin_upload, str(n), "k", UploadId(str(n)))
    assert sum(batches) == 50
    assert len(batches) < 10
    assert len(journal.uploads()) == 50
    journal.close()


async def test_a_commit_is_finished_even_when_its_task_is_cancelled(path):
    journal = Journal.open(path)
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.seal(SEAL, durable=True)
    assert [p.seal for p in journal.pending()] == [SEAL]
    journal.close()


async def test_what_acknowledges_is_synced_and_what_does_not_is_not(path):
    journal = Journal.open(path)
    await journal.seal(SEAL, durable=False)
    assert journal._db.pragma("synchronous") == 1
    await journal.make_durable()
    assert journal._db.pragma("synchronous") == 2
    journal.close()


def test_a_newer_journal_is_refused_unharmed(path):
    Journal.open(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", VERSION + 1)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'format'", (VERSION + 1,))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalTooNew):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_unharmed(path):
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(SpoolDamaged):
        Journal.open(path)
    assert path.read_bytes() == b"not a database" * 100
