"""Lost and found: bytes that were written and never closed, each with a note that explains them.

Owns the form of the notes and how they are read; what goes there is decided at the next mount
(`fs/recovery.py`), and only a person takes it away.

A note is one JSON object beside the bytes, `NAME.json`; what is not known is missing or empty:

    {"why": "A sentence.",
     "key": "a/b.txt",            the name it had, below the mount's prefix
     "size": 12,
     "written_at": ISO 8601,      the last write
     "kept_at": ISO 8601,         when it was moved here
     "written": [[0, 12]],        ranges that hold what was written, in blocks of the local disk
     "sealed": [[0, 4]],          of these, what an earlier close or fsync had frozen
     "missing": [[0, 4]],         ranges that were given up here: only an upload had them
     "base": "etag",              the version on S3 that it was to replace, "" for a new file
     "host": "laptop"}
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Ranges = tuple[tuple[int, int], ...]

UNCLOSED = "It was not closed before a mount ended."
SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of one lost file; the module's docstring gives each field's meaning."""

    why: str = UNCLOSED
    key: str = ""
    size: int = 0
    written_at: str = ""
    kept_at: str = ""
    written: Ranges = ()
    sealed: Ranges = ()
    missing: Ranges = ()
    base: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class LostFile:
    """A file of lost+found: its name there, its size in bytes, its note."""

    name: str
    size: int
    note: Note


def lost_files(place: Path) -> list[LostFile]:
    """Return what lies in the directory *place*, by name; nothing if it cannot be read."""
    try:
        names = sorted(each.name for each in place.iterdir() if each.suffix != SUFFIX)
        sizes = [(place / name).lstat().st_size for name in names]
    except OSError:
        return []
    notes = [_note_at(place / f"{name}{SUFFIX}") for name in names]
    return [LostFile(*each) for each in zip(names, sizes, notes, strict=True)]


def _note_at(path: Path) -> Note:
    try:
        return decode(path.read_text())
    except OSError:
        return Note()


def encode(note: Note) -> str:
    """Return *note* as its file holds it."""
    return json.dumps({name: value for name, value in asdict(note).items() if value}, indent=1)


def decode(text: str) -> Note:
    """Return the note that `encode` wrote; of an older version, or a damaged one, what it says."""
    try:
        found = json.loads(text)
    except ValueError:
        return Note()
    if not isinstance(found, dict):
        return Note()
    strings = ("key", "written_at", "kept_at", "base", "host")
    size = found.get("size")
    return Note(
        **{name: found[name] for name in strings if isinstance(found.get(name), str)},
        written=_ranges(found, "written"),
        sealed=_ranges(found, "sealed"),
        missing=_ranges(found, "missing"),
        size=size if isinstance(size, int) else 0,
    )


def _ranges(found: Mapping[str, Any], name: str) -> Ranges:
    try:
        return tuple((int(start), int(stop)) for start, stop in found.get(name, ()))
    except (TypeError, ValueError):
        return ()


def written_ranges(fd: int) -> Ranges:
    """Return where the file *fd* has blocks: the whole of it where that cannot be told."""
    size = os.fstat(fd).st_size
    return tuple(_data(fd, size))


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:  # else there is nothing behind
                yield at, size
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, min(at, size)
