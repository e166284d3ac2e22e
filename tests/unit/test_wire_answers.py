"""Only what was asked for is accepted: ranges, lengths, checksums, documents."""

import os
from contextlib import nullcontext

import pytest

from cognitofs.errors import (
    Changed,
    Corrupted,
    Rejected,
    ServerTrouble,
    SpoolDamaged,
    Throttled,
    Unreachable,
)
from cognitofs.store import translate
from cognitofs.store.checksums import checksum
from cognitofs.store.interface import (
    FileSlice,
    ObjectInfo,
    PartReceipt,
    UploadId,
)
from tests.scripted_http import Reply, reply, scripted_server
from tests.unit.scripted_store import (
    PLAIN,
    STORED,
    TAG,
    ask,
    error_body,
    info_of,
    put,
    store_at,
)


@pytest.mark.parametrize("key", ["source", "f"])
async def test_a_200_may_carry_an_error(key):
    script = [reply(200, b"  " + error_body("InternalError")), reply(404)]
    with pytest.raises(ServerTrouble):
        await ask(
            script,
            lambda store: store.copy(ObjectInfo(key, 1, TAG, 0), "f", expect="any", headers=PLAIN),
        )
    receipt = PartReceipt(1, TAG, 4, checksum((b"data",)))
    with pytest.raises(ServerTrouble):
        await ask(
            [reply(200, b"\n" + error_body("InternalError"))],
            lambda store: store.complete_upload("f", UploadId("u"), [receipt], expect="any"),
        )


async def test_complete_sends_and_compares_the_checksum_of_the_whole():
    parts = [
        PartReceipt(1, TAG, 4, checksum((b"data",))),
        PartReceipt(2, TAG, 3, checksum((b"end",))),
    ]

    def done(total: str) -> Reply:
        text = f'<ETag>"x-2"</ETag><ChecksumCRC64NVME>{total}</ChecksumCRC64NVME>'
        body = f"<CompleteMultipartUploadResult>{text}</CompleteMultipartUploadResult>"
        return reply(200, body.encode())

    def complete(store):
        return store.complete_upload("f", UploadId("u"), parts, expect="absent")

    server = await ask([done(checksum((b"dataend",)))], complete)
    (heard,) = server.heard
    assert heard.headers["x-amz-checksum-crc64nvme"] == checksum((b"dataend",))
    assert heard.headers["x-amz-mp-object-size"] == "7"
    assert heard.headers["if-none-match"] == "*"
    with pytest.raises(Corrupted):
        await ask([done(checksum((b"damaged",)))], complete)


async def test_another_checksum_than_was_sent_is_corruption():
    with pytest.raises(Corrupted):
        await ask([reply(200, etag=TAG, x_amz_checksum_crc64nvme="AAAAAAAAAAA=")], put)


@pytest.mark.parametrize(
    ("header", "value"),
    [("x_amz_checksum_crc32", "y/Q5Jg=="), ("x_amz_checksum_crc32c", "4waSgw==")],
)
async def test_a_whole_read_is_compared_in_the_algorithm_that_others_stored(header, value):
    """boto3 stores CRC-32, others CRC-32C; both of "123456789"."""
    info = ObjectInfo("f", 9, TAG, 0)
    for body, outcome in ((b"123456789", nullcontext()), (b"123456780", pytest.raises(Corrupted))):
        with outcome:
            await ask(
                [reply(200, body, etag=TAG, **{header: value})],
                lambda store: store.read(info, 0, 9),
            )


