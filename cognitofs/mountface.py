"""MountFace of a running mount: what `status`, `sync` and `drain` see of it.

Owns the document of `status` and the telling of progress; what S3 does not have yet is counted in
`backlog.py`. Changes nothing but what a person tells it to discard.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import trio

from cognitofs import __version__
from cognitofs.backlog import Backlog, sealed_id, worst
from cognitofs.control import (
    MOST_FILES,
    ConflictStatus,
    DrainProgress,
    FileStatus,
    MountStatus,
    RefusedDeletion,
)
from cognitofs.errors import MountpointBusy
from cognitofs.fs.conflictcopies import Conflict
from cognitofs.fs.discards import discard
from cognitofs.fs.filesystem import Filesystem
from cognitofs.fs.recovery import Recovered
from cognitofs.fs.refreshing import refresh
from cognitofs.fs.treemoves import RenameProgress
from cognitofs.quantities import time_text

PROGRESS_SECONDS = 0.2
RARER = 10
"""Counting takes at most one part in so many of the time: 100,000 files take a while."""
MOST_REFUSALS = 20
"""Refused deletions that `status` tells apart from the files."""


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
        self._backlog = Backlog(filesystem, recovered.missing)
        self._times = times
        self._notices = notices
        self._pace = pace
        self._metadata = metadata

    def status(self) -> MountStatus:
        """Return the state of the moment."""
        tally = self._backlog.tally()
        counts = tally.counts
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
            state=worst(tally.states).value,
            waiting_for=counts.waiting_for,
            pending_files=counts.pending_files,
            pending_bytes=counts.pending_bytes,
            uploading_bytes=tally.sent,
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
            files=tuple(islice(self._backlog.each(), MOST_FILES)),
            conflicts=tuple(map(_settled, self._filesystem.rig.conflicts.all())),
            refused_deletions=self._refused_deletions(),
            transfers=self._pace.width,
            most_transfers=self._pace.most,
            away_since=self._filesystem.rig.namespace.away.since,
            slowed_at=_time_or_never(self._pace.slowed_at),
            metadata=self._metadata.width,
            most_metadata=self._metadata.most,
            metadata_slowed_at=_time_or_never(self._metadata.slowed_at),
            cache_bytes=cache.total,
            cache_size=cache.limit,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
        )

    def _refused_deletions(self) -> tuple[RefusedDeletion, ...]:
        refusals = self._filesystem.rig.deletions.refusals[-MOST_REFUSALS:]
        return tuple(RefusedDeletion(r.key, r.error, time_text(r.at)) for r in refusals)

    async def drain(self, progress: Callable[[DrainProgress], Awaitable[None]]) -> None:
        """Wait until nothing is left that can be sent; the last progress says what remains."""
        rig = self._filesystem.rig
        rig.uploader.nudge()
        self._filesystem.files.headers.hurry()
        rig.deletions.nudge()
        while True:
            began = time.monotonic()
            counts = self._backlog.tally().counts
            spent = time.monotonic() - began
            await progress(counts)
            left = counts.failed_files + counts.conflict_files
            if counts.pending_files <= left and not rig.deletions.is_retrying:
                return
            await trio.sleep(max(PROGRESS_SECONDS, RARER * spent))

    def files(self) -> list[FileStatus]:
        """Return every file that S3 does not have as it is here, oldest first."""
        return list(self._backlog.each())

    def has_unsent(self) -> bool:
        """Tell whether `files` would return any."""
        return any(True for _ in self._backlog.each())

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
        missing = self._backlog.missing
        for id_ in ids:
            if id_ in missing:
                await self._filesystem.rig.journal.finish(id_)
                del missing[id_]
        named = set(ids)
        deletions = self._filesystem.rig.deletions
        for refusal in deletions.refusals:
            if refusal.id in named:
                await deletions.give_up(refusal.id)
        for file in self._filesystem.files.all():
            if sealed_id(file) in named:
                await discard(self._filesystem.rig, self._filesystem.files, file)


def _settled(conflict: Conflict) -> ConflictStatus:
    return ConflictStatus(conflict.key, conflict.copy, time_text(conflict.at))


def _time_or_never(at: float) -> str:
    return time_text(at) if at else ""
