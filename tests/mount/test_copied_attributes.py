"""Copies keep their times and modes, for this machine's programs and another machine's mount."""

import os
import subprocess

import pytest

from tests.mount.mounted import Machine, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

OLD = 1_400_000_000_123_456_789
FILES = {"a": 10, "sub/b c": 300_000, "sub/big": 11 << 20, "empty": 0}


@pytest.fixture
def source(machine):
    """Files with times and modes of their own; one goes up in parts while it is written."""
    directory = machine.directory / "source"
    for number, (name, size) in enumerate(FILES.items()):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(size))
        path.chmod(0o600 + number * 0o11)
        os.utime(path, ns=(OLD, OLD + number))
    return directory


@pytest.fixture
def elsewhere(tmp_path, weed):
    """Another machine with a profile for the same bucket."""
    (tmp_path / "elsewhere").mkdir()
    other = Machine(tmp_path / "elsewhere")
    other.configure(weed.server, weed.name)
    yield other
    other.close()


def run(*command, cwd=None):
    done = subprocess.run(
        [str(each) for each in command], check=True, capture_output=True, text=True, cwd=cwd
    )
    return done.stdout


def rsync(source, target):
    """Return what `rsync -a` changed."""
    told = run("rsync", "-a", "--itemize-changes", f"{source}/", target)
    return [line.split(" ", 1)[1] for line in told.splitlines() if line[1] == "f"]


def looks(directory):
    """Return size, mode and mtime of each file below."""
    found = {}
    for name in FILES:
        stat = (directory / name).stat()
        found[name] = (stat.st_size, stat.st_mode, stat.st_mtime_ns)
    return found


def test_rsync_moves_nothing_the_second_time_also_on_another_machine(machine, source, elsewhere):
    with machine.mounted() as mount:
        assert sorted(rsync(source, mount.path / "copy")) == sorted(FILES)
        assert rsync(source, mount.path / "copy") == []
        assert machine.run("sync").returncode == 0
        with elsewhere.mounted() as other:
            assert rsync(source, other.path / "copy") == []
            assert looks(other.path / "copy") == looks(source)


@pytest.mark.parametrize("program", ["cp", "tar"])
def test_copies_look_like_the_source_on_every_machine(machine, source, elsewhere, program):
    with machine.mounted() as mount:
        target = mount.path / "copy"
        if program == "cp":
            run("cp", "-a", source, target)
        else:
            target.mkdir()
            run("tar", "--format=pax", "-C", source, "-cf", machine.directory / "t.tar", ".")
            run("tar", "-C", target, "-xf", machine.directory / "t.tar")
        assert looks(target) == looks(source)
    with elsewhere.mounted() as other:
        assert looks(other.path / "copy") == looks(source)


def test_touch_and_chmod_of_closed_files_are_kept(machine, weed, elsewhere):
    with machine.mounted() as mount:
        path = mount.path / "f"
        path.write_bytes(b"bytes")
        run("touch", "-d", "@1400000000.25", path)
        path.chmod(0o640)
        seen = path.stat()
        assert (seen.st_mtime_ns, seen.st_mode & 0o777) == (1_400_000_000_250_000_000, 0o640)
    assert weed.head("f")["Metadata"]["file-permissions"] == "0100640"
    with elsewhere.mounted() as other:
        found = (other.path / "f").stat()
        assert (found.st_mtime_ns, found.st_mode & 0o777) == (seen.st_mtime_ns, 0o640)
