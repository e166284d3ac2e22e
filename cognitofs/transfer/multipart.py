"""Multipart: one multipart upload under way, before and after its file is sealed.

Owns the upload id, what S3 has acknowledged of it, and the parts in flight. Full parts of a new
file go out while the file is still being written (streaming); the uploader sends the rest.

INVARIANT: a receipt stands for bytes that have not changed since they were sent: `touch` drops
the receipts of rewritten ranges and marks parts in flight as stale.
INVARIANT: a part is given up here only after the journal says, durably, that S3 alone has it.
INVARIANT: the upload id is journalled before the first part is sent.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import trio

from cognitofs.errors import BytesLost, CognitoFSError, NoSuchUpload, SignInError, Transient
from cognitofs.spool.journal import Continued, Journal, SentPart
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import (
    FileSlice,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    PartReceipt,
    UploadId,
)
from cognitofs.transfer.parts import UPLOAD, Ladder, Part

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Flight:
    part: Part
    stale: bool = False


class Multipart:
    """A multipart upload of *key*; begun at S3 with its first part."""

    def __init__(
        self, store: ObjectStore, journal: Journal, id: str, key: str, headers: ObjectHeaders
    ) -> None:
        self.id = id
        self.key = key
        self.headers = headers
        self.upload_id: UploadId | None = None
        self.refusal: CognitoFSError | None = None
        self._store = store
        self._journal = journal
        self._sent: dict[int, SentPart] = {}
        self._flights: dict[int, _Flight] = {}
        self._failed: dict[int, Part] = {}
        self._next_to_stream = 1
        self._landed = trio.Condition()
        self._beginning = trio.Lock()
        self.is_resumed = False
        self.met_conflict = False
        """Whether S3 has refused to complete it once because of a change at the same moment."""

    @property
    def sent_bytes(self) -> int:
        """Bytes that S3 has acknowledged."""
        return sum(part.stop - part.start for part in self._sent.values())

    @property
    def has_sole_bytes(self) -> bool:
        """Tell whether some bytes are nowhere but in this upload."""
        return any(part.source == UPLOAD for part in self._sent.values())

    @property
    def continued(self) -> Continued | None:
        """What a seal that goes on with this upload may count on; None before it is begun."""
        return None if self.upload_id is None else Continued(self.upload_id, tuple(self._sent))

    def resume(self, upload_id: UploadId, parts: Sequence[SentPart]) -> None:
        """Take over an upload of an earlier process."""
        self.upload_id = upload_id
        self._sent = {part.receipt.number: part for part in parts}
        self.is_resumed = True

    async def keep_only(self, parts: Sequence[SentPart]) -> None:
        """Count on *parts* of a resumed upload and on no others; the journal follows."""
        known = self._sent
        self._sent = {part.receipt.number: part for part in parts}
        self.is_resumed = False
        for part in parts:
            if self.upload_id is not None and known.get(part.receipt.number) != part:
                await self._journal.record_part(self.upload_id, part)

    @property
    def sent(self) -> tuple[SentPart, ...]:
        """What S3 has acknowledged, by number."""
        return tuple(self._sent[number] for number in sorted(self._sent))

    # -- streaming: while the file is written -----------------------------------------------

    def touch(self, start: int, stop: int) -> None:
        """Note that bytes [start, stop) are about to change: what was sent of them is void."""
        for number in [n for n, p in self._sent.items() if p.start < stop and start < p.stop]:
            del self._sent[number]
        for number in [n for n, p in self._failed.items() if p.start < stop and start < p.stop]:
            del self._failed[number]
        for flight in self._flights.values():
            if flight.part.start < stop and start < flight.part.stop:
                flight.stale = True

    def stream_nowait(
        self, nursery: trio.Nursery, spool: SpoolFile, size: int, ladder: Ladder
    ) -> None:
        """Start sending every part that is complete; the last one is kept for the seal."""
        while self.refusal is None:
            part = ladder.part(self._next_to_stream)
            if part.stop >= size or not spool.held.covers(part.start, part.stop):
                return
            self._next_to_stream += 1
            # In flight from now on: whoever waits for all to land must not overlook it.
            nursery.start_soon(self._stream, self._take_off(part), spool)

    async def _stream(self, flight: _Flight, spool: SpoolFile) -> None:
        """Send one part ahead of the seal; what fails now is sent again then."""
        part = flight.part
        try:
            await self._fly(flight, spool)
        except NoSuchUpload as exc:
            self.refusal = lost(self.key) if self.has_sole_bytes else self.refusal
            _log.info("An upload ended before its file was closed: %s", exc)
        except (Transient, SignInError) as exc:
            if not flight.stale:
                self._failed[part.number] = part
            _log.info("Part %d of a file being written will be sent later: %s", part.number, exc)
        except CognitoFSError as exc:
            self.refusal = exc

    def stream_again(self, nursery: trio.Nursery, spool: SpoolFile) -> None:
        """Send the parts again that could not be sent: their space is wanted before the seal."""
        failed, self._failed = self._failed, {}
        for part in failed.values():
            nursery.start_soon(self._stream, self._take_off(part), spool)

    async def give_up(self, size: int, spool: SpoolFile) -> bool:
        """Free the first parts that S3 has, until *size* bytes are free; False if there are none.

        The caller lets nobody write meanwhile. What S3 has was compared by checksum.
        """
        chosen = self._first_here(size)
        if not chosen or self.upload_id is None:
            return False
        with trio.CancelScope(shield=True):  # what the journal says is to be so
            await self._journal.give_up(self.upload_id, [p.receipt.number for p in chosen])
            for part in chosen:
                self._sent[part.receipt.number] = replace(part, source=UPLOAD)
                spool.give_up(part.start, part.stop)
        return True

    def _first_here(self, size: int) -> list[SentPart]:
        chosen: list[SentPart] = []
        for part in self.sent:
            if part.source == "spool" and part.receipt.checksum and size > 0:
                chosen.append(part)
                size -= part.stop - part.start
        return chosen

    # -- sending -------------------------------------------------------------------------------

    async def begin(self) -> UploadId:
        """Return the upload id, asking S3 for one if there is none yet."""
        async with self._beginning:
            if self.upload_id is None:
                # Known before it is journalled: a seal meanwhile, which the journal takes after
                # it, must go on with it. Whoever sends parts waits here until both are done.
                self.upload_id = await self._store.begin_upload(self.key, self.headers)
                try:
                    await self._journal.begin_upload(self.id, self.key, self.upload_id)
                except BaseException:
                    self.upload_id = None
                    raise
            return self.upload_id

    async def send(self, part: Part, spool: SpoolFile) -> None:
        """Send *part* from the spool and keep its receipt, unless it was rewritten meanwhile."""
        await self._fly(self._take_off(part), spool)

    def _take_off(self, part: Part) -> _Flight:
        flight = _Flight(part)
        self._flights[part.number] = flight
        return flight

    async def _fly(self, flight: _Flight, spool: SpoolFile) -> None:
        part = flight.part
        try:
            with spool.in_use() as fd:
                upload_id = await self.begin()
                body = FileSlice(fd, part.start, part.stop)
                receipt = await self._store.upload_part(self.key, upload_id, part.number, body)
            if not flight.stale:
                await self._keep(upload_id, part, receipt)
                spool.note_progress()
        except CognitoFSError:
            if not flight.stale:  # else e.g. BadDigest: the bytes changed under the request
                raise
        finally:
            await self._land(part.number)

    async def copy(self, part: Part, base: ObjectInfo) -> None:
        """Make *part* out of the base object, inside S3."""
        upload_id = await self.begin()
        receipt = await self._store.copy_part(
            self.key, upload_id, part.number, source=base, start=part.start, stop=part.stop
        )
        await self._keep(upload_id, part, receipt)

    async def _keep(self, upload_id: UploadId, part: Part, receipt: PartReceipt) -> None:
        sent = SentPart(part.start, part.stop, part.source, receipt)
        self._sent[part.number] = sent
        await self._journal.record_part(upload_id, sent)

    async def _land(self, number: int) -> None:
        with trio.CancelScope(shield=True):
            async with self._landed:
                self._flights.pop(number, None)
                self._landed.notify_all()

    async def wait_landed(self) -> None:
        """Return when no part is in flight."""
        async with self._landed:
            while self._flights:
                await self._landed.wait()

    def disown(self) -> None:
        """Belong to no file any more; what is under way is void, and no seal goes on with it."""
        self.id = ""
        for flight in self._flights.values():
            flight.stale = True

    # -- the end -------------------------------------------------------------------------------

    def missing(self, plan: Sequence[Part]) -> list[Part]:
        """Return the parts of *plan* that S3 does not have as they are."""
        return [part for part in plan if not self._has(part)]

    def _has(self, part: Part) -> bool:
        sent = self._sent.get(part.number)
        return sent is not None and (sent.start, sent.stop) == (part.start, part.stop)

    def receipts(self, plan: Sequence[Part]) -> list[PartReceipt]:
        """Return the receipts of *plan*, all of which must be here."""
        return [self._sent[part.number].receipt for part in plan]

    async def restart(self) -> None:
        """Forget the upload at S3: it is gone. The next part begins another."""
        await self.wait_landed()
        if self.upload_id is not None:
            await self._journal.forget_upload(self.upload_id)
        self.upload_id = self.refusal = None
        self._sent.clear()
        self._failed.clear()
        self.is_resumed = self.met_conflict = False
        self._next_to_stream = 1

    async def abort(self) -> None:
        """Drop the upload at S3 and in the journal; after a failure it can be tried again."""
        await self.wait_landed()
        if self.upload_id is None:
            return
        try:
            await self._store.abort_upload(self.key, self.upload_id)
        except NoSuchUpload:
            _log.debug("the upload to abort was gone already")
        await self.restart()


def lost(key: str) -> BytesLost:
    """Return the failure of an upload that held bytes which nobody else has."""
    return BytesLost(
        f"S3 has no longer the upload that held the beginning of {key!r} (a lifecycle rule of the"
        " bucket ends uploads); those bytes are gone. Remove the file and store it again."
    )
