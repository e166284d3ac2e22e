"""Backlog: what S3 does not have as it is here, counted and put into words.

Owns the states that a person sees. Counting asks each file for a few numbers; what `status` shows
of a file is made only for those that are shown. Changes nothing.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from cognitofs.control import DrainProgress, FileStatus, State, refused_file
from cognitofs.errors import LoginRequired, SignInError
from cognitofs.fs.filesystem import Filesystem
from cognitofs.fs.openfile import OpenFile
from cognitofs.quantities import time_text
from cognitofs.spool.intents import Refusal
from cognitofs.spool.journal import PendingFile

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
_MISSING = "Its local bytes are missing."


def worst(states: Collection[State]) -> State:
    """Return the state that needs a person most; CLEAN when there is none."""
    return next((each for each in _WORST if each in states), State.CLEAN)


@dataclass(frozen=True, slots=True)
class Tally:
    """What is left, the states of all of it, and the bytes of it that S3 has already."""

    counts: DrainProgress
    states: frozenset[State]
    sent: int


class Backlog:
    """What the mount of *filesystem* has to send; *missing* lost its local bytes before."""

    def __init__(self, filesystem: Filesystem, missing: Iterable[PendingFile]) -> None:
        self.missing = {lost.seal.id: lost for lost in missing}
        self._filesystem = filesystem

    def tally(self) -> Tally:
        """Return what is left."""
        files, rig = self._unsent(), self._filesystem.rig
        states = [_state_of(file) for file in files]
        sent = [_sent(file) for file in files]
        left = [file.content.size - each for file, each in zip(files, sent, strict=True)]
        others = self._states_of_others()
        counts = DrainProgress(
            pending_files=len(files) + len(others),
            pending_bytes=sum(each for each in left if each > 0)
            + sum(lost.seal.size for lost in self.missing.values()),
            failed_files=states.count(State.FAILED)
            + len(rig.deletions.refusals)
            + len(self.missing),
            conflict_files=states.count(State.CONFLICT),
            waiting_for=self._waiting_for(),
            last_error=self._last_error(files),
        )
        return Tally(counts, frozenset(chain(states, others)), sum(sent))

    def each(self) -> Iterator[FileStatus]:
        """Give each file and deletion, oldest first. Nothing may change meanwhile."""
        rig = self._filesystem.rig
        yield from map(_status_of, self._unsent())
        for key in self._filesystem.files.headers.pending:
            yield FileStatus(path=key, state=State.SEALED)
        trouble = _sentence(rig.deletions.trouble)
        for key in rig.deletions.pending:
            yield FileStatus(path=key, state=State.DELETING, error=trouble)
        for refusal in rig.deletions.refusals:
            yield _refused(refusal)
        for lost in self.missing.values():
            seal = lost.seal
            yield FileStatus(
                path=seal.key,
                state=State.FAILED,
                size=seal.size,
                error=_MISSING,
                id=seal.id,
                is_whole=False,
            )

    def _unsent(self) -> list[OpenFile]:
        return [file for file in self._filesystem.files.all() if _is_unsent(file)]

    def _states_of_others(self) -> list[State]:
        """Return the states of what is no file here."""
        deletions = self._filesystem.rig.deletions
        return [
            *[State.SEALED] * len(self._filesystem.files.headers.pending),
            *[State.DELETING] * len(deletions.pending),
            *[State.REFUSED] * len(deletions.refusals),
            *[State.FAILED] * len(self.missing),
        ]

    def _last_error(self, files: list[OpenFile]) -> str:
        deletions = self._filesystem.rig.deletions
        if self.missing:
            return _MISSING
        if deletions.refusals:
            return _refused(deletions.refusals[-1]).error
        if deletions.pending and deletions.trouble is not None:
            return str(deletions.trouble)
        errors = (file.upload.error for file in reversed(files) if file.upload is not None)
        return _sentence(next((each for each in errors if each is not None), None))

    def _waiting_for(self) -> str:
        waiting = [u for u in self._filesystem.rig.uploader.uploads() if u.state == "waiting"]
        if any(isinstance(upload.error, SignInError) for upload in waiting):
            return "auth"
        return "network" if waiting else ""


def sealed_id(file: OpenFile) -> str:
    """Return the name of the newest sealed content, "" when there is none."""
    if file.upload is not None:
        return file.upload.seal.id
    return "" if file.deferred is None else file.deferred.id


def _is_unsent(file: OpenFile) -> bool:
    return not file.unlinked and (file.dirty or file.upload is not None)


def _state_of(file: OpenFile) -> State:
    upload = file.upload
    if upload is None:
        return State.DIRTY
    if upload.state == "uploading" and isinstance(upload.error, LoginRequired):
        return State.WAITING
    return State.UPLOADING if upload.state == "committing" else State(upload.state)


def _sent(file: OpenFile) -> int:
    """Return the bytes of *file* that S3 has."""
    sender = file.content.multipart if file.upload is None else file.upload
    return 0 if sender is None else sender.sent_bytes


def _status_of(file: OpenFile) -> FileStatus:
    upload, replaced = file.upload, file.stands_for
    return FileStatus(
        path=file.inode.key,
        state=_state_of(file),
        size=file.content.size,
        sent=_sent(file),
        error="" if upload is None else _sentence(upload.error),
        id=sealed_id(file),
        attempts=0 if upload is None else upload.attempts,
        etag="" if replaced is None else replaced.etag,
        is_whole=upload is None or upload.seal.is_here,
    )


def _refused(refusal: Refusal) -> FileStatus:
    return refused_file(refusal.key, refusal.id, refusal.error, time_text(refusal.at))


def _sentence(error: Exception | None) -> str:
    return "" if error is None else str(error)
