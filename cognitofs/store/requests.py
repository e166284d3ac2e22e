"""The requests of S3 as plain values. Pure: no clock, no keys, no network.

Keys in this module are absolute; only `s3.py` makes them. Source: Amazon S3 API Reference, the
page of each operation.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote
from xml.sax.saxutils import escape

from cognitofs.store import checksums
from cognitofs.store import headers as wire_headers
from cognitofs.store.interface import (
    Body,
    ETag,
    Expect,
    ObjectHeaders,
    ObjectInfo,
    PartReceipt,
    UploadId,
    Version,
)

Query = tuple[tuple[str, str], ...]
_NONE: Mapping[str, str] = MappingProxyType({})
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. *key* is absolute and not encoded, "" is the bucket itself.

    *named* are absolute keys that the body names. Names of *headers* are in lower case.
    """

    operation: str
    method: str
    key: str
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)
    body: Body = b""
    named: tuple[str, ...] = ()


def encode_key(key: str) -> str:
    """Percent-encode *key* as signatures want it: all but letters, digits, and -._~/."""
    return quote(key, safe="/-._~")


def encode_query(query: Query) -> str:
    """Encode and sort *query* as signatures want it; lone surrogates become the bytes they were."""
    pairs = sorted((_quote(name), _quote(value)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _quote(text: str) -> str:
    return quote(text, safe="-._~", errors="surrogateescape")


def head(key: str) -> Request:
    """Build HeadObject."""
    return Request("HeadObject", "HEAD", key)


def list_page(
    prefix: str, *, delimiter: str, token: str | None, start_after: str, limit: int
) -> Request:
    """Build ListObjectsV2; S3 ignores start-after beside a token, so it is left out."""
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(limit))]
    query.append(("prefix", prefix))
    if delimiter:
        query.append(("delimiter", delimiter))
    if token is not None:
        query.append(("continuation-token", token))
    elif start_after:
        query.append(("start-after", start_after))
    return Request("ListObjectsV2", "GET", "", tuple(query))


def get(key: str, etag: ETag) -> Request:
    """Build GetObject of a whole version, with its checksum if S3 has one."""
    return Request(
        "GetObject", "GET", key, (), {"if-match": etag, "x-amz-checksum-mode": "ENABLED"}
    )


def get_range(key: str, etag: ETag, start: int, stop: int) -> Request:
    """Build GetObject of bytes [start, stop), which are not empty."""
    asked = {"if-match": etag, "range": f"bytes={start}-{stop - 1}"}
    return Request("GetObject", "GET", key, (), asked)


def put(key: str, body: Body, checksum: str, headers: ObjectHeaders, expect: Expect) -> Request:
    """Build PutObject."""
    sent = {**wire_headers.to_wire(headers), checksums.HEADER: checksum, **_condition(expect)}
    return Request("PutObject", "PUT", key, (), sent, body)


def begin_upload(key: str, headers: ObjectHeaders) -> Request:
    """Build CreateMultipartUpload."""
    sent = wire_headers.to_wire(headers)
    sent["x-amz-checksum-algorithm"] = checksums.ALGORITHM
    if checksums.IS_FULL_OBJECT:
        sent["x-amz-checksum-type"] = "FULL_OBJECT"
    return Request("CreateMultipartUpload", "POST", key, (("uploads", ""),), sent)


def upload_part(key: str, upload: UploadId, number: int, body: Body, checksum: str) -> Request:
    """Build UploadPart."""
    sent = {checksums.HEADER: checksum}
    return Request("UploadPart", "PUT", key, _part(upload, number), sent, body)


def copy_part(
    key: str, upload: UploadId, number: int, *, source: str, etag: ETag, start: int, stop: int
) -> Request:
    """Build UploadPartCopy; *source* is `copy_source` of the version *etag*."""
    sent = {
        "x-amz-copy-source": source,
        "x-amz-copy-source-if-match": etag,
        "x-amz-copy-source-range": f"bytes={start}-{stop - 1}",
    }
    return Request("UploadPartCopy", "PUT", key, _part(upload, number), sent)


