"""The answers of S3 as plain values. Pure.

INVARIANT: a document that is not what the API Reference describes raises ServerTrouble; nothing is
guessed from it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote_plus
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from cognitofs.errors import Changed, Corrupted, Rejected, ServerTrouble
from cognitofs.store import checksums
from cognitofs.store import headers as wire_headers
from cognitofs.store.interface import (
    ETag,
    ObjectHead,
    ObjectInfo,
    Page,
    PartReceipt,
    UploadId,
)

# What XML 1.0 cannot hold, raw or as a reference. S3 echoes a key with such characters nonetheless,
# but never in an element that is read here: listings are URL encoded.
_NO_XML = re.compile(
    rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));",
    re.IGNORECASE,
)
_CONTROLS = {*range(0x20)} - {0x09, 0x0A, 0x0D}
_NO_CONTROLS = bytes(ord("?") if byte in _CONTROLS else byte for byte in range(256))
_MOST_DIGITS = 18  # S3's largest object has 14; off_t ends with 19


class Answer(Protocol):
    """What a parser needs of an answer: status, headers by lower-case name, and the body."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, their names in lower case."""
        ...

    def read(self) -> bytes:
        """Return the whole, bounded, body."""
        ...


def head(key: str, headers: Mapping[str, str]) -> ObjectHead:
    """Read HeadObject."""
    info = ObjectInfo(
        key=key,
        size=_count(headers.get("content-length", ""), "Content-Length"),
        etag=etag_of(headers),
        modified=http_time(headers.get("last-modified", "")),
        storage_class=_storage_class(headers.get("x-amz-storage-class")),
    )
    return ObjectHead(info, wire_headers.from_wire(headers))


def stored(key: str, size: int, headers: Mapping[str, str]) -> ObjectInfo:
    """Read PutObject.

    `modified` is the answer's Date, since PutObject does not return LastModified: HEAD may say
    another second.
    """
    return ObjectInfo(key, size, etag_of(headers), http_time(headers.get("date", "")))


def listing(body: bytes, prefix: str) -> Page:
    """Read ListObjectsV2 with EncodingType=url; its keys without *prefix*.

    Raises Rejected when the server listed another prefix.
    """
    root = _document(body, "ListBucketResult")
    namespace = root.tag.removesuffix("ListBucketResult")
    groups = root.findall(f"{namespace}CommonPrefixes/{namespace}Prefix")
    token = root.findtext(f"{namespace}NextContinuationToken")
    more = root.findtext(f"{namespace}IsTruncated") == "true"
    if more and not token:
        raise ServerTrouble("S3 cut a listing short and gave no way to go on. Try again later.")
    return Page(
        objects=tuple(
            _listed_object(node, namespace, prefix)
            for node in root.iterfind(f"{namespace}Contents")
        ),
        prefixes=tuple(_unquoted(item.text or "", prefix) for item in groups),
        token=token if more else None,
    )


def upload_id(body: bytes) -> UploadId:
    """Read CreateMultipartUpload."""
    return UploadId(_text(_document(body, "InitiateMultipartUploadResult"), "UploadId"))


def copied_part(number: int, size: int, body: bytes) -> PartReceipt:
    """Read UploadPartCopy."""
    result = _document(body, "CopyPartResult")
    return PartReceipt(number, _etag(_text(result, "ETag")), size, _checksum(result))


def parts(body: bytes) -> tuple[tuple[PartReceipt, ...], int | None]:
    """Read ListParts: the parts, and the marker that continues, None at the end."""
    root = _document(body, "ListPartsResult", "ListPartsResponse")  # the latter is moto's
    found = tuple(
        PartReceipt(
            number=_count(_text(part, "PartNumber"), "PartNumber"),
            etag=_etag(_text(part, "ETag")),
            size=_count(_text(part, "Size"), "Size"),
            checksum=_checksum(part),
        )
        for part in root
        if _tag(part) == "Part"
    )
    more = _find(root, "IsTruncated") == "true" and bool(found)
    return found, found[-1].number if more else None


def completed(key: str, size: int, headers: Mapping[str, str], body: bytes) -> ObjectInfo:
    """Read CompleteMultipartUpload; `modified` as for `stored`."""
    result = _document(body, "CompleteMultipartUploadResult")
    etag = _etag(_text(result, "ETag"))
    return ObjectInfo(key, size, etag, http_time(headers.get("date", "")))


def completed_checksum(body: bytes) -> str:
    """Return the full-object checksum of CompleteMultipartUpload, "" where there is none."""
    return _whole(_checksum(_document(body, "CompleteMultipartUploadResult")))


def copied(key: str, source: ObjectInfo, body: bytes) -> ObjectInfo:
    """Read CopyObject."""
    result = _document(body, "CopyObjectResult")
    return ObjectInfo(
        key=key,
        size=source.size,
        etag=_etag(_text(result, "ETag")),
        modified=_iso_time(_text(result, "LastModified")),
        storage_class=source.storage_class,
    )


def undeleted(body: bytes, prefix: str) -> list[tuple[str, str, str]]:
    """Read DeleteObjects: (key without *prefix*, code, message) of what was not removed."""
    root = _document(body, "DeleteResult")
    return [
        (_find(node, "Key").removeprefix(prefix), _find(node, "Code"), _find(node, "Message"))
        for node in root
        if _tag(node) == "Error"
    ]


