"""The words between a running mount and the commands that ask it: status, files, sync, drain, ...

Owns the status document, the lines of the protocol and the texts of errors in it. Opens no socket:
the mount's end is `controlserver.py`, the command's `controlclient.py`.

One JSON object per line over a unix socket; the client writes one request:

    {"v": 1, "request": "status" | "files" | "sync" | "drain" | "stop"}
    {"v": 1, "request": "discard", "ids": ["...", ...]}
    {"v": 1, "request": "refresh", "paths": ["a/b", ...]}

and the mount answers with lines until the last one, then closes:

    {"v": 1, "kind": "status", "status": {one element of "mounts" below}}            last
    {"v": 1, "kind": "file", "file": {one element of "files" below}}    any number, to files
    {"v": 1, "kind": "progress", "progress": {DrainProgress}}    any number, to sync and drain
    {"v": 1, "kind": "alive"}                         to sync, drain, discard: still at it
    {"v": 1, "kind": "refreshed", "path": "a/b", "names": 12}     for each path of refresh
    {"v": 1, "kind": "done"}                                                         last
    {"v": 1, "kind": "error", "class": "Stalled", "message": "A sentence."}          last

`sync` and `drain` both end when nothing is left that the mount can still send by itself; `drain`
says in addition that the person is about to leave. `stop` is for a mount that is unmounted and
only drains: it exits at once, its journal goes on in the next mount. `files` tells all files of
which `status` tells the first hundred; `discard` gives the sealed bytes of those named up.
`refresh` drops what is cached of the paths named (below the mountpoint), and of all below them.

INVARIANT: a command and a mount of different versions understand each other: fields are only ever
added, unknown ones are ignored, missing ones have the defaults below.

The status document, `cognitofs status --json`:

    {"mounts": [{
      "mountpoint": "/home/ada/cloud",
      "mounted": true,            false: unmounted; the process (if pid) only sends what is left
      "pid": 4711,                0 when no process runs
      "profile": "default", "username": "ada", "identity_id": "eu-west-1:...",
      "s3_uri": "s3://bucket/private/eu-west-1:.../",
      "state": "uploading",       the worst of its files, see `State`
      "waiting_for": "",          "auth" or "network" when the state is "waiting"
      "pending_files": 2,         files whose newest bytes S3 does not have, failed ones included
      "pending_bytes": 123456,    their bytes still to be sent
      "uploading_bytes": 4096,    of the files on their way: bytes that S3 already took
      "failed_files": 0,          S3 refuses them for good; kept, a person decides
      "conflict_files": 0,        changed elsewhere too; kept, a person decides
      "keys_expire": "2026-01-31T12:00:00+00:00",   ISO 8601, or "" when unknown or never
      "sign_in_ends": "2026-03-02T12:00:00+00:00",  about when a new login is needed, or ""
      "sign_in_warning": "",      a sentence once that is near
      "last_error": "",           the newest failure as a sentence
      "sync": "close", "version": "0.1.0", "state_directory": "/home/ada/.local/state/...",
      "notices": [],              sentences that were said at mount
      "hidden_keys": 0,           keys that no file name can be, in directories that were listed
      "hidden": ["x//y"],         the first ten of them
      "files": [{"path": "a/b.txt", "state": "sealed", "size": 10, "sent": 0, "error": "",
                 "id": "...", "attempts": 0, "etag": "", "is_whole": true}]
                                  the first 100 that are pending, failed or in conflict
      "lost": [{"path": "lost+found/a/b.txt", "state": "lost", "size": 10, "when": ISO 8601, ...}]
                                  never closed before a crash; filled in by the command itself
      "conflicts": [{"path": "a/b.txt", "copy": "a/b (conflicted copy ...).txt", "when": ISO 8601}]
                                  the last 20 that this mount settled by a copy, oldest first
      "refused_deletions": [{"path": "a/b.txt", "error": "A sentence.", "when": ISO 8601}]
                                  the last 20 that S3 refused later; the names show again (they
                                  are among "files" too, in the state "refused")
      "transfers": 16,            requests with content that may run at once now
      "most_transfers": 16,       and when S3 does not ask to slow down
      "slowed_at": "",            when it last did (ISO 8601), "" for never
      "away_since": "",           since when S3 does not answer (ISO 8601), "" when it does: names
                                  are shown as they were last seen
      "metadata": 32,             requests about names and attributes that may run at once now
      "most_metadata": 32,        and when S3 does not ask to slow down
      "metadata_slowed_at": "",   when it last did
      "cache_bytes": 1048576,     disk that clean bytes take
      "cache_size": 1073741824,   and that they may take
      "cache_hits": 10,           reads of this mount's process that needed no request
      "cache_misses": 2           and that waited for one
    }]}
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from cognitofs import errors
from cognitofs.errors import CognitoFSError, MountError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1
# A status with a hundred paths of 1024 escaped characters stays below it.
MAX_LINE = 1 << 20
MOST_FILES = 100


class State(StrEnum):
    """What a file, or the mount as a whole, is waiting for."""

    CLEAN = "clean"
    DIRTY = "dirty"
    SEALED = "sealed"
    UPLOADING = "uploading"
    WAITING = "waiting"
    CONFLICT = "conflict"
    # Its name is gone here, and S3 has not removed the object yet.
    DELETING = "deleting"
    FAILED = "failed"
    # S3 refuses to remove it: its name shows again here.
    REFUSED = "refused"
    # Of `recover list` only: never closed before a crash; in lost+found.
    LOST = "lost"
    # Of a mount only: no process runs; what is pending goes on at the next mount.
    UNMOUNTED = "unmounted"


@dataclass(frozen=True, slots=True)
class FileStatus:
    """One file that S3 does not have as it is here. Sizes in bytes.

    `id` names it to `discard` and is the name of its spool file; "" for one that is not sealed.
    `attempts` counts the tries of this mount, `etag` is the version on S3 that it replaces or "".
    `is_whole` says that all of its bytes are here: unless it is a part of a larger object.
    `when` (ISO 8601) is the last write of what is in lost+found, or when S3 refused a deletion.
    """

    path: str = ""
    state: str = "dirty"
    size: int = 0
    sent: int = 0
    error: str = ""
    id: str = ""
    attempts: int = 0
    etag: str = ""
    is_whole: bool = True
    when: str = ""


@dataclass(frozen=True, slots=True)
class ConflictStatus:
    """A conflict that was settled by giving one version a name of its own."""

    path: str = ""
    copy: str = ""
    # ISO 8601.
    when: str = ""


@dataclass(frozen=True, slots=True)
class RefusedDeletion:
    """A deletion that was acknowledged here and that S3 refused: the name shows again."""

    path: str = ""
    error: str = ""
    # ISO 8601.
    when: str = ""


def refused_file(path: str, id: str, error: str, when: str) -> FileStatus:
    """Return the status of an object that S3 refused to remove: only S3 has bytes of it."""
    error = f"S3 refuses to remove it, so it shows again: {error}"
    return FileStatus(path, State.REFUSED, error=error, id=id, is_whole=False, when=when)


@dataclass(frozen=True, slots=True)
class MountStatus:
    """One element of "mounts"; the module's docstring gives each field's meaning.

    States are plain strings, since a newer mount may know one that we do not.
    """

    mountpoint: str = ""
    mounted: bool = True
    pid: int = 0
    profile: str = ""
    username: str = ""
    identity_id: str = ""
    s3_uri: str = ""
    state: str = "clean"
    waiting_for: str = ""
    pending_files: int = 0
    pending_bytes: int = 0
    uploading_bytes: int = 0
    failed_files: int = 0
    conflict_files: int = 0
    keys_expire: str = ""
    sign_in_ends: str = ""
    sign_in_warning: str = ""
    last_error: str = ""
    sync: str = ""
    version: str = ""
    state_directory: str = ""
    renaming: str = ""
    rename_done: int = 0
    rename_total: int = 0
    notices: tuple[str, ...] = ()
    hidden_keys: int = 0
    hidden: tuple[str, ...] = ()
    files: tuple[FileStatus, ...] = ()
    lost: tuple[FileStatus, ...] = ()
    conflicts: tuple[ConflictStatus, ...] = ()
    refused_deletions: tuple[RefusedDeletion, ...] = ()
    transfers: int = 0
    most_transfers: int = 0
    slowed_at: str = ""
    away_since: str = ""
    metadata: int = 0
    most_metadata: int = 0
    metadata_slowed_at: str = ""
    cache_bytes: int = 0
    cache_size: int = 0
    cache_hits: int = 0
    cache_misses: int = 0

    @property
    def needs_person(self) -> bool:
        """Whether something will not resolve by itself."""
        return self.failed_files > 0 or self.conflict_files > 0 or self.state == State.FAILED


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """How far a drain has come: files and bytes still to go, and what stays behind."""

    pending_files: int = 0
    pending_bytes: int = 0
    failed_files: int = 0
    conflict_files: int = 0
    state: str = "uploading"
    waiting_for: str = ""
    last_error: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether S3 has everything."""
        return not (self.pending_files or self.failed_files or self.conflict_files)


