"""Delivery: one try at bringing one seal to S3.

Owns which requests a seal needs (one PutObject, or parts and a Complete), the filling of touched
parts from the base object, and the settling of commits whose outcome is unknown.
Does not retry, park or journal states: that is the uploader's.

INVARIANT: nothing is sent while an earlier commit of the same upload is unsettled.
"""

from dataclasses import replace
from functools import partial

from cognitofs.errors import (
    Changed,
    CognitoFSError,
    ConditionalConflict,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    SpoolDamaged,
    Transient,
)
from cognitofs.parallel import run_all
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.journal import Journal
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import Body, FileSlice, ObjectHead, ObjectInfo, ObjectStore
from cognitofs.transfer.conflicts import Verdict, judge
from cognitofs.transfer.leftovers import remove_ours
from cognitofs.transfer.multipart import Multipart, lost
from cognitofs.transfer.parts import MIB, Ladder, Part, plan_change
from cognitofs.transfer.readahead import Reader
from cognitofs.transfer.resume import Resume
from cognitofs.transfer.upload import Upload

PARTS_AT_ONCE = 16
"""Parts of one file under way; the store's own limit on transfers is usually lower."""

_UNSETTLED = (PreconditionFailed, ConditionalConflict, NotFound, NoSuchUpload, Transient)


class Delivery:
    """Tries for one mount."""

    def __init__(
        self, store: ObjectStore, journal: Journal, reader: Reader, ladder: Ladder
    ) -> None:
        self._store = store
        self._journal = journal
        self._reader = reader
        self._ladder = ladder
        self._resume = Resume(store)

    async def deliver(self, upload: Upload) -> ObjectInfo:
        """Return what S3 acknowledged.

        Raises Stale when a person must decide about a conflict, else what the store raises; the
        same upload may be delivered again after any failure.
        """
        info = await self._bring(upload)
        for key, txid in upload.seal.leaves:
            try:
                await remove_ours(self._store, key, (txid,))
            except CognitoFSError as exc:
                upload.unsettled = exc  # the next try finds the commit done and comes back here
                raise
        return info

    async def _bring(self, upload: Upload) -> ObjectInfo:
        if upload.unsettled is not None:
            return await self._settle(upload, upload.unsettled)
        try:
            plan = await self._send(upload)
        except (Changed, NoSuchUpload) as exc:
            # Perhaps by ourselves: by this commit, before a crash, or by one that it supersedes.
            upload.unsettled = exc
            return await self._settle(upload, exc)
        upload.enter("committing", upload.error)
        upload.commit_was_sent = True
        try:
            return await self._commit(upload, plan)
        except _UNSETTLED as exc:
            upload.unsettled = exc
            return await self._settle(upload, exc)

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, upload: Upload) -> tuple[Part, ...]:
        """Send everything but the commit; return the parts, none for a single PutObject."""
        seal = upload.seal
        if upload.spool is None:
            return ()
        if upload.spool.is_suspect:
            await upload.spool.verify()
        if upload.spool.damaged.overlaps(0, seal.size):
            raise _damaged(seal.key, upload.spool.damaged)
        if upload.multipart is None and upload.has_sole_bytes:
            raise NoSuchUpload("The journal does not know the upload any more.")
        upload.spool.reach(seal.size)
        if upload.multipart is None and seal.size <= self._ladder.first:
            await self._fill(upload, 0, seal.size)
            return ()
        plan = self._plan(seal, upload.multipart)
        if upload.multipart is None:
            upload.multipart = Multipart(
                self._store, self._journal, seal.id, seal.key, seal.headers
            )
        await upload.multipart.wait_landed()
        if upload.multipart.is_resumed:
            await self._resume.examine(upload.multipart, plan, upload.spool)
        missing = upload.multipart.missing(plan)
        if any(upload.spool.given_up.overlaps(part.start, part.stop) for part in missing):
            raise lost(seal.key)
        await run_all(
            (partial(self._send_part, upload, part) for part in missing), limit=PARTS_AT_ONCE
        )
        return plan

    def _plan(self, seal: Seal, begun: Multipart | None) -> tuple[Part, ...]:
        if seal.base is None or not seal.base_limit:
            sent = () if begun is None else begun.sent
            return self._ladder.as_sent(sent, seal.size).cut(seal.size)
        touched = ExtentMap(seal.touched)
        return plan_change(seal.size, touched, seal.base_limit, self._ladder)

    async def _send_part(self, upload: Upload, part: Part) -> None:
        assert upload.multipart is not None
        assert upload.spool is not None
        if part.source == "base" and upload.seal.base is not None:
            await upload.multipart.copy(part, upload.seal.base)
        else:
            await self._fill(upload, part.start, part.stop)
            await upload.multipart.send(part, upload.spool)
        upload.note_progress()

    async def _fill(self, upload: Upload, start: int, stop: int) -> None:
        """Fetch what of [start, stop) only the base object has into the spool file."""
        base, spool = upload.seal.base, upload.spool
        if base is None or spool is None:
            return
        for gap in spool.held.gaps(start, min(stop, upload.seal.base_limit)):
            for at in range(gap.start, gap.stop, MIB):
                data = await self._reader.read(base, at, min(at + MIB, gap.stop))
                await spool.write(at, data)

    # -- committing ------------------------------------------------------------------------------

    async def _commit(self, upload: Upload, plan: tuple[Part, ...]) -> ObjectInfo:
        seal, multipart = upload.seal, upload.multipart
        if multipart is not None and plan:
            upload_id = await multipart.begin()
            receipts = multipart.receipts(plan)
            return await self._store.complete_upload(
                seal.key, upload_id, receipts, expect=seal.expect
            )
        if upload.spool is None:
            return await self._put(seal, b"")
        with upload.spool.in_use() as fd:
            return await self._put(seal, FileSlice(fd, 0, seal.size))

    async def _put(self, seal: Seal, body: Body) -> ObjectInfo:
        return await self._store.put(seal.key, body, seal.headers, expect=seal.expect)

    async def _settle(self, upload: Upload, error: CognitoFSError) -> ObjectInfo:
        """Ask S3 what became of the commit that failed with *error*."""
        found = await self._look(upload.seal.key)
        verdict = judge(upload.seal, error, found)
        if verdict is Verdict.DONE and found is not None:
            return found.info
        is_gone = isinstance(error, NoSuchUpload)
        if is_gone and upload.has_sole_bytes and verdict in (Verdict.CONFLICT, Verdict.RESTART):
            raise lost(upload.seal.key)
        if verdict is Verdict.CONFLICT:
            same = await upload.owner.contested(upload, found)
            upload.unsettled = None
            return same or await self._bring(upload)
        if upload.multipart is not None and _is_spent(upload.multipart, verdict, error):
            await _begin_anew(upload.multipart)
        elif verdict is Verdict.RECREATE:
            await self.amend(upload, replace(upload.seal, expect="absent"))
        elif verdict is Verdict.REBASE and found is not None:
            rebased = replace(upload.seal, base=found.info, expect=found.info.etag)
            await self.amend(upload, rebased)
        upload.unsettled = None
        raise _again(error) from error

    async def _look(self, key: str) -> ObjectHead | None:
        try:
            return await self._store.head(key)
        except NotFound:
            return None

    async def amend(self, upload: Upload, seal: Seal) -> None:
        """Go on with *seal* in place of the one that cannot be committed."""
        # The parts stay good: where the base has another version, it has the same bytes.
        continues = None if upload.multipart is None else upload.multipart.continued
        await self._journal.seal(seal, continues=continues, durable=False)
        upload.seal = seal


