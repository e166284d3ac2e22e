"""`cognitofs recover` without a process: the journal is opened under its lock, and nothing else."""

import hashlib
import json
import subprocess
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
import trio

from cognitofs import lastword
from cognitofs.cli.exits import exit_code
from cognitofs.cli.main import app
from cognitofs.cli.status import lines
from cognitofs.control import FileStatus, MountStatus
from cognitofs.errors import CognitoFSError
from cognitofs.spool import lostfound
from cognitofs.spool.intents import Doomed, Intents, Refusal
from cognitofs.spool.journal import Journal
from cognitofs.spool.seal import Seal, new_txid
from cognitofs.state import Binding, Note, StateDirectory
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID

ADA = Binding("", "photos", "private/ada/", "eu-west-1:ada")
NOTE = Note("/nowhere/cloud", "default", "ada")
WHOLE, PART, LOST = "a" * 32, "b" * 32, "c" * 32
DATA = b"what only this machine has"


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(base, capsys, monkeypatch):
    """Return a function that runs a command on *base*, in this process."""
    monkeypatch.setenv("HOME", str(base))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "run"))

    def run(*arguments):
        try:
            app([*arguments, "--state-dir", str(base)], standalone_mode=True)
        except SystemExit as exc:
            code = exc.code or 0
        except CognitoFSError as exc:
            code = exit_code(exc)
        return Done(int(code), *capsys.readouterr())

    return run


@pytest.fixture
def recover(command):
    return partial(command, "recover")


def listed(recover):
    done = recover("list", "--json")
    return done.code, {each["id"]: each for each in json.loads(done.out)["files"]}


def seal(id_, key, *, base=None):
    headers = ObjectHeaders(metadata={TXID: new_txid()})
    expect = base.etag if base else "absent"
    limit = base.size if base else 0
    return Seal(id_, key, len(DATA), ((0, 4),), base, limit, expect, headers)


@pytest.fixture
def base(tmp_path):
    """Return a state directory with a failed, a partly changed and a lost file."""
    base = tmp_path / "state"
    (tmp_path / "state").mkdir(mode=0o700)
    (base / "run").mkdir(mode=0o700)
    with StateDirectory.open(base, ADA, NOTE) as state:
        files = state.files
        (files.spool / WHOLE).write_bytes(DATA + b" and an append that was not closed")
        (files.spool / PART).write_bytes(b"part")
        (files.lost_found / LOST).write_bytes(b"never closed")
        (files.lost_found / f"{LOST}.json").write_text("{}")

        async def fill():
            journal = Journal.open(files.journal)
            await journal.seal(seal(WHOLE, "d/new\n.txt"), durable=True)
            await journal.park(WHOLE, "failed", "The role may not.")
            old = ObjectInfo("big", len(DATA), ETag('"e"'), 0)
            await journal.seal(seal(PART, "big", base=old), durable=True)
            journal.close()

        trio.run(fill)
    return base


def state_of(base):
    return StateDirectory.open(base, ADA, NOTE)


def test_everything_that_is_kept_is_listed_with_its_reason(recover):
    code, files = listed(recover)
    assert code == 4
    assert {id_: each["state"] for id_, each in files.items()} == {
        WHOLE: "failed",
        PART: "sealed",
        LOST: "lost",
    }
    assert files[WHOLE]["error"] == "The role may not."
    assert files[WHOLE]["mountpoint"] == "/nowhere/cloud"
    assert not files[PART]["is_whole"]
    assert r"/nowhere/cloud/d/new\n.txt" in recover("list").out


def test_an_export_is_what_was_closed_and_is_checked_by_sha256sum(recover, tmp_path):
    out = tmp_path / "out"
    done = recover("export", str(out), WHOLE[:6], LOST)
    assert done.code == 0, done.err
    assert (out / "d" / "new\n.txt").read_bytes() == DATA
    assert (out / "lost+found" / LOST).read_bytes() == b"never closed"
    assert hashlib.sha256(DATA).hexdigest() in (out / "SHA256SUMS").read_text()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, check=True)
    assert len(listed(recover)[1]) == 3


def test_a_lost_file_is_shown_and_exported_under_the_name_it_had(recover, command, base, tmp_path):
    note = lostfound.Note(key="d/draft.txt", written_at="2026-01-31T12:00:00+00:00")
    with state_of(base) as state:
        (state.files.lost_found / f"{LOST}.json").write_text(lostfound.encode(note))
    [line] = [each for each in recover("list").out.splitlines() if each.startswith(LOST[:8])]
    assert "lost+found/d/draft.txt'  2026-01-31T12:00:00+00:00: It was not closed" in line
    shown = command("status").out
    assert "lost+found/d/draft.txt'  12 B  2026-01-31T12:00:00+00:00: It was not" in shown
    assert "recover --help" in shown
    [mount] = json.loads(command("status", "--json").out)["mounts"]
    assert [(each["id"], each["when"]) for each in mount["lost"]] == [(LOST, note.written_at)]
    assert recover("export", str(tmp_path / "out"), LOST).code == 0
    assert (tmp_path / "out/lost+found/d/draft.txt").read_bytes() == b"never closed"


@pytest.fixture
def deletion(base):
    """Return the id of a deletion that S3 refused."""
    refusal = Refusal(Doomed("d/gone", ETag('"e"')), "The role may not.", 0.0)

    async def fill():
        journal = Journal.open(state.files.journal)
        await Intents(journal).doom([refusal.doomed])
        await Intents(journal).refuse([refusal])
        journal.close()

    with state_of(base) as state:
        trio.run(fill)
    return refusal.id


