"""Resume: what an upload of an earlier process is still good for.

Owns the right to ask S3 for the parts it holds, which a role may lack: it is asked at most once in
vain. A receipt is kept only while the bytes it stands for are those of the spool file: their
checksum is counted again, whatever the journal says.

INVARIANT: a part whose bytes are only in the upload (given up here) needs no proof but its receipt;
the journal never forgets it, and whoever misses it says that bytes are lost.
"""

import logging
from collections.abc import Sequence

import trio

from cognitofs.errors import AccessDenied, Unsupported
from cognitofs.spool.journal import SentPart
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.bodies import blocks
from cognitofs.store.checksums import checksum
from cognitofs.store.interface import FileSlice, ObjectStore, PartReceipt
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.parts import UPLOAD, Part

_log = logging.getLogger(__name__)


class Resume:
    """Examines resumed uploads of one mount."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._asks = trio.Lock()
        self._may_list = True

    async def examine(self, multipart: Multipart, plan: Sequence[Part], spool: SpoolFile) -> None:
        """Keep of *multipart* what S3 has and what still is what *spool* holds.

        Parts that S3 took without our hearing of it are taken over. Raises NoSuchUpload and what
        else the store raises.
        """
        listed = await self._listed(multipart)
        known = {part.receipt.number: part for part in multipart.sent}
        kept: list[SentPart] = []
        for part in plan:
            candidate = _candidate(part, known.get(part.number), listed)
            if candidate is not None and await _is_proved(candidate, spool):
                kept.append(candidate)
        await multipart.keep_only(kept)

    async def _listed(self, multipart: Multipart) -> dict[int, PartReceipt] | None:
        """Return what S3 holds, by number; None where the role may not ask."""
        if not self._may_list or multipart.upload_id is None:
            return None
        async with self._asks:  # so that one refusal is enough
            if not self._may_list:
                return None
            try:
                found = await self._store.list_parts(multipart.key, multipart.upload_id)
            except (AccessDenied, Unsupported) as exc:
                self._may_list = False
                _log.warning(
                    "Uploads go on by our own notes, because the parts at S3 cannot be listed;"
                    " docs/PERMISSIONS.md names the right. %s",
                    exc,
                )
                return None
        return {receipt.number: receipt for receipt in found}


def _candidate(
    part: Part, known: SentPart | None, listed: dict[int, PartReceipt] | None
) -> SentPart | None:
    """Return what may stand for *part*: what we noted, if S3 agrees; else what S3 alone knows."""
    fits = known is not None and (known.start, known.stop) == (part.start, part.stop)
    if listed is None:
        return known if fits else None
    found = listed.get(part.number)
    if known is not None and known.source == UPLOAD:
        return known if fits and found is not None and found.etag == known.receipt.etag else None
    if found is None or found.size != part.size:
        return None
    if known is not None and fits and known.receipt.etag == found.etag:
        return known
    if part.source != "spool" or not found.checksum:
        return None  # nothing here could prove it
    return SentPart(part.start, part.stop, part.source, found)


async def _is_proved(sent: SentPart, spool: SpoolFile) -> bool:
    if sent.source != "spool":
        return True  # the base's bytes were copied inside S3; what was given up is not here
    if not sent.receipt.checksum:
        return False
    with spool.in_use() as fd:
        body = FileSlice(fd, sent.start, sent.stop)
        found = await trio.to_thread.run_sync(lambda: checksum(blocks(body)))
    return found == sent.receipt.checksum
