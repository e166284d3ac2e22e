"""Commands that people run, and what a tree of files is to compare: by stat and by checksum."""

import hashlib
import os
import shutil
import stat
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.mount.mounted import PATIENCE, noise


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where the program that it runs is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(
    *command: object,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def facts(top: Path) -> dict[str, tuple]:
    """Return what stat says of everything below *top*, and what links point to."""
    found = {}
    for path in (top, *top.rglob("*")):
        seen = path.lstat()
        target = path.readlink() if path.is_symlink() else None
        is_file = stat.S_ISREG(seen.st_mode)
        mtime = None if path.is_symlink() else seen.st_mtime_ns
        size = seen.st_size if is_file else 0
        found[str(path.relative_to(top))] = (seen.st_mode, mtime, size, target)
    return found


def differences(left: dict, right: dict) -> dict:
    """Return what is not the same in both."""
    return {k: (left.get(k), right.get(k)) for k in {*left, *right} if left.get(k) != right.get(k)}


def sums(top: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below *top*, as S3 has it: a link is an object too."""
    found = {}
    for path in top.rglob("*"):
        is_link = path.is_symlink()
        if is_link or path.is_file():
            body = os.readlink(path).encode() if is_link else path.read_bytes()
            found[str(path.relative_to(top))] = hashlib.sha256(body).hexdigest()
    return found


def library_files(library: Path) -> Iterator[Path]:
    """Yield the modules below *library*, in order, without what is installed beside them."""
    others = {"site-packages", "dist-packages", "__pycache__"}
    for path in sorted(library.rglob("*.py")):
        if not path.is_symlink() and not others & set(path.relative_to(library).parts):
            yield path


def make_tree(target: Path, wanted: int) -> Path:
    """Copy *wanted* files to *target*, with links and rare modes.

    They are the standard library's, and those of the installed packages when it has no more.
    """
    count = 0
    for library in (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        for path in library_files(library):
            if count == wanted:
                break
            copy = target / library.name / path.relative_to(library)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
            count += 1
    assert count == wanted
    odd = target / "odd \u00fc&+ names"
    odd.mkdir()
    for mode in (0o400, 0o600, 0o640, 0o755):
        (odd / f"{mode:o}").write_bytes(noise(mode))
        (odd / f"{mode:o}").chmod(mode)
        os.utime(odd / f"{mode:o}", ns=(1, 1_000_000_000_000_000_000 + mode))
    (odd / "empty").touch()
    (odd / "empty directory").mkdir(mode=0o700)
    (odd / "link").symlink_to("640")
    (odd / "dangling").symlink_to("../nowhere/at all")
    (target / "link to a directory").symlink_to(odd.name)
    return target