def test_a_deletion_that_s3_refused_is_listed_and_can_be_given_up(recover, deletion, tmp_path):
    _, files = listed(recover)
    assert (files[deletion]["path"], files[deletion]["state"]) == ("d/gone", "refused")
    assert "The role may not." in files[deletion]["error"]
    done = recover("export", str(tmp_path / "out"), deletion)
    assert (done.code, "S3 has it still" in done.err) == (4, True)
    done = recover("discard", "--yes", deletion)
    assert (done.code, "stays on S3: 'd/gone'" in done.err) == (0, True)
    assert deletion not in listed(recover)[1]
    assert len(listed(recover)[1]) == 3


def test_a_deletion_is_tried_again_by_the_next_mount(recover, deletion):
    done = recover("retry", deletion)
    assert (done.code, "the next mount tries" in done.err) == (4, True)
    assert deletion in listed(recover)[1]


def test_status_says_which_requests_s3_wants_fewer_of():
    slow = MountStatus(transfers=4, most_transfers=16, slowed_at="T1", metadata=8)
    slow = replace(slow, most_metadata=32, metadata_slowed_at="T2")
    told = "\n".join(lines(slow))
    assert "slow down at T1: 4 of 16 transfers" in told
    assert "slow down at T2: 8 of 32 questions" in told
    quiet = replace(slow, transfers=16, metadata=32)
    assert "slow down" not in "\n".join(lines(quiet))


def test_what_is_missing_of_a_lost_file_is_named_and_it_is_not_exported(recover, base, tmp_path):
    with state_of(base) as state:
        note = state.files.lost_found / f"{LOST}.json"
        note.write_text('{"missing": [[0, 5], [5, 10]]}')
    _, files = listed(recover)
    assert not files[LOST]["is_whole"]
    assert "0-10" in files[LOST]["error"]
    done = recover("export", str(tmp_path / "out"), LOST)
    assert done.code != 0
    assert "0-10" in done.err
    assert LOST in done.err


def test_an_export_writes_over_nothing(recover, tmp_path):
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "d" / "new\n.txt").write_text("mine")
    assert recover("export", str(tmp_path / "out"), WHOLE).code == 0
    assert (tmp_path / "out" / "d" / "new\n.txt").read_text() == "mine"
    assert (tmp_path / "out" / "d" / f"new\n.txt ({WHOLE[:8]})").read_bytes() == DATA


def test_a_part_of_a_larger_object_is_not_exported_as_if_it_were_whole(recover, tmp_path):
    done = recover("export", str(tmp_path / "out"), "--all")
    assert done.code == 4
    assert "mount it and copy it from there" in done.err
    assert not (tmp_path / "out" / "big").exists()
    assert (tmp_path / "out" / "d" / "new\n.txt").exists()


def test_nothing_is_discarded_unasked(recover):
    done = recover("discard", "--all")
    assert done.code == 2
    assert "there is no other copy" in done.err
    assert len(listed(recover)[1]) == 3


def test_what_is_discarded_is_gone_and_the_rest_stays(recover, base):
    with state_of(base) as state:
        left = (FileStatus("d/new", "failed"), FileStatus("big"))
        lastword.write(state.files, MountStatus(pending_files=2, failed_files=1, files=left))
    assert recover("discard", "--yes", WHOLE, LOST).code == 0
    assert list(listed(recover)[1]) == [PART]
    with state_of(base) as state:
        assert [each.name for each in state.files.spool.iterdir()] == [PART]
        assert not list(state.files.lost_found.iterdir())
        last = lastword.read(state.files)
        assert (last.pending_files, last.failed_files) == (1, 0)
    assert recover("discard", "--yes", "--all").code == 0
    assert listed(recover) == (0, {})


def test_a_retry_without_a_process_is_left_to_the_next_mount(recover):
    done = recover("retry", WHOLE)
    assert done.code == 4
    assert "the next mount tries" in done.err
    assert listed(recover)[1][WHOLE]["state"] == "sealed"


def test_a_path_in_the_mount_names_a_file(recover):
    assert recover("discard", "--yes", "/nowhere/cloud/big").code == 0
    assert PART not in listed(recover)[1]


@pytest.mark.parametrize("words", [(), ("nothing like it",), ("--all", WHOLE)])
def test_a_name_that_fits_nothing_changes_nothing(recover, words):
    assert recover("discard", "--yes", *words).code == 2
    assert len(listed(recover)[1]) == 3


def test_a_journal_in_use_is_left_alone_and_not_called_empty(recover, base):
    with state_of(base):
        done = recover("list")
    assert done.code == 5
    assert "Nothing is kept" not in done.out


def test_why_names_the_cause_and_what_helps(command):
    done = command("why", "/nowhere/cloud/d/new\n.txt")
    assert done.code == 4
    assert "failed" in done.out
    assert "cause: The role may not." in done.out
    assert f"recover retry {WHOLE[:8]}" in done.out


def test_why_sends_a_person_to_mount_what_only_a_mount_can_send(command):
    done = command("why", "/nowhere/cloud/big", "--json")
    assert done.code == 4
    found = json.loads(done.out)
    assert (found["state"], found["remedy"]) == (
        "sealed",
        "Mount it again: the next mount sends it.",
    )


def test_why_finds_nothing_wrong_with_a_file_that_is_sent(command):
    done = command("why", "/nowhere/cloud/sent")
    assert (done.code, "nothing of it is unsent" in done.out) == (0, True)


def test_why_of_a_path_in_no_mount_is_a_failure(command):
    assert command("why", "/elsewhere/f").code == 1
