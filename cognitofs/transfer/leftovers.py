"""Objects of ours under names that their file does not have any more.

A commit whose answer was lost may have happened although nobody heard of it. When its file is
renamed or removed before that is settled, the old name would come back: whoever took the name away
asks here for the object's txid, and removes it if it is one of ours.
"""

from collections.abc import Collection

from cognitofs.errors import NotFound, PreconditionFailed
from cognitofs.store.interface import ObjectHead, ObjectStore
from cognitofs.store.records import TXID


async def find_ours(store: ObjectStore, key: str, txids: Collection[str]) -> ObjectHead | None:
    """Return the object *key* if one of the commits *txids* made it."""
    if not txids:
        return None
    try:
        found = await store.head(key)
    except NotFound:
        return None
    return found if found.headers.metadata.get(TXID) in txids else None


async def remove_ours(store: ObjectStore, key: str, txids: Collection[str]) -> None:
    """Remove the object *key* if one of the commits *txids* made it."""
    found = await find_ours(store, key, txids)
    if found is None:
        return
    try:
        await store.delete(key, expect=found.info.etag)
    except PreconditionFailed:
        return  # somebody else's by now
