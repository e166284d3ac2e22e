"""docs/SEMANTICS.md, carried out: every row of what is not supported, and every example."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.mount.mounted import PATIENCE, ROOT
from tests.mount.semantics.refusals import REFUSALS
from tests.mount.semantics.scene import Place, furnish, marks, state_of

pytestmark = marks("documented")
OPTIONS = ("--rename-limit", "3")

TEXT = (Path(__file__).parents[3] / "docs/SEMANTICS.md").read_text()
ACL = bytes.fromhex("02000000 01000600ffffffff 04000400ffffffff 20000400ffffffff")
BY_NAME = {case.name: case.act for case in REFUSALS}


def _rows() -> dict[str, str]:
    table = TEXT.split("\n## Not supported\n")[1].split("\n## ")[0]
    cells = (line.strip("|").split("|") for line in table.splitlines() if line.startswith("| "))
    return {call.strip(): answer.strip() for call, answer in cells if call.strip() != "call"}


def _move_more_than_the_limit(top: Path) -> None:
    for number in range(4):
        (top / f"d/{number}").touch()
    os.rename(top / "d", top / "x")


def _acts(*names: str) -> list[Callable[[Path], object]]:
    return [BY_NAME[name] for name in names]


ACTS: Mapping[str, list[Callable[[Path], object]]] = {
    "link": _acts("link: a file"),
    "mknod of any kind, mkfifo, bind of a unix socket": _acts(
        "mknod: a fifo", "mknod: a regular file", "mknod: a device", "bind: a unix socket"
    ),
    "rename of a directory with more than `--rename-limit` objects": [_move_more_than_the_limit],
    "making `.Trash` or `.Trash-UID` at the top without `--trash`": [
        lambda top: (top.parent / ".Trash").mkdir(),
        lambda top: (top.parent / ".Trash-1000").mkdir(),
    ],
    "renameat2 with RENAME_EXCHANGE or RENAME_WHITEOUT": _acts(
        "RENAME_EXCHANGE: two files", "RENAME_WHITEOUT: a file"
    ),
    "getxattr, setxattr, listxattr, removexattr without `--xattrs`; setting an ACL always": [
        *_acts(
            "getxattr: without --xattrs",
            "setxattr: without --xattrs",
            "removexattr: without --xattrs",
        ),
        lambda top: os.listxattr(top / "f"),
        lambda top: os.setxattr(top / "f", "system.posix_acl_access", ACL),
    ],
    "fallocate with any mode (posix_fallocate of libc writes instead)": _acts(
        "fallocate: any size", "fallocate: a hole"
    ),
    "open with O_TMPFILE": _acts("O_TMPFILE: a directory"),
    "FICLONE, FICLONERANGE": _acts("FICLONE: another file"),
    "FS_IOC_GETFLAGS and other ioctls": _acts("FS_IOC_GETFLAGS: a file"),
    "chown to somebody else": _acts("chown: to somebody else", "chown: to another group"),
    "a name, or the target of a link, that is not UTF-8": _acts(
        "O_CREAT: a name that is not UTF-8",
        "mkdir: a name that is not UTF-8",
        "stat: a name that is not UTF-8",
        "rename: to a name that is not UTF-8",
        "symlink: a target that is not UTF-8",
    ),
}
NOT_CALLS = {
    "setuid, setgid, sticky bits": "taken, not kept",
    "an access time of its own": "taken, not kept",
    "inotify of what others change": "not told",
}
"""Rows without an errno, each with a test elsewhere or nothing to call."""


def test_every_row_of_what_is_not_supported_is_tried():
    errnos = {call: answer for call, answer in _rows().items() if answer in dir(errno)}
    assert set(errnos) == set(ACTS)
    assert {c: answer for c, answer in _rows().items() if c not in errnos} == NOT_CALLS


@pytest.mark.parametrize("call", ACTS)
def test_what_is_not_supported_answers_as_the_document_says(here: Place, call: str):
    furnish(here.top)
    before = state_of(here.top)
    expected = getattr(errno, _rows()[call])
    for act in ACTS[call]:
        with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is compared
            act(here.top)
        assert refused.value.errno == expected, refused.value
    after = state_of(here.top)
    assert {path: after[path] for path in before} | {"d": 0} == before | {"d": 0}


def test_every_case_that_differs_from_linux_stands_among_them():
    told = {id(act) for acts in ACTS.values() for act in acts}
    missing = [case.name for case in REFUSALS if case.is_ours and id(case.act) not in told]
    assert missing == []


# -- the examples ---------------------------------------------------------------------------------


def examples() -> list[tuple[str, str]]:
    """Return (heading or name of the area, block) of every console block of the document."""
    found, area = [], ""
    for part in re.split(
        r"^(## [^\n]+|```console\n.*?^```)$", TEXT, flags=re.MULTILINE | re.DOTALL
    ):
        if part.startswith("## "):
            area = part[3:]
        elif part.startswith("```console\n"):
            found.append((area, part.removeprefix("```console\n").removesuffix("```")))
    return found


def commands(block: str) -> list[tuple[str, str]]:
    """Return (command, what is shown behind it), of a block."""
    pieces = re.split(r"^\$ (.+)\n", block, flags=re.MULTILINE)
    assert pieces[0] == "", "a block begins with a command"
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


@pytest.mark.parametrize(
    ("area", "block"), examples(), ids=[f"{n}-{a}" for n, (a, _) in enumerate(examples())]
)
def test_an_example_of_the_document_shows_what_it_shows(here: Place, area: str, block: str):
    """All commands of a block are of one shell, in an empty directory of the mount.

    `s3cat NAME` and `s3ls` of the examples ask S3 with another client.
    """
    asked = _ask_s3(here)
    script = "\n".join(f"{{ {command}; }} 2>&1; echo '--end--'" for command, _ in commands(block))
    done = subprocess.run(
        ["bash", "-c", f"{asked}\n{script}"],
        cwd=here.top,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"},
        check=True,
    )
    shown = done.stdout.split("--end--\n")[:-1]
    script_name = re.compile(r"^(?:bash|environment): line \d+: ", re.MULTILINE)
    assert [script_name.sub("bash: ", text) for text in shown] == [
        expected for _, expected in commands(block)
    ]


def test_every_area_has_an_example():
    areas = {area for area, _ in examples()}
    assert {"Files", "Directories", "Names", "Attributes", "Not supported"} <= areas


def _ask_s3(place: Place) -> str:
    """Return shell functions that look into the bucket, below the place, with boto3."""
    assert place.bucket is not None
    server = place.bucket.server
    prefix = f"{ROOT}{place.key('')}"
    program = (
        "import boto3, sys; from botocore.config import Config; "
        f"c = boto3.client('s3', endpoint_url={server.endpoint!r}, region_name={server.region!r}, "
        f"aws_access_key_id={server.access_key!r}, aws_secret_access_key={server.secret_key!r}, "
        "config=Config(s3={'addressing_style': 'path'})); "
    )
    cat = (
        f"sys.stdout.write(c.get_object(Bucket={place.bucket.name!r}, "
        f"Key={prefix!r} + sys.argv[1])['Body'].read().decode())"
    )
    ls = (
        f"[print(o['Key'].removeprefix({prefix!r})) for o in c.list_objects_v2("
        f"Bucket={place.bucket.name!r}, Prefix={prefix!r}).get('Contents', ()) "
        f"if o['Key'] != {prefix!r}]"
    )
    return (
        f's3cat() {{ {sys.executable} -c "{program}{cat}" "$1"; }}\n'
        f's3ls() {{ {sys.executable} -c "{program}{ls}"; }}'
    )