def check_ranged(info: ObjectInfo, start: int, stop: int, answer: Answer) -> None:
    """Refuse an answer that is not bytes [start, stop) of *info*. Raises Changed, Corrupted.

    A 206 with another range was seen to pass unnoticed through botocore, so all is compared.
    """
    whole = start == 0 and stop == info.size
    expected = f"bytes {start}-{stop - 1}/{info.size}"
    ranged = answer.status == 206 and answer.headers.get("content-range") == expected
    if etag_of(answer.headers) != info.etag:
        raise Changed(f"The object {info.key!r} is another version now. Open the file again.")
    if not (ranged or (whole and answer.status == 200)):
        raise Corrupted(f"S3 sent another range of {info.key!r} than was asked. Read it again.")
    if answer.headers.get("content-length") != str(stop - start):
        raise Corrupted(f"S3 sent another length of {info.key!r} than was asked. Read it again.")


def announced(headers: Mapping[str, str]) -> tuple[str, checksums.Summer | None]:
    """Return the checksum of the whole body in any algorithm at hand, and how to count it."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
        for name, summer in checksums.summers().items():
            if found := _whole(headers.get(name, "")):
                return found, summer
    return "", None


def body_checksum(headers: Mapping[str, str]) -> str:
    """Return the checksum of the whole body, "" where S3 has none of our algorithm."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return ""
    return _whole(headers.get(checksums.HEADER, ""))


def etag_of(headers: Mapping[str, str]) -> ETag:
    """Return the ETag of an answer. Raises ServerTrouble when it has none."""
    try:
        return _etag(headers["etag"])
    except KeyError as exc:
        raise ServerTrouble("S3 answered without an ETag. Is the endpoint really S3?") from exc


def http_time(text: str) -> int:
    """Return an HTTP date in seconds since the epoch; 0 when there is none."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (OverflowError, TypeError, ValueError):
        return 0


def error_fields(body: bytes) -> dict[str, str]:
    """Return the elements of an <Error> document, {} when *body* is none."""
    try:
        root = _parsed(body)
    except ElementTree.ParseError:
        return {}
    errors = [node for node in _self_and_children(root) if _tag(node) == "Error"]
    return {_tag(item): item.text or "" for item in errors[0]} if errors else {}


def _self_and_children(root: Element) -> Iterator[Element]:
    yield root
    yield from root


def _listed_object(node: Element, namespace: str, prefix: str) -> ObjectInfo:
    # A page has 1,000 of these: one dictionary is a third of the cost of five searches.
    fields = {item.tag: item.text or "" for item in node}
    try:
        return ObjectInfo(
            _unquoted(fields[f"{namespace}Key"], prefix),
            _count(fields[f"{namespace}Size"], "Size"),
            _etag(fields[f"{namespace}ETag"]),
            _iso_time(fields[f"{namespace}LastModified"]),
            _storage_class(fields.get(f"{namespace}StorageClass")),
        )
    except (KeyError, ValueError) as exc:
        raise ServerTrouble("S3 sent a listing that cannot be read. Try again later.") from exc


def _unquoted(text: str, prefix: str) -> str:
    """Undo EncodingType=url; bytes that are not UTF-8 become lone surrogates, which show."""
    directory, slash, name = text.rpartition("%2F" if "%2F" in text else "/")
    key = _decoded(directory) + ("/" if slash else "")
    key += _plain(name) if "%" in name or "+" in name else name
    if not key.startswith(prefix):
        raise Rejected("S3 listed a key outside the prefix. Is the endpoint really S3?")
    return key[len(prefix) :]


def _plain(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


# The names of a page share few directories, and decoding is half of the cost of a name.
_decoded = lru_cache(maxsize=256)(_plain)


def _document(body: bytes, name: str, alias: str = "") -> Element:
    try:
        root = _parsed(body)
    except ElementTree.ParseError as exc:
        raise ServerTrouble(f"S3 sent a broken {name}. Try again later.") from exc
    if _tag(root) not in (name, alias):
        raise ServerTrouble(f"S3 sent no {name}. Is the endpoint really S3?")
    return root


def _parsed(body: bytes) -> Element:
    if b"<!DOCTYPE" in body:  # S3 sends none; entities in one can make gigabytes of a page
        raise ElementTree.ParseError("a document type")
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return ElementTree.fromstring(_NO_XML.sub(b"?", body.translate(_NO_CONTROLS)))


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _find(node: Element, name: str) -> str:
    return next((item.text or "" for item in node if _tag(item) == name), "")


def _text(node: Element, name: str) -> str:
    text = _find(node, name)
    if not text:
        raise ServerTrouble(f"S3 sent no {name}. Try again later.")
    return text


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ServerTrouble(f"S3 sent a {name} that is none. Is the endpoint really S3?")
    return int(text)


def _etag(text: str) -> ETag:
    return ETag(text if text.startswith('"') else f'"{text}"')


def _checksum(node: Element) -> str:
    return _find(node, f"Checksum{checksums.ALGORITHM}")


def _whole(checksum: str) -> str:
    """Drop a checksum of checksums, which ends in "-N" (UG "Checking object integrity")."""
    return "" if "-" in checksum else checksum


def _storage_class(name: str | None) -> str:
    return "" if name in (None, "STANDARD") else str(name)


@lru_cache(maxsize=1024)
def _iso_time(text: str) -> int:
    return int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