def list_parts(key: str, upload: UploadId, marker: int) -> Request:
    """Build ListParts of the parts behind number *marker*."""
    query = (("uploadId", upload), ("max-parts", "1000"), ("part-number-marker", str(marker)))
    return Request("ListParts", "GET", key, query)


def complete_upload(
    key: str, upload: UploadId, parts: Sequence[PartReceipt], expect: Expect
) -> Request:
    """Build CompleteMultipartUpload, with the object's size and, if known, its checksum."""
    sent = {"x-amz-mp-object-size": str(sum(part.size for part in parts)), **_condition(expect)}
    whole = checksums.combine([(part.checksum, part.size) for part in parts])
    if whole:
        sent[checksums.HEADER] = whole
        sent["x-amz-checksum-type"] = "FULL_OBJECT"
    body = f"<CompleteMultipartUpload>{''.join(map(_listed, parts))}</CompleteMultipartUpload>"
    query = (("uploadId", upload),)
    return Request("CompleteMultipartUpload", "POST", key, query, sent, body.encode())


def abort_upload(key: str, upload: UploadId) -> Request:
    """Build AbortMultipartUpload."""
    return Request("AbortMultipartUpload", "DELETE", key, (("uploadId", upload),))


def copy(
    target: str, *, source: str, info: ObjectInfo, expect: Expect, headers: ObjectHeaders | None
) -> Request:
    """Build CopyObject; *source* is `copy_source` of *info*, whose storage class is kept."""
    sent = {"x-amz-copy-source": source, "x-amz-copy-source-if-match": info.etag}
    sent |= _condition(expect)
    if info.storage_class:  # S3 makes a copy STANDARD unless told otherwise
        sent["x-amz-storage-class"] = info.storage_class
    if headers is not None:
        sent |= {**wire_headers.to_wire(headers), "x-amz-metadata-directive": "REPLACE"}
    return Request("CopyObject", "PUT", target, (), sent)


def delete(key: str, expect: Expect) -> Request:
    """Build DeleteObject."""
    return Request("DeleteObject", "DELETE", key, (), _condition(expect))


def delete_many(prefix: str, versions: Sequence[Version]) -> Request:
    """Build DeleteObjects of the keys below the absolute *prefix*, each on its condition.

    Content-MD5 is what servers asked for before they knew checksums.
    """
    named = tuple(prefix + key for key, _ in versions)
    listed = "".join(map(_doomed, named, [expect for _, expect in versions]))
    body = f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{listed}</Delete>'.encode()
    digest = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")
    sent = {"content-md5": digest, checksums.HEADER: checksums.checksum((body,))}
    return Request("DeleteObjects", "POST", "", (("delete", ""),), sent, body, named)


def may_stand_in_xml(key: str) -> bool:
    """Tell whether XML 1.0 can name *key* (not the control characters)."""
    return not _NO_XML.search(key)


def _doomed(key: str, expect: Expect) -> str:
    tag = "" if expect == "any" else f"<ETag>{escape(expect)}</ETag>"
    # A parser would take a bare carriage return, and more in attributes, for a newline.
    return f"<Object><Key>{escape(key, _REFERENCES)}</Key>{tag}</Object>"


def copy_source(bucket: str, key: str) -> str:
    """Return the value of x-amz-copy-source for an absolute *key*."""
    return f"{bucket}/{encode_key(key)}"


def _condition(expect: Expect) -> dict[str, str]:
    if expect == "any":
        return {}
    return {"if-none-match": "*"} if expect == "absent" else {"if-match": expect}


def _part(upload: UploadId, number: int) -> Query:
    return (("partNumber", str(number)), ("uploadId", upload))


def _listed(part: PartReceipt) -> str:
    tag = f"Checksum{checksums.ALGORITHM}"
    total = f"<{tag}>{escape(part.checksum)}</{tag}>" if part.checksum else ""
    number = f"<PartNumber>{part.number}</PartNumber>"
    return f"<Part>{number}<ETag>{escape(part.etag)}</ETag>{total}</Part>"
