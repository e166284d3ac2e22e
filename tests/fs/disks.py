"""Small file systems of their own on loop devices, that a test may fill, or cut the power of."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024
LEAST = {"ext4": 32 * MIB, "xfs": 320 * MIB}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def require(*tools):
    """Skip with a reason where loop devices cannot be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a loop device needs root")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not Path("/dev/loop-control").exists():
        pytest.skip("there are no loop devices here")


class Disk:
    """An image, and where it is mounted."""

    def __init__(self, directory, kind, size):
        self.image = directory / f"{kind}.img"
        self.place = directory / f"{kind}-disk"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(size)
        run(f"mkfs.{kind}", "-q", str(self.image))

    def mount(self):
        run("mount", "-o", "loop", str(self.image), str(self.place))
        return self.place

    def unmount(self):
        """Return when it is unmounted and its loop device is gone, with what that still knew."""
        run("umount", str(self.place))
        deadline = time.monotonic() + 30
        while self._loop_devices():
            assert time.monotonic() < deadline, "the loop device stays"
            time.sleep(0.005)

    def _loop_devices(self):
        found = subprocess.run(["losetup", "-j", self.image], capture_output=True, check=True)
        return found.stdout

    def cut_power(self):
        """Stop the disk without letting it write what it still has in memory."""
        run("xfs_io", "-x", "-c", "shutdown", str(self.place))


@contextmanager
def disk(directory, kind, size=None):
    made = Disk(directory, kind, size or LEAST[kind])
    made.mount()
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(made.place)], capture_output=True, check=False)
