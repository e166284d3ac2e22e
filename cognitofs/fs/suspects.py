"""Suspects: what becomes of a file whose spool file the disk refused to sync.

The bytes that are as they were written go to a spool file of their own, which is synced; the same
descriptor is never asked again. Owns that exchange, before a seal is journalled and behind one.
Where the bytes are not what was written the seal says so, and the uploader keeps it as failed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cognitofs.errors import SpoolError
from cognitofs.fs.content import Content
from cognitofs.spool.seal import Seal
from cognitofs.spool.spoolfile import SpoolFile


async def make_durable(content: Content, seal: Seal) -> tuple[Seal, SpoolError | None]:
    """Make the bytes of *seal* durable, if need be in another spool file of *content*.

    Returns the seal that names the file they are in then, and the refusal that somebody must hear
    of. Raises SpoolFull, SpoolDamaged when there cannot be a copy now.
    """
    spool, refusal = content.spool, None
    assert spool is not None, "what is sealed lies in the spool"
    if not spool.is_suspect:
        try:
            await spool.make_durable()
        except SpoolError as exc:
            if not spool.is_suspect:
                raise
            refusal = exc
        else:
            return seal, None
    content.spool = await spool.rescued()
    return moved(seal, content.spool), refusal


@contextmanager
def as_it_was(content: Content) -> Iterator[SpoolFile | None]:
    """Go back to the present spool file when the block fails, and forget another one."""
    old = content.spool
    try:
        yield old
    except BaseException:
        forget(content.spool, unless=old)
        content.spool = old
        raise


def forget(spool: SpoolFile | None, *, unless: SpoolFile | None) -> None:
    """Give a spool file up that another one took the place of."""
    if spool is not None and spool is not unless:
        spool.discard()


def moved(seal: Seal, spool: SpoolFile) -> Seal:
    """Return *seal* for its bytes in *spool*."""
    damaged = tuple((extent.start, extent.stop) for extent in spool.damaged.within(0, seal.size))
    return replace(seal, id=spool.name, damaged=damaged)
