"""Which headers carry encryption, storage class, who pays and whose bucket it must be."""

import pytest

from cognitofs.config import MountOptions
from cognitofs.errors import ConfigError
from cognitofs.store.interface import ETag, ObjectInfo
from cognitofs.store.storage import StorageOptions
from tests.scripted_http import reply
from tests.unit.scripted_store import PLAIN, STORED, TAG, ask, info_of, put

KMS = StorageOptions(
    sse="aws:kms", sse_kms_key_id="alias/files", bucket_key=True, storage_class="STANDARD_IA"
)
PAID = StorageOptions(requester_pays=True, expected_bucket_owner="111122223333")
ENCRYPTION = {
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "alias/files",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
}
COPIED = reply(
    200,
    f"<CopyObjectResult><ETag>{TAG}</ETag><LastModified>2026-01-01T00:00:00Z</LastModified>"
    "</CopyObjectResult>".encode(),
)
BEGUN = reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId>"
              b"</InitiateMultipartUploadResult>")  # fmt: skip


async def headers_of(script, call, storage):
    server = await ask([script], call, storage=storage)
    (heard,) = server.heard
    return heard.headers


def copy(store):
    return store.copy(info_of(), "g", expect="any", headers=PLAIN)


def sent(headers, names):
    return {name: headers[name] for name in names if name in headers}


@pytest.mark.parametrize(
    ("script", "call"),
    [
        (STORED, put),
        (BEGUN, lambda store: store.begin_upload("f", PLAIN)),
        (COPIED, copy),
    ],
    ids=["put", "begin", "copy"],
)
async def test_whatever_makes_an_object_asks_for_its_encryption(script, call):
    assert sent(await headers_of(script, call, KMS), ENCRYPTION) == ENCRYPTION


async def test_reading_and_asking_name_no_encryption():
    found = reply(200, etag=TAG, content_length="10")
    headers = await headers_of(found, lambda store: store.head("f"), KMS)
    assert not [name for name in headers if name.startswith("x-amz-server-side")]


async def test_a_part_inherits_the_encryption_of_its_upload():
    answer = reply(200, f"<CopyPartResult><ETag>{TAG}</ETag></CopyPartResult>".encode())

    def copy_part(store):
        return store.copy_part("f", "u", 1, source=info_of(), start=0, stop=5)

    assert not sent(await headers_of(answer, copy_part, KMS), ENCRYPTION)


async def test_the_storage_class_goes_with_new_objects_and_is_remembered_for_copies():
    stored = []

    async def keep(store):
        stored.append(await put(store))

    headers = await headers_of(STORED, keep, KMS)
    assert headers["x-amz-storage-class"] == "STANDARD_IA"
    assert stored[0].storage_class == "STANDARD_IA"


async def test_a_copy_keeps_the_class_of_its_source():
    source = ObjectInfo("f", 10, ETag(TAG), 0, storage_class="GLACIER_IR")

    def copy_it(store):
        return store.copy(source, "g", expect="any", headers=None)

    assert (await headers_of(COPIED, copy_it, KMS))["x-amz-storage-class"] == "GLACIER_IR"
    assert "x-amz-storage-class" not in await headers_of(COPIED, copy, KMS)


@pytest.mark.parametrize(
    ("script", "call"),
    [
        (STORED, put),
        (reply(200, etag=TAG, content_length="10"), lambda store: store.head("f")),
        (reply(204), lambda store: store.delete("f")),
        (reply(200, b"<ListBucketResult/>"), lambda store: store.list_page("")),
        (reply(204), lambda store: store.abort_upload("f", "u")),
        (COPIED, copy),
    ],
    ids=["put", "head", "delete", "list", "abort", "copy"],
)
async def test_every_request_says_who_pays_and_whose_bucket_it_must_be(script, call):
    headers = await headers_of(script, call, PAID)
    assert headers["x-amz-request-payer"] == "requester"
    assert headers["x-amz-expected-bucket-owner"] == "111122223333"


async def test_a_copy_says_whose_bucket_its_source_must_be():
    headers = await headers_of(COPIED, copy, PAID)
    assert headers["x-amz-source-expected-bucket-owner"] == "111122223333"


async def test_nothing_is_sent_that_was_not_asked_for():
    headers = await headers_of(STORED, put, StorageOptions())
    unasked = ("x-amz-server-side", "x-amz-request-payer", "x-amz-expected", "x-amz-storage")
    assert not [name for name in headers if name.startswith(unasked)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sse": "rot13"}, "`sse` must be one of"),
        ({"sse_kms_key_id": "k"}, "set `sse`, too"),
        ({"sse": "AES256", "sse_kms_key_id": "k"}, "set `sse`, too"),
        ({"sse": "aws:kms:dsse", "bucket_key": True}, "`bucket_key` is for"),
        ({"storage_class": "cheap"}, "`storage_class` must be"),
        ({"storage_class": "GLACIER"}, "restored"),
        ({"expected_bucket_owner": "me"}, "12 digits"),
    ],
)
def test_what_s3_would_refuse_is_refused_before_the_mount(options, words):
    with pytest.raises(ConfigError, match=words):
        MountOptions(**options)
