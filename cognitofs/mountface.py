"""MountFace of a running mount: what `status`, `sync` and `drain` see of it.

Owns the counting of what S3 does not have yet and the words for it; changes nothing but what a
person tells it to discard.
"""

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import trio

from cognitofs import __version__
from cognitofs.control import (
    MOST_FILES,
    ConflictStatus,
    DrainProgress,
    FileStatus,
    MountStatus,
    RefusedDeletion,
    State,
    refused_file,
)
from cognitofs.errors import LoginRequired, MountpointBusy, SignInError
from cognitofs.fs.conflictcopies import Conflict
from cognitofs.fs.discards import discard
from cognitofs.fs.filesystem import Filesystem
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.recovery import Recovered
from cognitofs.fs.refreshing import refresh
from cognitofs.fs.treemoves import RenameProgress

PROGRESS_SECONDS = 0.2
MOST_REFUSALS = 20
"""Refused deletions that `status` tells apart from the files."""

_WORST = (
    State.FAILED,
    State.REFUSED,
    State.CONFLICT,
    State.WAITING,
    State.UPLOADING,
    State.SEALED,
    State.DELETING,
    State.DIRTY,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change while a mount lives."""

    mountpoint: str
    pid: int
    profile: str
    username: str
    identity_id: str
    s3_uri: str
    state_directory: str


class SignInTimes(Protocol):
    """What is known of keys and sign-in at the moment: ISO 8601, or "" when never or unknown."""

    @property
    def keys_expire(self) -> str:
        """When the keys at hand end."""
        ...

    @property
    def sign_in_ends(self) -> str:
        """When a new login will be needed."""
        ...

    @property
    def warning(self) -> str:
        """What to tell the person of that; "" while there is time."""
        ...


class Pace(Protocol):
    """How many requests of one kind S3 takes at once."""

    most: int
    slowed_at: float

    @property
    def width(self) -> int:
        """How many may run now."""
        ...


class RunningMount:
    """The mount as its control socket shows it."""

    def __init__(
        self,
        filesystem: Filesystem,
        identity: Identity,
        recovered: Recovered,
        times: SignInTimes,
        notices: tuple[str, ...],
        *,
        pace: Pace,
        metadata: Pace,
    ) -> None:
        self.is_mounted = True
        self.last_drain = trio.CancelScope()
        self._filesystem = filesystem
        self._identity = identity
        self._missing = {lost.seal.id: lost for lost in recovered.missing}
        self._times = times
        self._notices = notices
        self._pace = pace
        self._metadata = metadata

    def status(self) -> MountStatus:
        """Return the state of the moment."""
        files = self.files()
        states = {file.state for file in files}
        counts = self._counts(files)
        moving = next(iter(self._filesystem.renaming), RenameProgress("", "", 0, 0))
        cache = self._filesystem.rig.cache
        return MountStatus(
            mountpoint=self._identity.mountpoint,
            mounted=self.is_mounted,
            pid=self._identity.pid,
            profile=self._identity.profile,
            username=self._identity.username,
            identity_id=self._identity.identity_id,
            s3_uri=self._identity.s3_uri,
            state=next((s.value for s in _WORST if s in states), State.CLEAN.value),
            waiting_for=counts.waiting_for,
            pending_files=counts.pending_files,
            pending_bytes=counts.pending_bytes,
            uploading_bytes=sum(file.sent for file in files),
            failed_files=counts.failed_files,
            conflict_files=counts.conflict_files,
            keys_expire=self._times.keys_expire,
            sign_in_ends=self._times.sign_in_ends,
            sign_in_warning=self._times.warning,
            last_error=counts.last_error,
            sync=self._filesystem.rig.promises.sync,
            version=__version__,
            state_directory=self._identity.state_directory,
            renaming=f"{moving.source} -> {moving.target}" if moving.total else "",
            rename_done=moving.copied,
            rename_total=moving.total,
            notices=self._notices,
            hidden_keys=self._filesystem.rig.directories.hidden.count,
            hidden=self._filesystem.rig.directories.hidden.first,
            files=tuple(files[:MOST_FILES]),
            conflicts=tuple(map(_settled, self._filesystem.rig.conflicts.all())),
            refused_deletions=self._refused_deletions(),
            transfers=self._pace.width,
            most_transfers=self._pace.most,
            away_since=self._filesystem.rig.namespace.away.since,
            slowed_at=_iso_or_never(self._pace.slowed_at),
            metadata=self._metadata.width,
            most_metadata=self._metadata.most,
            metadata_slowed_at=_iso_or_never(self._metadata.slowed_at),
            cache_bytes=cache.total,
            cache_size=cache.limit,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
        )

    def _refused_deletions(self) -> tuple[RefusedDeletion, ...]:
        refusals = self._filesystem.rig.deletions.refusals[-MOST_REFUSALS:]
        return tuple(RefusedDeletion(r.key, r.error, _iso(r.at)) for r in refusals)

    async def drain(self, progress: Callable[[DrainProgress], Awaitable[None]]) -> None:
        """Wait until nothing is left that can be sent; the last progress says what remains."""
        rig = self._filesystem.rig
        rig.uploader.nudge()
        self._filesystem.files.headers.hurry()
        rig.deletions.nudge()
        while True:
            counts = self._counts(self.files())
            await progress(counts)
            left = counts.failed_files + counts.conflict_files
            if counts.pending_files <= left and not rig.deletions.is_retrying:
                return
            await trio.sleep(PROGRESS_SECONDS)

    async def refresh(self, path: str) -> int:
        """Drop what is cached of *path* and below; return how many names were known there."""
        return await refresh(self._filesystem.rig, self._filesystem.files, path)

    def stop(self) -> None:
        """End a mount that only drains; its journal goes on in the next mount."""
        if self.is_mounted:
            raise MountpointBusy(
                f"It is mounted at {self._identity.mountpoint}; unmount it first with"
                f" `cognitofs umount {self._identity.mountpoint}`."
            )
        self.last_drain.cancel()

    async def discard(self, ids: Sequence[str]) -> None:
        """Give the sealed bytes of the files *ids* up; those that S3 has by now are no error.

        Raises UnsentFiles for one that a program has open.
        """
        for id_ in ids:
            if id_ in self._missing:
                await self._filesystem.rig.journal.finish(id_)
                del self._missing[id_]
        named = set(ids)
        deletions = self._filesystem.rig.deletions
        for refusal in deletions.refusals:
            if refusal.id in named:
                await deletions.give_up(refusal.id)
        for file in self._filesystem.files.all():
            if _sealed_id(file) in named:
                await discard(self._filesystem.rig, self._filesystem.files, file)

    def _counts(self, files: list[FileStatus]) -> DrainProgress:
        errors = [file.error for file in files if file.error]
        return DrainProgress(
            pending_files=len(files),
            pending_bytes=sum(file.size - min(file.sent, file.size) for file in files),
            failed_files=sum(file.state in (State.FAILED, State.REFUSED) for file in files),
            conflict_files=sum(file.state == State.CONFLICT for file in files),
            waiting_for=self._waiting_for(),
            last_error=errors[-1] if errors else "",
        )

    def _waiting_for(self) -> str:
        waiting = [u for u in self._filesystem.rig.uploader.uploads() if u.state == "waiting"]
        if any(isinstance(upload.error, SignInError) for upload in waiting):
            return "auth"
        return "network" if waiting else ""

    def files(self) -> list[FileStatus]:
        """Return every file that S3 does not have as it is here, oldest first."""
        found = [_status_of(f) for f in self._filesystem.files.all() if _is_unsent(f)]
        keys = self._filesystem.files.headers.pending
        found += [FileStatus(path=key, state=State.SEALED) for key in keys]
        deletions = self._filesystem.rig.deletions
        trouble = str(deletions.trouble) if deletions.trouble is not None else ""
        found += [
            FileStatus(path=key, state=State.DELETING, error=trouble) for key in deletions.pending
        ]
        found += [refused_file(r.key, r.id, r.error, _iso(r.at)) for r in deletions.refusals]
        found += [
            FileStatus(
                path=lost.seal.key,
                state=State.FAILED,
                size=lost.seal.size,
                error="Its local bytes are missing.",
                id=lost.seal.id,
                is_whole=False,
            )
            for lost in self._missing.values()
        ]
        return found


def _settled(conflict: Conflict) -> ConflictStatus:
    return ConflictStatus(conflict.key, conflict.copy, _iso(conflict.at))


def _iso(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")


def _iso_or_never(at: float) -> str:
    return _iso(at) if at else ""


def _is_unsent(file: OpenFile) -> bool:
    return not file.unlinked and (file.dirty or file.upload is not None)


def _sealed_id(file: OpenFile) -> str:
    """Return the name of the newest sealed content, "" when there is none."""
    if file.upload is not None:
        return file.upload.seal.id
    return "" if file.deferred is None else file.deferred.id


def _status_of(file: OpenFile) -> FileStatus:
    upload = file.upload
    replaced = file.stands_for
    status = FileStatus(
        path=file.inode.key,
        state=State.DIRTY,
        size=file.content.size,
        id=_sealed_id(file),
        etag="" if replaced is None else replaced.etag,
    )
    if upload is None:
        multipart = file.content.multipart
        return replace(status, sent=multipart.sent_bytes if multipart is not None else 0)
    status = replace(status, attempts=upload.attempts, is_whole=upload.seal.is_here)
    error = str(upload.error) if upload.error is not None else ""
    if isinstance(upload.error, LoginRequired) and upload.state == "uploading":
        return replace(status, state=State.WAITING, sent=upload.sent_bytes, error=error)
    state = State.UPLOADING if upload.state == "committing" else State(upload.state)
    return replace(status, state=state, sent=upload.sent_bytes, error=error)
