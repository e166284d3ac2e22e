"""The mounts of a person are found by sockets and directories, and a draining one hands over."""

import dataclasses
import os
from functools import partial
from pathlib import Path

import pytest
import trio

from cognitofs import lastword
from cognitofs.control import MountStatus
from cognitofs.controlserver import listen, serve
from cognitofs.errors import MountpointBusy, NotMounted
from cognitofs.mounts import LiveMount, known_mounts, live_mounts, mount_of, open_state
from cognitofs.runtime import socket_path
from cognitofs.state import Binding, Note, StateDirectory

ADA = Binding("", "photos", "private/eu-west-1:ada/", "eu-west-1:ada")


class Face:
    """A mount that gives its state directory up when it is told to stop."""

    def __init__(self, held, *, mounted):
        self.held = held
        self._status = MountStatus(mountpoint="/home/ada/cloud", pid=os.getpid(), mounted=mounted)

    def status(self):
        return self._status

    async def drain(self, progress):
        raise AssertionError("nobody asked for it")

    def stop(self):
        self.held.close()


async def run_beside(tmp_path, environ, *, mounted, question):
    """Answer *question* in a thread while a mount of ADA lives."""
    held = StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud", "work", "ada"))
    held.files.journal.touch()
    path = socket_path(ADA.mount_id, tmp_path, environ)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listen(path), path, Face(held, mounted=mounted))
        try:
            return await trio.to_thread.run_sync(partial(question, path))
        finally:
            held.close()
            nursery.cancel_scope.cancel()


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "xdg").mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "xdg")}


async def test_a_process_that_only_drains_hands_its_state_over(tmp_path, environ):
    def question(path):
        with open_state(tmp_path, ADA, Note("/new"), path) as state:
            return state.files.lock.read_text()

    note = await run_beside(tmp_path, environ, mounted=False, question=question)
    assert "/new" in note


async def test_a_mounted_one_is_never_told_to_stop(tmp_path, environ):
    def question(path):
        with pytest.raises(MountpointBusy, match="/home/ada/cloud"):
            open_state(tmp_path, ADA, Note("/new"), path)
        return live_mounts(tmp_path, environ)

    (live,) = await run_beside(tmp_path, environ, mounted=True, question=question)
    assert live.status.mounted


async def test_a_live_mount_is_listed_once_and_an_ended_one_as_unmounted(tmp_path, environ):
    known = await run_beside(
        tmp_path, environ, mounted=True, question=lambda _: known_mounts(tmp_path, environ)
    )
    assert [each.pid for each in known] == [os.getpid()]
    (spool,) = tmp_path.glob("mounts/*/spool")
    (spool / "ab").mkdir()
    (spool / "ab" / "cd").write_bytes(b"12345")
    (left,) = known_mounts(tmp_path, environ)
    assert left == MountStatus(
        mountpoint="/home/ada/cloud",
        mounted=False,
        profile="work",
        username="ada",
        identity_id="eu-west-1:ada",
        s3_uri="s3://photos/private/eu-west-1:ada/",
        state="unmounted",
        pending_files=1,
        pending_bytes=5,
        state_directory=str(spool.parent),
    )


async def test_a_silent_mount_is_shown_as_failed_with_its_process(tmp_path, environ):
    StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud")).close()
    path = socket_path(ADA.mount_id, tmp_path, environ)
    with listen(path):
        (live,) = live_mounts(tmp_path, environ, seconds=0.05)
    assert (live.status.mountpoint, live.status.pid) == ("/home/ada/cloud", os.getpid())
    assert live.status.needs_person
    assert "has not answered" in live.status.last_error


def test_a_path_belongs_to_the_innermost_mount_around_it():
    def live(path, *, mounted=True):
        return LiveMount(Path("/s"), MountStatus(mountpoint=path, mounted=mounted))

    outer, inner = live("/m"), live("/m/inner")
    assert mount_of(Path("/m/a"), (outer, inner)) == outer
    assert mount_of(Path("/m/inner/a/.."), (outer, inner)) == inner
    drained = dataclasses.replace(inner, status=dataclasses.replace(inner.status, mounted=False))
    assert mount_of(Path("/m/inner/a"), (outer, drained)) == outer
    with pytest.raises(NotMounted):
        mount_of(Path("/m2"), (outer, inner))


def test_the_last_word_of_a_mount_says_what_is_left_and_that_a_person_is_needed(tmp_path):
    with StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud", "work", "ada")) as held:
        held.files.journal.touch()
        status = MountStatus(
            mountpoint="/home/ada/cloud", pid=1, state="conflict", conflict_files=1, pending_files=1
        )
        lastword.write(held.files, status)
    [left] = known_mounts(tmp_path, {})
    assert (left.mounted, left.pid, left.state) == (False, 0, "unmounted")
    assert (left.conflict_files, left.needs_person) == (1, True)


def test_a_mount_that_runs_again_speaks_for_itself(tmp_path):
    with StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud", "work", "ada")) as held:
        lastword.write(held.files, MountStatus(conflict_files=1))
        lastword.forget(held.files)
        assert lastword.read(held.files) is None
