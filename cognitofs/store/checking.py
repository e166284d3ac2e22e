"""CheckingStore: for servers that take a commit without minding its condition.

Owns the look right before such a commit. Between the look and the commit another client may change
the object unseen: that is what a server that minds conditions is for, and why `mount` says so.
Which operations need it is found out by `conditions.py`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from cognitofs.errors import Changed, CognitoFSError, NotFound, PreconditionFailed
from cognitofs.parallel import run_all
from cognitofs.store.conditions import Commit
from cognitofs.store.forwarding import ForwardingStore
from cognitofs.store.interface import (
    Body,
    ETag,
    Expect,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    PartReceipt,
    UploadId,
    Version,
)

LOOKS_AT_ONCE = 64
"""Deletions of one batch; the store's own limit is usually lower."""


class CheckingStore(ForwardingStore):
    """Looks at the object before each of the *unminded* commits; those carry no condition."""

    def __init__(self, inner: ObjectStore, unminded: frozenset[Commit]) -> None:
        super().__init__(inner)
        self._unminded = unminded

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        expect = await self._looked("PutObject", key, expect)
        return await self._inner.put(key, body, headers, expect=expect)

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        expect = await self._looked("CompleteMultipartUpload", key, expect)
        return await self._inner.complete_upload(key, upload, parts, expect=expect)

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        await self._require_source(source)
        return await self._inner.copy_part(
            key, upload, number, source=source, start=start, stop=stop
        )

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`."""
        await self._require_source(source)
        expect = await self._looked("CopyObject", target, expect)
        return await self._inner.copy(source, target, expect=expect, headers=headers)

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        if expect != "absent":  # which nobody may expect: *inner* says so
            try:
                expect = await self._looked("DeleteObject", key, expect)
            except NotFound:
                return
        await self._inner.delete(key, expect=expect)

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`: each object is looked at first."""
        if "DeleteObject" not in self._unminded:
            return await self._inner.delete_many(versions)
        failures: dict[str, CognitoFSError] = {}
        gone: list[Version] = []

        async def look(key: str, expect: Expect) -> None:
            try:
                gone.append((key, await self._looked("DeleteObject", key, expect)))
            except NotFound:
                return
            except CognitoFSError as exc:
                failures[key] = exc

        await run_all((partial(look, *each) for each in versions), limit=LOOKS_AT_ONCE)
        return {**failures, **(await self._inner.delete_many(gone) if gone else {})}

    async def _looked(self, commit: Commit, key: str, expect: Expect) -> Expect:
        """Return the condition that the server is to be told, having looked if it minds none."""
        if commit not in self._unminded or expect == "any":
            return expect
        found = await self._etag(key)
        if expect == "absent" and found is None:
            return "any"
        if found is None:
            raise NotFound(f"The object {key!r} was removed by someone else.")
        if found != expect:
            raise PreconditionFailed(f"The object {key!r} was changed by someone else.")
        return "any"

    async def _require_source(self, source: ObjectInfo) -> None:
        if "CopyObject" in self._unminded and await self._etag(source.key) != source.etag:
            raise Changed(f"The object {source.key!r} was changed by someone else.")

    async def _etag(self, key: str) -> ETag | None:
        try:
            return (await self._inner.head(key)).info.etag
        except NotFound:
            return None
