"""CPython's own tests of files, with their temporary directory in a mount.

What fails there and not on a local disk is in `DIFFERENT`, with its reason; docs/SEMANTICS.md says
the same. Whatever else fails is a fault, and so is a listed test that passes.
"""

import importlib.util
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.mounted import PATIENCE, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

MODULES = ("test_os", "test_shutil", "test_tempfile", "test_mailbox", "test_zipfile", "test_mmap")

_ATIME = "atime is mtime: S3 tools store no other"
_UTF8 = "a name that is not UTF-8 is EILSEQ: keys are UTF-8"
_OWNER = "chown to somebody else is EPERM: owners are not stored"
DIFFERENT = {
    "ChownFileTests.test_chown_with_root": _OWNER,
    "Pep383Tests.test_listdir": _UTF8,
    "Pep383Tests.test_open": _UTF8,
    "Pep383Tests.test_stat": _UTF8,
    "Pep383Tests.test_statvfs": _UTF8,
    "TestMaildir.test_clean": _ATIME,
    "UtimeTests.test_utime": _ATIME,
    "UtimeTests.test_utime_by_indexed": _ATIME,
    "UtimeTests.test_utime_by_times": _ATIME,
    "UtimeTests.test_utime_dir_fd": _ATIME,
    "UtimeTests.test_utime_directory": _ATIME,
    "UtimeTests.test_utime_fd": _ATIME,
    "UtimeTests.test_utime_nofollow_symlinks": _ATIME,
}

_ARE_THERE = all(
    importlib.util.find_spec("test") and importlib.util.find_spec(f"test.{module}")
    for module in MODULES
)


def outcomes(report):
    """Return the names of the tests that ran, each with whether it succeeded."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = ".".join(case.get("name", "").split(".")[-2:])
        if case.find("skipped") is None:
            bad = case.find("failure") is not None or case.find("error") is not None
            found[name] = found.get(name, True) and not bad
    return found


@pytest.mark.skipif(not _ARE_THERE, reason="Python's own tests (libpythonX-testsuite) are missing")
def test_pythons_own_tests_differ_only_where_it_is_said(machine, strict_s3, effort):
    """On the strict server: SeaweedFS refuses names that begin with `..` and a backslash.

    Not those of large maps: each writes a sparse file of 4 to 6 GiB, all of which is uploaded.
    """
    bucket = new_bucket(strict_s3)
    machine.configure(strict_s3, bucket.name)
    report = machine.directory / "report.xml"
    with machine.mounted("--sync", "fsync") as mount:
        (mount.path / "tmp").mkdir()
        done = subprocess.run(
            [
                sys.executable,
                *("-m", "test", "--junit-xml", report, "--tempdir", mount.path / "tmp"),
                *("--ignore", "*LargeMmapTests*"),
                *MODULES,
            ],
            cwd=mount.path / "tmp",
            env={**os.environ, "TMPDIR": str(mount.path / "tmp")},
            capture_output=True,
            text=True,
            timeout=40 * PATIENCE,
            check=False,
        )
        left = list((mount.path / "tmp").iterdir())
    assert report.exists(), done.stderr
    ran = outcomes(report)
    failed = {name for name, is_good in ran.items() if not is_good}
    assert failed == DIFFERENT.keys() & ran.keys(), done.stdout
    assert left == []
    assert bucket.paths() == set()
    effort.counts.update({"tests": len(ran), "known differences": len(failed)})
    effort.demand(1000, "tests")
