"""kill -9 of the real process at random moments, under real work: nothing that was closed is lost.

After some lives everything is compared: on S3 by an independent client, and through a new mount
with an empty cache.
"""

import random
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from tests.mount.ledger import Ledger, sums_below
from tests.mount.mounted import is_fuse_usable
from tests.mount.programs import Programs

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    pytest.mark.skipif(not shutil.which("rsync"), reason="there is no rsync"),
]

LIVES = 5
"""Kills between two comparisons, so that recoveries are killed too."""
SLOW = 0.25
"""Seconds that every change takes on its way to S3: what is closed waits here for a while."""
LARGE_MIB = (12, 12, 12, 256)


class Lives:
    """One machine whose mount dies again and again."""

    def __init__(self, machine, bucket, gate, counts):
        self.machine, self.bucket, self.gate, self.counts = machine, bucket, gate, counts
        self.ledger = Ledger()
        self.sources = machine.directory / "sources"
        self.sources.mkdir()

    def live(self, seed):
        """Mount, work and die."""
        chance = random.Random(seed)
        level = chance.choice(("fsync", "fsync", "local", "close"))
        self.gate.slow(SLOW)
        options = ("--part-size", "5M", "--max-transfers", 4, "--stall-timeout", 300)
        mount = self.machine.mount("--sync", level, *options)
        programs = Programs(mount.path, self.sources, self.ledger, seed)
        programs.start(chance.choice(LARGE_MIB))
        time.sleep(chance.uniform(0.2, 3.0))
        mount.kill()
        self.gate.shut()  # what is on its way dies with its sender
        programs.stop()
        self.gate.open()
        self._count(level)
        shutil.rmtree(self.sources)
        self.sources.mkdir()

    def _count(self, level):
        files, parts = self._journal()
        self.counts["kills"] += 1
        self.counts[f"kills in level {level}"] += 1
        self.counts["kills that hit a sealed, unsent file"] += files > 0
        self.counts["kills that hit a multipart upload"] += parts > 0
        self.counts["sealed, unsent files hit"] += files

    def _journal(self):
        """Return how many sealed files and sent parts the dead process left in its journal."""
        (journal,) = self.machine.state.glob("mounts/*/journal.db")
        copy = self.machine.directory / "copy.db"
        for suffix in ("", "-wal"):
            path = Path(f"{journal}{suffix}")
            if path.exists():
                shutil.copy(path, f"{copy}{suffix}")
        with sqlite3.connect(copy) as database:
            files = database.execute("SELECT count(*) FROM file WHERE state = 'sealed'")
            parts = database.execute("SELECT count(*) FROM part")
            found = files.fetchone()[0], parts.fetchone()[0]
        database.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
        return found

    def compare(self):
        """Let everything arrive, and look at it from both sides."""
        self.gate.slow(0)
        mount = self.machine.mount()
        assert self.machine.run("sync", mount.path, seconds=300).returncode == 0
        assert not mount.status()["files"]
        on_s3 = self.bucket.sums()
        self.counts["files compared on S3"] += len(on_s3)
        self.leave(mount)
        shutil.rmtree(self.machine.home / ".cache")
        mount = self.machine.mount()
        through_the_mount = sums_below(mount.path)
        assert through_the_mount == on_s3
        self.ledger.check(on_s3)
        self.leave(mount)
        self.bucket.remove("life-")
        self.ledger.forget("life-")

    def leave(self, mount):
        mount.leave()
        mount.wait_gone(120)


@pytest.mark.reliability
def test_kill_9_at_random_moments_loses_nothing_that_was_closed(machine, gated, weed_gate, effort):
    lives = Lives(machine, gated, weed_gate, effort.counts)
    try:
        work(lives, effort)
    except BaseException as exc:
        exc.add_note(machine.log()[-5000:])
        raise
    effort.counts["files promised"] = lives.ledger.promised
    effort.demand_share(50, "kills that hit a sealed, unsent file", of="kills")
    effort.demand(1, "files promised", "kills that hit a multipart upload")


def work(lives, effort):
    for number, seed in enumerate(effort.rounds(40), start=1):
        lives.live(seed)
        if number % LIVES == 0:
            lives.compare()
    lives.compare()
