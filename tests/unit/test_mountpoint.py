"""A mountpoint is fit, or the person reads in one sentence what to do instead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cognitofs import mounttable
from cognitofs.errors import MountError, MountpointBusy, MountpointUnusable, NotMounted
from cognitofs.mountpoint import plain_path, prepare, processes_using, require_fuse, unmount
from cognitofs.mounttable import Mount

needs_fuse = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="there is no /dev/fuse")
TABLE = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:5 / /proc rw - proc proc rw
40 21 0:40 / /home/ada/my\\040cloud rw,nosuid - fuse.cognitofs s3://b/p rw,user_id=1000
41 21 0:41 / /home/ada rw - ext4 /dev/vdb rw
42 41 0:42 / /home/ada rw - tmpfs tmpfs rw
"""


def test_the_table_is_read_with_its_escapes_and_optional_fields():
    found = mounttable.parse(TABLE)
    assert Mount(Path("/home/ada/my cloud"), "fuse.cognitofs", "s3://b/p") in found
    assert found[0] == Mount(Path("/"), "ext4", "/dev/vda")
    assert [each.is_fuse for each in found] == [False, False, True, False, False]


def test_the_kernels_own_table_has_the_root_and_proc():
    assert mounttable.mount_at(Path("/proc")).kind == "proc"
    assert mounttable.mount_holding(Path("/proc/self")).path == Path("/proc")
    assert mounttable.mount_at(Path("/proc/self")) is None


@needs_fuse
def test_an_empty_directory_is_fit(tmp_path):
    assert prepare(tmp_path, home=Path("/nowhere")) == tmp_path


@needs_fuse
def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MountpointUnusable, match="is a file; give an empty directory"):
        prepare(tmp_path / "file", home=tmp_path)


@needs_fuse
def test_a_directory_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MountpointBusy, match="is not empty"):
        prepare(tmp_path, home=Path("/nowhere"))


@needs_fuse
def test_a_missing_one_is_made_inside_the_home_directory_only(tmp_path):
    assert prepare(tmp_path / "home" / "a" / "b", home=tmp_path / "home").is_dir()
    with pytest.raises(MountpointUnusable, match="mkdir -p"):
        prepare(tmp_path / "elsewhere", home=tmp_path / "home")
    assert not (tmp_path / "elsewhere").exists()


@needs_fuse
def test_a_name_that_only_begins_like_home_is_not_in_it(tmp_path):
    with pytest.raises(MountpointUnusable):
        prepare(tmp_path / "home2" / "x", home=tmp_path / "home")


@needs_fuse
def test_a_file_on_the_way_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MountpointUnusable, match="choose another"):
        prepare(tmp_path / "file" / "below", home=tmp_path)


@needs_fuse
def test_another_file_system_is_named():
    with pytest.raises(MountpointBusy, match=r"/proc is already a mount of proc \(proc\)"):
        prepare(Path("/proc"), home=Path("/nowhere"))


def test_a_machine_without_fuse_is_told_how_to_get_it(tmp_path):
    with pytest.raises(MountError, match="modprobe fuse"):
        require_fuse(device=tmp_path / "fuse")


def test_what_is_not_mounted_cannot_be_unmounted(tmp_path):
    with pytest.raises(NotMounted, match="Nothing is mounted"):
        unmount(tmp_path)


def test_symlinks_lead_to_the_real_directory(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert plain_path(Path("link")) == tmp_path / "real"
    assert plain_path(Path("link/../real/x")) == tmp_path / "real" / "x"


def test_processes_that_keep_a_directory_busy_are_found(tmp_path):
    program = (
        "import sys, mmap; f = open('held', 'r+b'); m = mmap.mmap(f.fileno(), 1); f.close();"
        "print('ready', flush=True); sys.stdin.read()"
    )
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "held").write_bytes(b"x")
    with subprocess.Popen(
        [sys.executable, "-c", f"import os; os.chdir('maps'); {program}; "],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        found = processes_using(tmp_path / "maps")
        assert [each.pid for each in found] == [process.pid]
        assert processes_using(tmp_path / "map") == ()
        process.stdin.close()
    assert processes_using(tmp_path / "maps") == ()
