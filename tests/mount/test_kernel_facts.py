"""What the design leans on in the kernel, libfuse and pyfuse3, pinned one fact per test.

A failure here means that this kernel or library behaves otherwise than docs/DESIGN.md assumes: the
mount may then lose its promises, so read the fact's reason before changing its test.
"""

import ctypes
import errno
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_rig_client import (
    PATIENCE,
    Rig,
    fuse_available,
    mounted,
    unmount,
    wait_until,
    waits_for_fuse,
)

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not fuse_available(), reason="/dev/fuse cannot be opened here"),
]

PAGE = 4096
LONG = 3600.0
"""Seconds of validity that no test outlives."""


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "mnt"
    path.mkdir()
    return path


@pytest.fixture
def rig(mountpoint: Path) -> Iterator[Rig]:
    with mounted(mountpoint) as rig:
        yield rig


class TestClosing:
    """FLUSH is the only request whose error close() reports; RELEASE is nobody's promise."""

    def test_every_close_of_a_duplicated_descriptor_is_a_flush_and_the_last_a_release(self, rig):
        descriptor = os.open(rig.put("f"), os.O_RDWR)
        os.close(os.dup(descriptor))
        assert len(rig.so_far("flush")) == 1
        assert not rig.so_far("release")
        os.close(descriptor)
        assert len(rig.so_far("flush")) == 2
        rig.wait_for("release")

    def test_a_shell_redirection_flushes_an_empty_file_twice(self, rig):
        """The shell dups the new descriptor over stdout and closes both: before and after."""
        subprocess.run(["sh", "-c", f": > {rig.path}/new"], check=True, timeout=PATIENCE)
        rig.wait_for("release")
        assert rig.order("create", "flush", "release") == ["create", "flush", "flush", "release"]

    def test_a_shell_that_writes_flushes_once_before_and_once_after(self, rig):
        """So the first FLUSH finds an empty file that is about to be written."""
        subprocess.run(["sh", "-c", f"echo hi > {rig.path}/new"], check=True, timeout=PATIENCE)
        rig.wait_for("release")
        order = rig.order("create", "flush", "write", "release")
        assert order == ["create", "flush", "write", "flush", "release"]

    def test_the_error_of_a_flush_is_the_error_of_close(self, rig):
        descriptor = os.open(rig.put("f"), os.O_RDWR)
        rig.set("flush_errno", errno.EDQUOT)
        with pytest.raises(OSError, match="quota") as caught:
            os.close(descriptor)
        assert caught.value.errno == errno.EDQUOT

    def test_a_flush_answered_with_enosys_is_never_asked_again_and_close_succeeds(self, rig):
        """So `flush` must exist: one ENOSYS silences close for the life of the mount."""
        path = rig.put("f")
        rig.set("flush_errno", errno.ENOSYS)
        for _ in range(3):
            os.close(os.open(path, os.O_RDWR))
        rig.wait_for("release", 3)
        assert len(rig.so_far("flush")) == 1

    def test_neither_close_nor_umount_waits_for_release(self, rig):
        rig.command(gate="release", open=False)
        os.close(os.open(rig.put("f"), os.O_RDWR))
        rig.wait_for("release")
        assert unmount(rig.path) == 0
        assert not rig.so_far("released")

    def test_a_release_that_is_still_queued_at_umount_is_lost(self, mountpoint):
        """With the only task busy in one RELEASE, the other never leaves the kernel."""
        with mounted(mountpoint, max_tasks=1) as rig:
            first, second = rig.put("a"), rig.put("b")
            rig.set("flush_errno", errno.ENOSYS)
            rig.command(gate="release", open=False)
            descriptors = [os.open(first, os.O_RDWR), os.open(second, os.O_RDWR)]
            for descriptor in descriptors:
                os.close(descriptor)
            rig.wait_for("release")
            assert unmount(mountpoint) == 0
            rig.command(gate="release", open=True)
            assert rig.wait_end() == 0
            assert [len(rig.seen(kind)) for kind in ("release", "ended")] == [1, 1]

    def test_a_flush_that_is_being_handled_keeps_the_mount_busy(self, rig):
        """`fusermount3 -u` is refused while a close() still waits, so it cannot cut one short."""
        path = rig.put("f")
        rig.command(gate="flush", open=False)
        with subprocess.Popen(["dd", f"of={path}", "if=/dev/null", "status=none"]) as closing:
            rig.wait_for("flush")
            assert unmount(rig.path) != 0
            rig.command(gate="flush", open=True)
            assert closing.wait(PATIENCE) == 0
        wait_until(lambda: unmount(rig.path) == 0, "the mount is free after the close")


