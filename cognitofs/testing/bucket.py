"""Bucket: the rules of S3 over a dictionary. Synchronous and strict; knows no request.

Each rule names its source: "UG" is the Amazon S3 User Guide; "serve X" and
"API" mean the page of that operation in the Amazon S3 API Reference.
What S3 leaves open is decided in the stricter way. Objects of a bucket without versioning.

INVARIANT: a method that raises has changed nothing.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cognitofs.errors import (
    Archived,
    Changed,
    CognitoFSError,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    Rejected,
)
from cognitofs.store import limits
from cognitofs.store.checksums import checksum, combine
from cognitofs.store.headers import to_wire
from cognitofs.store.interface import (
    ETag,
    Expect,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    Page,
    PartReceipt,
    UploadId,
    Version,
)


@dataclass(frozen=True, slots=True)
class _Object:
    info: ObjectInfo
    headers: ObjectHeaders
    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Upload:
    key: str
    headers: ObjectHeaders
    parts: dict[int, tuple[PartReceipt, bytes]]


class Bucket:
    """Objects and multipart uploads, changed only as S3 would change them."""

    def __init__(self, *, part_minimum: int, copy_maximum: int, now: Callable[[], float]) -> None:
        self._part_minimum = part_minimum
        self._copy_maximum = copy_maximum
        self._now = now
        self._objects: dict[str, _Object] = {}
        self._order: list[bytes] = []
        self._uploads: dict[UploadId, _Upload] = {}
        self._uploads_begun = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in S3's order: by their UTF-8 bytes (UG "Listing object keys")."""
        return tuple(name.decode() for name in self._order)

    @property
    def uploads(self) -> tuple[UploadId, ...]:
        """Multipart uploads neither completed nor aborted, oldest first."""
        return tuple(self._uploads)

    def data(self, key: str) -> bytes:
        """Return an object's bytes. Raises NotFound."""
        return self._get(key).data

    def head(self, key: str) -> ObjectHead:
        """Serve HeadObject. Raises NotFound."""
        found = self._get(key)
        return ObjectHead(found.info, found.headers)

    def get(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """Serve GetObject with Range and If-Match.

        412 and 404 alike mean that the version is gone; 403 InvalidObjectState is an archive.
        """
        limits.check_range(info, start, stop)
        found = self._version(info)
        if found.info.storage_class in ("GLACIER", "DEEP_ARCHIVE"):
            raise Archived(f"The object {info.key!r} is archived. Restore it first.")
        return found.data[start:stop]

    def put(
        self,
        key: str,
        data: bytes,
        headers: ObjectHeaders,
        *,
        expect: Expect,
        storage_class: str = "",
    ) -> ObjectInfo:
        """Serve PutObject; its ETag is the MD5 of the bytes (API "Object", SSE-S3)."""
        limits.check_key(key)
        to_wire(headers)
        self._check_expect(key, expect)
        return self._store(key, data, _quoted_md5(data), headers, storage_class)

    def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """Serve CreateMultipartUpload; headers are fixed here, not at Complete."""
        limits.check_key(key)
        to_wire(headers)
        self._uploads_begun += 1
        upload = UploadId(f"upload-{self._uploads_begun}")
        self._uploads[upload] = _Upload(key, headers, {})
        return upload

    def upload_part(self, key: str, upload: UploadId, number: int, data: bytes) -> PartReceipt:
        """Serve UploadPart: numbers 1-10,000; the same number again replaces the part."""
        limits.check_part_number(number)
        parts = self._upload(key, upload).parts
        receipt = PartReceipt(number, _quoted_md5(data), len(data), checksum((data,)))
        parts[number] = (receipt, data)
        return receipt

    def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """Serve UploadPartCopy: x-amz-copy-source-if-match; an empty range cannot be named."""
        limits.check_range(source, start, stop)
        if start == stop:
            raise Rejected("A part cannot be copied from an empty range.")
        self._upload(key, upload)
        return self.upload_part(key, upload, number, self._version(source).data[start:stop])

    def parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """Serve ListParts: by part number."""
        held = self._upload(key, upload).parts
        return tuple(held[number][0] for number in sorted(held))

    def complete(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """Serve CompleteMultipartUpload.

        A failed condition leaves the upload as it was (UG "Conditional writes"); a second
        Complete finds no upload.
        """
        found = self._upload(key, upload)
        self._check_parts(found, parts)
        self._check_expect(key, expect)
        pieces = [found.parts[part.number] for part in parts]
        data = b"".join(piece for _, piece in pieces)
        _check_whole(parts, data)
        del self._uploads[upload]
        return self._store(key, data, _multipart_etag(pieces), found.headers, "")

    def abort(self, key: str, upload: UploadId) -> None:
        """Serve AbortMultipartUpload; an unknown upload is no error for the caller."""
        found = self._uploads.get(upload)
        if found is not None and found.key == key:
            del self._uploads[upload]

    def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """Serve CopyObject, the storage class kept: always a single-part object.

        Hence its ETag is the MD5 of the bytes: a self-copy of a single-part object keeps it.
        Onto itself only with new headers (400 InvalidRequest); at most 5 GiB (400).
        """
        limits.check_key(target)
        found = self._version(source)
        limits.check_copy(found.info, target, headers, maximum=self._copy_maximum)
        chosen = found.headers if headers is None else headers
        to_wire(chosen)
        self._check_expect(target, expect)
        storage_class = found.info.storage_class
        return self._store(target, found.data, _quoted_md5(found.data), chosen, storage_class)

    def delete(self, key: str, *, expect: Expect) -> None:
        """Serve DeleteObject: a missing key is no error; If-Match another version is 412."""
        limits.check_key(key)
        found = self._objects.get(key)
        limits.check_delete(key, expect)
        if found is None:
            return
        if expect not in ("any", found.info.etag):
            raise PreconditionFailed(_condition(key))
        del self._objects[key]
        del self._order[bisect_left(self._order, key.encode())]

    def delete_many(self, versions: Sequence[Version]) -> dict[str, CognitoFSError]:
        """Serve DeleteObjects: each key on its own (API "DeleteObjects", ETag of an element)."""
        limits.check_deletes(versions)
        failures: dict[str, CognitoFSError] = {}
        for key, expect in versions:
            try:
                self.delete(key, expect=expect)
            except PreconditionFailed as exc:
                failures[key] = exc
        return failures

    def page(self, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        """Serve ListObjectsV2: at most 1,000 keys and common prefixes, together, in key order.

        A common prefix is returned only if it sorts behind *after* itself, so that the last
        entry of a page, key or prefix, can continue the listing.
        """
        limits.check_listing(prefix)
        count = max(1, min(limit, limits.PAGE_ENTRIES))
        entries = self._entries(prefix.encode(), delimiter.encode(), after.encode(), count + 1)
        more = len(entries) > count
        names = [name.decode() for name in entries[:count]]
        objects = [name for name in names if not _is_common(name, prefix, delimiter)]
        return Page(
            objects=tuple(self._objects[name].info for name in objects),
            prefixes=tuple(name for name in names if _is_common(name, prefix, delimiter)),
            token=names[-1] if more else None,
        )

    def _entries(self, prefix: bytes, delimiter: bytes, after: bytes, count: int) -> list[bytes]:
        entries: list[bytes] = []
        at = max(bisect_left(self._order, prefix), bisect_right(self._order, after))
        while len(entries) < count and at < len(self._order):
            name = self._order[at]
            if not name.startswith(prefix):
                break
            head, found, _ = name[len(prefix) :].partition(delimiter or b"\xff")
            if not found:  # \xff is in no UTF-8: a recursive listing groups nothing
                entries.append(name)
                at += 1
                continue
            common = prefix + head + delimiter
            if common > after:
                entries.append(common)
            at = bisect_left(self._order, common + b"\xff", at)
        return entries

    def _get(self, key: str) -> _Object:
        limits.check_key(key)
        found = self._objects.get(key)
        if found is None:
            raise NotFound(f"There is no object {key!r}. List the directory again.")
        return found

    def _version(self, info: ObjectInfo) -> _Object:
        found = self._objects.get(info.key)
        if found is None or found.info.etag != info.etag:
            raise Changed(f"The object {info.key!r} was replaced or removed. Open it again.")
        return found

    def _upload(self, key: str, upload: UploadId) -> _Upload:
        found = self._uploads.get(upload)
        if found is None or found.key != key:
            raise NoSuchUpload(f"The upload of {key!r} is gone. Start it again.")
        return found

    def _check_expect(self, key: str, expect: Expect) -> None:
        """UG "Conditional writes".

        If-None-Match: * is 412 on an existing key; If-Match is 412 on another ETag and 404 on
        a missing key.
        """
        found = self._objects.get(key)
        if expect == "any" or (expect == "absent" and found is None):
            return
        if found is None:
            raise NotFound(f"The object {key!r} was removed by someone else.")
        if expect != found.info.etag:
            raise PreconditionFailed(_condition(key))

    def _check_parts(self, upload: _Upload, parts: Sequence[PartReceipt]) -> None:
        """Refuse what CompleteMultipartUpload refuses.

        MalformedXML (no part), InvalidPartOrder (parts with checksums are numbered 1, 2, 3...),
        InvalidPart (unknown, another ETag or sum),
        EntityTooSmall (a part but the last under 5 MiB).
        """
        limits.check_parts(parts)
        for part in parts:
            held = upload.parts.get(part.number)
            if held is None or (part.etag, part.checksum or held[0].checksum) != (
                held[0].etag,
                held[0].checksum,
            ):
                raise Rejected(f"Part {part.number} is not the one S3 holds. Send it again.")
        if any(upload.parts[part.number][0].size < self._part_minimum for part in parts[:-1]):
            raise Rejected("A part but the last is under S3's minimum size. Use larger parts.")

    def _store(
        self, key: str, data: bytes, etag: ETag, headers: ObjectHeaders, storage_class: str
    ) -> ObjectInfo:
        info = ObjectInfo(key, len(data), etag, int(self._now()), storage_class)
        if key not in self._objects:
            name = key.encode()
            self._order.insert(bisect_left(self._order, name), name)
        self._objects[key] = _Object(info, headers, data)
        return info


def _is_common(name: str, prefix: str, delimiter: str) -> bool:
    return bool(delimiter) and delimiter in name[len(prefix) :]


def _condition(key: str) -> str:
    return f"The object {key!r} is not the version that was expected. Read it again."


def _check_whole(parts: Sequence[PartReceipt], data: bytes) -> None:
    """Check what Complete announces: x-amz-mp-object-size and the full-object checksum."""
    if sum(part.size for part in parts) != len(data):
        raise Rejected("The parts do not add up to the announced size. Start the upload again.")
    if any(part.checksum for part in parts):
        expected = combine([(part.checksum, part.size) for part in parts])
        if expected and expected != checksum((data,)):
            raise Rejected("The checksum of the whole object is another. Start the upload again.")


def _quoted_md5(data: bytes) -> ETag:
    return ETag(f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"')


def _multipart_etag(pieces: Sequence[tuple[PartReceipt, bytes]]) -> ETag:
    """MD5 of the parts' MD5s, "-", their number (UG "Checking object integrity")."""
    digests = b"".join(hashlib.md5(piece, usedforsecurity=False).digest() for _, piece in pieces)
    return ETag(f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(pieces)}"')
