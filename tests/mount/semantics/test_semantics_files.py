"""What calls on files do, on a mount and on a tmpfs; S3 is looked at with another client."""

import fcntl
import hashlib
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.mounted import MIB, PATIENCE, noise, until
from tests.mount.semantics.calls import open_close, opened
from tests.mount.semantics.scene import Place, marks

pytestmark = marks("files")

NEW = os.O_RDWR | os.O_CREAT


def python(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a program as another process."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


@pytest.fixture
def file(place: Place) -> Path:
    """Return a file that was written and closed."""
    path = place.top / "file"
    path.write_bytes(b"0123456789")
    return path


class TestOpening:
    def test_a_created_file_is_empty_and_there_at_once(self, place):
        path = place.top / "file"
        with opened(path, NEW | os.O_EXCL):
            assert path.stat().st_size == 0
            assert os.listdir(place.top) == ["file"]
        place.check_object(path, b"")

    def test_creat_empties_what_was_there(self, place, file):
        with opened(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC) as fd:
            assert os.fstat(fd).st_size == 0
            os.write(fd, b"new")
        place.check_object(file, b"new")

    def test_o_creat_on_a_link_makes_what_it_points_to(self, place):
        (place.top / "link").symlink_to("file")
        with opened(place.top / "link", NEW) as fd:
            os.write(fd, b"through")
        place.check_object(place.top / "file", b"through")
        assert (place.top / "link").is_symlink()

    def test_o_trunc_on_a_link_empties_what_it_points_to(self, place, file):
        (place.top / "link").symlink_to("file")
        open_close(place.top / "link", os.O_WRONLY | os.O_TRUNC)
        place.check_object(file, b"")

    def test_a_mode_without_write_permission_binds_the_next_open_only(self, place):
        with opened(place.top / "file", NEW | os.O_EXCL, 0o400) as fd:
            os.write(fd, b"kept")
            assert os.fstat(fd).st_mode & 0o777 == 0o400
        place.check_object(place.top / "file", b"kept")

    def test_o_path_and_o_directory_open_a_directory(self, place):
        with opened(place.top, os.O_DIRECTORY) as fd, opened(place.top, os.O_PATH) as other:
            assert os.fstat(fd).st_ino == os.fstat(other).st_ino

    def test_names_are_taken_relative_to_an_open_directory(self, place, file):
        with opened(place.top, os.O_DIRECTORY) as fd:
            os.rename("file", "renamed", src_dir_fd=fd, dst_dir_fd=fd)
            assert os.stat("renamed", dir_fd=fd).st_size == 10


class TestReadingAndWriting:
    def test_reading_ends_at_the_end_and_behind_it(self, file):
        with opened(file) as fd:
            assert os.pread(fd, 100, 7) == b"789"
            assert os.pread(fd, 100, 10) == b""
            assert os.pread(fd, 100, 1 << 40) == b""

    def test_a_write_behind_the_end_leaves_zeros_between(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            assert os.pwrite(fd, b"end", 5000) == 3
            assert os.pread(fd, 5000, 8) == b"89" + bytes(4990) + b"end"
            assert os.pread(fd, 4, 9) == b"9" + bytes(3)
        place.check_object(file, b"0123456789" + bytes(4990) + b"end")

    def test_a_write_in_the_middle_leaves_the_rest(self, place, file):
        with opened(file, os.O_WRONLY) as fd:
            os.pwrite(fd, b"xx", 3)
        place.check_object(file, b"012xx56789")

    def test_every_descriptor_sees_what_any_has_written(self, file):
        with opened(file, os.O_WRONLY) as writer, opened(file) as reader:
            assert os.read(reader, 5) == b"01234"
            os.pwrite(writer, b"NEW", 5)
            assert os.read(reader, 5) == b"NEW89"
            os.pwrite(writer, b"more", 10)
            assert os.read(reader, 5) == b"more"
            assert os.fstat(reader).st_size == file.stat().st_size == 14

    def test_another_process_sees_what_was_not_closed_yet(self, file):
        with opened(file, os.O_WRONLY) as writer:
            os.pwrite(writer, b"unclosed", 0)
            told = python("import sys; print(open(sys.argv[1]).read(), end='')", file)
            assert told.stdout == "unclosed89"

    def test_a_vector_of_buffers_is_read_and_written(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            assert os.pwritev(fd, [b"ab", b"", b"cde"], 1) == 5
            parts = [bytearray(2), bytearray(20)]
            assert os.preadv(fd, parts, 0) == 10
            assert bytes(parts[0]) == b"0a"
        place.check_object(file, b"0abcde6789")

    def test_o_append_writes_at_the_end_wherever_one_stands(self, place, file):
        with opened(file, os.O_RDWR | os.O_APPEND) as fd, opened(file, os.O_WRONLY) as other:
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, b"A")
            os.pwrite(other, b"between", 11)
            os.write(fd, b"B")
            assert os.lseek(fd, 0, os.SEEK_CUR) == 19
        place.check_object(file, b"0123456789AbetweenB")

    def test_two_processes_append_without_overwriting_each_other(self, place):
        path = place.top / "log"
        program = (
            "import os, sys\n"
            "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)\n"
            "for n in range(200): os.write(fd, f'{sys.argv[2]} {n}\\n'.encode())\n"
            "os.close(fd)\n"
        )
        command = [sys.executable, "-c", program, str(path)]
        writers = [subprocess.Popen([*command, name]) for name in "ab"]
        assert [writer.wait(PATIENCE) for writer in writers] == [0, 0]
        lines = path.read_text().splitlines()
        for name in "ab":
            assert [x for x in lines if x[0] == name] == [f"{name} {n}" for n in range(200)]
        assert len(lines) == 400
        place.check_object(path, path.read_bytes())

    def test_a_duplicate_shares_its_place_and_closes_for_itself(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            copy = os.dup(fd)
            os.write(copy, b"ab")
            assert os.lseek(fd, 0, os.SEEK_CUR) == 2
            os.close(copy)
            os.write(fd, b"cd")
        place.check_object(file, b"abcd456789")

    def test_a_child_that_closes_what_it_inherited_takes_nothing_away(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            os.write(fd, b"one")
            subprocess.run(["true"], pass_fds=[fd], check=True, timeout=PATIENCE)
            os.write(fd, b"two")
        place.check_object(file, b"onetwo6789")

    def test_direct_and_synchronous_descriptors_read_and_write(self, place, file):
        page = mmap.mmap(-1, 4096)
        page.write(b"D" * 4096)
        with opened(file, os.O_RDWR | os.O_DIRECT | os.O_SYNC) as fd:
            assert os.pwritev(fd, [page], 0) == 4096
            assert os.preadv(fd, [page], 0) == 4096
        place.check_object(file, b"D" * 4096)


class TestSizes:
    @pytest.mark.parametrize("size", [0, 4, 10, 11, 8192])
    def test_truncate_cuts_or_adds_zeros(self, place, file, size):
        os.truncate(file, size)
        place.check_object(file, (b"0123456789" + bytes(size))[:size])

    @pytest.mark.parametrize("size", [0, 4, 10, 11, 8192])
    def test_ftruncate_is_seen_by_every_descriptor_at_once(self, place, file, size):
        expected = (b"0123456789" + bytes(size))[:size]
        with opened(file, os.O_RDWR) as fd, opened(file) as reader:
            os.ftruncate(fd, size)
            assert os.pread(reader, 10_000, 0) == expected
        place.check_object(file, expected)

    def test_what_was_cut_off_does_not_come_back(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            os.ftruncate(fd, 3)
            os.ftruncate(fd, 10)
            assert os.pread(fd, 20, 0) == b"012" + bytes(7)
            os.ftruncate(fd, 1)
            os.pwrite(fd, b"x", 5)
        place.check_object(file, b"0" + bytes(4) + b"x")

    def test_posix_fallocate_makes_a_file_longer(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            os.posix_fallocate(fd, 0, 5000)
        place.check_object(file, b"0123456789" + bytes(4990))

    def test_data_and_holes_are_told_so_that_copies_are_right(self, file):
        with opened(file) as fd:
            assert os.lseek(fd, 3, os.SEEK_DATA) == 3
            assert os.lseek(fd, 3, os.SEEK_HOLE) == 10
            assert os.lseek(fd, 0, os.SEEK_END) == 10

    def test_blocks_and_links_follow_the_size(self, place):
        path = place.top / "file"
        path.write_bytes(noise(100_000))
        seen = path.stat()
        assert seen.st_nlink == 1
        assert 100_000 <= seen.st_blocks * 512 < 100_000 + 4096
        assert seen.st_blksize >= 4096


class TestCopying:
    def test_copy_file_range_and_sendfile_copy(self, place, file):
        with opened(file) as source, opened(place.top / "copy", NEW) as target:
            assert os.copy_file_range(source, target, 4, 2, 0) == 4
            os.lseek(target, 0, os.SEEK_END)
            assert os.sendfile(target, source, 6, 4) == 4
        place.check_object(place.top / "copy", b"23456789")

    def test_cp_with_holes_and_clones_falls_back_to_copying(self, place, file):
        os.truncate(file, 100_000)
        for option in ("--sparse=always", "--reflink=auto", "--preserve=all"):
            target = place.top / option
            subprocess.run(
                ["cp", option, file, f"./{option}"], cwd=place.top, check=True, timeout=60
            )
            place.check_object(target, b"0123456789" + bytes(99_990))


class TestMaps:
    def test_a_shared_map_writes_the_file(self, place, file):
        with opened(file, os.O_RDWR) as fd, mmap.mmap(fd, 10) as shared:
            shared[2:5] = b"MAP"
            shared.flush()
            assert os.pread(fd, 10, 0) == b"01MAP56789"
        place.check_object(file, b"01MAP56789")

    def test_a_map_and_descriptors_see_each_other(self, file):
        with opened(file, os.O_RDWR) as fd, mmap.mmap(fd, 10) as shared:
            os.pwrite(fd, b"fd", 0)
            assert shared[:4] == b"fd23"
            shared[4:6] = b"mm"
            assert os.pread(fd, 10, 0) == b"fd23mm6789"

    def test_a_private_map_keeps_its_changes_to_itself(self, place, file):
        with opened(file, os.O_RDWR) as fd, mmap.mmap(fd, 10, flags=mmap.MAP_PRIVATE) as private:
            private[:2] = b"XX"
            assert private[:4] == b"XX23"
            assert os.pread(fd, 4, 0) == b"0123"
        place.check_object(file, b"0123456789")

    def test_a_map_that_outlives_its_descriptor_is_published_when_it_goes(self, place, file):
        fd = os.open(file, os.O_RDWR)
        shared = mmap.mmap(fd, 10)
        os.close(fd)
        shared[:4] = b"late"
        shared.close()
        until(lambda: file.read_bytes() == b"late456789", "the file with what was mapped")
        if place.bucket is not None and place.mount is not None:
            name = str(file.relative_to(place.mount.path))
            until(lambda: place.bucket.get(name) == b"late456789", "the object")

    def test_a_large_file_is_mapped_in_its_last_page(self, place):
        path = place.top / "file"
        path.write_bytes(noise(MIB))
        with opened(path, os.O_RDWR) as fd, mmap.mmap(fd, 0) as shared:
            assert shared[-100:] == noise(MIB)[-100:]
            shared[-3:] = b"end"
        place.check_object(path, noise(MIB)[:-3] + b"end")


class TestNamesThatGo:
    def test_an_unlinked_file_lives_until_it_is_closed(self, place, file):
        with opened(file, os.O_RDWR) as fd:
            os.unlink(file)
            assert not place.has_object(file)
            assert os.fstat(fd).st_nlink == 0
            os.pwrite(fd, b"still", 8)
            assert os.pread(fd, 20, 0) == b"01234567still"
            os.ftruncate(fd, 3)
            assert os.fstat(fd).st_size == 3
        assert not place.has_object(file)
        assert os.listdir(place.top) == []

    def test_a_file_unlinked_before_it_was_ever_closed_leaves_nothing(self, place):
        with opened(place.top / "file", NEW) as fd:
            os.write(fd, b"gone")
            os.unlink(place.top / "file")
            assert os.pread(fd, 9, 0) == b"gone"
        assert not place.has_object(place.top / "file")

    def test_the_name_of_an_unlinked_open_file_may_be_taken_again(self, place, file):
        with opened(file, os.O_RDWR) as old:
            os.unlink(file)
            with opened(file, NEW | os.O_EXCL) as new:
                os.write(new, b"new")
                os.pwrite(old, b"old", 0)
                assert os.pread(new, 9, 0) == b"new"
        place.check_object(file, b"new")

    def test_a_renamed_open_file_goes_on_under_its_new_name(self, place, file):
        target = place.top / "target"
        with opened(file, os.O_RDWR) as fd:
            os.pwrite(fd, b"before", 0)
            os.rename(file, target)
            os.pwrite(fd, b"after", 6)
            assert os.fstat(fd).st_ino == target.stat().st_ino
        place.check_object(target, b"beforeafter")
        assert not place.has_object(file)

    def test_a_file_that_is_replaced_while_open_keeps_its_bytes_for_its_readers(self, place, file):
        with opened(file) as fd:
            (place.top / "other").write_bytes(b"other")
            os.rename(place.top / "other", file)
            assert os.pread(fd, 20, 0) == b"0123456789"
            assert os.fstat(fd).st_nlink == 0
        place.check_object(file, b"other")

    def test_a_directory_that_is_removed_while_open_lists_nothing(self, place):
        (place.top / "d").mkdir()
        with opened(place.top / "d", os.O_DIRECTORY) as fd:
            os.rmdir(place.top / "d")
            assert os.listdir(fd) == []
            with pytest.raises(FileNotFoundError):
                os.mkdir("x", dir_fd=fd)


LOCKED = """
import errno, fcntl, sys
file = open(sys.argv[1], "r+b")
try:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as exc:
    print(errno.errorcode[exc.errno])
else:
    print("locked")
"""


@pytest.mark.parametrize("how", ["flock", "lockf"])
def test_a_lock_keeps_another_process_out_until_it_is_given_back(file, how):
    with file.open("r+b") as held:
        getattr(fcntl, how)(held, fcntl.LOCK_EX)
        assert python(LOCKED, file, how).stdout == "EAGAIN\n"
        getattr(fcntl, how)(held, fcntl.LOCK_UN)
        assert python(LOCKED, file, how).stdout == "locked\n"


def test_readers_share_a_lock(file):
    with file.open("r+b") as one, file.open("r+b") as other:
        fcntl.flock(one, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert python(LOCKED, file, "flock").stdout == "EAGAIN\n"


def test_ranges_are_locked_apart(file):
    program = LOCKED.replace("LOCK_NB)", "LOCK_NB, 5, int(sys.argv[3]))")
    with file.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX, 5, 0)
        assert python(program, file, "lockf", 5).stdout == "locked\n"
        assert python(program, file, "lockf", 4).stdout == "EAGAIN\n"


@pytest.mark.parametrize("name", ["fsync", "fdatasync"])
def test_what_was_synced_is_on_s3_while_the_file_is_open(place, file, name):
    with opened(file, os.O_WRONLY) as fd:
        os.pwrite(fd, b"synced", 0)
        getattr(os, name)(fd)
        place.check_object(file, b"synced6789")
        os.pwrite(fd, b"more", 6)
    place.check_object(file, b"syncedmore")


def test_a_file_of_many_parts_is_what_was_written(place):
    """It is over one part: it goes out while it is written, and is then changed in its middle."""
    path = place.top / "large"
    with path.open("wb") as target:
        for number in range(20):
            target.write(noise(MIB, number))
    with opened(path, os.O_RDWR) as fd:
        os.pwrite(fd, b"changed", 9 * MIB + 17)
    expected = bytearray(b"".join(noise(MIB, number) for number in range(20)))
    expected[9 * MIB + 17 : 9 * MIB + 24] = b"changed"
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(expected).digest()
    place.check_object(path, bytes(expected))
