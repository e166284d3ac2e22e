"""The table of calls that fail: what is done, in which situation, and the errno.

Everything happens in a place that `furnish` made. A call that fails changes nothing.
"""

import errno
import mmap
import os
import socket
import stat
from pathlib import Path

from tests.mount.semantics import calls
from tests.mount.semantics.calls import open_close, opened
from tests.mount.semantics.scene import Case

LONG = "n" * 256
NOT_UTF8 = os.fsdecode(b"caf\xe9")


def _on(path: Path, flags: int, act) -> None:
    with opened(path, flags) as fd:
        act(fd)


def _map(path: Path, flags: int, protection: int) -> None:
    with opened(path, flags) as fd:
        mmap.mmap(fd, 1, flags=mmap.MAP_SHARED, prot=protection).close()


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{here}/{path.name}")  # a socket's path has 108 bytes
        finally:
            os.close(here)


OPEN = [
    Case("open", "a missing name", lambda p: open_close(p / "x"), errno.ENOENT),
    Case("open", "an empty name", lambda p: open_close(""), errno.ENOENT),
    Case("open", "a missing directory", lambda p: open_close(p / "x/y", os.O_CREAT), errno.ENOENT),
    Case("open", "below a file", lambda p: open_close(p / "f/x", os.O_CREAT), errno.ENOTDIR),
    Case("open", "a file with a slash behind", lambda p: open_close(f"{p}/f/"), errno.ENOTDIR),
    Case("open", "a link that points nowhere", lambda p: open_close(p / "dangling"), errno.ENOENT),
    Case("open", "a link to itself", lambda p: open_close(p / "loop"), errno.ELOOP),
    Case("open", "below a link to itself", lambda p: open_close(p / "loop/x"), errno.ELOOP),
    Case("open", "a directory to write", lambda p: open_close(p / "d", os.O_WRONLY), errno.EISDIR),
    Case(
        "open",
        "a directory to read and write",
        lambda p: open_close(p / "d", os.O_RDWR),
        errno.EISDIR,
    ),
    Case(
        "O_CREAT",
        "a name of 256 bytes",
        lambda p: open_close(p / LONG, os.O_CREAT | os.O_WRONLY),
        errno.ENAMETOOLONG,
    ),
    Case("open", "a missing name of 256 bytes", lambda p: open_close(p / LONG), errno.ENAMETOOLONG),
    Case("open", "a path of 4,096 bytes", lambda p: open_close("x/" * 2048), errno.ENAMETOOLONG),
    Case(
        "O_CREAT",
        "a name with a slash behind",
        lambda p: open_close(f"{p}/x/", os.O_CREAT),
        errno.EISDIR,
    ),
    Case("O_CREAT", "a directory", lambda p: open_close(p / "d", os.O_CREAT), errno.EISDIR),
    *(
        Case(
            "O_CREAT|O_EXCL",
            f"a name taken by {what}",
            lambda p, name=name: open_close(p / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY),
            errno.EEXIST,
        )
        for name, what in {
            "f": "a file",
            "d": "a directory",
            "l": "a link",
            "dangling": "a link to nowhere",
        }.items()
    ),
    Case(
        "O_TRUNC",
        "a directory",
        lambda p: open_close(p / "d", os.O_TRUNC | os.O_WRONLY),
        errno.EISDIR,
    ),
    Case("O_DIRECTORY", "a file", lambda p: open_close(p / "f", os.O_DIRECTORY), errno.ENOTDIR),
    Case(
        "O_DIRECTORY",
        "a link to a file",
        lambda p: open_close(p / "l", os.O_DIRECTORY),
        errno.ENOTDIR,
    ),
    Case("O_NOFOLLOW", "a link", lambda p: open_close(p / "l", os.O_NOFOLLOW), errno.ELOOP),
    Case(
        "O_NOFOLLOW",
        "a link to a directory, as a directory",
        lambda p: open_close(p / "ld", os.O_NOFOLLOW | os.O_DIRECTORY),
        errno.ENOTDIR,
    ),
    Case(
        "O_TMPFILE",
        "a directory",
        lambda p: open_close(p / "d", os.O_TMPFILE | os.O_RDWR),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "O_CREAT",
        "a name that is not UTF-8",
        lambda p: open_close(p / NOT_UTF8, os.O_CREAT | os.O_WRONLY),
        errno.EILSEQ,
        is_ours=True,
    ),
    Case(
        "stat",
        "a name that is not UTF-8",
        lambda p: os.stat(p / NOT_UTF8),
        errno.EILSEQ,
        is_ours=True,
    ),
    Case("stat", "a missing name", lambda p: os.stat(p / "x"), errno.ENOENT),
    Case("stat", "below a file", lambda p: os.stat(p / "f/x"), errno.ENOTDIR),
    Case("stat", "a link to itself", lambda p: os.stat(p / "loop"), errno.ELOOP),
    Case("statfs", "a missing name", lambda p: os.statvfs(p / "x"), errno.ENOENT),
    Case("readdir", "a file", lambda p: os.listdir(p / "f"), errno.ENOTDIR),
    Case("readdir", "a missing name", lambda p: os.listdir(p / "x"), errno.ENOENT),
    Case("chdir", "a file", lambda p: os.chdir(p / "f"), errno.ENOTDIR),
]

