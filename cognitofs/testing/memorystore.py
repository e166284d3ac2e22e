"""MemoryStore: an ObjectStore over a strict `Bucket` in memory.

Owns the counting of requests and the moments at which other tasks may run: once before a
request takes effect, and once between the effect and the answer.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import trio

from cognitofs.errors import CognitoFSError
from cognitofs.store.bodies import blocks
from cognitofs.store.interface import (
    Body,
    Expect,
    FileSlice,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    Page,
    PartReceipt,
    UploadId,
    Version,
)
from cognitofs.store.limits import PART_MAXIMUM, PART_MINIMUM
from cognitofs.testing.bucket import Bucket

_T = TypeVar("_T")


class MemoryStore:
    """The objects of one prefix, in memory, under S3's rules.

    *part_minimum* is the size every part but the last must have, in bytes; *copy_maximum* the
    largest source of one copy; *now* gives seconds since the epoch for LastModified.
    `requests` counts calls by the method's name. `bucket` shows what S3 would hold.
    """

    def __init__(
        self,
        *,
        part_minimum: int = PART_MINIMUM,
        copy_maximum: int = PART_MAXIMUM,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.bucket = Bucket(part_minimum=part_minimum, copy_maximum=copy_maximum, now=now)
        self.requests: Counter[str] = Counter()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in S3's order."""
        return self.bucket.keys

    def data(self, key: str) -> bytes:
        """Return an object's bytes without counting a request. Raises NotFound."""
        return self.bucket.data(key)

    def outside_put(
        self,
        key: str,
        data: bytes,
        headers: ObjectHeaders | None = None,
        *,
        storage_class: str = "",
    ) -> ObjectInfo:
        """Write as another client would, at once and uncounted."""
        return self.bucket.put(
            key, data, headers or ObjectHeaders(), expect="any", storage_class=storage_class
        )

    def outside_delete(self, key: str) -> None:
        """Remove as another client would, at once and uncounted."""
        self.bucket.delete(key, expect="any")

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        return await self._request("head", lambda: self.bucket.head(key))

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        token: str | None = None,
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        """See `ObjectStore.list_page`."""
        after = start_after if token is None else token
        return await self._request(
            "list_page", lambda: self.bucket.page(prefix, delimiter, after, limit)
        )

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`."""
        return await self._request("read", lambda: self.bucket.get(info, start, stop))

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`."""
        await self._request(
            "read_into", lambda: os.pwrite(fd, self.bucket.get(info, start, stop), start)
        )

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        return await self._request(
            "put", lambda: self.bucket.put(key, _bytes_of(body), headers, expect=expect)
        )

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        return await self._request("begin_upload", lambda: self.bucket.begin_upload(key, headers))

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        return await self._request(
            "upload_part", lambda: self.bucket.upload_part(key, upload, number, _bytes_of(body))
        )

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        return await self._request(
            "copy_part",
            lambda: self.bucket.copy_part(
                key, upload, number, source=source, start=start, stop=stop
            ),
        )

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        return await self._request("list_parts", lambda: self.bucket.parts(key, upload))

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        return await self._request(
            "complete_upload", lambda: self.bucket.complete(key, upload, parts, expect=expect)
        )

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        await self._request("abort_upload", lambda: self.bucket.abort(key, upload))

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`."""
        return await self._request(
            "copy", lambda: self.bucket.copy(source, target, expect=expect, headers=headers)
        )

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        await self._request("delete", lambda: self.bucket.delete(key, expect=expect))

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`."""
        return await self._request("delete_many", lambda: self.bucket.delete_many(versions))

    async def _request(self, operation: str, effect: Callable[[], _T]) -> _T:
        self.requests[operation] += 1
        await trio.lowlevel.checkpoint()
        try:
            return effect()
        finally:
            # A worker thread's result is never lost to a cancellation; neither is this one.
            await trio.lowlevel.cancel_shielded_checkpoint()


def _bytes_of(body: Body) -> bytes:
    return b"".join(blocks(body))
