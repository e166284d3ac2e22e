"""The operations of S3 over `cognitofs.testing.Bucket`: what is asked, in terms of its rules.

Owns what HTTP adds to the rules: conditions and ranges as headers, checksums on the way, tokens,
documents. What cognitofs never sends is refused with 501, not ignored.
"""

import hashlib
import threading
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from cognitofs.errors import (
    Archived,
    Changed,
    CognitoFSError,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    Rejected,
    TooLarge,
)
from cognitofs.store import checksums
from cognitofs.store.headers import from_wire, to_wire
from cognitofs.store.interface import (
    ETag,
    Expect,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    PartReceipt,
    UploadId,
)
from cognitofs.store.limits import PART_MAXIMUM, PART_MINIMUM
from cognitofs.testing import Bucket
from tests.strict import conversation as say
from tests.strict.conversation import Call, Refused, Reply

CODES: Mapping[type[CognitoFSError], tuple[int, str]] = {
    NotFound: (404, "NoSuchKey"),
    NoSuchUpload: (404, "NoSuchUpload"),
    PreconditionFailed: (412, "PreconditionFailed"),
    Changed: (412, "PreconditionFailed"),
    Archived: (403, "InvalidObjectState"),
    TooLarge: (400, "InvalidRequest"),
    Rejected: (400, "InvalidRequest"),
}
_SUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
    checksums.HEADER: lambda body: b64decode(checksums.checksum((body,))),
}
_UNHEARD = ("if-modified-since", "if-unmodified-since", "x-amz-tagging", "x-amz-acl")


