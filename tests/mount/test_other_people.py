"""What other people of this machine can do with a mount: nothing, or what the modes say."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.mount.mounted import PATIENCE, Machine, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


@pytest.fixture
def machine(buckets):
    """Give the test a machine where others may look: pytest's own directories are closed."""
    with tempfile.TemporaryDirectory(prefix="cognitofs-test-") as directory:
        os.chmod(directory, 0o755)
        running = Machine(Path(directory))
        yield running
        running.close()


def by_nobody(*command: object) -> str:
    """Run a command as the user nobody; return what it says."""
    done = subprocess.run(
        [*NOBODY, *map(str, command)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def filled(top: Path) -> None:
    for mode in (0o600, 0o644, 0o666):
        path = top / f"{mode:o}"
        path.write_text(f"of mode {mode:o}")
        path.chmod(mode)
    (top / "closed").mkdir(mode=0o700)
    (top / "closed" / "f").write_text("below a closed directory")


def test_nobody_else_sees_anything_of_a_mount(machine, weed):
    with machine.mounted() as mount:
        filled(mount.path)
        for command in ("stat", "ls", "cat"):
            assert "Permission denied" in by_nobody(command, mount.path / "666")
        assert by_nobody("stat", "-c", "%F", mount.path.parent) == "directory\n"


def test_with_allow_other_the_kernel_goes_by_the_modes(machine, weed):
    with machine.mounted("--allow-other") as mount:
        filled(mount.path)
        assert by_nobody("cat", mount.path / "644") == "of mode 644"
        assert "Permission denied" in by_nobody("cat", mount.path / "600")
        assert "Permission denied" in by_nobody("cat", mount.path / "closed" / "f")
        assert "Permission denied" in by_nobody("touch", mount.path / "new")
        assert "Permission denied" in by_nobody("truncate", "-s", "0", mount.path / "644")
        assert by_nobody("truncate", "-s", "2", mount.path / "666") == ""
        assert (mount.path / "666").read_text() == "of"


def test_what_a_mount_keeps_on_the_disk_is_closed_to_others(machine, weed):
    with machine.mounted("--allow-other", "--sync", "local") as mount:
        filled(mount.path)
        assert by_nobody("stat", "-c", "%F", machine.home) == "directory\n"
        for closed in (machine.state, machine.home / ".cache" / "cognitofs"):
            assert "Permission denied" in by_nobody("ls", closed)
            modes = {path.stat().st_mode & 0o077 for path in closed.rglob("*")}
            assert modes == {0}
