"""ObjectStore: all of S3 that the upper layers can see, and the nouns of that conversation.

Owns names and meanings only: `s3.py` talks to S3, `cognitofs.testing.MemoryStore` is the fake.
Keys are relative to the mount's prefix, which no upper layer ever sees. Ranges are half open,
sizes are bytes, `modified` is LastModified in whole seconds since the epoch (HEAD knows no finer).

INVARIANT: a method either returns what S3 acknowledged or raises a `StoreError`.
A commit (`put`, `complete_upload`, `copy`, `delete`, `delete_many`) is sent once: what an ambiguous
failure means is for the caller to settle with `head`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NewType, Protocol

from cognitofs.errors import CognitoFSError

ETag = NewType("ETag", str)
"""Opaque version tag of an object, with its quotes; compared only for equality."""

UploadId = NewType("UploadId", str)
"""Handle of a multipart upload."""

Expect = ETag | Literal["absent", "any"]
"""Precondition of a commit: If-Match that tag, If-None-Match: *, or none."""

Version = tuple[str, Expect]
"""A key, and the precondition under which its object may go: a tag, or "any"."""

NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """What an object carries beside its bytes; kept whole through every rewrite.

    `metadata` is the user metadata (x-amz-meta-*, names in lower case). Empty strings are absent.
    """

    content_type: str = ""
    cache_control: str = ""
    content_disposition: str = ""
    content_encoding: str = ""
    content_language: str = ""
    expires: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)


ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects must be restored before they can be read."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One version of an object, as LIST, HEAD or a commit reports it."""

    key: str
    size: int
    etag: ETag
    modified: int
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """An object's version and its headers."""

    info: ObjectInfo
    headers: ObjectHeaders


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of LIST, in key order. `token` continues it; None at the end."""

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...]
    token: str | None


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A request body: bytes [start, stop) of an open file, read by the worker thread.

    INVARIANT: `fd` stays open, and the range unchanged, until the call that was given it returns.
    """

    fd: int
    start: int
    stop: int


Body = FileSlice | bytes


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """What S3 returned for one part. `checksum` is base64, "" where S3 returned none."""

    number: int
    etag: ETag
    size: int
    checksum: str = ""


class ObjectStore(Protocol):
    """The objects below one prefix of one bucket.

    Every method may raise AccessDenied, NoSuchBucket, Rejected, Transient, LoginRequired and
    AuthUnavailable; what else it raises is named with it.
    """

    async def head(self, key: str) -> ObjectHead:
        """Describe *key* (HeadObject). Raises NotFound."""
        ...

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        token: str | None = None,
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        """Return one page of the keys below *prefix* (ListObjectsV2).

        *prefix* is "" or ends with "/". With *delimiter* "" the listing is recursive.
        *start_after* is a relative key; the page holds only what sorts behind it.
        """
        ...

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of exactly that version (GetObject, Range, If-Match).

        Raises Changed when the object is gone or another version, Archived, Corrupted.
        """
        ...

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """As `read`, but the worker thread writes the bytes to *fd* at offset *start*."""
        ...

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """Store an object in one request (PutObject).

        Raises PreconditionFailed, ConditionalConflict; NotFound when *expect* is a tag and the
        key is gone.
        """
        ...

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """Start a multipart upload (CreateMultipartUpload)."""
        ...

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """Send part *number* (1-10,000). Raises NoSuchUpload, Corrupted."""
        ...

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """Make part *number* from [start, stop) of *source* (UploadPartCopy, CopySourceIfMatch).

        Raises Changed when *source* is gone or another version, NoSuchUpload.
        """
        ...

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """Return all parts S3 holds for *upload* (ListParts, all pages). Raises NoSuchUpload."""
        ...

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """Make the object out of *parts*, given in order (CompleteMultipartUpload).

        When every receipt has a checksum the full-object checksum is sent and compared.
        Raises NoSuchUpload, PreconditionFailed, ConditionalConflict, NotFound as `put`.
        """
        ...

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """Drop *upload* and its parts (AbortMultipartUpload). An unknown upload is no error."""
        ...

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """Copy that version of *source* to *target* (CopyObject, up to 5 GiB).

        *headers* None copies the source's headers, else they replace them. *expect* is about
        the target; *target* may be the source's own key. Raises Changed when the source is gone
        or another version, PreconditionFailed, TooLarge.
        """
        ...

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """Remove an object (DeleteObject). A missing one is no error.

        Raises PreconditionFailed when *expect* is a tag and the object is another version.
        """
        ...

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """Remove up to 1,000 objects (DeleteObjects); return the failures by key.

        A missing object is no failure; another version than the expected one is
        PreconditionFailed, as for `delete`. Raises when S3 did not take up the request at all.
        """
        ...
