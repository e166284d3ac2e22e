"""Two machines mount one prefix of a real store and edit the same names: no line is lost.

As tests/model/test_two_hosts.py, with real mounts: each edit reads a file and writes it again with
one line that nobody else writes, so that a lost update is a missing line.
"""

import errno
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.mounted import Machine, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

NAMES = ("a.txt", "b", "deep/c.log")
EDITS = 1000
"""Of each of the two."""


class Writer:
    """One program on one of the machines."""

    def __init__(self, name, path, seed):
        self.label, self.path = name, path
        self.chance = random.Random(f"{seed} {name}")
        self.lines, self.failures = [], Counter()

    def run(self):
        for number in range(EDITS):
            line = f"{self.label} {number}|".encode()
            if self.edit(self.chance.choice(NAMES), line):
                self.lines.append(line)

    def edit(self, name, line):
        """Add a line; return whether close acknowledged it."""
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT)
            try:
                before = os.read(descriptor, 1 << 20)
                os.pwrite(descriptor, before + line, 0)
            finally:
                os.close(descriptor)
        except OSError as exc:
            self.failures[errno.errorcode[exc.errno]] += 1
            return False
        return True


@pytest.fixture
def machines(tmp_path, seaweedfs):
    """Return two machines with homes of their own, and the bucket that both mount."""
    bucket, running = new_bucket(seaweedfs), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        running.append(Machine(tmp_path / name))
        running[-1].configure(seaweedfs, bucket.name)
    yield running, bucket
    for machine in running:
        machine.close()


def test_two_mounts_of_one_prefix_lose_no_line_to_each_other(machines, effort):
    running, bucket = machines
    for seed in effort.rounds(1):
        bucket.remove("")
        mounts = [machine.mount("--metadata-ttl", "0.2") for machine in running]
        (mounts[0].path / "deep").mkdir()
        writers = [
            Writer(name, mount.path, seed)
            for name, mount in zip(("one", "two"), mounts, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(writer.run) for writer in writers]:
                done.result()
        statuses = [mount.status() for mount in mounts]
        for mount in mounts:
            mount.leave()
            mount.wait_gone()
        found = {path: bucket.get(path) for path in bucket.paths()}
        count(effort.counts, writers, found)
        for writer in writers:
            lost = [line for line in writer.lines if not any(line in d for d in found.values())]
            assert not lost, (writer.label, lost)
        assert [status["conflict_files"] for status in statuses] == [0, 0]
    effort.demand(10, "conflict copies", "acknowledged lines")


def count(counts, writers, found):
    counts["edits"] += EDITS * len(writers)
    for writer in writers:
        counts.update({f"edits that failed ({why})": n for why, n in writer.failures.items()})
    counts["acknowledged lines"] += sum(len(writer.lines) for writer in writers)
    counts["conflict copies"] += sum("(conflicted copy" in path for path in found)
