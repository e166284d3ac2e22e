"""`status --watch` and `--wait-clean`: they ask until nothing goes on by itself."""

import json
import time
from dataclasses import dataclass

import pytest

from cognitofs.cli import watching
from cognitofs.cli.filestatus import PathStatus, state_text
from cognitofs.cli.status import MountsStatus, lines
from cognitofs.control import FileStatus, MountStatus, RefusedDeletion
from cognitofs.errors import Stalled


@dataclass(frozen=True)
class Answer:
    text: str
    is_clean: bool = False
    needs_person: bool = False
    goes_on: bool = True

    def document(self):
        return {"text": self.text}

    def lines(self):
        yield self.text


CLEAN = Answer("clean", is_clean=True, goes_on=False)
FAILED = Answer("failed", needs_person=True, goes_on=False)
BUSY = Answer("uploading")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.0)


def scripted(*answers):
    left = list(answers)
    return lambda: left.pop(0)


@pytest.mark.parametrize("last", [CLEAN, FAILED])
def test_waiting_ends_when_nothing_goes_on_by_itself(last):
    later = time.monotonic() + 60
    assert watching.awaited(scripted(BUSY, BUSY, last), later) is last


def test_waiting_has_an_end():
    with pytest.raises(Stalled, match="cognitofs status"):
        watching.awaited(lambda: BUSY, time.monotonic())


def test_a_pipe_gets_a_block_for_each_change(capsys):
    ask = scripted(BUSY, BUSY, CLEAN)
    watching.watched(ask, as_json=False, until_clean=True, deadline=None)
    assert capsys.readouterr().out == "uploading\n\nclean\n\n"


def test_a_program_gets_a_document_a_line(capsys):
    ask = scripted(BUSY, BUSY, CLEAN)
    watching.watched(ask, as_json=True, until_clean=True, deadline=None)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found == [{"text": "uploading"}, {"text": "clean"}]


def test_a_watch_without_a_wait_goes_on_when_all_is_clean(capsys):
    with pytest.raises(IndexError):  # of the script
        watching.watched(scripted(CLEAN, BUSY), as_json=False, until_clean=False, deadline=None)
    assert "uploading" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "waiting_for", "text"),
    [
        (FileStatus(state="uploading", size=10_000, sent=4_000), "", "uploading, 40 % of 10.0 kB"),
        (FileStatus(state="dirty", size=14), "", "dirty, 14 B"),
        (FileStatus(state="waiting"), "auth", "waiting for the sign-in"),
        (FileStatus(state="waiting"), "network", "waiting for the network"),
        (FileStatus(state="failed", size=1, error="Why."), "", "failed, 1 B: Why."),
    ],
)
def test_the_state_of_a_file_is_said_in_words(file, waiting_for, text):
    assert state_text(file, waiting_for) == text


def test_what_is_left_of_a_mount_without_a_process_does_not_go_on():
    left = MountStatus(pid=0, mounted=False, state="unmounted", pending_files=1)
    assert not MountsStatus((left,)).goes_on
    assert not MountsStatus((left,)).is_clean
    path = PathStatus("/m/f", left, (FileStatus("f", "sealed"),))
    assert not path.goes_on
    assert not path.is_clean


def test_a_person_reads_which_keys_are_hidden():
    mount = MountStatus("/m", hidden_keys=4, hidden=("x//", "y/.", "a", "b"))
    told = "\n".join(lines(mount))
    assert "hidden: 4 keys that cannot be shown as a file: 'x//', 'y/.', 'a', ..." in told


def test_a_person_reads_that_s3_asked_to_slow_down_and_until_when_it_matters():
    slowed = MountStatus(
        "/m", transfers=4, most_transfers=16, slowed_at="2026-01-31T12:00:00+00:00"
    )
    told = "\n".join(lines(slowed))
    assert "slow down at 2026-01-31T12:00:00+00:00: 4 of 16 transfers at once" in told
    over = MountStatus("/m", transfers=16, most_transfers=16, slowed_at=slowed.slowed_at)
    assert "slow down" not in "\n".join(lines(over))


def test_a_person_reads_which_names_s3_did_not_let_go():
    refusal = RefusedDeletion("a", "The role may not delete.", "2026-01-31T12:00:00+00:00")
    told = "\n".join(lines(MountStatus("/m", refused_deletions=(refusal,))))
    assert "'a' could not be removed and shows again: The role may not delete." in told