CONTENT = [
    Case(
        "write",
        "a descriptor for reading",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.write(fd, b"x")),
        errno.EBADF,
    ),
    Case(
        "read",
        "a descriptor for writing",
        lambda p: _on(p / "f", os.O_WRONLY, lambda fd: os.read(fd, 1)),
        errno.EBADF,
    ),
    Case(
        "read",
        "a directory",
        lambda p: _on(p / "d", os.O_RDONLY, lambda fd: os.read(fd, 1)),
        errno.EISDIR,
    ),
    Case(
        "pread",
        "before the start",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.pread(fd, 1, -1)),
        errno.EINVAL,
    ),
    Case(
        "pwrite",
        "before the start",
        lambda p: _on(p / "f", os.O_WRONLY, lambda fd: os.pwrite(fd, b"x", -1)),
        errno.EINVAL,
    ),
    Case(
        "lseek",
        "before the start",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.lseek(fd, -1, os.SEEK_SET)),
        errno.EINVAL,
    ),
    Case(
        "lseek SEEK_DATA",
        "behind the end",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.lseek(fd, 7, os.SEEK_DATA)),
        errno.ENXIO,
    ),
    Case(
        "lseek SEEK_HOLE",
        "behind the end",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.lseek(fd, 8, os.SEEK_HOLE)),
        errno.ENXIO,
    ),
    Case(
        "ftruncate",
        "a descriptor for reading",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: os.ftruncate(fd, 1)),
        errno.EINVAL,
    ),
    Case(
        "ftruncate",
        "a negative size",
        lambda p: _on(p / "f", os.O_WRONLY, lambda fd: os.ftruncate(fd, -1)),
        errno.EINVAL,
    ),
    Case("truncate", "a negative size", lambda p: os.truncate(str(p / "f"), -1), errno.EINVAL),
    Case("truncate", "a directory", lambda p: os.truncate(str(p / "d"), 0), errno.EISDIR),
    Case("truncate", "a missing name", lambda p: os.truncate(str(p / "x"), 0), errno.ENOENT),
    Case("truncate", "below a file", lambda p: os.truncate(str(p / "f/x"), 0), errno.ENOTDIR),
    Case("truncate", "a link to itself", lambda p: os.truncate(str(p / "loop"), 0), errno.ELOOP),
    Case(
        "fallocate",
        "any size",
        lambda p: _on(p / "f", os.O_RDWR, lambda fd: calls.fallocate(fd, 0, 0, 9)),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "fallocate",
        "a hole",
        lambda p: _on(
            p / "f",
            os.O_RDWR,
            lambda fd: calls.fallocate(fd, calls.FALLOC_PUNCH_HOLE | calls.FALLOC_KEEP_SIZE, 0, 3),
        ),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "fallocate",
        "a descriptor for reading",
        lambda p: _on(p / "f", os.O_RDONLY, lambda fd: calls.fallocate(fd, 0, 0, 9)),
        errno.EBADF,
    ),
    Case(
        "copy_file_range",
        "onto itself",
        lambda p: _on(p / "f", os.O_RDWR, lambda fd: os.copy_file_range(fd, fd, 5, 0, 2)),
        errno.EINVAL,
    ),
    Case("mmap", "a directory", lambda p: _map(p / "d", os.O_RDONLY, mmap.PROT_READ), errno.ENODEV),
    Case(
        "mmap",
        "shared to write, a descriptor for reading",
        lambda p: _map(p / "f", os.O_RDONLY, mmap.PROT_WRITE),
        errno.EACCES,
    ),
    Case(
        "mmap",
        "a descriptor for writing",
        lambda p: _map(p / "f", os.O_WRONLY, mmap.PROT_READ),
        errno.EACCES,
    ),
    Case("FICLONE", "another file", lambda p: calls.clone(p / "f", p / "d/f"), errno.EOPNOTSUPP),
    Case(
        "FS_IOC_GETFLAGS", "a file", lambda p: calls.flags_of(p / "f"), errno.ENOTTY, is_ours=True
    ),
]