@dataclass(frozen=True, slots=True)
class MountReport:
    """What `mount` tells the person once the mount answers."""

    mountpoint: str = ""
    s3_uri: str = ""
    username: str = ""
    identity_id: str = ""
    # ISO 8601, or "" when unknown or never.
    keys_expire: str = ""
    notices: tuple[str, ...] = ()
    pid: int = 0


class MountFace(Protocol):
    """What a running mount shows to its control socket."""

    def status(self) -> MountStatus:
        """Return the state of the moment, without waiting."""
        ...

    def files(self) -> list[FileStatus]:
        """Return every file that S3 does not have as it is here, oldest first."""
        ...

    async def discard(self, ids: Sequence[str]) -> None:
        """Give the sealed bytes of the files *ids* up for good. Raises UnsentFiles."""
        ...

    async def refresh(self, path: str) -> int:
        """Drop what is cached of *path* and below; return how many names were known there."""
        ...

    async def drain(self, progress: Callable[[DrainProgress], Awaitable[None]]) -> None:
        """Wait until nothing is left that can be sent, telling *progress* now and then.

        The last call of *progress* says what is left then. Raises CognitoFSError.
        """
        ...

    def stop(self) -> None:
        """End a mount that only drains, at once. Raises MountpointBusy while it is mounted."""
        ...


