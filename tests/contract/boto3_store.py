"""Boto3Store: the reference. The same protocol as `S3Store`, said by plain boto3.

Shares with the real store only what decides before a request (`limits`), the encoding of metadata
values, which boto3 leaves to its caller, and the table from S3's codes to our errors.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import trio
from botocore.exceptions import ClientError

from cognitofs.errors import (
    Changed,
    CognitoFSError,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
)
from cognitofs.store import limits
from cognitofs.store.bodies import blocks
from cognitofs.store.headers import decode_value, to_wire
from cognitofs.store.interface import (
    Body,
    ETag,
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
from cognitofs.store.translate import Refusal, error_of

_T = TypeVar("_T")

_PARAMETERS = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
}


class Boto3Store:
    """An `ObjectStore` by means of a boto3 client."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    async def head(self, key: str) -> ObjectHead:
        return await self._run(key, lambda: self._head(key))

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        token: str | None = None,
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        limits.check_listing(prefix)
        asked: dict[str, Any] = {"Prefix": self._prefix + prefix, "MaxKeys": limit}
        if delimiter:
            asked["Delimiter"] = delimiter
        if token is not None:
            asked["ContinuationToken"] = token
        elif start_after:
            asked["StartAfter"] = self._prefix + start_after
        answer = await self._call(prefix, "list_objects_v2", **asked)
        after = "" if token else start_after
        groups = [self._relative(item["Prefix"]) for item in answer.get("CommonPrefixes", ())]
        return Page(
            objects=tuple(
                self._listed(item)
                for item in answer.get("Contents", ())
                if item["Key"] != self._prefix
            ),
            prefixes=tuple(name for name in groups if name.encode() > after.encode()),
            token=answer.get("NextContinuationToken") if answer["IsTruncated"] else None,
        )

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        limits.check_range(info, start, stop)
        if start == stop:
            return b""
        call = lambda: self._get(info, start, stop)  # noqa: E731 - shorter than a def
        with _changed_instead(info):
            return await self._run(info.key, call)

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        os.pwrite(fd, await self.read(info, start, stop), start)

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        data = b"".join(blocks(body))
        sent = {**_sent(headers), **_condition(expect)}
        answer = await self._call(key, "put_object", Key=self._key(key), Body=data, **sent)
        return ObjectInfo(key, len(data), ETag(answer["ETag"]), int(time.time()))

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        answer = await self._call(
            key,
            "create_multipart_upload",
            Key=self._key(key),
            ChecksumAlgorithm="CRC64NVME",
            ChecksumType="FULL_OBJECT",
            **_sent(headers),
        )
        return UploadId(answer["UploadId"])

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        limits.check_part_number(number)
        data = b"".join(blocks(body))
        answer = await self._call(
            key,
            "upload_part",
            Key=self._key(key),
            UploadId=upload,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm="CRC64NVME",
        )
        etag = ETag(answer["ETag"])
        return PartReceipt(number, etag, len(data), answer.get("ChecksumCRC64NVME", ""))

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        limits.check_range(source, start, stop)
        with _changed_instead(source):
            answer = await self._call(
                key,
                "upload_part_copy",
                Key=self._key(key),
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": self._key(source.key)},
                CopySourceIfMatch=source.etag,
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )
        result = answer["CopyPartResult"]
        total = result.get("ChecksumCRC64NVME", "")
        return PartReceipt(number, ETag(result["ETag"]), stop - start, total)

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        answer = await self._call(key, "list_parts", Key=self._key(key), UploadId=upload)
        return tuple(
            PartReceipt(
                part["PartNumber"],
                ETag(part["ETag"]),
                part["Size"],
                part.get("ChecksumCRC64NVME", ""),
            )
            for part in answer.get("Parts", ())
        )

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        limits.check_parts(parts)
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        answer = await self._call(
            key,
            "complete_multipart_upload",
            Key=self._key(key),
            UploadId=upload,
            MultipartUpload={"Parts": listed},
            **_condition(expect),
        )
        size = sum(part.size for part in parts)
        return ObjectInfo(key, size, ETag(answer["ETag"]), int(time.time()))

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        try:
            await self._call(key, "abort_multipart_upload", Key=self._key(key), UploadId=upload)
        except NoSuchUpload:
            return

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        limits.check_copy(source, target, headers)
        replaced = {} if headers is None else {**_sent(headers), "MetadataDirective": "REPLACE"}
        try:
            answer = await self._call(
                target,
                "copy_object",
                Key=self._key(target),
                CopySource={"Bucket": self._bucket, "Key": self._key(source.key)},
                CopySourceIfMatch=source.etag,
                **replaced,
                **_condition(expect),
            )
        except (NotFound, PreconditionFailed) as exc:
            if expect == "any" or not await self._is_still(source):
                raise Changed(str(exc)) from exc
            raise
        result = answer["CopyObjectResult"]
        modified = int(result["LastModified"].timestamp())
        return ObjectInfo(target, source.size, _quoted(result["ETag"]), modified)

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        limits.check_delete(key, expect)
        try:
            await self._call(key, "delete_object", Key=self._key(key), **_condition(expect))
        except NotFound:
            return
        except PreconditionFailed:
            if not await self._is_missing(key):
                raise

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        limits.check_deletes(versions, prefix=self._prefix)
        listed = [
            {"Key": self._key(key)} | ({} if expect == "any" else {"ETag": expect})
            for key, expect in versions
        ]
        answer = await self._call("", "delete_objects", Delete={"Objects": listed, "Quiet": True})
        failures = {
            self._relative(item["Key"]): error_of(
                Refusal(200, item["Code"], item.get("Message", "")), "DeleteObjects", "", now=0
            )
            for item in answer.get("Errors", ())
        }
        return {key: exc for key, exc in failures.items() if not isinstance(exc, NotFound)}

    async def _is_missing(self, key: str) -> bool:
        try:
            await self.head(key)
        except NotFound:
            return True
        return False

    async def _is_still(self, info: ObjectInfo) -> bool:
        try:
            return (await self.head(info.key)).info.etag == info.etag
        except NotFound:
            return False

    def _head(self, key: str) -> ObjectHead:
        answer = self._client.head_object(Bucket=self._bucket, Key=self._key(key))
        wire = answer["ResponseMetadata"]["HTTPHeaders"]
        info = ObjectInfo(
            key,
            answer["ContentLength"],
            ETag(answer["ETag"]),
            int(parsedate_to_datetime(wire["last-modified"]).timestamp()),
        )
        metadata = {name: decode_value(value) for name, value in answer["Metadata"].items()}
        return ObjectHead(
            info,
            ObjectHeaders(
                content_type=answer.get("ContentType", ""),
                cache_control=answer.get("CacheControl", ""),
                content_disposition=answer.get("ContentDisposition", ""),
                content_encoding=answer.get("ContentEncoding", ""),
                content_language=answer.get("ContentLanguage", ""),
                expires=wire.get("expires", ""),
                metadata=metadata,
            ),
        )

    def _get(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._bucket,
            Key=self._key(info.key),
            IfMatch=info.etag,
            Range=f"bytes={start}-{stop - 1}",
        )
        return bytes(answer["Body"].read())

    def _listed(self, item: dict[str, Any]) -> ObjectInfo:
        return ObjectInfo(
            self._relative(item["Key"]),
            item["Size"],
            ETag(item["ETag"]),
            int(item["LastModified"].timestamp()),
        )

    def _key(self, key: str) -> str:
        limits.check_key(key, prefix=self._prefix)
        return self._prefix + key

    def _relative(self, key: str) -> str:
        return key.removeprefix(self._prefix)

    async def _call(self, shown: str, operation: str, **asked: Any) -> Any:
        call = getattr(self._client, operation)
        return await self._run(shown, lambda: call(Bucket=self._bucket, **asked))

    async def _run(self, shown: str, call: Callable[[], _T]) -> _T:
        def translated() -> _T:
            try:
                return call()
            except ClientError as exc:
                raise error_of(_refusal(exc), exc.operation_name, shown, now=time.time()) from exc

        return await trio.to_thread.run_sync(translated)


@contextmanager
def _changed_instead(info: ObjectInfo) -> Iterator[None]:
    try:
        yield
    except (NotFound, PreconditionFailed) as exc:
        raise Changed(f"{info.key} changed") from exc


def _refusal(exc: ClientError) -> Refusal:
    said = exc.response["Error"]
    status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
    code = said.get("Code", "")
    return Refusal(status, "" if code.isdigit() else code, said.get("Message", ""))


def _quoted(tag: str) -> ETag:
    """SeaweedFS leaves out the quotes in CopyObjectResult."""
    return ETag(tag if tag.startswith('"') else f'"{tag}"')


def _condition(expect: Expect) -> dict[str, str]:
    if expect == "any":
        return {}
    return {"IfNoneMatch": "*"} if expect == "absent" else {"IfMatch": expect}


def _sent(headers: ObjectHeaders) -> dict[str, Any]:
    wire = to_wire(headers)
    sent: dict[str, Any] = {_PARAMETERS[n]: v for n, v in wire.items() if n in _PARAMETERS}
    meta = {n.removeprefix("x-amz-meta-"): v for n, v in wire.items() if n not in _PARAMETERS}
    return {**sent, "Metadata": meta}
