"""Commits that S3 carries out unheard, late or with a lost answer: no conflict, nothing twice."""

import io
from collections.abc import Callable
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.gate import Gate, Request, is_commit, read_body, read_head
from tests.mount.mounted import MIB, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

SIZES = pytest.mark.parametrize("data", [noise(1000), noise(11 * MIB)], ids=["put", "complete"])


class SlowGate(Gate):
    """A gate that has the whole of a request before it holds it, and can lose answers."""

    def __init__(self, endpoint: str) -> None:
        self._loses: Callable[[Request], bool] = lambda _: False
        super().__init__(endpoint)

    def lose(self, which: Callable[[Request], bool]) -> None:
        """Break the connection in place of the answers to the requests that *which* chooses."""
        self._loses = which

    def commits(self) -> list[Request]:
        """Return what would make an object, of what passed so far."""
        return [request for request in self.requests() if is_commit(request)]

    def _pass_on(self, client, server, asking: BinaryIO, answering: BinaryIO) -> bool:
        head = read_head(asking)
        if head is None:
            return False
        whole = io.BytesIO(head + b"".join(read_body(asking, head)))
        return super()._pass_on(client, server, whole, answering)

    def _answer(self, request, client, answering: BinaryIO) -> bool:
        if not self._loses(request):
            return super()._answer(request, client, answering)
        head = read_head(answering)
        with self._changed:
            request.status = int(head.split(b" ", 2)[1]) if head else 0
        return False


class First:
    """Chooses the commit that comes first, and no other."""

    def __init__(self) -> None:
        self.chosen: Request | None = None

    def __call__(self, request: Request) -> bool:
        if self.chosen is None and is_commit(request):
            self.chosen = request
        return request is self.chosen


@pytest.fixture
def slow_gate(seaweedfs):
    running = SlowGate(seaweedfs.endpoint)
    yield running
    running.close()


@pytest.fixture
def far(seaweedfs, machine, slow_gate):
    """Return a bucket that the machine's profile reaches through `slow_gate` only."""
    found = new_bucket(seaweedfs)
    machine.configure(seaweedfs, found.name, endpoint=slow_gate.endpoint)
    return found


def kill_with_a_commit_under_way(machine, gate, data):
    """Return the commit; the gate has it, and its sender, who would hear the answer, is dead."""
    first = First()
    gate.lose(first)
    mount = machine.mount("--sync", "fsync", "--part-size", "5M")
    gate.hold(first)
    (mount.path / "f").write_bytes(data)
    gate.wait_held()
    mount.kill()
    return first.chosen


@contextmanager
def synced(machine):
    """Mount for a block, at the end of which everything can be sent."""
    with machine.mounted("--part-size", "5M") as mount:
        yield mount
        done = machine.run("sync", mount.path)
        assert done.returncode == 0, done.stderr
    assert machine.status() == []


@SIZES
def test_what_s3_did_after_the_crash_is_found_and_not_done_again(machine, far, slow_gate, data):
    kill_with_a_commit_under_way(machine, slow_gate, data)
    slow_gate.release()
    until(lambda: far.paths() == {"f"}, "the object")
    version = far.head("f")["LastModified"]
    slow_gate.forget()
    with synced(machine) as mount:
        assert (mount.path / "f").read_bytes() == data
    assert [request for request in slow_gate.commits() if request.status == 200] == []
    assert far.head("f")["LastModified"] == version
    assert far.get("f") == data
    assert far.paths() == {"f"}


@SIZES
def test_what_comes_after_the_next_mount_has_sent_it_changes_nothing(machine, far, slow_gate, data):
    late = kill_with_a_commit_under_way(machine, slow_gate, data)
    with synced(machine) as mount:
        done = machine.run("sync", mount.path)
        assert done.returncode == 0, done.stderr
        assert far.get("f") == data
        (mount.path / "f").write_bytes(b"newer")
        slow_gate.release()
        until(lambda: late.status, "the answer to the late commit")
        assert late.status != 200
    assert far.get("f") == b"newer"
    assert far.paths() == {"f"}


@SIZES
def test_a_close_whose_commit_lost_its_answer_succeeds_and_sends_it_once(
    machine, far, slow_gate, data
):
    first = First()
    with synced(machine) as mount:
        slow_gate.lose(first)
        (mount.path / "f").write_bytes(data)
        assert far.get("f") == data
        assert (mount.path / "f").read_bytes() == data
    assert [request.status for request in slow_gate.commits()] == [200]
    assert slow_gate.commits() == [first.chosen]
