"""A place for the semantics suite to work in: on a mount, or on a tmpfs that shows Linux's answer.

The expectations of the suite are Linux's, and the tmpfs keeps them honest. What a mount answers
otherwise says so (`is_ours`) and stands in docs/SEMANTICS.md.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.mount.conftest import Bucket
from tests.mount.mounted import Mount, is_fuse_usable, until

_NUMBERS = count(1)


@dataclass(frozen=True)
class Place:
    """A directory to work in, and what S3 holds of it (on a tmpfs: nothing)."""

    top: Path
    bucket: Bucket | None = None
    mount: Mount | None = None

    def fresh(self) -> "Place":
        """Return a new directory in it."""
        path = self.top / f"place-{next(_NUMBERS)}"
        path.mkdir()
        return Place(path, self.bucket, self.mount)

    def unseen(self, objects: dict[str, bytes]) -> "Place":
        """Return a place of which the mount knows nothing yet, with what another client put there.

        A directory that the mount has made or listed would be believed for `metadata_ttl`.
        """
        assert self.bucket is not None
        assert self.mount is not None
        place = Place(self.mount.path / f"unseen-{next(_NUMBERS)}", self.bucket, self.mount)
        for name, data in objects.items():
            self.bucket.put(place.key(name), data)
        return place

    def key(self, name: str) -> str:
        """Return the key of a name in this place, as the bucket's methods want it."""
        assert self.mount is not None
        return f"{self.top.relative_to(self.mount.path)}/{name}"

    def names(self) -> list[str]:
        """Return what is listed, sorted.

        SeaweedFS goes on listing directories that are gone, which no client can tell from others:
        those of which it has no key are left out.
        """
        listed = sorted(os.listdir(self.top))
        if self.bucket is None or self.bucket.server.name != "seaweedfs":
            return listed
        keys = self.bucket.paths(markers=True)
        known = {key.removeprefix(self.key("")).partition("/")[0] for key in keys}
        return [name for name in listed if name in known]

    def check_object(self, path: Path, data: bytes) -> None:
        """Compare what an independent client reads under the name; a tmpfs has none.

        An empty file that nobody wrote goes to S3 at its last close, which nobody waits for.
        """
        if self.bucket is not None and self.mount is not None:
            name, bucket = str(path.relative_to(self.mount.path)), self.bucket
            if not data:
                until(lambda: name in bucket.paths() and not bucket.get(name), "the empty object")
            assert bucket.get(name) == data
        assert path.read_bytes() == data

    def has_object(self, path: Path) -> bool:
        """Tell whether S3 has an object of that name; a tmpfs has what it shows."""
        if self.bucket is None or self.mount is None:
            return path.exists()
        name = str(path.relative_to(self.mount.path))
        return name in self.bucket.paths()


@dataclass(frozen=True)
class Case:
    """One row: what is done in a furnished place, in which situation, and what comes of it."""

    call: str
    situation: str
    act: Callable[[Path], object]
    expected: int
    is_ours: bool = False

    @property
    def name(self) -> str:
        """The row as a sentence."""
        return f"{self.call}: {self.situation}"


def furnish(top: Path) -> None:
    """Make what the tables talk about."""
    (top / "d").mkdir()
    (top / "e").mkdir()
    (top / "f").write_bytes(b"content")
    (top / "d/f").write_bytes(b"below")
    (top / "l").symlink_to("f")
    (top / "ld").symlink_to("d")
    (top / "loop").symlink_to("loop")
    (top / "dangling").symlink_to("nowhere")


def state_of(top: Path) -> dict[str, object]:
    """Return everything that a refused call must leave as it was."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        seen = path.lstat()
        body: object = None
        if path.is_symlink():
            body = os.readlink(path)
        elif path.is_file():
            body = (path.read_bytes(), seen.st_mtime_ns)
        found[str(path.relative_to(top))] = (seen.st_mode, body)
    return found


def marks(group: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a module of the suite; it runs in one process, for its mounts' sake."""
    return [
        pytest.mark.mount,
        pytest.mark.xdist_group(f"semantics-{group}"),
        pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    ]