async def test_a_part_receipt_has_the_checksum_that_s3_returned(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    total = checksum((b"34567",))
    fd = os.open(path, os.O_RDONLY)
    with scripted_server([reply(200, etag=TAG, x_amz_checksum_crc64nvme=total)]) as server:
        store = store_at(server.endpoint)
        receipt = await store.upload_part("f", UploadId("u"), 7, FileSlice(fd, 3, 8))
        store.close()
    os.close(fd)
    assert receipt == PartReceipt(7, TAG, 5, total)
    assert server.heard[0].body == b"34567"
    assert server.heard[0].line.split(" ")[1].endswith("?partNumber=7&uploadId=u")


async def test_a_body_file_that_is_too_short_is_damage_of_the_spool(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"0123")
    with path.open("rb") as file, pytest.raises(SpoolDamaged):
        await ask(
            [STORED],
            lambda store: store.put("f", FileSlice(file.fileno(), 0, 9), PLAIN, expect="any"),
        )


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (206, b"34567", {"content_range": "bytes 3-7/10"}, None),
        (206, b"45678", {"content_range": "bytes 4-8/10"}, Corrupted),
        (206, b"34567", {"content_range": "bytes 3-7/11"}, Corrupted),
        (206, b"345", {"content_range": "bytes 3-7/10"}, Corrupted),
        (206, b"34567", {}, Corrupted),
        (200, b"34567", {"content_range": "bytes 3-7/10"}, Corrupted),
        (206, b"34567", {"content_range": "bytes 3-7/10", "etag": '"other"'}, Changed),
        (206, b"345", {"content_range": "bytes 3-7/10", "content_length": "5"}, Unreachable),
        (412, b"", {}, Changed),
        (404, b"", {}, Changed),
    ],
)
async def test_only_the_range_that_was_asked_is_accepted(tmp_path, status, body, headers, error):
    answer = reply(status, body, hangs_up=True, **{"etag": TAG, **headers})
    with (tmp_path / "target").open("w+b") as target:

        async def read_into(store):
            await store.read_into(info_of(), 3, 8, target.fileno())

        async def read(store):
            assert await store.read(info_of(), 3, 8) == b"34567"

        for call in (read, read_into):
            with pytest.raises(error) if error else nullcontext():
                await ask([answer], call)
        if error is None:
            assert os.pread(target.fileno(), 9, 0) == b"\0\0\x0034567"


async def test_a_whole_object_is_compared_with_its_checksum(tmp_path):
    def whole(data: bytes) -> Reply:
        return reply(200, data, etag=TAG, x_amz_checksum_crc64nvme=checksum((b"0123456789",)))

    with scripted_server([whole(b"0123456789")]) as server:
        store = store_at(server.endpoint)
        assert await store.read(info_of(), 0, 10) == b"0123456789"
        store.close()
    assert server.heard[0].headers["x-amz-checksum-mode"] == "ENABLED"
    assert server.heard[0].headers["if-match"] == TAG
    assert "range" not in server.heard[0].headers
    with pytest.raises(Corrupted):
        await ask([whole(b"0123456780")], lambda store: store.read(info_of(), 0, 10))
    with (tmp_path / "target").open("w+b") as target, pytest.raises(Corrupted):
        await ask(
            [whole(b"0123456780")],
            lambda store: store.read_into(info_of(), 0, 10, target.fileno()),
        )


async def test_a_checksum_of_checksums_is_not_compared():
    answer = reply(200, b"0123456789", etag=TAG, x_amz_checksum_crc64nvme="AAAAAAAAAAA=-2")
    await ask([answer], lambda store: store.read(info_of(), 0, 10))


async def test_a_listing_with_a_foreign_key_is_refused():
    body = (
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>private/other/f</Key>"
        b"<Size>1</Size><ETag>x</ETag><LastModified>2023-11-15T00:00:00Z</LastModified></Contents>"
        b"</ListBucketResult>"
    )
    with pytest.raises(Rejected, match="outside"):
        await ask([reply(200, body)], lambda store: store.list_page(""))


async def test_a_listing_that_would_unfold_into_gigabytes_is_trouble():
    entities = b"".join(
        b'<!ENTITY e%d "%s">' % (number, b"&e%d;" % (number - 1) * 10) for number in range(1, 10)
    )
    bomb = b'<!DOCTYPE bomb [<!ENTITY e0 "0123456789">' + entities + b"]>"
    page = b"<ListBucketResult><IsTruncated>&e9;</IsTruncated></ListBucketResult>"
    with pytest.raises(ServerTrouble):
        await ask([reply(200, bomb + page)], lambda store: store.list_page(""))


async def test_a_listing_that_is_no_listing_is_trouble():
    for body in (b"<html/>", b"<ListBucketResult>", b""):
        with pytest.raises(ServerTrouble):
            await ask([reply(200, body)], lambda store: store.list_page(""))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "99999999"}, 300.0),
        (
            {
                "retry-after": "Mon, 23 Nov 2026 01:00:09 GMT",
                "date": "Mon, 23 Nov 2026 01:00:00 GMT",
            },
            9.0,
        ),
        ({"retry-after": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_pause_that_s3_names_is_read(headers, seconds):
    refusal = translate.refusal_from(503, headers, b"<Error><Code>SlowDown</Code></Error>")
    error = translate.error_of(refusal, "PutObject", "k", now=0)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds
