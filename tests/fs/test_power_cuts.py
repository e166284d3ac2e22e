"""The power of a real disk fails while files are closed: what was acknowledged is there afterwards.

The state directory lies on a file system of its own, ext4 or xfs, that is stopped at a random
moment (`xfs_io -x -c shutdown`): what was not synced never was. Several cuts in a row hit the same
state directory, so that recoveries are cut, too; then S3 is back, and has to get everything.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from cognitofs.testing import MemoryStore
from tests.fs.busy_writer import LADDER
from tests.fs.disks import disk, require
from tests.fs.fsrig import mounted

CUTS = 3
"""Cuts of one state directory before S3 is back."""
UNSYNCED = b"never synced" * 1000


class Acknowledged:
    """What the files may hold, by what the writer said before it died: SHA-256 sums."""

    def __init__(self):
        self.may = {}
        self.promised = 0

    def hear(self, line):
        word, name, digest = line.split()
        if word == "begin":
            self.may.setdefault(name, {None}).add(digest)
        elif word == "done":
            self.may[name] = {digest}
            self.promised += 1
        else:
            assert digest in self.may[name], f"{name} is torn"

    def check(self, found):
        wrong = {
            name: found.get(name) for name in self.may if found.get(name) not in self.may[name]
        }
        assert not wrong, f"lost or torn: {wrong}, not {self.may}"
        assert set(found) <= set(self.may), "files that nobody wrote"


@contextmanager
def writer(state, level, seed):
    """Run the writer of files beside us; it ends by being killed."""
    command = [sys.executable, "-P", "-m", "tests.fs.busy_writer", state, level, str(seed)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def cut_while_busy(place, state, level, dice, told):
    """Let the writer work for a moment, cut the power, and hear what it had acknowledged."""
    with writer(state, level, dice.getrandbits(32)) as process:
        for line in process.stdout:
            told.hear(line)
            if line.startswith("begin"):
                break
        (place.place / "control").write_bytes(UNSYNCED)
        time.sleep(dice.uniform(0, 0.25))
        place.cut_power()
        process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                told.hear(line)


async def bring(state, level):
    """Mount with S3 back; return what S3 has when everything is sent, as sums."""
    store = MemoryStore(part_minimum=16)
    async with mounted(store, state, sync=level, ladder=LADDER) as m:
        with trio.fail_after(60):
            await m.drain()
        assert not m.recovered.missing
    return {name: hashlib.sha256(store.data(name)).hexdigest() for name in store.keys}


def live_through(place, level, dice, counts):
    state = place.place / "state"
    state.mkdir(mode=0o700)
    os.sync()
    told = Acknowledged()
    for _ in range(CUTS):
        cut_while_busy(place, state, level, dice, told)
        place.unmount()
        place.mount()
        counts["cuts"] += 1
        control = place.place / "control"
        if not control.exists() or control.read_bytes() != UNSYNCED:
            counts["cuts that lost what was not synced"] += 1
        control.unlink(missing_ok=True)
    told.check(trio.run(bring, state, level))
    counts["closes acknowledged"] += told.promised
    counts["files checked"] += len(told.may)


@pytest.mark.reliability
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_close_acknowledged_is_there_after_the_power_fails(kind, tmp_path, effort):
    require(f"mkfs.{kind}", "xfs_io", "mount", "losetup")
    for seed in effort.rounds(5):
        dice = random.Random(seed)
        (tmp_path / str(seed)).mkdir()
        with disk(tmp_path / str(seed), kind) as place:
            live_through(place, dice.choice(("fsync", "local")), dice, effort.counts)
        place.image.unlink()
    effort.demand(1, "closes acknowledged", "files checked")
    effort.demand_share(90, "cuts that lost what was not synced", "cuts")