class TestMappedFiles:
    """Pages dirtied through mmap reach the file system later than write() does."""

    def test_mapped_pages_are_written_before_the_flush_of_a_close(self, rig):
        with open(rig.put("f", PAGE), "r+b") as file, mmap.mmap(file.fileno(), PAGE) as pages:
            pages[:5] = b"hello"
            rig.clear()
            os.close(os.dup(file.fileno()))
            assert rig.order("write", "flush") == ["write", "flush"]

    def test_pages_dirtied_after_the_close_are_written_with_no_flush_behind_them(self, rig):
        """So bytes that no FLUSH sealed do arrive: nobody waits for them, nobody hears an error."""
        subprocess.run(
            [sys.executable, "-c", _MAP_CLOSE_WRITE, rig.put("f", PAGE)],
            check=True,
            timeout=PATIENCE,
        )
        rig.wait_for("release")
        assert rig.order("flush", "write", "release") == ["flush", "write", "release"]


_MAP_CLOSE_WRITE = """
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
descriptor = os.open(sys.argv[1], os.O_RDWR)
shared = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED
address = libc.mmap(None, ctypes.c_size_t(4096), *shared, descriptor, ctypes.c_long(0))
os.close(descriptor)
ctypes.memmove(address, b"hello", 5)
"""
"""A C program's way to map a file; Python's mmap keeps a descriptor, whose close would flush."""


class TestOpening:
    """OPEN is where the design looks whether the file is still the one the kernel knows."""

    def test_estale_on_open_makes_the_kernel_look_up_again_and_open_the_new_inode(self, rig):
        rig.set("timeout", LONG)
        rig.set("stale", True)
        path = rig.put("f", 3, "a")
        assert path.read_text() == "aaa"
        rig.command(replace="f", size=3, fill="b")
        rig.clear()
        assert path.read_text() == "bbb"
        first, *lookups, last = rig.order("open", "lookup")
        assert (first, set(lookups), last) == ("open", {"lookup"}, "open")
        old, new = rig.seen("open")
        assert old["inode"] != new["inode"]

    def test_truncation_arrives_as_o_trunc_in_the_flags_of_open(self, rig):
        """atomic_o_trunc: no SETATTR; the handler of OPEN must truncate."""
        os.close(os.open(rig.put("f"), os.O_WRONLY | os.O_TRUNC))
        assert [e["truncates"] for e in rig.so_far("open")] == [True]
        assert not rig.so_far("setattr")

    def test_ftruncate_names_its_handle_and_truncate_does_not(self, rig):
        path = rig.put("f")
        with open(path, "r+b") as file:
            os.ftruncate(file.fileno(), 5)
            os.truncate(path, 4)
            by_handle, by_path = rig.so_far("setattr")
        assert by_handle["fh"] == by_handle["inode"]
        assert by_path["fh"] is None
        assert "size" in by_handle["changed"]

    @pytest.mark.parametrize("keep", [False, True])
    def test_the_page_cache_is_per_inode_and_mixes_versions_when_it_is_kept(self, rig, keep):
        """Two contents under one inode number would be read as one: hence a new inode for each."""
        rig.set("keep_cache", keep)
        path = rig.put("f", 64 * PAGE, "a")
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            assert file.read(PAGE) == b"a" * PAGE
        rig.put("f", 64 * PAGE, "b")
        content = path.read_bytes()
        assert content[:PAGE] == (b"a" if keep else b"b") * PAGE
        assert content[PAGE:] == b"b" * (63 * PAGE)

    def test_an_unlinked_open_file_is_unlinked_at_once_and_still_served_by_its_inode(self, rig):
        """No hidden rename (libfuse's high level does one): the handle must outlive the name."""
        path = rig.put("f", 4, "a")
        with open(path, "rb", buffering=0) as file:
            path.unlink()
            assert rig.so_far("unlink", name="f")
            assert not rig.so_far("forget")
            assert file.read() == b"aaaa"
        rig.wait_for("forget")


