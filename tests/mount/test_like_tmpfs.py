"""A mount answers like tmpfs: Hypothesis makes the same calls in both and compares all answers."""

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.effort import Effort
from tests.mount.conftest import new_bucket
from tests.mount.mounted import Machine, is_fuse_usable
from tests.mount.twin import Opened, Twin, tree_of
from tests.servers import S3Server

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no tmpfs at /dev/shm"),
]

LIVES_EACH_ROUND = 10
STEPS = 40
LONG_STEPS = 100
SIZE = 300

PATHS = st.sampled_from(
    ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "f", "f/a", "f/d", "f/d/a"]
)
DATA = st.binary(max_size=SIZE)
OFFSETS = st.integers(0, 2 * SIZE)
MODES = st.sampled_from([0o600, 0o644, 0o755, 0o444, 0o700])
FLAGS = st.sampled_from(
    [
        os.O_RDONLY,
        os.O_RDWR,
        os.O_RDWR | os.O_CREAT,
        os.O_RDWR | os.O_TRUNC,
        os.O_RDWR | os.O_CREAT | os.O_EXCL,
        os.O_WRONLY | os.O_APPEND | os.O_CREAT,
        os.O_RDONLY | os.O_DIRECTORY,
        os.O_RDONLY | os.O_NOFOLLOW,
    ]
)


class Calls(RuleBasedStateMachine):
    """One life in a twin of its own."""

    make_twin: Callable[[], Twin]

    def __init__(self) -> None:
        super().__init__()
        self.twin = self.make_twin()
        self.opened: list[Opened] = []
        for directory in ("d", "d/e", "f"):
            self.twin.call("mkdir", directory)
        for path in ("a", "d/a", "d/e/b"):
            self.twin.call("put", path, path.encode() * 20)

    @rule(path=PATHS, data=DATA, how=st.sampled_from(["put", "create", "append"]))
    def write(self, path, data, how):
        self.twin.call(how, path, data)

    @rule(path=PATHS, data=DATA, offset=OFFSETS)
    def write_at(self, path, data, offset):
        self.twin.call("write at", path, data, offset)

    @rule(path=PATHS, size=OFFSETS)
    def truncate(self, path, size):
        self.twin.call("truncate", path, size)

    @rule(path=PATHS, what=st.sampled_from(["read", "stat", "list", "readlink", "access"]))
    def look(self, path, what):
        self.twin.call(what, path)

    @rule(path=PATHS, what=st.sampled_from(["mkdir", "mkdir", "rmdir", "unlink"]))
    def change(self, path, what):
        self.twin.call(what, path)

    @rule(path=PATHS, to=PATHS)
    def rename(self, path, to):
        self.twin.call("rename", path, to)

    @rule(path=PATHS, points_to=st.sampled_from([b"a", b"../a", b"d", b"nowhere", b"e/a"]))
    def symlink(self, path, points_to):
        self.twin.call("symlink", path, points_to)

    @rule(path=PATHS, mode=MODES)
    def chmod(self, path, mode):
        if not (self.twin.plain / path).is_symlink():
            self.twin.call("chmod", path, mode)

    @rule(path=PATHS, nanoseconds=st.integers(10**9, 2 * 10**18))
    def utime(self, path, nanoseconds):
        self.twin.call("utime", path, nanoseconds)

    @precondition(lambda self: len(self.opened) < 4)
    @rule(path=PATHS, flags=FLAGS)
    def open(self, path, flags):
        opened = self.twin.open(path, flags)
        if opened is not None:
            self.opened.append(opened)

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 3), offset=OFFSETS, size=st.integers(0, SIZE))
    def read_open(self, which, offset, size):
        self.twin.on(self._one(which), "pread", size, offset)

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 3), offset=OFFSETS, data=DATA)
    def write_open(self, which, offset, data):
        self.twin.on(self._one(which), "pwrite", data, offset)

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 3), size=OFFSETS)
    def truncate_open(self, which, size):
        self.twin.on(self._one(which), "ftruncate", size)

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 3), what=st.sampled_from(["fsync", "size"]))
    def look_open(self, which, what):
        if not os.path.isdir(f"/proc/self/fd/{self._one(which).there}"):
            self.twin.on(self._one(which), what)

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 3))
    def close(self, which):
        opened = self._one(which)
        self.opened.remove(opened)
        self.twin.close(opened)

    def _one(self, which):
        return self.opened[which % len(self.opened)]

    def teardown(self):
        for opened in self.opened:
            self.twin.close(opened)
        self.twin.compare()
        self.twin.counts["lives"] += 1


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Machine]:
    """Give the test a second machine."""
    (tmp_path / "other").mkdir()
    machine = Machine(tmp_path / "other")
    yield machine
    machine.close()


@pytest.mark.parametrize("level", ["close", "fsync", "local"])
def test_every_call_is_answered_as_tmpfs_answers_it(
    machine: Machine, other: Machine, strict_s3: S3Server, effort: Effort, level: str
):
    """And everything is the same again for a machine that knows nothing but the bucket.

    On the strict server: SeaweedFS goes on having directories that are gone, and keeps no metadata
    of markers; moto does not know conditions of copies.
    """
    numbers = count()
    bucket = new_bucket(strict_s3)
    machine.configure(strict_s3, bucket.name)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as plain:
        with machine.mounted("--sync", level) as mount:

            def make_twin() -> Twin:
                name = f"life-{next(numbers)}"
                for top in (mount.path, Path(plain)):
                    (top / name).mkdir()
                return Twin(mount.path / name, Path(plain) / name, effort.counts)

            for seed in effort.rounds(2):
                _lead(type("Calls", (Calls,), {"make_twin": staticmethod(make_twin)}), seed, effort)
        other.configure(strict_s3, bucket.name)
        with other.mounted("--read-only") as mount:
            assert tree_of(mount.path) == tree_of(Path(plain))
    effort.demand(100, "answers", "refusals")


def _lead(machine: type[RuleBasedStateMachine], seed: int, effort: Effort) -> None:
    how = settings(
        max_examples=LIVES_EACH_ROUND,
        stateful_step_count=LONG_STEPS if effort.is_long else STEPS,
        deadline=None,
        derandomize=False,
        database=None,
        phases=[Phase.generate],  # a life is told whole; a shorter one would cost minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=how)
