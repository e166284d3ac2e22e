"""The kernel's table of mounts, as this process sees it.

Owns the reading of /proc/self/mountinfo (proc(5), section 3.5 of the kernel's
Documentation/filesystems/proc.rst). Never touches a mounted file system: looking a dead FUSE mount
up in the table cannot hang, asking the mount itself can.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
# The kernel writes space, tab, newline and backslash in a path as three octal digits.
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table: where, which kind of file system ("fuse.cognitofs"), from what."""

    path: Path
    kind: str
    source: str

    @property
    def is_fuse(self) -> bool:
        """Whether a process answers for this file system."""
        return self.kind == "fuse" or self.kind.startswith("fuse.")


def mounts() -> tuple[Mount, ...]:
    """Return all mounts, older ones first."""
    return parse(_TABLE.read_text(encoding="utf-8", errors="surrogateescape"))


def parse(table: str) -> tuple[Mount, ...]:
    """Return the mounts that the text of a mountinfo file lists."""
    return tuple(_parse_line(line) for line in table.splitlines() if " - " in line)


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    kind, source = after.split(" ")[:2]
    return Mount(Path(_plain(before.split(" ")[4])), kind, _plain(source))


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def mount_at(path: Path) -> Mount | None:
    """Return what is mounted exactly at *path* (the topmost, if several), or None."""
    return next((mount for mount in reversed(mounts()) if mount.path == path), None)


def mount_holding(path: Path) -> Mount | None:
    """Return the mount that the resolved *path* lies in, or None in an empty table."""
    around = [mount for mount in mounts() if path.is_relative_to(mount.path)]
    # Of equally deep mounts the later one covers the earlier.
    return max(
        enumerate(around), key=lambda pair: (len(pair[1].path.parts), pair[0]), default=(0, None)
    )[1]