class TestAttributes:
    """What costs a request and what the kernel remembers."""

    def test_with_no_timeout_every_stat_asks(self, rig):
        path = rig.put("f")
        os.stat(path)
        rig.clear()
        for _ in range(3):
            os.stat(path)
        assert len(rig.so_far("lookup", name="f")) == 3

    def test_with_no_timeout_every_fstat_is_a_getattr(self, rig):
        with open(rig.put("f"), "rb") as file:
            rig.clear()
            for _ in range(3):
                os.fstat(file.fileno())
            assert len(rig.so_far("getattr")) == 3

    def test_within_the_timeout_no_stat_asks(self, rig):
        rig.set("timeout", LONG)
        path = rig.put("f")
        os.stat(path)
        rig.clear()
        os.stat(path)
        assert not rig.so_far("lookup")
        assert not rig.so_far("getattr")

    def test_a_readdir_entry_spares_the_lookup_unless_its_mode_is_zero(self, rig):
        """st_mode=0: DT_UNKNOWN, asked again by who needs it, and forgotten at once."""
        rig.set("timeout", LONG)
        rig.set("mode_zero", "unsure")
        rig.put("sure")
        rig.put("unsure")
        types = _directory_types(rig.path)
        assert types["sure"] == _DT_REG
        assert types["unsure"] == _DT_UNKNOWN
        (forgotten,) = rig.wait_for("forget")
        assert forgotten["count"] == 1
        os.stat(rig.path / "sure")
        assert not rig.so_far("lookup")
        os.stat(rig.path / "unsure")
        assert [e["name"] for e in rig.so_far("lookup")] == ["unsure"]

    def test_getxattr_is_asked_before_every_write_until_it_hears_enosys(self, rig):
        with open(rig.put("f"), "r+b", buffering=0) as file:
            for _ in range(4):
                file.write(b"x")
            assert len(rig.so_far("getxattr", name="security.capability")) == 4
            rig.set("xattr_errno", errno.ENOSYS)
            rig.clear()
            for _ in range(4):
                file.write(b"x")
            assert len(rig.so_far("getxattr")) == 1

    def test_after_enosys_other_attributes_of_other_files_are_not_asked_either(self, rig):
        rig.set("xattr_errno", errno.ENOSYS)
        for path in (rig.put("a"), rig.put("b")):
            with pytest.raises(OSError, match="not supported"):
                os.getxattr(path, "user.any")
        assert len(rig.so_far("getxattr")) == 1


_DT_UNKNOWN, _DT_REG = 0, 8
_DIRENT64 = struct.Struct("=QqHB")  # d_ino, d_off, d_reclen, d_type; then the name


