"""Conflict copies: what they are called, and which were made lately.

Owns the form of the name and the list that `status` shows. How a file gets the name is
`contest.py`'s.
"""

import re
import socket
import time
from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from itertools import count

from cognitofs.errors import NameTooLong
from cognitofs.tree.names import NAME_MAXIMUM

REMEMBERED = 20
"""Conflicts that `status` shows; the log has them all."""
EXTENSION_MAXIMUM = 32
"""Bytes. What is longer behind the last dot is no extension, but part of a sentence."""

_MARK = re.compile(
    r" \(conflicted copy [A-Za-z0-9._-]+ (?P<when>[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{6})"
    r"(?: (?P<number>[0-9]+))?\)"
)
_NOT_IN_HOST = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Conflict:
    """One settled conflict: the key that two wrote, where one version went, when (seconds)."""

    key: str
    copy: str
    at: float


class RecentConflicts:
    """The newest conflicts of one mount, oldest first."""

    def __init__(self) -> None:
        self._recent: deque[Conflict] = deque(maxlen=REMEMBERED)
        self.total = 0

    def add(self, conflict: Conflict) -> None:
        """Note a conflict."""
        self._recent.append(conflict)
        self.total += 1

    def all(self) -> tuple[Conflict, ...]:
        """Return those that are remembered."""
        return tuple(self._recent)


def this_host() -> str:
    """Return this machine's name as it may stand in a file name."""
    return host_label(socket.gethostname())


def host_label(host: str) -> str:
    """Return *host* with all but letters, digits, and ._- replaced by one dash each run."""
    return _NOT_IN_HOST.sub("-", host).strip("-")[:64] or "unknown"


def copy_name(
    name: str, host: str, at: time.struct_time, taken: Container[str], *, most: int
) -> str:
    """Return `NAME (conflicted copy HOST YYYY-MM-DD HHMMSS).EXT`, free of *taken*.

    *most* is how many bytes it may have; NAME is cut on a character boundary. The name of a
    conflict copy does not grow by another conflict; within a second its number does, so that two
    taken names are not tried in turn forever. Raises NameTooLong when nothing fits.
    """
    stem, extension = _split(_MARK.sub("", name))
    when = time.strftime("%Y-%m-%d %H%M%S", at)
    for number in count(_first_number(name, when)):
        counter = f" {number}" if number > 1 else ""
        tail = f" (conflicted copy {host} {when}{counter}){extension}"
        room = min(most, NAME_MAXIMUM) - len(tail.encode())
        if room < 1:
            break
        found = stem.encode()[:room].decode(errors="ignore") + tail
        if found not in taken:
            return found
    raise NameTooLong("The path is too long for a conflict copy beside it; rename the file.")


def _first_number(name: str, when: str) -> int:
    mark = _MARK.search(name)
    return int(mark["number"] or 1) + 1 if mark is not None and mark["when"] == when else 1


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension or len(extension.encode()) > EXTENSION_MAXIMUM:
        return name, ""
    return stem, dot + extension