class Operations:
    """The buckets of one server. Safe to use from many threads."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def answer(self, call: Call) -> Reply:
        """Do what is asked, as a whole or not at all."""
        operation = _operation_of(call)
        _check_body(call)
        for name in _UNHEARD:
            if name in call.headers:
                raise Refused(501, "NotImplemented", f"{name} is not heard here.")
        with self._lock:
            try:
                return OPERATIONS[operation](self, call)
            except CognitoFSError as exc:
                raise Refused(*CODES[type(exc)], str(exc)) from exc

    def _bucket(self, call: Call) -> Bucket:
        found = self.buckets.get(call.bucket)
        if found is None:
            raise Refused(404, "NoSuchBucket")
        return found

    # -- buckets ----------------------------------------------------------------------------------

    def list_buckets(self, call: Call) -> Reply:
        listed = say.nested("Bucket", (say.elements(("Name", name)) for name in self.buckets))
        return say.document("ListAllMyBucketsResult", f"<Buckets>{listed}</Buckets>")

    def create_bucket(self, call: Call) -> Reply:
        if call.bucket in self.buckets:
            raise Refused(409, "BucketAlreadyOwnedByYou")
        self.buckets[call.bucket] = Bucket(
            part_minimum=PART_MINIMUM, copy_maximum=PART_MAXIMUM, now=time.time
        )
        return Reply()

    def head_bucket(self, call: Call) -> Reply:
        self._bucket(call)
        return Reply()

    def list_objects(self, call: Call) -> Reply:
        asked = call.query
        after = asked.get("start-after", "")
        if "continuation-token" in asked:
            after = b64decode(asked["continuation-token"]).decode()
        is_encoded = asked.get("encoding-type") == "url"
        shown = say.url_encoded if is_encoded else str
        page = self._bucket(call).page(
            asked.get("prefix", ""),
            asked.get("delimiter", ""),
            after,
            int(asked.get("max-keys", "1000")),
        )
        content = say.elements(
            ("Name", call.bucket),
            ("Prefix", shown(asked.get("prefix", ""))),
            ("KeyCount", len(page.objects) + len(page.prefixes)),
            ("MaxKeys", asked.get("max-keys", "1000")),
            ("IsTruncated", "false" if page.token is None else "true"),
            *([("EncodingType", "url")] if is_encoded else []),
        )
        if page.token is not None:
            token = b64encode(page.token.encode()).decode()
            content += say.elements(("NextContinuationToken", token))
        content += say.nested("Contents", (_listed(info, shown) for info in page.objects))
        groups = (say.elements(("Prefix", shown(name))) for name in page.prefixes)
        return say.document("ListBucketResult", content + say.nested("CommonPrefixes", groups))

    def delete_objects(self, call: Call) -> Reply:
        if not _SUMS.keys() & call.headers.keys():
            raise Refused(400, "InvalidRequest", "Missing required header: Content-MD5")
        asked = call.document("Delete")
        versions = [
            (node.findtext("Key", ""), _expected(node.findtext("ETag"), None))
            for node in asked.findall("Object")
        ]
        failures = self._bucket(call).delete_many(versions)
        lines = [
            say.elements(("Key", key), ("Code", CODES[type(exc)][1]), ("Message", str(exc)))
            for key, exc in failures.items()
        ]
        content = say.nested("Error", lines)
        if asked.findtext("Quiet") != "true":
            gone = (say.elements(("Key", key)) for key, _ in versions if key not in failures)
            content += say.nested("Deleted", gone)
        return say.document("DeleteResult", content)

    # -- objects ----------------------------------------------------------------------------------

    def head_object(self, call: Call) -> Reply:
        found = self._bucket(call).head(call.key)
        _check_reading(call, found.info)
        return Reply(200, _described(found), length=found.info.size)

    def get_object(self, call: Call) -> Reply:
        bucket = self._bucket(call)
        found = bucket.head(call.key)
        _check_reading(call, found.info)
        size = found.info.size
        span = _range(call.headers.get("range", ""), size)
        body = bucket.get(found.info, *(span or (0, size)))
        headers = _described(found)
        if span is not None:
            headers["content-range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
        elif call.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers[checksums.HEADER] = checksums.checksum((body,))
            headers["x-amz-checksum-type"] = "FULL_OBJECT"
        return Reply(200 if span is None else 206, headers, body)

    def put_object(self, call: Call) -> Reply:
        info = self._bucket(call).put(
            call.key,
            call.body,
            _headers_of(call),
            expect=_expect(call),
            storage_class=_class_of(call),
        )
        return Reply(200, {"etag": info.etag, **_sums_of(call)})

    def copy_object(self, call: Call) -> Reply:
        bucket = self._bucket(call)
        source = self._source(call)
        if _class_of(call) != source.storage_class:
            raise Refused(501, "NotImplemented", "Copies keep their class here.")
        replaces = call.headers.get("x-amz-metadata-directive") == "REPLACE"
        headers = _headers_of(call) if replaces else None
        info = bucket.copy(source, call.key, expect=_expect(call), headers=headers)
        content = say.elements(("ETag", info.etag), ("LastModified", say.iso_date(info.modified)))
        return say.document("CopyObjectResult", content)

    def delete_object(self, call: Call) -> Reply:
        bucket, expect = self._bucket(call), _expect(call)
        if expect != "any":
            bucket.head(call.key)  # with a condition a missing object is 404
        bucket.delete(call.key, expect=expect)
        return Reply(204)

    def _source(self, call: Call) -> ObjectInfo:
        """Return the version that a copy names; 404 and 412 as for reading it."""
        named = unquote(call.headers["x-amz-copy-source"]).removeprefix("/")
        name, _, key = named.partition("/")
        if name != call.bucket:
            raise Refused(501, "NotImplemented", "Copies stay in their bucket here.")
        info = self.buckets[name].head(key).info
        if call.headers.get("x-amz-copy-source-if-match", info.etag) != info.etag:
            raise PreconditionFailed("The source is another version.")
        return info

    # -- uploads in parts -------------------------------------------------------------------------

    def create_upload(self, call: Call) -> Reply:
        if _class_of(call):
            raise Refused(501, "NotImplemented", "Uploads in parts have no class here.")
        upload = self._bucket(call).begin_upload(call.key, _headers_of(call))
        content = say.elements(("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload))
        return say.document("InitiateMultipartUploadResult", content)

    def upload_part(self, call: Call) -> Reply:
        number, upload = int(call.query["partNumber"]), UploadId(call.query["uploadId"])
        receipt = self._bucket(call).upload_part(call.key, upload, number, call.body)
        return Reply(200, {"etag": receipt.etag, **_sums_of(call)})

    def copy_part(self, call: Call) -> Reply:
        bucket, source = self._bucket(call), self._source(call)
        number, upload = int(call.query["partNumber"]), UploadId(call.query["uploadId"])
        span = _range(call.headers.get("x-amz-copy-source-range", ""), source.size)
        start, stop = span or (0, source.size)
        receipt = bucket.copy_part(call.key, upload, number, source=source, start=start, stop=stop)
        return say.document("CopyPartResult", _part(receipt))

    def list_parts(self, call: Call) -> Reply:
        after = int(call.query.get("part-number-marker", "0"))
        count = int(call.query.get("max-parts", "1000"))
        held = self._bucket(call).parts(call.key, UploadId(call.query["uploadId"]))
        behind = [part for part in held if part.number > after]
        shown, more = behind[:count], len(behind) > count
        content = say.elements(("IsTruncated", "true" if more else "false"))
        if more:
            content += say.elements(("NextPartNumberMarker", shown[-1].number))
        parts = (
            say.elements(("PartNumber", part.number), ("Size", part.size)) + _part(part)
            for part in shown
        )
        return say.document("ListPartsResult", content + say.nested("Part", parts))

    def complete_upload(self, call: Call) -> Reply:
        bucket, upload = self._bucket(call), UploadId(call.query["uploadId"])
        held = {part.number: part for part in bucket.parts(call.key, upload)}
        listed = call.document("CompleteMultipartUpload").findall("Part")
        parts = [
            PartReceipt(
                number := int(node.findtext("PartNumber", "0")),
                _quoted(node.findtext("ETag", "")),
                held[number].size if number in held else 0,
                node.findtext(f"Checksum{checksums.ALGORITHM}", ""),
            )
            for node in listed
        ]
        whole = checksums.combine([(held[p.number].checksum, p.size) for p in parts if p.size])
        announced = call.headers.get("x-amz-mp-object-size", "")
        if announced and int(announced) != sum(part.size for part in parts):
            raise Refused(400, "InvalidRequest", "The parts have another size than announced.")
        if call.headers.get(checksums.HEADER, whole) != whole:
            raise Refused(400, "BadDigest", "The whole has another checksum.")
        info = bucket.complete(call.key, upload, parts, expect=_expect(call))
        content = say.elements(
            ("Bucket", call.bucket),
            ("Key", call.key),
            ("ETag", info.etag),
            (f"Checksum{checksums.ALGORITHM}", whole),
            ("ChecksumType", "FULL_OBJECT"),
        )
        return say.document("CompleteMultipartUploadResult", content)

    def abort_upload(self, call: Call) -> Reply:
        bucket, upload = self._bucket(call), UploadId(call.query["uploadId"])
        bucket.parts(call.key, upload)
        bucket.abort(call.key, upload)
        return Reply(204)


OPERATIONS: Mapping[str, Callable[[Operations, Call], Reply]] = {
    "GET /": Operations.list_buckets,
    "PUT bucket": Operations.create_bucket,
    "HEAD bucket": Operations.head_bucket,
    "GET bucket list-type": Operations.list_objects,
    "POST bucket delete": Operations.delete_objects,
    "HEAD key": Operations.head_object,
    "GET key": Operations.get_object,
    "GET key uploadId": Operations.list_parts,
    "PUT key": Operations.put_object,
    "PUT key copy": Operations.copy_object,
    "PUT key uploadId": Operations.upload_part,
    "PUT key uploadId copy": Operations.copy_part,
    "POST key uploads": Operations.create_upload,
    "POST key uploadId": Operations.complete_upload,
    "DELETE key": Operations.delete_object,
    "DELETE key uploadId": Operations.abort_upload,
}
_ALONE = ("list-type", "delete", "uploads", "uploadId")
_BESIDE = {
    "encoding-type",
    "max-keys",
    "prefix",
    "delimiter",
    "continuation-token",
    "start-after",
    "partNumber",
    "max-parts",
    "part-number-marker",
}


def _operation_of(call: Call) -> str:
    query = call.query
    words = [call.method, "key" if call.key else "bucket" if call.bucket else "/"]
    words += [name for name in _ALONE if name in query]
    words += ["copy"] if "x-amz-copy-source" in call.headers else []
    operation = " ".join(words)
    if operation not in OPERATIONS or query.keys() - _BESIDE - set(_ALONE):
        raise Refused(501, "NotImplemented", f"{operation} with {sorted(query)}")
    return operation


def _check_body(call: Call) -> None:
    """Compare the body with every checksum that was sent of it; a Complete's is of the object."""
    if "uploadId" in call.query and call.method == "POST":
        return
    for name, value in call.headers.items():
        if name in _SUMS:
            if b64decode(value) != _SUMS[name](call.body):
                raise Refused(400, "BadDigest", f"{name} is of other bytes.")
        elif name.startswith("x-amz-checksum-") and name.rpartition("-")[2] not in (
            "algorithm",
            "mode",
            "type",
        ):
            raise Refused(501, "NotImplemented", f"{name} is not counted here.")