def _directory_types(directory: Path) -> dict[str, int]:
    """Return d_type by name, as getdents64(2) reports it."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(32768)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    types: dict[str, int] = {}
    try:
        while (filled := libc.getdents64(descriptor, buffer, len(buffer))) > 0:
            offset = 0
            while offset < filled:
                _, _, length, kind = _DIRENT64.unpack_from(buffer, offset)
                name = buffer.raw[offset + _DIRENT64.size : offset + length].split(b"\0")[0]
                types[os.fsdecode(name)] = kind
                offset += length
    finally:
        os.close(descriptor)
    return types


class TestRequests:
    """Sizes, concurrency, and what a failing handler does."""

    def test_a_write_of_1_mib_arrives_whole(self, rig):
        """max_write: 256 pages, all the kernel allows by default (fs.fuse.max_pages_limit).

        Smaller pieces come all the same: of a write that is not aligned to a page, and hundreds of
        them where the source was never touched (`bytes(1 << 20)` came as 4048 + 48 bytes a page).
        """
        with open(rig.put("f", 0), "r+b", buffering=0) as file:
            file.write(os.urandom(1 << 20))
        assert [e["size"] for e in rig.so_far("write")] == [1 << 20]

    def test_a_sequential_read_arrives_in_pieces_of_the_read_ahead_window(self, rig):
        """128 KiB by default; `read_ahead_kb` of the mount's bdi raises it."""
        path = rig.put("f", 1 << 20)
        with open(path, "rb", buffering=0) as file:
            assert len(file.read(1 << 20)) == 1 << 20
        sizes = [e["size"] for e in rig.so_far("read")]
        assert max(sizes) == _read_ahead(rig.path)

    @pytest.mark.parametrize(("max_tasks", "answers"), [(2, False), (3, True)])
    def test_other_requests_are_answered_only_while_a_task_is_spare(
        self, mountpoint, max_tasks, answers
    ):
        """Handlers that wait use up tasks: with all of them waiting even `stat` hangs."""
        with mounted(mountpoint, max_tasks=max_tasks) as rig:
            held, other = rig.put("held"), rig.put("other")
            rig.command(gate="flush", open=False)
            closing = [subprocess.Popen(["sh", "-c", f": >> {held}"]) for _ in range(2)]
            rig.wait_for("flush", 2)
            asking = subprocess.Popen(["stat", other], stdout=subprocess.DEVNULL)
            if answers:
                assert asking.wait(PATIENCE) == 0
            else:
                wait_until(lambda: waits_for_fuse(asking), "stat waits in the kernel")
                assert not rig.so_far("lookup", name="other")
            rig.command(gate="flush", open=True)
            assert [p.wait(PATIENCE) for p in (asking, *closing)] == [0, 0, 0]

    @pytest.mark.parametrize("failure", ["plain", "group"])
    def test_an_exception_other_than_fuseerror_ends_the_mount(self, rig, failure):
        """Also a FUSEError that comes out of a nursery, inside an ExceptionGroup."""
        path = rig.put("f")
        rig.set("failure", failure)
        with pytest.raises(OSError, match=r"abort|connected") as caught:
            path.read_bytes()
        assert caught.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
        assert rig.wait_end() != 0
        with pytest.raises(OSError, match="not connected"):
            os.stat(path)

    def test_sigkill_does_not_end_a_program_before_its_request_is_answered(self, rig):
        """Interrupts do not reach handlers, so every wait in one needs a deadline."""
        path = rig.put("f")
        rig.command(gate="flush", open=False)
        with subprocess.Popen(["sh", "-c", f": >> {path}"]) as closing:
            rig.wait_for("flush")
            wait_until(lambda: waits_for_fuse(closing), "the close waits in the kernel")
            closing.kill()
            wait_until(lambda: _kill_is_pending(closing), "the signal has arrived")
            assert closing.poll() is None
            rig.command(gate="flush", open=True)
            assert closing.wait(PATIENCE) == -9


def _read_ahead(mountpoint: Path) -> int:
    """Return the read-ahead of the mount's backing device, in bytes."""
    device = os.stat(mountpoint).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    return int(Path(f"/sys/class/bdi/{name}/read_ahead_kb").read_text()) * 1024


def _kill_is_pending(process: "subprocess.Popen[bytes]") -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("SigPnd"))
    return int(pending.split()[1], 16) & (1 << 8) != 0