def _damaged(key: str, where: ExtentMap) -> SpoolDamaged:
    ranges = ", ".join(f"{extent.start}-{extent.stop}" for extent in where)
    return SpoolDamaged(
        f"The local disk failed and does not give {key!r} back as it was written (bytes {ranges});"
        " store the file again, or take the rest of it with `cognitofs recover export`; check the"
        " disk of the state directory."
    )


def _is_spent(multipart: Multipart, verdict: Verdict, error: CognitoFSError) -> bool:
    """Tell whether the parts must be sent again.

    After a 409 S3 wants a new upload with all of its parts (API "CompleteMultipartUpload",
    If-Match); the same one is completed once more first: that may be all it takes. It is all that
    can be done when some bytes are nowhere else.
    """
    if multipart.has_sole_bytes:
        return False
    if verdict is Verdict.RETRY and isinstance(error, ConditionalConflict):
        again, multipart.met_conflict = multipart.met_conflict, True
        return again
    return verdict is Verdict.RESTART


async def _begin_anew(multipart: Multipart) -> None:
    """Have the parts sent again; what S3 still holds of them goes if the role may abort."""
    try:
        await multipart.abort()
    except CognitoFSError:  # a lifecycle rule has to do it (docs/PERMISSIONS.md)
        await multipart.restart()


def _again(error: CognitoFSError) -> CognitoFSError:
    """Return an error on which the uploader tries again."""
    if isinstance(error, PreconditionFailed | NotFound | Changed):
        return ConditionalConflict("The object changed while it was written; trying again.")
    return error
