"""The whole way as an ordinary user: fusermount3 mounts, which root never needs.

In a mount namespace of the test's own, with a device node that everybody may open and the code at a
place that everybody may enter, wherever the checkout lies. The user is `nobody`; the namespace, and
every mount in it, ends with the last process that lives there.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import cognitofs
from tests.mount.conftest import Bucket, new_bucket
from tests.mount.mounted import MIB, PATIENCE, Machine, is_alive, noise, until
from tests.servers import S3Server

_TOOLS = ("unshare", "nsenter", "setpriv", "mknod", "mount", "fusermount3")
_LACKING = [name for name in _TOOLS if not shutil.which(name)]

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user"),
    pytest.mark.skipif(bool(_LACKING), reason=f"not installed: {', '.join(_LACKING)}"),
]

NOBODY = 65534
PYTHON = Path(sys.executable).relative_to(sys.prefix)
CODE = Path(cognitofs.__file__).parents[1]

# $1: where the environment and the code become visible; $2, $3: what they are. A tmpfs for the
# node: /tmp may be mounted `nodev`. It ends when the test closes its standard input.
_STAGE = """
set -e
mount --bind "$2" "$1/environment"
mount --bind "$3" "$1/code"
mount -t tmpfs -o mode=0755 tmpfs "$1/device"
mknod -m 0666 "$1/device/fuse" c 10 229
mount --bind "$1/device/fuse" /dev/fuse
echo ready
exec cat
"""


class Ordinary:
    """An ordinary user of *machine*, in the mount namespace of the process *stage*."""

    def __init__(self, machine: Machine, stage: int) -> None:
        self.machine = machine
        self.cloud = machine.cloud
        self._enter = ("nsenter", f"--mount=/proc/{stage}/ns/mnt")
        self._become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        self._python = machine.directory / "environment" / PYTHON

    def does(self, *command: object, as_root: bool = False) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        become = () if as_root else self._become
        return subprocess.run(
            [*self._enter, *become, *map(str, command)],
            env=self.machine.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def runs(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run `cognitofs ARGUMENTS` to its end."""
        return self.does(self._python, "-P", "-m", "cognitofs", *arguments)

    def may_read_the_code(self) -> bool:
        """Tell whether the files of the checkout and of the interpreter are open to others."""
        source = self.machine.directory / "code" / "cognitofs" / "errors.py"
        return not self.does(self._python, "-c", f"open({str(source)!r}).close()").returncode


@pytest.fixture
def someone() -> Iterator[Ordinary]:
    """Give the test an ordinary user; pytest's own directories are closed to one."""
    with tempfile.TemporaryDirectory(prefix="cognitofs-test-") as name:
        directory = Path(name)
        machine = Machine(directory)
        machine.environ["PYTHONPATH"] = str(directory / "code")
        for place in ("environment", "code", "device"):
            (directory / place).mkdir()
        with _stage(directory) as stage:
            yield Ordinary(machine, stage)


@contextmanager
def _stage(directory: Path) -> Iterator[int]:
    """Set the namespace up for a block; yield the process that holds it."""
    command = ("unshare", "-m", "--propagation", "private", "sh", "-c", _STAGE, "-")
    with subprocess.Popen(
        [*command, directory, sys.prefix, CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield holder.pid


def _give_to_nobody(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def bucket(seaweedfs: S3Server, someone: Ordinary) -> Bucket:
    """Return a bucket that the user's profile names."""
    found = new_bucket(seaweedfs)
    someone.machine.configure(seaweedfs, found.name)
    _give_to_nobody(someone.machine.directory)
    if not someone.may_read_the_code():
        pytest.skip("an ordinary user may not read the checkout or the interpreter here")
    return found


@pytest.fixture
def daemon(someone: Ordinary, bucket: Bucket) -> Iterator[int]:
    """Mount by the command line; yield the daemon's process, which is gone afterwards."""
    done = someone.runs("mount", someone.cloud, "--part-size", "5M")
    assert done.returncode == 0, f"{done.stderr}\n{someone.machine.log()}"
    (status,) = json.loads(someone.runs("status", "--json").stdout)["mounts"]
    yield status["pid"]
    if is_alive(status["pid"]):
        os.kill(status["pid"], signal.SIGKILL)


def test_an_ordinary_user_mounts_copies_and_unmounts_without_any_right_of_root(
    someone, bucket, daemon
):
    """cp, then fusermount3 at once; an independent client finds the same bytes."""
    data = noise(12 * MIB)
    source = someone.machine.home / "source"
    source.write_bytes(data)
    source.chmod(0o644)
    assert _owner_of(daemon) == NOBODY
    copied = someone.does("cp", source, someone.cloud / "copy")
    assert copied.returncode == 0, copied.stderr
    compared = someone.does("cmp", source, someone.cloud / "copy")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert someone.does("stat", "-c", "%u:%g", someone.cloud / "copy").stdout == "65534:65534\n"
    left = someone.does("fusermount3", "-u", someone.cloud)
    assert left.returncode == 0, left.stderr
    until(lambda: not is_alive(daemon), "the daemon's end")
    assert bucket.paths() == {"copy"}
    assert bucket.get("copy") == data
    assert list(someone.cloud.iterdir()) == []


def test_nobody_else_may_look_into_a_mount_not_even_root(someone, daemon):
    """The kernel's default; only `--allow-other` opens a mount to others."""
    assert someone.does("ls", someone.cloud).returncode == 0
    done = someone.does("ls", someone.cloud, as_root=True)
    assert "Permission denied" in done.stderr
    left = someone.does("fusermount3", "-u", someone.cloud)
    assert left.returncode == 0, left.stderr
    until(lambda: not is_alive(daemon), "the daemon's end")


def _owner_of(pid: int) -> int:
    """Return the effective user of a process; its files in /proc are root's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Uid:")).split()[2])