NAMES = [
    *(
        Case(
            "mkdir",
            f"a name taken by {what}",
            lambda p, name=name: os.mkdir(p / name),
            errno.EEXIST,
        )
        for name, what in {
            "f": "a file",
            "d": "a directory",
            "l": "a link",
            "dangling": "a link to nowhere",
        }.items()
    ),
    Case("mkdir", "a missing directory", lambda p: os.mkdir(p / "x/y"), errno.ENOENT),
    Case("mkdir", "below a file", lambda p: os.mkdir(p / "f/x"), errno.ENOTDIR),
    Case("mkdir", ".", lambda p: os.mkdir(f"{p}/e/."), errno.EEXIST),
    Case("mkdir", ". in a missing directory", lambda p: os.mkdir(f"{p}/x/."), errno.ENOENT),
    Case("mkdir", "a name of 256 bytes", lambda p: os.mkdir(p / LONG), errno.ENAMETOOLONG),
    Case(
        "mkdir",
        "a name that is not UTF-8",
        lambda p: os.mkdir(p / NOT_UTF8),
        errno.EILSEQ,
        is_ours=True,
    ),
    Case("rmdir", "a directory that holds something", lambda p: os.rmdir(p / "d"), errno.ENOTEMPTY),
    Case("rmdir", "a file", lambda p: os.rmdir(p / "f"), errno.ENOTDIR),
    Case("rmdir", "a link to a directory", lambda p: os.rmdir(p / "ld"), errno.ENOTDIR),
    Case("rmdir", "a missing name", lambda p: os.rmdir(p / "x"), errno.ENOENT),
    Case("rmdir", "below a file", lambda p: os.rmdir(p / "f/x"), errno.ENOTDIR),
    Case("rmdir", ".", lambda p: os.rmdir(f"{p}/e/."), errno.EINVAL),
    Case("rmdir", "..", lambda p: os.rmdir(f"{p}/e/.."), errno.ENOTEMPTY),
    Case("unlink", "a directory", lambda p: os.unlink(p / "e"), errno.EISDIR),
    Case("unlink", "a directory with a slash behind", lambda p: os.unlink(f"{p}/e/"), errno.EISDIR),
    Case("unlink", "a file with a slash behind", lambda p: os.unlink(f"{p}/f/"), errno.ENOTDIR),
    Case("unlink", "a missing name", lambda p: os.unlink(p / "x"), errno.ENOENT),
    Case("unlink", "below a file", lambda p: os.unlink(p / "f/x"), errno.ENOTDIR),
    Case("symlink", "a name taken by a file", lambda p: os.symlink("x", p / "f"), errno.EEXIST),
    Case(
        "symlink", "a name taken by a link", lambda p: os.symlink("x", p / "dangling"), errno.EEXIST
    ),
    Case("symlink", "an empty target", lambda p: os.symlink("", p / "x"), errno.ENOENT),
    Case(
        "symlink",
        "a target of 4,096 bytes",
        lambda p: os.symlink("t" * 4096, p / "x"),
        errno.ENAMETOOLONG,
    ),
    Case(
        "symlink",
        "a target that is not UTF-8",
        lambda p: os.symlink(NOT_UTF8, p / "x"),
        errno.EILSEQ,
        is_ours=True,
    ),
    Case("symlink", "a missing directory", lambda p: os.symlink("x", p / "x/y"), errno.ENOENT),
    Case("readlink", "a file", lambda p: os.readlink(p / "f"), errno.EINVAL),
    Case("readlink", "a directory", lambda p: os.readlink(p / "d"), errno.EINVAL),
    Case("readlink", "a missing name", lambda p: os.readlink(p / "x"), errno.ENOENT),
    Case("link", "a file", lambda p: os.link(p / "f", p / "x"), errno.EPERM, is_ours=True),
    Case("link", "a directory", lambda p: os.link(p / "d", p / "x"), errno.EPERM),
    Case("mknod", "a fifo", lambda p: os.mkfifo(p / "x"), errno.EPERM, is_ours=True),
    Case("mknod", "a regular file", lambda p: os.mknod(p / "x"), errno.EPERM, is_ours=True),
    Case(
        "mknod",
        "a device",
        lambda p: os.mknod(p / "x", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
        errno.EPERM,
        is_ours=True,
    ),
    Case("bind", "a unix socket", lambda p: _bind(p / "x"), errno.EPERM, is_ours=True),
    Case("bind", "a unix socket over a file", lambda p: _bind(p / "f"), errno.EADDRINUSE),
]

RENAME = [
    Case("rename", "a missing name", lambda p: os.rename(p / "x", p / "y"), errno.ENOENT),
    Case(
        "rename", "into a missing directory", lambda p: os.rename(p / "f", p / "x/y"), errno.ENOENT
    ),
    Case("rename", "below a file", lambda p: os.rename(p / "e", p / "f/x"), errno.ENOTDIR),
    Case("rename", "a file over a directory", lambda p: os.rename(p / "f", p / "e"), errno.EISDIR),
    Case("rename", "a link over a directory", lambda p: os.rename(p / "l", p / "e"), errno.EISDIR),
    Case("rename", "a directory over a file", lambda p: os.rename(p / "e", p / "f"), errno.ENOTDIR),
    Case(
        "rename",
        "a directory over a link to one",
        lambda p: os.rename(p / "e", p / "ld"),
        errno.ENOTDIR,
    ),
    Case(
        "rename",
        "a directory over one that holds something",
        lambda p: os.rename(p / "e", p / "d"),
        errno.ENOTEMPTY,
    ),
    Case(
        "rename", "a directory into itself", lambda p: os.rename(p / "d", p / "d/x"), errno.EINVAL
    ),
    Case(
        "rename",
        "a file over its directory",
        lambda p: os.rename(p / "d/f", p / "d"),
        errno.ENOTEMPTY,
    ),
    Case(
        "rename",
        "a file to a name with a slash behind",
        lambda p: os.rename(p / "f", f"{p}/x/"),
        errno.ENOTDIR,
    ),
    Case(
        "rename",
        "a file with a slash behind",
        lambda p: os.rename(f"{p}/f/", p / "x"),
        errno.ENOTDIR,
    ),
    Case("rename", ".", lambda p: os.rename(f"{p}/e/.", p / "x"), errno.EBUSY),
    Case(
        "rename",
        "to a name of 256 bytes",
        lambda p: os.rename(p / "f", p / LONG),
        errno.ENAMETOOLONG,
    ),
    Case(
        "rename",
        "to a name that is not UTF-8",
        lambda p: os.rename(p / "f", p / NOT_UTF8),
        errno.EILSEQ,
        is_ours=True,
    ),
    Case("rename", "to another file system", lambda p: os.rename(p / "f", "/proc/x"), errno.EXDEV),
    Case(
        "RENAME_NOREPLACE",
        "a file over a file",
        lambda p: calls.renameat2(p / "f", p / "d/f", calls.RENAME_NOREPLACE),
        errno.EEXIST,
    ),
    Case(
        "RENAME_NOREPLACE",
        "a directory over an empty one",
        lambda p: calls.renameat2(p / "d", p / "e", calls.RENAME_NOREPLACE),
        errno.EEXIST,
    ),
    Case(
        "RENAME_NOREPLACE",
        "a name to itself",
        lambda p: calls.renameat2(p / "f", p / "f", calls.RENAME_NOREPLACE),
        errno.EEXIST,
    ),
    Case(
        "RENAME_EXCHANGE",
        "two files",
        lambda p: calls.renameat2(p / "f", p / "d/f", calls.RENAME_EXCHANGE),
        errno.EINVAL,
        is_ours=True,
    ),
    Case(
        "RENAME_EXCHANGE",
        "a missing target",
        lambda p: calls.renameat2(p / "f", p / "x", calls.RENAME_EXCHANGE),
        errno.ENOENT,
    ),
    Case(
        "RENAME_EXCHANGE",
        "with RENAME_NOREPLACE",
        lambda p: calls.renameat2(p / "f", p / "d/f", 3),
        errno.EINVAL,
    ),
    Case(
        "RENAME_WHITEOUT",
        "a file",
        lambda p: calls.renameat2(p / "f", p / "x", calls.RENAME_WHITEOUT),
        errno.EINVAL,
        is_ours=True,
    ),
    Case(
        "renameat2",
        "an unknown flag",
        lambda p: calls.renameat2(p / "f", p / "x", 64),
        errno.EINVAL,
    ),
]

ATTRIBUTES = [
    Case("chmod", "a missing name", lambda p: os.chmod(p / "x", 0o600), errno.ENOENT),
    Case("chmod", "below a file", lambda p: os.chmod(p / "f/x", 0o600), errno.ENOTDIR),
    Case(
        "chown",
        "to somebody else",
        lambda p: os.chown(p / "f", os.getuid() + 1, -1),
        errno.EPERM,
        is_ours=True,
    ),
    Case(
        "chown",
        "to another group",
        lambda p: os.chown(p / "f", -1, os.getgid() + 1),
        errno.EPERM,
        is_ours=True,
    ),
    Case("chown", "a missing name", lambda p: os.chown(p / "x", -1, -1), errno.ENOENT),
    Case("utimensat", "a missing name", lambda p: os.utime(p / "x"), errno.ENOENT),
    Case(
        "utimensat",
        "nanoseconds that are none",
        lambda p: calls.utimensat(p / "f", (0, 10**9), (0, 0)),
        errno.EINVAL,
    ),
    Case(
        "setxattr",
        "without --xattrs",
        lambda p: os.setxattr(p / "f", "user.a", b"1"),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "getxattr",
        "without --xattrs",
        lambda p: os.getxattr(p / "f", "user.a"),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "removexattr",
        "without --xattrs",
        lambda p: os.removexattr(p / "f", "user.a"),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
]

REFUSALS = [*OPEN, *CONTENT, *NAMES, *RENAME, *ATTRIBUTES]
