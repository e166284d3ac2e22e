"""Files larger than --spool-size, on a real mount and a real store: what `cp` copied is there."""

import hashlib
import os
import subprocess
import threading
from contextlib import suppress

import pytest

from tests.fs.disks import disk, require
from tests.mount.gate import is_commit
from tests.mount.mounted import MIB, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

SPOOL = 20
SIZE = 60
OPTIONS = ("--part-size", "5M", "--spool-size", f"{SPOOL}M")


def make_source(machine, size):
    """Make a file of *size* MiB, no two MiB of which are the same; return it and its SHA-256."""
    path = machine.directory / "source"
    block = noise(MIB)
    with path.open("w+b") as file:
        for number in range(size):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.seek(0)
        return path, hashlib.file_digest(file, "sha256").hexdigest()


class Watch:
    """Looks all the time how many bytes of the disk the spool takes."""

    def __init__(self, machine):
        self.machine = machine
        self.most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _look(self):
        while not self._end.wait(0.005):
            self.most = max(self.most, taken(self.machine))


def taken(machine):
    """Return the bytes that the spool files have on the disk now."""
    total = 0
    for path in machine.state.glob("mounts/*/spool/*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def copy(source, target):
    subprocess.run(["cp", source, target], check=True, timeout=300)


def test_cp_of_a_file_three_times_the_spool_arrives_and_takes_no_more_than_that(machine, weed):
    source, digest = make_source(machine, SIZE)
    with machine.mounted(*OPTIONS) as mount:
        with Watch(machine) as watch:
            copy(source, mount.path / "big")
        assert weed.sum("big") == digest
        assert 0 < watch.most <= (SPOOL + 1) * MIB
        with (mount.path / "big").open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert machine.lost_found() == []


@pytest.mark.reliability
def test_killed_while_it_is_written_nothing_is_published_and_the_rest_is_kept(machine, weed):
    mount = machine.mount(*OPTIONS)
    fd = os.open(mount.path / "big", os.O_WRONLY | os.O_CREAT)
    for number in range(SIZE):
        os.write(fd, noise(MIB, number))
    mount.kill()
    with suppress(OSError):
        os.close(fd)
    with machine.mounted(*OPTIONS) as mount:
        assert not (mount.path / "big").exists()
        listed = machine.run("recover", "list").stdout
        assert "only in an upload: 0-" in " ".join(listed.split())
    assert weed.paths() == set()
    bytes_left = max(machine.lost_found(), key=lambda path: path.stat().st_size)
    assert bytes_left.read_bytes()[-MIB:] == noise(MIB, SIZE - 1)


@pytest.mark.reliability
def test_killed_before_s3_has_answered_the_close_the_next_mount_goes_on(machine, gated, weed_gate):
    source, digest = make_source(machine, SIZE)
    mount = machine.mount(*OPTIONS)
    weed_gate.hold(is_commit)
    with subprocess.Popen(["cp", source, mount.path / "big"], stderr=subprocess.DEVNULL) as cp:
        weed_gate.wait_held()
        mount.kill()
        assert cp.wait(60) != 0
    weed_gate.shut()
    weed_gate.release()
    weed_gate.forget()
    weed_gate.open()
    assert gated.paths() == set()
    with machine.mounted(*OPTIONS) as mount:
        done = machine.run("sync", mount.path)
        assert done.returncode == 0, done.stderr
        assert gated.sum("big") == digest
    assert weed_gate.requests("UploadPart") == []


@pytest.mark.reliability
def test_theirs_is_kept_as_a_conflict_copy_when_both_stored_the_same_name(machine, weed):
    source, digest = make_source(machine, SIZE)
    with machine.mounted(*OPTIONS) as mount:
        with source.open("rb") as mine, (mount.path / "big").open("wb") as file:
            file.write(mine.read(SIZE // 2 * MIB))
            weed.put("big", b"theirs")
            file.write(mine.read())
        assert weed.sum("big") == digest
        (copy_of_theirs,) = weed.paths() - {"big"}
        assert weed.get(copy_of_theirs) == b"theirs"
        until(lambda: copy_of_theirs in {p.name for p in mount.path.iterdir()}, "the copy's name")


@pytest.mark.reliability
def test_200_mib_pass_through_a_spool_of_32_mib(machine, weed):
    source, digest = make_source(machine, 200)
    with machine.mounted("--part-size", "5M", "--spool-size", "32M") as mount:
        with Watch(machine) as watch:
            copy(source, mount.path / "big")
        print(f"the spool took at most {watch.most / MIB:.1f} MiB")
        assert watch.most <= 33 * MIB
        assert weed.sum("big") == digest


@pytest.mark.reliability
def test_300_mib_pass_through_a_disk_of_64_mib(machine, weed, tmp_path):
    require("mkfs.ext4")
    source, digest = make_source(machine, 300)
    with (
        disk(tmp_path, "ext4", 64 * MIB) as small,
        machine.mounted("--state-dir", small.place) as mount,
    ):
        copy(source, mount.path / "big")
        assert weed.sum("big") == digest
