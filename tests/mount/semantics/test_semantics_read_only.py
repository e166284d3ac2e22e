"""A read-only mount refuses every change and reads everything."""

import errno
import os

import pytest

from tests.mount.semantics import calls
from tests.mount.semantics.calls import open_close
from tests.mount.semantics.scene import Case, marks

pytestmark = marks("read-only")
OPTIONS = ("--read-only",)

CASES = [
    Case("open", "to write", lambda p: open_close(p / "f", os.O_WRONLY), errno.EROFS),
    Case("open", "to read and write", lambda p: open_close(p / "f", os.O_RDWR), errno.EROFS),
    Case(
        "O_TRUNC", "to write", lambda p: open_close(p / "f", os.O_WRONLY | os.O_TRUNC), errno.EROFS
    ),
    Case(
        "O_CREAT",
        "a free name",
        lambda p: open_close(p / "x", os.O_CREAT | os.O_WRONLY),
        errno.EROFS,
    ),
    Case("truncate", "a file", lambda p: os.truncate(p / "f", 1), errno.EROFS),
    Case("mkdir", "a free name", lambda p: os.mkdir(p / "x"), errno.EROFS),
    Case("mkdir", "a taken name", lambda p: os.mkdir(p / "d"), errno.EEXIST),
    Case("rmdir", "a directory", lambda p: os.rmdir(p / "d"), errno.EROFS),
    Case("unlink", "a file", lambda p: os.unlink(p / "f"), errno.EROFS),
    Case("rename", "a file", lambda p: os.rename(p / "f", p / "x"), errno.EROFS),
    Case(
        "RENAME_NOREPLACE",
        "a file",
        lambda p: calls.renameat2(p / "f", p / "x", calls.RENAME_NOREPLACE),
        errno.EROFS,
    ),
    Case("symlink", "a free name", lambda p: os.symlink("f", p / "x"), errno.EROFS),
    Case("link", "a file", lambda p: os.link(p / "f", p / "x"), errno.EROFS),
    Case("mknod", "a fifo", lambda p: os.mkfifo(p / "x"), errno.EROFS),
    Case("chmod", "a file", lambda p: os.chmod(p / "f", 0o600), errno.EROFS),
    Case("chown", "a file", lambda p: os.chown(p / "f", os.getuid(), -1), errno.EROFS),
    Case("utimensat", "a file", lambda p: os.utime(p / "f"), errno.EROFS),
    Case("access", "to write", lambda p: _require_access(p / "f"), errno.EROFS),
]


def _require_access(path) -> None:
    if not os.access(path, os.W_OK):
        raise OSError(errno.EROFS, "access said no")


@pytest.fixture
def there(mounted):
    return mounted.unseen({"f": b"content", "d/f": b"below"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_is_refused_and_nothing_has_changed(there, case):
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is compared
        case.act(there.top)
    assert refused.value.errno == case.expected, refused.value
    assert sorted(os.listdir(there.top)) == ["d", "f"]
    there.check_object(there.top / "f", b"content")


def test_everything_is_read(there):
    assert (there.top / "f").read_bytes() == b"content"
    assert (there.top / "d/f").read_bytes() == b"below"
    assert (there.top / "f").stat().st_size == 7
    assert os.statvfs(there.top).f_flag & os.ST_RDONLY
