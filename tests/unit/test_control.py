"""A command and a mount understand each other over the socket, and neither hangs on the other."""

import json
import os
import socket
import stat
import threading
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from cognitofs import controlclient
from cognitofs.control import (
    ConflictStatus,
    DrainProgress,
    FileStatus,
    MountStatus,
    RefusedDeletion,
    decode,
    encode,
    error_document,
    error_from,
    mount_status,
    status_document,
)
from cognitofs.controlserver import listen, may_speak, serve
from cognitofs.errors import (
    CognitoFSError,
    LoginRequired,
    MountError,
    MountpointBusy,
    NotMounted,
    Stalled,
)

STATUS = MountStatus(
    mountpoint="/home/ada/cloud",
    pid=7,
    state="uploading",
    pending_files=1,
    files=(FileStatus("a\nb", "sealed", 10, 3, ""),),
    notices=("One.",),
    refused_deletions=(RefusedDeletion("a\nb", "Why.", "2026-01-31T12:00:00+00:00"),),
    conflicts=(ConflictStatus("a\nb", "a\nb (conflicted copy ...)", "2026-01-31T12:00:00+00:00"),),
)
STEPS = (DrainProgress(2, 20), DrainProgress(1, 10), DrainProgress(0, 0, state="clean"))


class Mount:
    """A mount with scripted answers."""

    def __init__(self, error=None):
        self.error = error
        self.stopped = False
        self.blocked = trio.Event()

    def status(self):
        return STATUS

    async def drain(self, progress):
        for step in STEPS:
            await progress(step)
        if self.error:
            raise self.error

    async def refresh(self, path):
        return len(path)

    def stop(self):
        if self.error:
            raise self.error
        self.stopped = True


class Waiting(Mount):
    """A mount whose drain never ends; its event says when the drain was given up."""

    async def drain(self, progress):
        await progress(STEPS[0])
        try:
            await trio.sleep_forever()
        finally:
            self.blocked.set()


@asynccontextmanager
async def serving(directory, face):
    path = directory / "0123456789abcdef.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listen(path), path, face)
        yield path
        nursery.cancel_scope.cancel()


def ask(function, *args, **kwargs):
    return trio.to_thread.run_sync(partial(function, *args, **kwargs))


async def test_status_arrives_whole(tmp_path):
    async with serving(tmp_path, Mount()) as path:
        assert await ask(controlclient.ask_status, path) == STATUS
        assert await ask(controlclient.peer, path) == os.getpid()


async def test_a_path_too_long_for_a_socket_address_works(tmp_path):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with serving(deep, Mount()) as path:
        assert (await ask(controlclient.ask_status, path)).pid == STATUS.pid


@pytest.mark.parametrize("request_name", ["sync", "drain"])
async def test_a_drain_streams_its_progress_to_the_end(tmp_path, request_name):
    seen = []
    async with serving(tmp_path, Mount()) as path:
        left = await ask(
            controlclient.drain, path, request=request_name, seconds=60, progress=seen.append
        )
    assert tuple(seen) == STEPS
    assert left.is_clean


async def test_a_refresh_tells_of_each_path(tmp_path):
    async with serving(tmp_path, Mount()) as path:
        assert await ask(controlclient.refresh, path, ["a/b", ""]) == {"a/b": 3, "": 0}


async def test_stop_reaches_the_mount(tmp_path):
    face = Mount()
    async with serving(tmp_path, face) as path:
        await ask(controlclient.stop, path)
    assert face.stopped


async def test_an_error_of_the_mount_arrives_with_its_class_and_sentence(tmp_path):
    async with serving(tmp_path, Mount(MountpointBusy("It is in use; leave it."))) as path:
        with pytest.raises(MountpointBusy, match="It is in use; leave it"):
            await ask(controlclient.stop, path)
        with pytest.raises(MountpointBusy, match="It is in use; leave it"):
            await ask(
                controlclient.drain, path, request="sync", seconds=60, progress=lambda _: None
            )


async def test_a_defect_in_an_answer_ends_the_connection_and_not_the_mount(tmp_path, caplog):
    async with serving(tmp_path, Mount(ZeroDivisionError())) as path:
        with pytest.raises(MountError, match="its log says why"):
            await ask(controlclient.stop, path)
        assert (await ask(controlclient.ask_status, path)).pid == STATUS.pid
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "line", [b"\n", b"{\n", b"[1]\n", b'{"request": "dance"}\n', b"\xff\n", b""]
)
async def test_whatever_is_said_to_it_the_mount_answers_a_sentence_and_lives(tmp_path, line):
    async with serving(tmp_path, Mount()) as path:
        stream = await trio.open_unix_socket(path)
        async with stream:
            await stream.send_all(line)
            stream.socket.shutdown(socket.SHUT_WR)
            answer = b"".join([part async for part in stream])
        assert decode(answer)["kind"] == "error"
        assert (await ask(controlclient.ask_status, path)).pid == STATUS.pid


