"""`scripts/demo --check`: the whole way, verified by somebody else than cognitofs.

Owns what is written and how it is compared: SHA-256 of the bytes on this side, against the objects
as plain boto3 fetches them, and against what a second mount reads.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cognitofs.demo import commands, tour
from cognitofs.demo.place import Account, Place
from cognitofs.errors import Corrupted

_MIB = 1 << 20
_LOG_LINES = 30
# Below one part, a name that must be encoded, nothing at all, and several parts of 8 MiB.
_SIZES = {"small.txt": 1000, "a folder/ünï & more+.bin": 70_001, "empty": 0, "large.bin": 20 * _MIB}


def check() -> None:
    """Do all of the demo in a temporary directory; raise when anything is not as it should be."""
    tour.check_machine()
    with tempfile.TemporaryDirectory(prefix="cognitofs-demo-") as directory:
        place = Place(Path(directory) / "demo")
        place.make()
        try:
            _go_round(place, Path(directory))
        except BaseException:
            _show_logs(place)  # they go with the directory
            raise
        finally:
            tour.stop(place)


def _go_round(place: Place, directory: Path) -> None:
    source, mountpoint = directory / "source", directory / "cloud"
    sums = _make_files(source)
    mountpoint.mkdir()
    account = tour.ensure_cloud(place)
    commands.sign_in(place)
    mounted = tour.ensure_mounted(place, mountpoint)
    subprocess.run(["cp", "-r", f"{source}/.", mountpoint], check=True, timeout=300)
    commands.leave(mountpoint)
    _compare("the objects, as boto3 fetches them", sums, _sums_of_objects(account, mounted.prefix))
    commands.wait_ended(mounted.pid, 60)
    tour.ensure_mounted(place, mountpoint)
    _compare("the files, as a second mount reads them", sums, _sums_of_files(mountpoint))
    commands.umount(place, mountpoint)
    tour.say("ok: unmounted")


def _show_logs(place: Place) -> None:
    for log in place.base.rglob("*.log"):
        lines = log.read_text(errors="replace").splitlines()
        sys.stderr.write("\n".join((f"--- the end of {log.name}", *lines[-_LOG_LINES:], "")))


def _make_files(directory: Path) -> dict[str, str]:
    for name, size in _SIZES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    return _sums_of_files(directory)


def _sums_of_files(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(f.relative_to(directory)): _sum(f.read_bytes()) for f in files}


def _sums_of_objects(account: Account, prefix: str) -> dict[str, str]:
    """Return the sums of all objects below *prefix* but the directories' markers."""
    keys = [key for key, _ in tour.list_objects(account, prefix) if not key.endswith("/")]
    return {key.removeprefix(prefix): _sum(tour.fetch(account, key)) for key in keys}


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _compare(what: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    if wanted == found:
        tour.say(f"ok: {what}: {len(found)} equal")
        return
    names = sorted(n for n in {*wanted, *found} if wanted.get(n) != found.get(n))
    raise Corrupted(f"Not equal in {what}: {', '.join(names)}; please report it.")
