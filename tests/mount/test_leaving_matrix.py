"""`cp files; leave` in every combination: what close() acknowledged is on S3 in the end.

Files of a load are copied by as many `cp`, the mount is left in one way, in one state of the cloud.
Then the machine mounts again until everything is sent, and another machine, which has never seen
the files, reads them; an independent client reads them from the server. What level `close` has
acknowledged must be there before, while nothing of ours can reach S3 any more.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cognitofs.mounttable import mount_at
from tests.mount.conftest import Bucket, new_bucket
from tests.mount.leavings import (
    COMMANDS,
    KILLED,
    LARGE_LOADS,
    LAZY,
    LEVELS,
    LOADS,
    UMOUNT,
    WAYS,
    Cloud,
    all_cells,
    in_order,
)
from tests.mount.ledger import sum_of, sums_below
from tests.mount.mounted import MIB, PATIENCE, Machine, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

CELLS = 20
"""Of each level in a submission: enough for most pairs of properties."""
SLOW = 0.25
"""Seconds that every change takes on its way to S3, so that files wait when the mount is left."""
MOST_SECONDS = 3.0
"""After which the process is killed, at the latest."""
LATE = "written after the lazy unmount"
IMPATIENT = ("--stall-timeout", 2, "--net-wait", 2, "--auth-wait", 1)
PATIENT = ("--stall-timeout", 300)


class Leaving:
    """One cell: a fresh prefix, one machine that leaves it and another that looks."""

    def __init__(self, cell, machine, other, cloud, bucket, source, chance, counts):
        self.cell, self.counts, self.chance = cell, counts, chance
        self.machine, self.other, self.cloud, self.bucket = machine, other, cloud, bucket
        self.source = source
        self.wanted = {}
        """Sums of all that was written, by name."""
        self.acknowledged, self.refused = set(), set()

    def run(self):
        mount = self.mount()
        self.cloud.become(self.cell.cloud)
        self.copy(mount)
        self.leave(mount)
        self.check_before_the_next_mount(mount)
        self.recover()
        self.compare()

    def mount(self):
        is_online = self.cell.cloud == "online"
        options = ["--sync", self.cell.level, "--part-size", "5M", "--metadata-ttl", 600]
        options += PATIENT if is_online else IMPATIENT
        if self.cell.way.startswith("SIG") and not is_online:
            options += ["--drain-timeout", 1]
        mount = self.machine.mount(*options)
        os.listdir(mount.path)  # new names need no question to S3 now
        self.cloud.slow(SLOW)
        return mount

    # -- writing ----------------------------------------------------------------------------------

    def copy(self, mount):
        """Copy the files, each by a process of its own, and note whose close succeeded."""
        late = self.open_late(mount)
        size, files = self.cell.load.size, self.cell.load.files
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda number: self.cp(mount, number, size), range(files)))
        self.late = late

    def cp(self, mount, number, size):
        name = f"f{number}"
        path = self.source / name
        data = noise(min(size, MIB), number) * -(-size // MIB)
        path.write_bytes(data[:size])
        self.wanted[name] = sum_of(data[:size])
        done = subprocess.run(
            ["cp", path, mount.path / name],
            env=self.machine.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        path.unlink()
        self.note(name, done.stderr if done.returncode else "")

    def note(self, name, complaint):
        if not complaint:
            self.acknowledged.add(name)
        elif "failed to close" in complaint:
            self.refused.add(name)
        else:  # it may be there, whole or in part, or not at all
            self.counts["files whose writes failed"] += 1
            del self.wanted[name]

    def open_late(self, mount):
        """Open a file that is written when the mount has no name any more."""
        if self.cell.way not in LAZY:
            return None
        with suppress(OSError):
            return os.open(mount.path / LATE, os.O_RDWR | os.O_CREAT)
        return None

    def write_late(self):
        data = noise(70_000, 70)
        try:
            os.write(self.late, data)
        finally:
            self.wanted[LATE] = sum_of(data)
            try:
                os.close(self.late)
            except OSError:
                self.refused.add(LATE)
            else:
                self.acknowledged.add(LATE)
        self.counts["files written after a lazy unmount"] += 1

    # -- leaving ----------------------------------------------------------------------------------

    def leave(self, mount):
        way = self.cell.way
        if way in COMMANDS:
            subprocess.run([*COMMANDS[way], mount.path], check=True, timeout=PATIENCE)
        elif way == KILLED:
            mount.leave()
            most = self.chance.choice((0, SLOW, MOST_SECONDS))
            time.sleep(self.chance.uniform(0, most))
            with suppress(ProcessLookupError):  # it was through with everything
                mount.kill()
                self.counts["kills that met a process at work"] += 1
            self.cloud.shut()  # what is on its way dies with its sender
        elif way == UMOUNT:
            self.umount(mount)
        else:
            mount.signal(getattr(signal, way))
        if self.cell.level == "close":
            self.check_closed()
        until(lambda: mount_at(mount.path) is None, "the unmount")
        if self.late is not None:
            self.write_late()

    def umount(self, mount):
        is_online = self.cell.cloud == "online"
        limit = () if is_online else ("--timeout", 1)
        done = self.machine.run("umount", *limit, mount.path, seconds=120)
        left = {name for name in self.wanted if name not in self.on_s3()}
        assert done.returncode == (4 if left else 0), (done, left)
        assert "Traceback" not in done.stderr

    # -- judging ----------------------------------------------------------------------------------

    def on_s3(self):
        return self.bucket.sums()

    def check_before_the_next_mount(self, mount):
        """Nothing of the machine reaches S3 while this looks, unless it may end its sending."""
        if self.cell.cloud == "online" and not self.cell.is_killed:
            mount.wait_gone(120)
            assert self.missing(self.acknowledged) == set()
            assert self.machine.status() == []
            return
        self.cloud.shut()
        if self.cell.level == "close":
            self.check_closed()
        self.check_kept(mount)

    def check_closed(self):
        """Demand of level `close` that S3 has what a close has acknowledged.

        Not an empty file that was never written: its close only takes it into the journal.
        """
        closed = {name for name in self.acknowledged if self.wanted[name] != sum_of(b"")}
        assert self.missing(closed) == set()
        self.counts["closes found on S3 at once"] += len(closed)

    def check_kept(self, mount):
        """Demand that what is not on S3 is listed: nothing may be missing in silence."""
        missing = self.missing({*self.acknowledged, *self.refused})
        self.counts["files that waited for the next mount"] += len(missing)
        if self.cell.way.startswith("SIG"):
            mount.wait_gone(60)
        listed = self.machine.run("recover", "list", "--json", seconds=60)
        names = {each["path"].rpartition("/")[2] for each in json.loads(listed.stdout)["files"]}
        assert missing <= names, missing - names
        pending = sum(each["pending_files"] for each in self.machine.status())
        assert pending >= len(missing)

    def missing(self, names):
        found = self.on_s3()
        return {name for name in names if found.get(name) != self.wanted[name]}

    def recover(self):
        """Mount until everything is sent; a process that still sends is taken over from."""
        self.cloud.become("online")
        self.cloud.slow(0)
        mount = self.machine.mount("--part-size", "5M")
        done = self.machine.run("sync", mount.path, seconds=300)
        assert done.returncode == 0, done.stderr
        mount.leave()
        mount.wait_gone(120)
        assert self.machine.status() == []

    def compare(self):
        """Read everything from elsewhere, and from the server itself."""
        found = self.on_s3()
        wrong = {name for name, total in self.wanted.items() if found.get(name) != total}
        assert wrong == set(), (wrong & self.acknowledged, wrong & self.refused)
        with self.other.mounted() as mount:
            assert sums_below(mount.path) == found
        uploads = self.bucket.client.list_multipart_uploads(
            Bucket=self.bucket.name, Prefix=self.bucket.root
        )
        assert uploads.get("Uploads", []) == []
        self.counts["files acknowledged and compared"] += len(self.acknowledged)
        self.counts["files whose close failed, sent later"] += len(self.refused)


@pytest.fixture
def machines(tmp_path):
    """Return a machine that leaves and one elsewhere."""
    found = []
    for name in ("one", "elsewhere"):
        (tmp_path / name).mkdir()
        found.append(Machine(tmp_path / name))
    yield found
    for machine in found:
        machine.close()


@pytest.mark.parametrize("level", LEVELS)
def test_whatever_way_a_mount_is_left_nothing_that_was_closed_is_lost(
    level, machines, seaweedfs, tmp_path, effort
):
    machine, other = machines
    cloud = Cloud(seaweedfs.endpoint, machine.directory / "keys.json")
    bucket = new_bucket(seaweedfs)
    loads = (*LOADS, *LARGE_LOADS) if effort.is_long else LOADS
    ways = [way for way in WAYS if way != "umount -l" or os.geteuid() == 0]
    cells = [e for e in in_order(all_cells(loads, ways), effort.seed) if e.level == level]
    try:
        for number, seed in enumerate(effort.rounds(CELLS)):
            cell = cells[number % len(cells)]
            root = f"cell-{number}/"
            machine.configure(seaweedfs, bucket.name, endpoint=cloud.endpoint, root=root)
            other.configure(seaweedfs, bucket.name, root=root)
            source = tmp_path / root
            source.mkdir()
            place = Bucket(seaweedfs, bucket.name, bucket.client, root)
            chance = random.Random(seed)
            parts = (cell, machine, other, cloud, place, source, chance, effort.counts)
            try:
                Leaving(*parts).run()
            except BaseException as exc:
                exc.add_note(f"{cell}, seed {seed}\n{machine.log()[-6000:]}")
                raise
            effort.counts["cells"] += 1
            effort.counts[f"cells {cell.cloud}"] += 1
            tidy(place, (machine, other), source)
    finally:
        cloud.close()
    effort.demand(1, "files acknowledged and compared", "kills that met a process at work")
    effort.demand(1, "files that waited for the next mount", "files written after a lazy unmount")


def tidy(bucket, machines, source):
    """Make room: a cell leaves nothing that the next one needs."""
    bucket.remove("")
    shutil.rmtree(source)
    for machine in machines:
        for name in (".cache", ".local"):
            shutil.rmtree(machine.home / name, ignore_errors=True)
