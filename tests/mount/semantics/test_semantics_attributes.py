"""Modes, times and sizes, on a mount and on a tmpfs; S3 is looked at with another client."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.mount.mounted import PATIENCE, until
from tests.mount.semantics.calls import UTIME_NOW, UTIME_OMIT, opened, utimensat
from tests.mount.semantics.scene import Place, marks

pytestmark = marks("attributes")

SECOND = 10**9
SET = 1_234_567_890 * SECOND + 123_456_789


@pytest.fixture
def file(place: Place) -> Path:
    path = place.top / "file"
    path.write_bytes(b"0123456789")
    return path


def metadata_of(place: Place, path: Path) -> dict[str, str]:
    assert place.mount is not None
    return place.bucket.head(str(path.relative_to(place.mount.path)))["Metadata"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o444, 0o755, 0o000, 0o777])
def test_a_mode_is_kept(file, mode):
    os.chmod(file, mode)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.stat().st_size == 10


def test_a_directory_s_mode_is_kept(place):
    (place.top / "d").mkdir(mode=0o750)
    assert stat.S_IMODE((place.top / "d").stat().st_mode) == 0o750
    os.chmod(place.top / "d", 0o700)
    assert stat.S_IMODE((place.top / "d").stat().st_mode) == 0o700


def test_the_umask_holds_for_what_is_made(place):
    program = "umask 027; : > file; mkdir d"
    subprocess.run(["sh", "-c", program], cwd=place.top, check=True, timeout=PATIENCE)
    assert stat.S_IMODE((place.top / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((place.top / "d").stat().st_mode) == 0o750


def test_fchmod_of_an_open_file_rides_on_its_upload(here):
    path = here.top / "script"
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, b"#!/bin/sh\n")
        os.fchmod(fd, 0o755)
    assert metadata_of(here, path)["file-permissions"] == "0100755"


def test_a_mode_that_is_set_after_the_close_reaches_s3(here):
    path = here.top / "file"
    path.write_bytes(b"x")
    os.chmod(path, 0o640)
    until(lambda: metadata_of(here, path)["file-permissions"] == "0100640", "the mode on S3")


def test_setuid_setgid_and_sticky_bits_are_taken_and_not_kept(here):
    (here.top / "file").write_bytes(b"x")
    (here.top / "d").mkdir()
    for path in (here.top / "file", here.top / "d"):
        os.chmod(path, 0o7755)
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_program_runs_when_it_may(place):
    path = place.top / "program"
    path.write_text("#!/bin/sh\necho ran\n")
    with pytest.raises(PermissionError):
        subprocess.run([path], check=True, timeout=PATIENCE)
    os.chmod(path, 0o755)
    done = subprocess.run([path], check=True, timeout=PATIENCE, capture_output=True)
    assert done.stdout == b"ran\n"


def test_access_tells_what_open_would(place, file):
    os.chmod(file, 0o600)
    assert os.access(file, os.R_OK | os.W_OK)
    assert not os.access(file, os.X_OK)
    assert not os.access(place.top / "missing", os.F_OK)
    assert os.access(place.top, os.X_OK)


def test_owner_and_group_are_those_of_the_mount_and_may_be_set_to_themselves(file):
    assert (file.stat().st_uid, file.stat().st_gid) == (os.getuid(), os.getgid())
    os.chown(file, os.getuid(), os.getgid())
    os.chown(file, -1, -1)
    assert file.read_bytes() == b"0123456789"


def test_times_are_kept_to_the_nanosecond(file):
    os.utime(file, ns=(SET, SET))
    assert file.stat().st_mtime_ns == SET
    assert file.stat().st_atime_ns == SET


@pytest.mark.parametrize("when", [0, 1, 2**31 * SECOND, 4_000_000_000 * SECOND + 1])
def test_any_time_since_1970_is_kept(file, when):
    os.utime(file, ns=(when, when))
    assert file.stat().st_mtime_ns == when


def test_utime_now_is_now_and_utime_omit_leaves_it(file):
    os.utime(file, ns=(SET, SET))
    utimensat(file, (0, UTIME_OMIT), (0, UTIME_OMIT))
    assert file.stat().st_mtime_ns == SET
    utimensat(file, (5, 0), (0, UTIME_OMIT))
    assert file.stat().st_mtime_ns == SET
    before = time.time_ns() - SECOND // 10  # the kernel's clock for files is coarser
    utimensat(file, (0, UTIME_OMIT), (0, UTIME_NOW))
    assert before <= file.stat().st_mtime_ns <= time.time_ns()


def test_access_time_is_the_time_of_change(here):
    path = here.top / "file"
    path.write_bytes(b"x")
    os.utime(path, ns=(5 * SECOND, SET))
    assert path.stat().st_atime_ns == path.stat().st_mtime_ns == SET


def test_a_time_that_is_set_is_not_lost_by_the_close(place):
    path = place.top / "file"
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, b"content")
        os.utime(fd, ns=(SET, SET))
    assert path.stat().st_mtime_ns == SET


def test_times_stand_with_the_object_as_other_tools_read_them(here):
    path = here.top / "file"
    path.write_bytes(b"x")
    os.utime(path, ns=(SET, SET))
    until(lambda: metadata_of(here, path)["file-mtime"] == f"{SET}ns", "the time on S3")
    assert metadata_of(here, path)["mtime"] == "1234567890.123456789"


def test_a_directory_s_time_may_be_set(place):
    (place.top / "d").mkdir()
    os.utime(place.top / "d", ns=(SET, SET))
    assert (place.top / "d").stat().st_mtime_ns == SET


def test_a_link_s_time_is_its_own(place, file):
    (place.top / "link").symlink_to("file")
    os.utime(place.top / "link", ns=(SET, SET), follow_symlinks=False)
    assert (place.top / "link").lstat().st_mtime_ns == SET
    assert file.stat().st_mtime_ns != SET


@pytest.mark.parametrize(
    "change",
    [
        lambda path: subprocess.run(["sh", "-c", f"echo more >> {path}"], check=True),
        lambda path: os.truncate(path, 3),
        lambda path: path.write_bytes(b"new"),
    ],
    ids=["append", "truncate", "rewrite"],
)
def test_a_change_of_content_moves_the_times(file, change):
    os.utime(file, ns=(SET, SET))
    before = time.time_ns() - 2 * SECOND  # S3 knows seconds, and the file system clock ticks
    change(file)
    assert file.stat().st_mtime_ns >= before
    assert file.stat().st_ctime_ns >= before


def test_ctime_does_not_follow_a_time_that_is_set(file):
    before = time.time_ns() - 2 * SECOND
    os.utime(file, ns=(SET, SET))
    assert file.stat().st_ctime_ns >= before


def test_reading_moves_no_time_of_change(file):
    before = file.stat()
    assert file.read_bytes() == b"0123456789"
    assert file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("make", ["mkdir", "symlink", "file"])
def test_what_is_new_is_of_now(place, make):
    before = time.time_ns() - SECOND // 10
    path = place.top / "new"
    if make == "file":
        path.write_bytes(b"x")
    else:
        path.mkdir() if make == "mkdir" else path.symlink_to("x")
    assert before <= path.lstat().st_mtime_ns <= time.time_ns()


def test_links_and_kinds_are_counted_sensibly(place, file):
    (place.top / "d").mkdir()
    (place.top / "link").symlink_to("file")
    assert file.stat().st_nlink == 1
    assert (place.top / "d").stat().st_nlink == 2
    assert (place.top / "link").lstat().st_nlink == 1
    assert stat.S_ISREG(file.stat().st_mode)
    assert stat.S_ISDIR((place.top / "d").stat().st_mode)
    assert stat.S_ISLNK((place.top / "link").lstat().st_mode)


def test_inode_numbers_are_of_one_file_each(place):
    for name in "abc":
        (place.top / name).write_bytes(b"x")
    numbers = {(place.top / name).stat().st_ino for name in "abc"} | {place.top.stat().st_ino}
    assert len(numbers) == 4
    assert {entry.inode() for entry in os.scandir(place.top)} < numbers


def test_statfs_shows_room_and_the_longest_name(here):
    seen = os.statvfs(here.top)
    assert seen.f_namemax == 255
    assert seen.f_bavail * seen.f_frsize == 4 << 50
    assert seen.f_bavail == seen.f_blocks
    done = subprocess.run(["df", here.top], capture_output=True, check=True, timeout=PATIENCE)
    assert b"cognitofs" in done.stdout


def test_content_type_follows_the_name_and_what_others_set_is_kept(here):
    path = here.top / "page.html"
    path.write_bytes(b"<p>")
    name = str(path.relative_to(here.mount.path))
    assert here.bucket.head(name)["ContentType"] == "text/html"
    here = here.unseen({})
    here.bucket.client.put_object(
        Bucket=here.bucket.name,
        Key=here.bucket.root + here.key("theirs"),
        Body=b"theirs",
        ContentType="application/x-theirs",
        CacheControl="max-age=7",
        Metadata={"colour": "blue"},
    )
    theirs = here.top / "theirs"
    with theirs.open("ab") as target:
        target.write(b" and ours")
    seen = here.bucket.head(str(theirs.relative_to(here.mount.path)))
    assert (seen["ContentType"], seen["CacheControl"]) == ("application/x-theirs", "max-age=7")
    assert seen["Metadata"]["colour"] == "blue"
    here.check_object(theirs, b"theirs and ours")
