"""What every ObjectStore does with parts: the strict fake, our protocol and boto3 alike."""

import pytest

from cognitofs.errors import (
    Changed,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    Rejected,
)
from cognitofs.store.checksums import checksum, combine
from cognitofs.store.interface import FileSlice, ObjectHeaders, UploadId
from cognitofs.store.limits import PART_MINIMUM
from tests.contract.cases import OTHER_TAG, PLAIN


async def test_parts_become_one_object(store, file, large):
    headers = ObjectHeaders(content_type="a/b", metadata={"mtime": "7"})
    upload = await store.begin_upload("f", headers)
    first = await store.upload_part("f", upload, 1, FileSlice(file, 0, PART_MINIMUM))
    last = await store.upload_part("f", upload, 2, FileSlice(file, PART_MINIMUM, len(large)))
    info = await store.complete_upload("f", upload, [first, last], expect="absent")
    head = await store.head("f")
    assert (info.size, info.etag) == (len(large), head.info.etag)
    assert head.info.size == len(large)
    assert info.etag.endswith('-2"')
    assert head.headers == headers
    assert (
        await store.read(info, PART_MINIMUM - 2, PART_MINIMUM + 2)
        == (large[PART_MINIMUM - 2 : PART_MINIMUM + 2])
    )
    assert await store.read(info, 0, info.size) == large


async def test_receipts_carry_the_checksum_of_their_bytes(store, file, large):
    upload = await store.begin_upload("f", PLAIN)
    receipt = await store.upload_part("f", upload, 1, FileSlice(file, 0, len(large)))
    assert receipt.size == len(large)
    assert receipt.checksum == checksum((large,))
    assert combine([(receipt.checksum, receipt.size)]) == receipt.checksum


async def test_parts_are_listed_by_number(store, file):
    upload = await store.begin_upload("f", PLAIN)
    assert await store.list_parts("f", upload) == ()
    third = await store.upload_part("f", upload, 3, FileSlice(file, 0, 10))
    first = await store.upload_part("f", upload, 1, FileSlice(file, 10, 30))
    listed = await store.list_parts("f", upload)
    assert [(part.number, part.etag, part.size) for part in listed] == [
        (1, first.etag, 20),
        (3, third.etag, 10),
    ]
    assert {part.checksum for part in listed} <= {"", first.checksum, third.checksum}


async def test_a_part_sent_again_replaces_the_first(store, file, large):
    upload = await store.begin_upload("f", PLAIN)
    await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))
    again = await store.upload_part("f", upload, 1, FileSlice(file, 5, 25))
    info = await store.complete_upload("f", upload, [again], expect="any")
    assert await store.read(info, 0, 20) == large[5:25]


async def test_a_part_may_be_copied_from_an_object(store, file, large):
    base = await store.put("base", large, PLAIN, expect="any")
    upload = await store.begin_upload("f", PLAIN)
    first = await store.copy_part("f", upload, 1, source=base, start=4, stop=4 + PART_MINIMUM)
    last = await store.upload_part("f", upload, 2, FileSlice(file, 0, 9))
    info = await store.complete_upload("f", upload, [first, last], expect="absent")
    assert (first.size, info.size) == (PART_MINIMUM, PART_MINIMUM + 9)
    assert await store.read(info, 0, info.size) == large[4 : 4 + PART_MINIMUM] + large[:9]


async def test_a_part_is_not_copied_from_a_replaced_version(store):
    base = await store.put("base", b"0123456789", PLAIN, expect="any")
    await store.put("base", b"abcdefghij", PLAIN, expect="any")
    upload = await store.begin_upload("f", PLAIN)
    with pytest.raises(Changed):
        await store.copy_part("f", upload, 1, source=base, start=0, stop=5)


async def test_a_part_is_not_copied_from_a_removed_object(store):
    base = await store.put("base", b"0123456789", PLAIN, expect="any")
    await store.delete("base")
    upload = await store.begin_upload("f", PLAIN)
    with pytest.raises(Changed):
        await store.copy_part("f", upload, 1, source=base, start=0, stop=5)


async def test_a_small_part_may_only_be_the_last(store, file):
    upload = await store.begin_upload("f", PLAIN)
    parts = [
        await store.upload_part("f", upload, 1, FileSlice(file, 0, 10)),
        await store.upload_part("f", upload, 2, FileSlice(file, 10, 20)),
    ]
    with pytest.raises(Rejected):
        await store.complete_upload("f", upload, parts, expect="any")


async def test_parts_are_numbered_one_two_three(store, file):
    upload = await store.begin_upload("f", PLAIN)
    second = await store.upload_part("f", upload, 2, FileSlice(file, 0, 10))
    for parts in ([second], []):
        with pytest.raises(Rejected):
            await store.complete_upload("f", upload, parts, expect="any")
    with pytest.raises(Rejected):
        await store.upload_part("f", upload, 10_001, FileSlice(file, 0, 10))


async def test_a_part_that_s3_does_not_hold_is_refused(store, file):
    upload = await store.begin_upload("f", PLAIN)
    held = await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))
    await store.upload_part("f", upload, 1, FileSlice(file, 10, 20))
    with pytest.raises(Rejected):
        await store.complete_upload("f", upload, [held], expect="any")


async def test_a_refused_complete_leaves_the_upload_to_complete_otherwise(store, file, large):
    theirs = await store.put("f", b"theirs", PLAIN, expect="any")
    upload = await store.begin_upload("f", PLAIN)
    part = await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))
    with pytest.raises(PreconditionFailed):
        await store.complete_upload("f", upload, [part], expect="absent")
    with pytest.raises(PreconditionFailed):
        await store.complete_upload("f", upload, [part], expect=OTHER_TAG)
    assert await store.read(theirs, 0, 6) == b"theirs"
    info = await store.complete_upload("f", upload, [part], expect=theirs.etag)
    assert await store.read(info, 0, 10) == large[:10]


async def test_a_complete_onto_a_version_that_is_gone_finds_nothing(store, file):
    upload = await store.begin_upload("f", PLAIN)
    part = await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))
    with pytest.raises((NotFound, PreconditionFailed)):
        await store.complete_upload("f", upload, [part], expect=OTHER_TAG)


async def test_an_aborted_upload_is_gone(store, file):
    upload = await store.begin_upload("f", PLAIN)
    part = await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))
    await store.abort_upload("f", upload)
    with pytest.raises(NoSuchUpload):
        await store.complete_upload("f", upload, [part], expect="any")
    with pytest.raises(NoSuchUpload):
        await store.list_parts("f", upload)
    with pytest.raises(NotFound):
        await store.head("f")


async def test_a_part_of_an_aborted_upload_is_refused(store, file):
    upload = await store.begin_upload("f", PLAIN)
    await store.abort_upload("f", upload)
    with pytest.raises(NoSuchUpload):
        await store.upload_part("f", upload, 1, FileSlice(file, 0, 10))


async def test_aborting_what_is_gone_is_no_error(store):
    upload = await store.begin_upload("f", PLAIN)
    await store.abort_upload("f", upload)
    await store.abort_upload("f", upload)
    await store.abort_upload("f", UploadId(f"{upload}x"))
