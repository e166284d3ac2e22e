"""ForwardingStore: an `ObjectStore` that hands every call on; a base for those that change some.

Owns nothing but the handing on.
"""

from collections.abc import Mapping, Sequence

from cognitofs.errors import CognitoFSError
from cognitofs.store.interface import (
    Body,
    Expect,
    FileSlice,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    Page,
    PartReceipt,
    UploadId,
    Version,
)


class ForwardingStore:
    """Hands every call on to *inner*."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        return await self._inner.head(key)

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
        return await self._inner.list_page(
            prefix, delimiter=delimiter, token=token, start_after=start_after, limit=limit
        )

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`."""
        return await self._inner.read(info, start, stop)

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`."""
        await self._inner.read_into(info, start, stop, fd)

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        return await self._inner.put(key, body, headers, expect=expect)

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        return await self._inner.begin_upload(key, headers)

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        return await self._inner.upload_part(key, upload, number, body)

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        return await self._inner.copy_part(
            key, upload, number, source=source, start=start, stop=stop
        )

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        return await self._inner.list_parts(key, upload)

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        return await self._inner.complete_upload(key, upload, parts, expect=expect)

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        await self._inner.abort_upload(key, upload)

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`."""
        return await self._inner.copy(source, target, expect=expect, headers=headers)

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        await self._inner.delete(key, expect=expect)

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`."""
        return await self._inner.delete_many(versions)
