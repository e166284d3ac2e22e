"""Extended attributes on mounts with `--xattrs`, and on a tmpfs where that has them."""

import errno
import os
import subprocess

import pytest

from tests.mount.mounted import PATIENCE, until
from tests.mount.semantics.calls import opened
from tests.mount.semantics.scene import Case, Place, marks

pytestmark = marks("extended")
OPTIONS = ("--xattrs",)

ACL = bytes.fromhex("02000000 01000600ffffffff 04000400ffffffff 20000400ffffffff")
"""What `setfacl` sets: u::rw,g::r,o::r (struct posix_acl_xattr_header and its entries)."""
CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE
CASES = [
    Case("getxattr", "a missing attribute", lambda f: os.getxattr(f, "user.no"), errno.ENODATA),
    Case("getxattr", "a missing file", lambda f: os.getxattr(f"{f}x", "user.a"), errno.ENOENT),
    Case("getxattr", "a name without a namespace", lambda f: os.getxattr(f, "a"), errno.EOPNOTSUPP),
    Case(
        "getxattr",
        "a name of 256 bytes",
        lambda f: os.getxattr(f, "user." + "n" * 251),
        errno.ERANGE,
    ),
    Case("removexattr", "a missing one", lambda f: os.removexattr(f, "user.no"), errno.ENODATA),
    Case(
        "setxattr",
        "XATTR_CREATE of one that is there",
        lambda f: os.setxattr(f, "user.a", b"2", CREATE),
        errno.EEXIST,
    ),
    Case(
        "setxattr",
        "XATTR_REPLACE of one that is not",
        lambda f: os.setxattr(f, "user.no", b"2", REPLACE),
        errno.ENODATA,
    ),
    Case(
        "setxattr", "a name of no namespace", lambda f: os.setxattr(f, "a", b"1"), errno.EOPNOTSUPP
    ),
    Case(
        "setxattr",
        "a value of more than S3 keeps",
        lambda f: os.setxattr(f, "user.big", b"x" * 2049),
        errno.ENOSPC,
        is_ours=True,
    ),
    Case(
        "setxattr",
        "a value over 64 KiB",
        lambda f: os.setxattr(f, "user.big", b"x" * 65537),
        errno.E2BIG,
    ),
    Case(
        "setxattr",
        "a binary value whose text is too long",
        lambda f: os.setxattr(f, "user.big", b"\xff" * 1700),
        errno.ENOSPC,
        is_ours=True,
    ),
    Case(
        "setxattr",
        "the namespace trusted",
        lambda f: os.setxattr(f, "trusted.a", b"1"),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "setxattr",
        "an ACL",
        lambda f: os.setxattr(f, "system.posix_acl_access", ACL),
        errno.EOPNOTSUPP,
        is_ours=True,
    ),
    Case(
        "setxattr",
        "what the mount tells",
        lambda f: os.setxattr(f, "user.cognitofs.state", b"1"),
        errno.EPERM,
        is_ours=True,
    ),
    Case(
        "removexattr",
        "what the mount tells",
        lambda f: os.removexattr(f, "user.cognitofs.state"),
        errno.EPERM,
        is_ours=True,
    ),
    Case(
        "getxattr",
        "a fact that there is not",
        lambda f: os.getxattr(f, "user.cognitofs.colour"),
        errno.ENODATA,
    ),
    Case(
        "setxattr",
        "a link",
        lambda f: os.setxattr(f.parent / "link", "user.a", b"1", follow_symlinks=False),
        errno.EPERM,
    ),
]


@pytest.fixture
def marked(place: Place):
    """Return a file with one attribute, and a link beside it."""
    path = place.top / "file"
    path.write_bytes(b"data")
    (place.top / "link").symlink_to("file")
    try:
        os.setxattr(path, "user.a", b"1")
    except OSError as exc:
        if place.bucket is None and exc.errno == errno.EOPNOTSUPP:
            pytest.skip("this kernel's tmpfs has no extended attributes")
        raise
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_with_its_errno_and_the_rest_is_kept(marked, case):
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is compared
        case.act(marked)
    assert refused.value.errno == case.expected, refused.value
    assert {name: os.getxattr(marked, name) for name in os.listxattr(marked)} == {"user.a": b"1"}
    assert marked.read_bytes() == b"data"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"text",
        b"with spaces  inside",
        b" at both ends ",
        "zażółć 日本".encode(),
        b"\x00\xff" * 50,
        b"line\nbreak",
        b"x" * 1000,
    ],
    ids=["empty", "text", "spaces", "ends", "unicode", "binary", "newline", "long"],
)
@pytest.mark.parametrize("name", ["user.plain", "user.UPPER Case", "user.żółć", "user.mode"])
def test_any_value_under_any_name_is_kept(marked, name, value):
    os.setxattr(marked, name, value)
    assert os.getxattr(marked, name) == value
    assert sorted(os.listxattr(marked)) == sorted(["user.a", name])
    os.removexattr(marked, name)
    assert os.listxattr(marked) == ["user.a"]


def test_attributes_are_replaced_and_follow_a_rename(marked):
    os.setxattr(marked, "user.a", b"2", REPLACE)
    other = marked.with_name("other")
    os.rename(marked, other)
    assert os.getxattr(other, "user.a") == b"2"


def test_a_directory_has_attributes_too(place, marked):
    (place.top / "d").mkdir()
    os.setxattr(place.top / "d", "user.colour", b"blue")
    assert os.getxattr(place.top / "d", "user.colour") == b"blue"


def test_cp_takes_attributes_along_and_not_what_the_mount_tells(marked):
    copy = marked.with_name("copy")
    subprocess.run(["cp", "--preserve=all", marked, copy], check=True, timeout=PATIENCE)
    assert os.listxattr(copy) == ["user.a"]
    assert os.getxattr(copy, "user.a") == b"1"


def test_attributes_are_the_application_s_metadata(here):
    path = here.top / "file"
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, b"data")
        os.setxattr(fd, "user.author", b"Ada")
    name = here.key("file")
    assert here.bucket.head(name)["Metadata"]["author"] == "Ada"
    os.setxattr(path, "user.author", b"Bob")
    until(lambda: here.bucket.head(name)["Metadata"]["author"] == "Bob", "the self-copy")
    os.removexattr(path, "user.author")
    until(lambda: "author" not in here.bucket.head(name)["Metadata"], "the second self-copy")


def test_the_mount_tells_the_key_the_version_and_the_state(here):
    path = here.top / "file.txt"
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, b"data")
        assert os.getxattr(path, "user.cognitofs.state") == b"dirty"
    told = {
        name: os.getxattr(path, f"user.cognitofs.{name}").decode()
        for name in ("state", "key", "etag", "content_type", "uploaded_bytes")
    }
    assert told == {
        "state": "clean",
        "key": here.key("file.txt"),
        "etag": here.bucket.head(here.key("file.txt"))["ETag"],
        "content_type": "text/plain",
        "uploaded_bytes": "4",
    }
    assert os.listxattr(path) == []
