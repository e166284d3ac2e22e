"""Conditions: which commits a server takes although their condition does not hold.

S3 minds If-Match and If-None-Match on PutObject, CompleteMultipartUpload, CopyObject and
DeleteObject (S3 User Guide, "Conditional writes" and "Conditional deletes"). Others may accept such
a header and ignore it, which is worse than refusing it: two hosts overwrite each other unseen. So
each operation is tried with a condition that cannot hold, on an object of our own.

Owns the trial. Never asked of AWS.
"""

import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from cognitofs.errors import (
    Changed,
    ConditionalConflict,
    NotFound,
    PreconditionFailed,
    Rejected,
    Unsupported,
)
from cognitofs.store.interface import (
    ETag,
    Expect,
    FileSlice,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    PartReceipt,
)

Commit = Literal["PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject"]
"""An operation that may carry a condition; UploadPartCopy counts as CopyObject."""

ALL_COMMITS: frozenset[Commit] = frozenset(get_args(Commit))

_NOBODY = ETag('"00000000000000000000000000000000"')
_MINDED = (PreconditionFailed, ConditionalConflict, NotFound, Changed)
_PLAIN = ObjectHeaders()


async def unminded_commits(store: ObjectStore, key: str) -> frozenset[Commit]:
    """Return the commits whose conditions the server ignores or refuses to be told.

    Makes the object *key*, which must not exist, and removes it again. Raises what the store
    raises when the role may not do one of them.
    """
    made = await store.put(key, b"trial", _PLAIN, expect="any")
    found: set[Commit] = set()
    try:
        if not await _is_minded(store.put(key, b"other", _PLAIN, expect="absent")) or (
            not await _is_minded(store.put(key, b"other", _PLAIN, expect=_NOBODY))
        ):
            found.add("PutObject")
        if not await _minds_at_complete(store, key):
            found.add("CompleteMultipartUpload")
        if not await _minds_at_copy(store, made):
            found.add("CopyObject")
        if not await _is_minded(store.delete(key, expect=_NOBODY)):
            found.add("DeleteObject")
    finally:
        await store.delete(key)
    return frozenset(found)


async def _is_minded(commit: Awaitable[object]) -> bool:
    """Tell whether a commit whose condition cannot hold is refused for that."""
    try:
        await commit
    except _MINDED:
        return True
    except (Rejected, Unsupported):
        return False
    return False


async def _minds_at_complete(store: ObjectStore, key: str) -> bool:
    """Tell whether Complete minds its condition. Ends without an abort, which roles may not."""
    upload = await store.begin_upload(key, _PLAIN)
    with _bytes_of_a_part() as body:
        parts: list[PartReceipt] = [await store.upload_part(key, upload, 1, body)]
    expectations: tuple[Expect, ...] = ("absent", _NOBODY)
    for expect in expectations:
        if not await _is_minded(store.complete_upload(key, upload, parts, expect=expect)):
            return False
    await store.complete_upload(key, upload, parts, expect="any")
    return True


async def _minds_at_copy(store: ObjectStore, made: ObjectInfo) -> bool:
    """Tell whether a copy minds what is to be at its target, and what its source is to be."""
    now = (await store.head(made.key)).info
    other = ObjectInfo(now.key, now.size, _NOBODY, now.modified)
    return await _is_minded(
        store.copy(now, now.key, expect=_NOBODY, headers=_PLAIN)
    ) and await _is_minded(store.copy(other, now.key, expect="any", headers=_PLAIN))


@contextmanager
def _bytes_of_a_part() -> Iterator[FileSlice]:
    fd = os.memfd_create("part", os.MFD_CLOEXEC)
    try:
        os.write(fd, b"part")
        yield FileSlice(fd, 0, 4)
    finally:
        os.close(fd)