async def test_a_client_that_leaves_gives_its_drain_up(tmp_path, autojump_clock):
    face = Waiting()
    async with serving(tmp_path, face) as path:
        stream = await trio.open_unix_socket(path)
        await stream.send_all(encode(request="sync"))
        await stream.receive_some()
        await stream.aclose()
        with trio.fail_after(120):
            await face.blocked.wait()


async def test_a_drain_without_progress_shows_signs_of_life(tmp_path, autojump_clock):
    async with serving(tmp_path, Waiting()) as path:
        stream = await trio.open_unix_socket(path)
        async with stream:
            await stream.send_all(encode(request="drain"))
            received = b""
            with trio.fail_after(120):
                while received.count(b"\n") < 3:
                    received += await stream.receive_some()
    kinds = [decode(line)["kind"] for line in received.splitlines()]
    assert kinds == ["progress", "alive", "alive"]


@pytest.fixture
def loose_umask():
    """Give the process the umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
async def test_the_socket_is_private_and_vanishes_with_the_mount(tmp_path):
    async with serving(tmp_path, Mount()) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    with pytest.raises(NotMounted):
        await ask(controlclient.ask_status, path)


async def test_the_socket_of_a_killed_mount_is_replaced(tmp_path):
    path = tmp_path / "0123456789abcdef.sock"
    listen(path).close()
    with pytest.raises(NotMounted):
        await ask(controlclient.ask_status, path)
    async with serving(tmp_path, Mount()) as path:
        assert (await ask(controlclient.ask_status, path)).pid == STATUS.pid


def test_only_the_person_and_root_are_heard():
    assert may_speak(os.geteuid())
    assert may_speak(0)
    assert not may_speak(os.geteuid() + 12345)


def answer_once(path, answer):
    """Serve one connection at *path* with the bytes *answer*, then keep it open until it closes."""
    listener = listen(path)

    def serve_one():
        with listener, listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            if not answer:
                connection.recv(1)

    thread = threading.Thread(target=serve_one)
    thread.start()
    return thread


def test_a_silent_mount_is_a_stall_and_not_a_hang(tmp_path):
    thread = answer_once(tmp_path / "s", b"")
    with pytest.raises(Stalled, match="has not answered"):
        controlclient.ask_status(tmp_path / "s", seconds=0.05)
    thread.join()


def test_a_mount_that_dies_in_the_middle_is_a_failure(tmp_path):
    thread = answer_once(tmp_path / "s", encode(kind="alive"))
    with pytest.raises(MountError, match="ended before it had answered"):
        controlclient.drain(tmp_path / "s", request="sync", seconds=60, progress=lambda _: None)
    thread.join()


def test_a_newer_mount_is_understood_as_far_as_we_know_it():
    document = json.loads(json.dumps(status_document((STATUS,))))["mounts"][0]
    document |= {"moon": "full", "pid": "not a number", "state": "levitating"}
    document["files"][0]["colour"] = "red"
    found = mount_status(document)
    assert (found.mountpoint, found.pid, found.state) == (STATUS.mountpoint, 0, "levitating")
    assert (found.files, found.conflicts) == (STATUS.files, STATUS.conflicts)
    assert found.refused_deletions == STATUS.refused_deletions
    assert mount_status({}) == MountStatus()


def test_the_status_document_has_the_promised_fields():
    (found,) = status_document((STATUS,))["mounts"]
    promised = "mountpoint pid profile identity_id username s3_uri state pending_files"
    promised += " pending_bytes uploading_bytes failed_files conflict_files keys_expire last_error"
    promised += " sign_in_ends sign_in_warning"
    promised += " sync version files mounted waiting_for state_directory notices conflicts"
    promised += " refused_deletions transfers most_transfers slowed_at away_since"
    promised += " metadata most_metadata metadata_slowed_at"
    promised += " cache_bytes cache_size cache_hits cache_misses"
    promised += " lost renaming rename_done rename_total hidden_keys hidden"
    assert set(found) == set(promised.split())
    of_a_file = "path state size sent error id attempts etag is_whole when"
    assert set(found["files"][0]) == set(of_a_file.split())
    assert set(found["conflicts"][0]) == {"path", "copy", "when"}
    assert set(found["refused_deletions"][0]) == {"path", "error", "when"}


def test_errors_keep_their_class_across_the_socket():
    there = error_from(error_document(LoginRequired("Run `cognitofs login`.")))
    assert type(there) is LoginRequired
    assert str(there) == "Run `cognitofs login`."


@pytest.mark.parametrize("name", ["NoSuchClass", "__builtins__", "", "SystemExit"])
def test_a_foreign_class_becomes_the_root_of_our_errors(name):
    assert type(error_from({"class": name, "message": "Why."})) is CognitoFSError
