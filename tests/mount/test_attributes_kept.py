"""Extended attributes through the kernel."""

import errno
import os

import pytest

from tests.mount.mounted import until


def errno_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as exc:
        return exc.errno
    return 0


def test_attributes_are_kept_with_the_object_and_seen_by_another_mount(machine, weed):
    with machine.mounted("--xattrs") as mount:
        path = mount.path / "f"
        path.write_bytes(b"data")
        os.setxattr(path, "user.author", b"Ada", os.XATTR_CREATE)
        os.setxattr(path, "user.raw", b"\xff\x00")
        with pytest.raises(FileExistsError):
            os.setxattr(path, "user.author", b"Bob", os.XATTR_CREATE)
        assert errno_of(os.setxattr, path, "user.none", b"", os.XATTR_REPLACE) == errno.ENODATA
        assert os.getxattr(path, "user.cognitofs.key") == b"f"
        assert os.listxattr(path) == ["user.author", "user.raw"]
    assert weed.head("f")["Metadata"]["author"] == "Ada"
    with machine.mounted("--xattrs") as mount:
        path = mount.path / "f"
        assert os.getxattr(path, "user.raw") == b"\xff\x00"
        os.removexattr(path, "user.author")
        until(lambda: "author" not in weed.head("f")["Metadata"], "the self-copy")
        assert path.read_bytes() == b"data"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("user.big", b"x" * 3000, errno.ENOSPC),
        ("trusted.x", b"1", errno.EOPNOTSUPP),
        ("user.cognitofs.state", b"clean", errno.EPERM),
    ],
)
def test_what_cannot_be_kept_is_refused(machine, weed, name, value, expected):
    with machine.mounted("--xattrs") as mount:
        (mount.path / "f").write_bytes(b"data")
        assert errno_of(os.setxattr, mount.path / "f", name, value) == expected


def test_without_the_option_there_are_none(machine, weed):
    with machine.mounted() as mount:
        (mount.path / "f").write_bytes(b"data")
        found = errno_of(os.setxattr, mount.path / "f", "user.a", b"1")
        assert found == errno.EOPNOTSUPP