def _sums_of(call: Call) -> dict[str, str]:
    """Return the checksums that S3 says again, those that it was told."""
    return {n: v for n, v in call.headers.items() if n in _SUMS and n != "content-md5"}


def _expect(call: Call) -> Expect:
    return _expected(call.headers.get("if-match"), call.headers.get("if-none-match"))


def _expected(match: str | None, none_match: str | None) -> Expect:
    if none_match is not None:
        if none_match != "*" or match is not None:
            raise Refused(501, "NotImplemented", "If-None-Match knows only *.")
        return "absent"
    return "any" if match is None else _quoted(match)


def _check_reading(call: Call, info: ObjectInfo) -> None:
    if "if-none-match" in call.headers:
        raise Refused(501, "NotImplemented", "If-None-Match is not heard on reading.")
    if call.headers.get("if-match", info.etag) != info.etag:
        raise PreconditionFailed("It is another version.")


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Return the [start, stop) that a range means; one behind the end is 416."""
    if not text:
        return None
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first.isdigit() or not (last.isdigit() or not last):
        raise Refused(501, "NotImplemented", f"The range {text!r} is not understood here.")
    if int(first) >= size:
        raise Refused(416, "InvalidRange", f"It has {size} bytes.")
    return int(first), min(int(last) + 1, size) if last else size


def _headers_of(call: Call) -> ObjectHeaders:
    return from_wire({name: value for name, value in call.headers.items() if value})


def _class_of(call: Call) -> str:
    named = call.headers.get("x-amz-storage-class", "")
    return "" if named == "STANDARD" else named


def _described(found: ObjectHead) -> dict[str, str]:
    """Return the headers of an object; without a type S3 says binary/octet-stream."""
    info = found.info
    headers = {"content-type": "binary/octet-stream", **to_wire(found.headers)}
    headers |= {"etag": info.etag, "last-modified": say.http_date(info.modified)}
    if info.storage_class:
        headers["x-amz-storage-class"] = info.storage_class
    return headers


def _listed(info: ObjectInfo, shown: Callable[[str], str]) -> str:
    return say.elements(
        ("Key", shown(info.key)),
        ("LastModified", say.iso_date(info.modified)),
        ("ETag", info.etag),
        ("Size", info.size),
        ("StorageClass", info.storage_class or "STANDARD"),
    )


def _part(receipt: PartReceipt) -> str:
    return say.elements(
        ("ETag", receipt.etag),
        ("LastModified", say.iso_date(0)),
        (f"Checksum{checksums.ALGORITHM}", receipt.checksum),
    )


def _quoted(tag: str) -> ETag:
    return ETag(tag if tag.startswith('"') else f'"{tag}"')
