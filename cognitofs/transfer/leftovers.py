"""Objects of ours under names that their file does not have any more.

A commit whose answer was lost may have happened although nobody heard of it. When its file is
renamed or removed before that is settled, the old name would come back: whoever took the name away
asks here for the object's txid, and removes it if it is one of ours.
"""

from collections.abc import Collection

from cognitofs.errors import NotFound, PreconditionFailed
from cognitofs.store.interface import ETag, Expect, ObjectHead, ObjectStore
from cognitofs.store.records import TXID

_NO_VERSION = ETag("")


async def find_ours(
    store: ObjectStore, key: str, txids: Collection[str], expect: Expect = _NO_VERSION
) -> ObjectHead | None:
    """Return the object *key* if one of the commits *txids* made it, or it is that version."""
    if not txids:
        return None
    try:
        found = await store.head(key)
    except NotFound:
        return None
    is_ours = found.headers.metadata.get(TXID) in txids or found.info.etag == expect
    return found if is_ours else None


async def remove_ours(
    store: ObjectStore, key: str, txids: Collection[str], expect: Expect = _NO_VERSION
) -> None:
    """Remove the object *key* if one of the commits *txids* made it, or it is that version."""
    found = await find_ours(store, key, txids, expect)
    if found is None:
        return
    try:
        await store.delete(key, expect=found.info.etag)
    except PreconditionFailed:
        return  # somebody else's by now
