"""Copies of objects inside S3, of any size.

CopyObject ends at 5 GiB; larger objects are copied as the parts of a multipart upload, whose
headers must be given again since parts carry none.
"""

from functools import partial

from cognitofs.errors import NotFound, PreconditionFailed, Transient
from cognitofs.parallel import run_all
from cognitofs.store.interface import Expect, ObjectHeaders, ObjectInfo, ObjectStore, PartReceipt
from cognitofs.store.records import TXID
from cognitofs.transfer.parts import COPY_RANGE, PART_MAXIMUM, PARTS_MAXIMUM

COPIES_AT_ONCE = 16


async def copy_object(
    store: ObjectStore,
    source: ObjectInfo,
    target: str,
    *,
    expect: Expect,
    headers: ObjectHeaders | None,
) -> ObjectInfo:
    """Copy that version of *source* to *target*; *headers* None keeps the source's.

    A lost answer is settled by HEAD: target and source with one txid and size are the same, and so
    are, where nothing was to be there, two single parts with one ETag.
    Raises Changed, PreconditionFailed, and what the store raises.
    """
    if source.size > PART_MAXIMUM:
        return await _copy_in_parts(store, source, target, expect, headers)
    try:
        return await store.copy(source, target, expect=expect, headers=headers)
    except (Transient, PreconditionFailed):
        found = await find_copy(store, source, target, headers, was_absent=expect == "absent")
        if found is None:
            raise
        return found


async def find_copy(
    store: ObjectStore,
    source: ObjectInfo,
    target: str,
    headers: ObjectHeaders | None,
    *,
    was_absent: bool,
) -> ObjectInfo | None:
    """Return the target if the copy has happened after all."""
    if target == source.key:
        return None  # a self-copy cannot be told from its source; it is harmless to repeat
    try:
        found = await store.head(target)
        if found.info.size != source.size:
            return None
        if was_absent and is_single_part(source) and found.info.etag == source.etag:
            return found.info
        wanted = headers or (await store.head(source.key)).headers
    except NotFound:
        return None
    txid = wanted.metadata.get(TXID)
    is_ours = txid is not None and found.headers.metadata.get(TXID) == txid
    return found.info if is_ours else None


def is_single_part(info: ObjectInfo) -> bool:
    """Tell whether a copy has the same ETag: the MD5 of the bytes, where S3 makes it so."""
    return "-" not in info.etag


async def _copy_in_parts(
    store: ObjectStore,
    source: ObjectInfo,
    target: str,
    expect: Expect,
    headers: ObjectHeaders | None,
) -> ObjectInfo:
    headers = headers or (await store.head(source.key)).headers
    upload_id = await store.begin_upload(target, headers)
    receipts: dict[int, PartReceipt] = {}
    step = max(COPY_RANGE, -(-source.size // PARTS_MAXIMUM))

    async def copy(number: int, start: int) -> None:
        stop = min(start + step, source.size)
        receipts[number] = await store.copy_part(
            target, upload_id, number, source=source, start=start, stop=stop
        )

    starts = range(0, source.size, step)
    jobs = (partial(copy, number, start) for number, start in enumerate(starts, 1))
    await run_all(jobs, limit=COPIES_AT_ONCE)
    parts = [receipts[number] for number in sorted(receipts)]
    return await store.complete_upload(target, upload_id, parts, expect=expect)
