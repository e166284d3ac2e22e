"""LevelledStore: several prefixes of one bucket under one tree of keys.

Owns which level a key belongs to, and the directories above and at the levels, which are there
whether or not S3 has anything in them. Each level has a store of its own, whose choke point lets
nothing out but to its prefix: this one only routes.

INVARIANT: a key outside all levels causes no request.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cognitofs.errors import CognitoFSError, NotFound, OtherFileSystem, Rejected
from cognitofs.store.interface import (
    Body,
    ETag,
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

_NO_ETAG = ETag('"d41d8cd98f00b204e9800998ecf8427e"')  # of no bytes


@dataclass(frozen=True, slots=True)
class LevelledStore:
    """An `ObjectStore` over *levels*: by path in the mount (ends in "/") the store of each.

    *always* are directories inside levels that are shown though S3 may not have them yet.
    """

    levels: Mapping[str, ObjectStore]
    always: frozenset[str] = frozenset()

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        path = self._path_of(key)
        if path is None or key == path:
            raise NotFound(f"{key!r} is a directory of the layout.")
        found = await self.levels[path].head(key[len(path) :])
        return replace(found, info=_placed(path, found.info))

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
        path = self._path_of(prefix)
        if path is None:
            return self._virtual(prefix, delimiter, start_after)
        found = await self.levels[path].list_page(
            prefix[len(path) :],
            delimiter=delimiter,
            token=token,
            start_after=start_after[len(path) :],
            limit=limit,
        )
        page = Page(
            tuple(_placed(path, each) for each in found.objects),
            tuple(path + each for each in found.prefixes),
            found.token,
        )
        return self._completed(page, prefix, delimiter, start_after, token)

    def _virtual(self, prefix: str, delimiter: str, start_after: str) -> Page:
        """Return the levels, or the directories on the way to them."""
        below = sorted(path for path in self.levels if path.startswith(prefix))
        if not delimiter:
            return Page(tuple(map(_marker, below)), (), None)
        names = sorted({prefix + path[len(prefix) :].split("/", 1)[0] + "/" for path in below})
        return Page((), tuple(name for name in names if name > start_after), None)

    def _completed(
        self, page: Page, prefix: str, delimiter: str, start_after: str, token: str | None
    ) -> Page:
        """Add what is there in any case and S3 did not name: markers, one's own directory."""
        objects, prefixes = page.objects, page.prefixes
        is_first = token is None and not start_after
        if is_first and (prefix in self.levels or prefix in self.always):
            objects = (_marker(prefix), *(each for each in objects if each.key != prefix))
        for each in self.always:
            if not each.startswith(prefix) or each == prefix or each in prefixes:
                continue
            if delimiter and page.token is None and each > start_after:
                prefixes = tuple(sorted((*prefixes, each)))
        return Page(objects, prefixes, page.token)

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`."""
        store, inner = self._version(info)
        return await store.read(inner, start, stop)

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`."""
        store, inner = self._version(info)
        await store.read_into(inner, start, stop, fd)

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        path, inner = self._inside(key)
        return _placed(path, await self.levels[path].put(inner, body, headers, expect=expect))

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        path, inner = self._inside(key)
        return await self.levels[path].begin_upload(inner, headers)

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        path, inner = self._inside(key)
        return await self.levels[path].upload_part(inner, upload, number, body)

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`. Raises OtherFileSystem between two levels."""
        path, inner = self._inside(key)
        from_ = self._same(path, source)
        return await self.levels[path].copy_part(
            inner, upload, number, source=from_, start=start, stop=stop
        )

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        path, inner = self._inside(key)
        return await self.levels[path].list_parts(inner, upload)

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        path, inner = self._inside(key)
        done = await self.levels[path].complete_upload(inner, upload, parts, expect=expect)
        return _placed(path, done)

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        path, inner = self._inside(key)
        await self.levels[path].abort_upload(inner, upload)

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`. Raises OtherFileSystem between two levels."""
        path, inner = self._inside(target)
        from_ = self._same(path, source)
        done = await self.levels[path].copy(from_, inner, expect=expect, headers=headers)
        return _placed(path, done)

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        path, inner = self._inside(key)
        await self.levels[path].delete(inner, expect=expect)

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`."""
        by_level: defaultdict[str, list[Version]] = defaultdict(list)
        for key, expect in versions:
            path, inner = self._inside(key)
            by_level[path].append((inner, expect))
        failures: dict[str, CognitoFSError] = {}
        for path, inside in by_level.items():
            found = await self.levels[path].delete_many(inside)
            failures |= {path + key: error for key, error in found.items()}
        return failures

    def _path_of(self, key: str) -> str | None:
        return next((path for path in self.levels if key.startswith(path)), None)

    def _inside(self, key: str) -> tuple[str, str]:
        path = self._path_of(key)
        if path is None or key == path:
            raise Rejected(f"{key!r} lies in no part of the bucket that is mounted; use a name.")
        return path, key[len(path) :]

    def _version(self, info: ObjectInfo) -> tuple[ObjectStore, ObjectInfo]:
        path, inner = self._inside(info.key)
        return self.levels[path], replace(info, key=inner)

    def _same(self, path: str, source: ObjectInfo) -> ObjectInfo:
        from_, inner = self._inside(source.key)
        if from_ != path:
            raise OtherFileSystem("Between two parts of the bucket files are moved by copying.")
        return replace(source, key=inner)


def _placed(path: str, info: ObjectInfo) -> ObjectInfo:
    return replace(info, key=path + info.key)


def _marker(path: str) -> ObjectInfo:
    return ObjectInfo(path, 0, _NO_ETAG, 0)
