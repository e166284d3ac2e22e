"""The bytes that only this machine has: found, exported and given up, with a mount running or not.

Owns the view of all state directories of a person for `cognitofs recover`: sealed files that S3
does not have, and lost+found. A running mount is asked over its control socket; the journal of one
that does not run is opened under the lock of its state directory, which keeps mounts away.

INVARIANT: bytes go only where a person said `discard`; export changes nothing here.
"""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cognitofs import controlclient, lastword
from cognitofs.control import FileStatus, MountStatus, State, refused_file
from cognitofs.errors import NotMounted, SpoolDamaged
from cognitofs.mounts import left_behind, live_mounts, mount_of, path_in
from cognitofs.quantities import time_text
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.lostfound import LostFile, lost_files
from cognitofs.state import (
    Note,
    StateDirectory,
    StateFiles,
    binding_in,
    known_states,
    note_in,
)

if TYPE_CHECKING:
    from cognitofs.spool.journal import Journal, PendingFile

LOST_FOUND = "lost+found"
_Change = Callable[["Journal", str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept file: what it is, of which mount, and where its process listens (None: none)."""

    file: FileStatus
    mount: MountStatus
    socket: Path | None = None

    @property
    def state_files(self) -> StateFiles:
        """The state directory that holds it."""
        return StateFiles(Path(self.mount.state_directory))

    @property
    def bytes_path(self) -> Path:
        """Where its bytes lie; nothing needs to be there when its size is 0."""
        files = self.state_files
        return (files.lost_found if self.is_lost else files.spool) / self.file.id

    @property
    def is_lost(self) -> bool:
        """Whether it was never closed and so will never be sent."""
        return self.file.state == State.LOST


def kept_files(base: Path, environ: Mapping[str, str]) -> tuple[Kept, ...]:
    """Return everything that is kept below *base*.

    Raises NotMounted, Stalled or MountpointBusy when a process does not answer, SpoolDamaged and
    JournalTooNew for a journal that cannot be read.
    """
    found: list[Kept] = []
    asked: set[str] = set()
    for live in live_mounts(base, environ):
        asked.add(live.status.state_directory)
        files = controlclient.files(live.socket)
        found += [Kept(file, live.status, live.socket) for file in files if file.id]
        found += _lost(live.status, live.socket)
    for mount in _resting(base, asked):
        found += [Kept(file, mount) for file in _journalled(mount)] + _lost(mount, None)
    return tuple(found)


def _resting(base: Path, asked: set[str]) -> Iterator[MountStatus]:
    for files in known_states(base):
        if str(files.path) not in asked:
            yield replace(left_behind(files), state_directory=str(files.path))


def _lost(mount: MountStatus, socket: Path | None) -> list[Kept]:
    if not mount.state_directory:
        return []
    return [Kept(file, mount, socket) for file in lost_in(mount)]


def lost_in(mount: MountStatus) -> tuple[FileStatus, ...]:
    """Return what was never closed in earlier runs of *mount* and is kept in lost+found."""
    if not mount.state_directory:
        return ()
    place = StateFiles(Path(mount.state_directory)).lost_found
    return tuple(map(_lost_status, lost_files(place)))


def _lost_status(lost: LostFile) -> FileStatus:
    note = lost.note
    error = note.why
    if note.missing:
        ranges = ", ".join(f"{each.start}-{each.stop}" for each in ExtentMap(note.missing))
        error += f" These bytes of it, which read as zeros, were only in an upload: {ranges}."
    elif note.base:
        error += " It is what was changed of the version on S3; the rest reads as zeros."
    return FileStatus(
        path=f"{LOST_FOUND}/{note.key or lost.name}",
        state=State.LOST,
        size=lost.size,
        error=error,
        id=lost.name,
        etag=note.base,
        is_whole=not note.missing,
        when=note.written_at,
    )


def file_at(path: Path, base: Path, environ: Mapping[str, str]) -> Kept:
    """Return what is unsent of *path*, by name alone; in the state "clean" when nothing is.

    Raises NotMounted for a path in no mount, running or not, and as `kept_files`.
    """
    mount, files, socket = _unsent_around(path, base, environ)
    key = path_in(mount, path)
    found = next((each for each in files if each.path.removesuffix("/") == key), None)
    return Kept(found or FileStatus(key, State.CLEAN), mount, socket)


def files_at(
    path: Path, base: Path, environ: Mapping[str, str]
) -> tuple[MountStatus, list[FileStatus]]:
    """Return what is unsent at *path* or below it, and its mount. Raises as `file_at`."""
    mount, files, _ = _unsent_around(path, base, environ)
    key = path_in(mount, path)
    below = "" if key == "." else f"{key}/"
    return mount, [each for each in files if f"{each.path.removesuffix('/')}/".startswith(below)]


def _unsent_around(
    path: Path, base: Path, environ: Mapping[str, str]
) -> tuple[MountStatus, Sequence[FileStatus], Path | None]:
    """Return the mount of *path*, all that is unsent in it, and where its process listens."""
    live = live_mounts(base, environ)
    try:
        mount = mount_of(path, live)
    except NotMounted:
        asked = {each.status.state_directory for each in live}
        resting = [each for each in _resting(base, asked) if _lies_in(path, each)]
        if not resting:
            raise
        return resting[0], _journalled(resting[0]), None
    return mount.status, controlclient.files(mount.socket), mount.socket


def _lies_in(path: Path, mount: MountStatus) -> bool:
    written = Path(os.path.abspath(path))
    return bool(mount.mountpoint) and written.is_relative_to(mount.mountpoint)


# -- without a process ----------------------------------------------------------------------------


def _journalled(mount: MountStatus) -> list[FileStatus]:
    files = StateFiles(Path(mount.state_directory))
    if not files.journal.exists():
        return []
    with _opened(files) as journal:
        return _left_in(journal, files)


def _left_in(journal: "Journal", files: StateFiles) -> list[FileStatus]:
    from cognitofs.spool.intents import Intents  # noqa: PLC0415 -- brings trio: not for --help

    refused = [
        refused_file(each.key, each.id, each.error, time_text(each.at))
        for each in Intents(journal).refusals()
    ]
    return [_status_of(each, files) for each in journal.pending()] + refused


@contextlib.contextmanager
def _opened(files: StateFiles) -> "Iterator[Journal]":
    """Open the journal of a mount that does not run, under its lock. Raises MountpointBusy."""
    from cognitofs.spool.journal import Journal  # noqa: PLC0415 -- brings trio: not for --help
    from cognitofs.spool.spooldirectory import SpoolDirectory  # noqa: PLC0415 -- as above

    binding = binding_in(files)
    if binding is None:
        raise SpoolDamaged(f"{files.binding} cannot be read; restore it, then try again.")
    note = replace(note_in(files) or Note(), pid=os.getpid(), started=time.time())
    # Wherever the files are, this is about getting them out.
    with StateDirectory.open(files.path.parent.parent, binding, note, is_risked=True):
        journal = Journal.open(files.journal)
        spools = SpoolDirectory(files.path)
        journal.labels = spools
        try:
            yield journal
        finally:
            journal.close()
            spools.close()


def _status_of(pending: "PendingFile", files: StateFiles) -> FileStatus:
    seal = pending.seal
    is_here = not seal.has_spool or (files.spool / seal.id).exists()
    return FileStatus(
        path=seal.key,
        state=pending.state,
        size=seal.size,
        error=pending.error if is_here else "Its local bytes are missing.",
        id=seal.id,
        etag="" if seal.expect in ("absent", "any") else seal.expect,
        is_whole=is_here and seal.is_here,
    )


# -- giving up ------------------------------------------------------------------------------------


def discard(chosen: Sequence[Kept]) -> None:
    """Give the bytes of *chosen* up for good.

    Raises UnsentFiles for one that a program has open, MountpointBusy when a mount began meanwhile.
    """
    for kept in chosen:
        if kept.is_lost:
            kept.bytes_path.unlink(missing_ok=True)
            kept.bytes_path.with_name(f"{kept.file.id}.json").unlink(missing_ok=True)
    sealed = [kept for kept in chosen if not kept.is_lost]
    for socket in {kept.socket for kept in sealed if kept.socket is not None}:
        controlclient.discard(socket, [kept.file.id for kept in sealed if kept.socket == socket])
    resting = [kept for kept in sealed if kept.socket is None]
    for path in {kept.state_files.path for kept in resting}:
        _discard_in(StateFiles(path), [k.file.id for k in resting if k.state_files.path == path])


def _discard_in(files: StateFiles, ids: Sequence[str]) -> None:
    """Forget rows, then their spool files; what S3 has of them is dropped by the next mount."""
    _change(files, ids, _forget)
    for id_ in ids:
        (files.spool / id_).unlink(missing_ok=True)


def retry_later(chosen: Sequence[Kept]) -> None:
    """Note that the parked files among *chosen*, without a process, are to be tried again."""
    resting = [kept for kept in chosen if kept.socket is None and not kept.is_lost]
    for path in {kept.state_files.path for kept in resting}:
        ids = [kept.file.id for kept in resting if kept.state_files.path == path]
        _change(StateFiles(path), ids, lambda journal, id_: journal.unpark(id_))


async def _forget(journal: "Journal", id: str) -> None:
    from cognitofs.spool.intents import Intents  # noqa: PLC0415 -- as above

    await journal.finish(id)
    await Intents(journal).forget_refusal(id)


def _change(files: StateFiles, ids: Sequence[str], change: _Change) -> None:
    import trio  # noqa: PLC0415 -- as above

    with _opened(files) as journal:
        trio.run(partial(_each, journal, ids, change))
        is_empty, left = journal.is_empty(), _left_in(journal, files)
    if is_empty:
        files.journal.unlink(missing_ok=True)
    _correct_last_word(files, left)


async def _each(journal: "Journal", ids: Sequence[str], change: _Change) -> None:
    for id_ in ids:
        await change(journal, id_)
    await journal.make_durable()


def _correct_last_word(files: StateFiles, left: list[FileStatus]) -> None:
    """Let `cognitofs status` tell what is left now."""
    last = lastword.read(files)
    if last is None:
        return
    if not left:
        lastword.forget(files)
        return
    states = [file.state for file in left]
    changed = replace(
        last,
        pending_files=len(left),
        pending_bytes=sum(file.size for file in left),
        failed_files=states.count(State.FAILED) + states.count(State.REFUSED),
        conflict_files=states.count(State.CONFLICT),
        files=tuple(left),
    )
    with contextlib.suppress(OSError):
        lastword.write(files, changed)
