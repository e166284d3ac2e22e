"""Generated work on a real mount: one file byte by byte, and a tree beside a tmpfs."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.exerciser import LARGE, SMALL, Exerciser
from tests.mount.mounted import is_fuse_usable
from tests.mount.twins import Twins

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

TMPFS = Path("/dev/shm")

MUCH = {"close": (4_500, 500), "fsync": (19_000, 1_000), "local": (24_000, 1_000)}
"""Operations on a small and on a large file, by level."""


@pytest.fixture
def right():
    """Return an empty directory on a tmpfs."""
    if not TMPFS.is_dir():
        pytest.skip("there is no /dev/shm to compare with")
    found = Path(tempfile.mkdtemp(dir=TMPFS))
    yield found
    shutil.rmtree(found)


def exercise(machine, bucket, effort, seed, level, operations, largest):
    """Work on one file; S3 and a mount with an empty cache must agree at the end."""
    name = f"{level}-{largest}-{seed}"
    with machine.mounted("--sync", level, "--part-size", "5M") as mount:
        work = Exerciser(mount.path / name, seed, effort.counts, largest)
        try:
            work.run(operations)
        except OSError:
            print(machine.log(), *work.calls, sep="\n")
            raise
    effort.counts["operations"] += operations
    assert bucket.get(name) == work.expected
    shutil.rmtree(machine.home / ".cache" / "cognitofs", ignore_errors=True)
    with machine.mounted():
        work.check()


def compare(machine, right, effort, rounds, calls):
    """Make the same calls on the mount and on the tmpfs; the tree is compared after a remount."""
    for seed in effort.rounds(rounds):
        (right / str(seed)).mkdir()
        with machine.mounted("--sync", "local") as mount:
            (mount.path / str(seed)).mkdir()
            twins = Twins(mount.path / str(seed), right / str(seed), seed, effort.counts)
            twins.run(calls)
        with machine.mounted():
            twins.check()


def test_a_file_holds_what_was_written_under_random_work(machine, weed, effort):
    for seed in effort.rounds(1):
        exercise(machine, weed, effort, seed, "fsync", 150, LARGE)
    effort.demand(1, "map_write", "append", "truncate", "reopen", "read", "write")


def test_random_calls_answer_as_on_a_tmpfs(machine, moto_server, right, effort):
    """On moto: SeaweedFS goes on having directories that are gone."""
    machine.configure(moto_server, new_bucket(moto_server).name)
    compare(machine, right, effort, 1, 150)
    effort.demand(1, "ENOENT", "calls")


@pytest.mark.reliability
@pytest.mark.parametrize("level", ["close", "fsync", "local"])
def test_a_file_holds_what_was_written_under_much_random_work(machine, weed, effort, level):
    """50,000 operations in each submission; a close that waits for S3 makes one of them dear."""
    small, large = MUCH[level]
    for seed in effort.rounds(1):
        exercise(machine, weed, effort, seed, level, small, SMALL)
        exercise(machine, weed, effort, seed, level, large, LARGE)
    effort.demand(100, "map_write", "append", "truncate", "reopen", "read", "write")
    effort.demand(small + large, "operations")
