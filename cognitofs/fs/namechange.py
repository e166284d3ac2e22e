"""Name change: what becomes of a file that gets another name, or loses the one it has.

Owns which uploads, rows of the journal and spool files end with the name. What happens on S3, and
the order of both, is `renames.py`'s, `removals.py`'s and `treemoves.py`'s. The caller holds the
file's lock, with nothing under way (`OpenFile.stop_sending`).

INVARIANT: a spool file goes only after its row was replaced or removed.
"""

from cognitofs.fs.openfile import OpenFile
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.transfer.leftovers import find_ours


async def settle_doubts(file: OpenFile) -> None:
    """Ask S3 whether a stopped commit happened; if so it is the version we stand for."""
    if file.inode.is_directory:
        return
    found = await find_ours(file.rig.store, file.inode.key, file.forerunners.doubts)
    file.forerunners.doubts = ()
    if found is not None:
        file.carried.take_over(found.info, found.headers)


def renamed(file: OpenFile, key: str, target: OpenFile | None) -> None:
    """Take note of another name: that of *target*, whose content ends when ours is sealed."""
    mine = file.forerunners
    mine.renamed(file.inode.key, key)
    file.content.mark(key)
    file.replaces = None
    if target is None:
        return
    mine.doubts += target.forerunners.doubts
    file.replaces = target.stands_for if file.content.base is None else None
    mine.leaves += target.forerunners.leaves
    rows = give_up(target)
    mine.rows |= {id_: target.content.lend(spool) for id_, spool in rows.items()}


def give_up(file: OpenFile) -> dict[str, SpoolFile | None]:
    """Send nothing any more: the name is gone, handles keep the bytes.

    Returns the journal's rows of this file and their spool files; the caller removes both.
    """
    mine = file.forerunners
    file.drop_stream(with_sole_bytes=True)
    if mine.stopped is not None and mine.stopped.has_sole_bytes and mine.stopped.multipart:
        file.rig.uploader.abort(mine.stopped.multipart)
    rows, mine.rows, mine.stopped = mine.rows, {}, None
    if file.deferred is not None:
        rows[file.deferred.id] = None
    file.unlinked, file.dirty, file.deferred = True, False, None
    file.inode.unsent = False
    content = file.content
    content.upload, content.may_stream = None, False
    return rows


async def forget_name(file: OpenFile) -> None:
    """Send nothing any more, and forget what the journal has."""
    file.forerunners.rows = give_up(file)
    await forget_replaced(file)


async def forget_replaced(file: OpenFile) -> None:
    """Forget what the journal has in place of our next seal."""
    for id_ in file.forerunners.rows:
        await file.rig.journal.finish(id_)
    file.forerunners.discard(file.content.spool)


def forgotten(file: OpenFile) -> None:
    """Send nothing any more: the journal's rows are gone already."""
    file.forerunners.rows = give_up(file)
    file.forerunners.discard(file.content.spool)
