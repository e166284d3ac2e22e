"""Finding: one thing that `cognitofs doctor` looked at, and what to do about it.

Owns the names of all checks: scripts may rely on them; they are only ever added to.
"""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters. Only a problem makes the exit code 1."""

    OK = "ok"
    HINT = "hint"
    PROBLEM = "problem"


class Check(StrEnum):
    """What was looked at."""

    FUSE = "fuse"
    FUSERMOUNT = "fusermount"
    ALLOW_OTHER = "allow-other"
    STALE_MOUNTS = "stale-mounts"
    UPDATEDB = "updatedb"
    READ_AHEAD = "read-ahead"
    STATE = "state-directory"
    SPACE = "space"
    UNSENT = "unsent-files"
    CONFIGURATION = "configuration"
    SIGN_IN = "sign-in"
    CLOCK = "clock"
    GROUPS = "groups"
    BUCKET = "bucket"
    LIST = "list"
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    COPY = "copy"
    MULTIPART = "multipart"
    ABORT = "abort"
    LIST_PARTS = "list-parts"
    CONDITIONS = "conditions"
    LEFTOVERS = "leftovers"
    NEIGHBOURS = "neighbours"
    HIDDEN_KEYS = "hidden-keys"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; *remedy* is a sentence, "" where nothing is to be done."""

    check: Check
    level: Level
    text: str
    remedy: str = ""


def ok(check: Check, text: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, text)


def hint(check: Check, text: str, remedy: str) -> Finding:
    """Return what could be better."""
    return Finding(check, Level.HINT, text, remedy)


def problem(check: Check, text: str, remedy: str) -> Finding:
    """Return what is wrong."""
    return Finding(check, Level.PROBLEM, text, remedy)
