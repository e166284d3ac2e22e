"""Rename recovery: brings the renames that an earlier process began to their end.

Runs before unsent files are brought back, since those in a renamed directory follow it. Nobody was
told that such a rename had happened: it goes forward where S3 lets it, else it is given up.
INVARIANT: unsent files have the names of before or of after, never both and never none.
"""

import logging
from contextlib import suppress

import trio

from cognitofs.errors import CognitoFSError
from cognitofs.fs.rig import Rig
from cognitofs.transfer.renames import Copies, complete, is_moved, renamed_seal

PATIENCE = 10.0
"""Seconds that a mount waits for deletions before it answers."""

_log = logging.getLogger(__name__)


async def end_renames(rig: Rig) -> int:
    """Bring every rename of the journal to an end; return how many there were."""
    renames = rig.intents.renames()
    for rename in renames:
        copies = Copies(rig.store, rename, rig.promises.stall_timeout)
        if await complete(copies):
            await _forward(rig, copies)
        else:
            await rig.intents.end_rename(rename, copies.leftovers())
    return len(renames)


async def clear_away(rig: Rig) -> None:
    """Remove what an earlier process did not get to; what takes longer goes on behind the mount.

    A directory whose objects are about to go would show, empty, until they have gone.
    """
    rig.deletions.resume_refused(rig.intents.refusals())
    rig.deletions.resume(rig.intents.deletions())
    with trio.move_on_after(PATIENCE), suppress(CognitoFSError):
        await rig.deletions.settle_below("")


async def _forward(rig: Rig, copies: Copies) -> None:
    rename = copies.rename
    infos = {(s.key, s.etag): copy for s, copy in copies.done.values()}
    pending = [found.seal for found in rig.journal.pending()]
    seals = [
        renamed_seal(seal, rename, infos)
        for seal in pending
        if is_moved(seal.key, rename) and seal.id not in rename.retires
    ]
    await rig.intents.end_rename(rename, copies.sources(), retires=rename.retires, seals=seals)
    for id_ in {seal.id for seal in pending if seal.has_spool} & set(rename.retires):
        rig.spools.unlink(id_)
    _log.info("The rename of %r to %r was brought to its end.", rename.source, rename.target)