def status_document(mounts: tuple[MountStatus, ...]) -> dict[str, object]:
    """Return the document of `status --json`."""
    return {"mounts": [asdict(mount) for mount in mounts]}


def mount_status(document: Mapping[str, object]) -> MountStatus:
    """Return the status that *document* describes, as far as this version knows it."""
    notices = document.get("notices")
    return MountStatus(
        **_known(MountStatus, document),
        files=tuple(file_status(each) for each in _dicts(document, "files")),
        lost=tuple(file_status(each) for each in _dicts(document, "lost")),
        conflicts=tuple(
            ConflictStatus(**_known(ConflictStatus, each)) for each in _dicts(document, "conflicts")
        ),
        refused_deletions=tuple(
            RefusedDeletion(**_known(RefusedDeletion, each))
            for each in _dicts(document, "refused_deletions")
        ),
        notices=_texts(notices),
        hidden=_texts(document.get("hidden")),
    )


def _dicts(document: Mapping[str, object], name: str) -> list[dict[str, object]]:
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def file_status(document: Mapping[str, object]) -> FileStatus:
    """Return the file that *document* describes."""
    return FileStatus(**_known(FileStatus, document))


def drain_progress(document: Mapping[str, object]) -> DrainProgress:
    """Return the progress that *document* describes."""
    return DrainProgress(**_known(DrainProgress, document))


def mount_report(document: Mapping[str, object]) -> MountReport:
    """Return the report that *document* describes."""
    return MountReport(**_known(MountReport, document), notices=_texts(document.get("notices")))


def _known(kind: type["DataclassInstance"], document: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of *document* that *kind* has too, where they are of the right type."""
    return {
        each.name: document[each.name]
        for each in fields(kind)
        if isinstance(each.default, str | int)
        and type(document.get(each.name)) is type(each.default)
    }


def _texts(found: object) -> tuple[str, ...]:
    return tuple(str(text) for text in found) if isinstance(found, list) else ()


def encode(**message: object) -> bytes:
    """Return *message* as one line of the protocol."""
    return json.dumps({"v": VERSION, **message}).encode() + b"\n"


def decode(line: bytes) -> dict[str, object]:
    """Return the message on *line*. Raises MountError when it is none of ours."""
    try:
        message = json.loads(line)
    except ValueError as exc:
        raise MountError(_STRANGE) from exc
    if not isinstance(message, dict):
        raise MountError(_STRANGE)
    return message


_STRANGE = (
    "The running mount answered with something this version cannot read; unmount it with "
    "`fusermount3 -u` and mount it again with this version."
)


def error_document(error: CognitoFSError) -> dict[str, object]:
    """Return *error* for a line of the protocol: its class and its sentence."""
    return {"class": type(error).__name__, "message": str(error)}


def error_from(document: Mapping[str, object]) -> CognitoFSError:
    """Return the error that *document* describes; a class we do not know becomes the root's."""
    kind = getattr(errors, str(document.get("class", "")), None)
    message = str(document.get("message", "")) or "The mount failed without saying why."
    if isinstance(kind, type) and issubclass(kind, CognitoFSError):
        return kind(message)
    return CognitoFSError(message)
