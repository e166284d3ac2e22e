"""Editors save in a mount: real ones at a terminal, and the steps of those that need a screen."""

import os
import shutil

import pytest

from tests.mount.mounted import is_fuse_usable, noise
from tests.unit.terminal import dialogue

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

VIM = shutil.which("vim.tiny") or shutil.which("vim")
NANO = shutil.which("nano")
ESCAPE, WRITE, LEAVE = "\x1b", "\x0f", "\x18"
OLD = b"a line that is there\n"


def at_a_terminal(machine, command, keys):
    """Run an editor and type *keys* when it shows the file."""
    environ = {**machine.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    done = dialogue((), keys, environ, program=tuple(map(str, command)), enter="\r")
    assert done.code == 0, done.screen


@pytest.mark.skipif(VIM is None, reason="vim is not installed")
@pytest.mark.parametrize(
    "settings",
    ["backupcopy=auto", "backupcopy=yes", "backupcopy=no", "nowritebackup", "backup"],
)
def test_vim_saves_a_file_and_leaves_nothing_beside_it(machine, weed, settings):
    weed.put("notes.txt", OLD)
    with machine.mounted() as mount:
        (mount.path / "notes.txt").chmod(0o640)
        # Below /tmp vim makes no backups unless backupskip is empty.
        options = ("-u", "NONE", "-N", f"+set backupskip= {settings}")
        keys = [("a line", f"Goby vim{ESCAPE}:w"), ("written", f"Gotwice{ESCAPE}:wq")]
        at_a_terminal(machine, (VIM, *options, mount.path / "notes.txt"), keys)
        saved = OLD + b"by vim\ntwice\n"
        assert (mount.path / "notes.txt").read_bytes() == saved
        assert (mount.path / "notes.txt").stat().st_mode & 0o777 == 0o640
    assert weed.get("notes.txt") == saved
    backup = {"notes.txt~"} if settings == "backup" else set()
    assert weed.paths() == {"notes.txt", *backup}


@pytest.mark.skipif(NANO is None, reason="nano is not installed")
@pytest.mark.parametrize("options", [(), ("--backup",), ("--locking",)])
def test_nano_saves_a_file_and_leaves_nothing_beside_it(machine, weed, options):
    weed.put("notes.txt", OLD)
    with machine.mounted() as mount:
        command = (NANO, "--ignorercfiles", *options, mount.path / "notes.txt")
        keys = [("a line", f"by nano, {WRITE}"), ("Wrote", LEAVE)]
        at_a_terminal(machine, command, keys)
    assert weed.get("notes.txt") == b"by nano, " + OLD
    backup = {"notes.txt~"} if "--backup" in options else set()
    assert weed.paths() == {"notes.txt", *backup}


def test_a_new_file_that_is_renamed_over_the_old_one_takes_its_place(machine, weed):
    weed.put("notes.txt", OLD)
    with machine.mounted() as mount:
        for number in range(3):
            new = mount.path / ".notes.txt.new"
            with new.open("wb") as file:
                file.write(b"version %d" % number)
                os.fsync(file.fileno())
            new.rename(mount.path / "notes.txt")
            assert (mount.path / "notes.txt").read_bytes() == b"version %d" % number
        assert [path.name for path in mount.path.iterdir()] == ["notes.txt"]
    assert weed.get("notes.txt") == b"version 2"
    assert weed.paths() == {"notes.txt"}


def test_an_office_saves_with_a_lock_file_a_temporary_one_and_a_backup(machine, weed):
    """As LibreOffice does: the lock stays while the document is open, which is saved twice."""
    weed.put("report.odt", noise(50_000))
    with machine.mounted() as mount:
        document, lock = mount.path / "report.odt", mount.path / ".~lock.report.odt#"
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        os.write(descriptor, b",ada,machine,22.11.2026 20:04,file:///home/ada;")
        os.close(descriptor)
        with document.open("rb") as opened:
            assert opened.read() == noise(50_000)
            for number in (2, 3):
                temporary = mount.path / f"lu{number}.tmp"
                with temporary.open("xb") as file:
                    for piece in range(5):
                        file.write(noise(20_000, number * 10 + piece))
                    os.fsync(file.fileno())
                shutil.copy2(document, mount.path / "report.odt.bak")
                temporary.chmod(document.stat().st_mode & 0o777)
                temporary.rename(document)
            opened.seek(0)
            assert opened.read() == noise(50_000)
        assert lock.read_bytes().startswith(b",ada,")
        lock.unlink()
    assert weed.get("report.odt") == b"".join(noise(20_000, 30 + piece) for piece in range(5))
    assert weed.get("report.odt.bak") == b"".join(noise(20_000, 20 + piece) for piece in range(5))
    assert weed.paths() == {"report.odt", "report.odt.bak"}
