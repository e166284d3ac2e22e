"""What every ObjectStore does with objects: the strict fake, our protocol and boto3 alike."""

import time

import pytest

from cognitofs.errors import (
    Changed,
    NotFound,
    PreconditionFailed,
    Rejected,
)
from cognitofs.store.interface import FileSlice, ObjectHeaders
from tests.contract.cases import DOTS, ODD_KEYS, OTHER_TAG, PLAIN, names


async def test_head_describes_what_was_put(store):
    before = int(time.time()) - 2
    info = await store.put("a/b", b"hello", PLAIN, expect="any")
    head = await store.head("a/b")
    assert (info.key, info.size) == ("a/b", 5)
    assert (head.info.key, head.info.size, head.info.etag) == ("a/b", 5, info.etag)
    assert before <= head.info.modified <= time.time() + 2
    assert abs(head.info.modified - info.modified) <= 2
    assert head.headers.content_type == "text/plain"


async def test_all_headers_and_metadata_survive(store):
    headers = ObjectHeaders(
        content_type="image/png",
        cache_control="max-age=60",
        content_disposition='attachment; filename="x.png"',
        content_encoding="identity",
        content_language="pl",
        expires="Wed, 21 Oct 2037 07:28:00 GMT",
        metadata={"mtime": "1.5", "file-permissions": "0100644", "under_score": "v"},
    )
    await store.put("f", b"x", headers, expect="any")
    assert (await store.head("f")).headers == headers


@pytest.mark.parametrize(
    "value",
    [
        "zażółć gęślą jaźń",
        "two  spaces",
        " edge ",
        "line\nbreak\r\nx: y",
        "=?not?",
        "a" * 1000,
        "日" * 60,
    ],
    ids=["unicode", "spaces", "edge", "newline", "question", "long", "long-unicode"],
)
async def test_metadata_values_survive_whatever_they_hold(store, value):
    await store.put("f", b"x", ObjectHeaders(metadata={"note": value}), expect="any")
    head = await store.head("f")
    assert dict(head.headers.metadata) == {"note": value}


async def test_a_header_that_would_end_its_line_is_refused(store):
    with pytest.raises(Rejected):
        await store.put("f", b"", ObjectHeaders(content_type="a\r\nx-amz-acl: b"), expect="any")
    with pytest.raises(Rejected):
        await store.put("f", b"", ObjectHeaders(metadata={"a\r\nb": "c"}), expect="any")
    with pytest.raises(NotFound):
        await store.head("f")


async def test_metadata_over_two_kib_is_refused(store):
    with pytest.raises(Rejected):
        await store.put("f", b"", ObjectHeaders(metadata={"n": "v" * 2100}), expect="any")


async def test_a_missing_object_is_not_found(store):
    with pytest.raises(NotFound):
        await store.head("missing")


async def test_a_body_from_a_file_is_sent_as_it_is(store, file, large):
    info = await store.put("f", FileSlice(file, 7, len(large) - 3), PLAIN, expect="any")
    assert await store.read(info, 0, info.size) == large[7:-3]


async def test_an_empty_object_is_an_object(store):
    info = await store.put("empty", b"", PLAIN, expect="absent")
    assert info.size == 0
    assert await store.read(info, 0, 0) == b""
    assert (await store.head("empty")).info.size == 0


async def test_absent_lets_only_the_first_put_through(store):
    first = await store.put("f", b"1", PLAIN, expect="absent")
    with pytest.raises(PreconditionFailed):
        await store.put("f", b"2", PLAIN, expect="absent")
    assert await store.read(first, 0, 1) == b"1"


async def test_a_put_onto_another_version_is_refused(store):
    first = await store.put("f", b"1", PLAIN, expect="any")
    second = await store.put("f", b"2", PLAIN, expect=first.etag)
    with pytest.raises(PreconditionFailed):
        await store.put("f", b"3", PLAIN, expect=first.etag)
    assert await store.read(second, 0, 1) == b"2"


async def test_a_put_onto_a_version_that_is_gone_finds_nothing(store):
    with pytest.raises((NotFound, PreconditionFailed)):
        await store.put("f", b"3", PLAIN, expect=OTHER_TAG)
    with pytest.raises(NotFound):
        await store.head("f")


async def test_ranges_are_read_exactly(store):
    info = await store.put("f", b"0123456789", PLAIN, expect="any")
    assert await store.read(info, 0, 10) == b"0123456789"
    assert await store.read(info, 3, 5) == b"34"
    assert await store.read(info, 9, 10) == b"9"
    assert await store.read(info, 4, 4) == b""


async def test_a_range_that_the_object_does_not_have_is_refused(store):
    info = await store.put("f", b"0123456789", PLAIN, expect="any")
    with pytest.raises(Rejected):
        await store.read(info, 5, 11)


async def test_read_into_writes_at_the_same_offset(store, tmp_path):
    info = await store.put("f", b"0123456789", PLAIN, expect="any")
    with (tmp_path / "target").open("w+b") as target:
        target.write(b"." * 10)
        target.flush()
        await store.read_into(info, 3, 5, target.fileno())
        target.seek(0)
        assert target.read() == b"...34....."
        await store.read_into(info, 0, 10, target.fileno())
        target.seek(0)
        assert target.read() == b"0123456789"


async def test_an_encoded_object_is_read_as_stored(store):
    headers = ObjectHeaders(content_type="text/plain", content_encoding="gzip")
    info = await store.put("f", b"not really gzip", headers, expect="any")
    assert await store.read(info, 0, info.size) == b"not really gzip"


async def test_reading_a_replaced_version_says_changed(store):
    info = await store.put("f", b"0123456789", PLAIN, expect="any")
    await store.put("f", b"abcdefghij", PLAIN, expect="any")
    for start, stop in ((0, 10), (2, 4)):
        with pytest.raises(Changed):
            await store.read(info, start, stop)


async def test_reading_a_removed_version_says_changed(store, tmp_path):
    info = await store.put("f", b"0123456789", PLAIN, expect="any")
    await store.delete("f")
    with pytest.raises(Changed):
        await store.read(info, 0, 5)
    with (tmp_path / "target").open("w+b") as target, pytest.raises(Changed):
        await store.read_into(info, 0, 10, target.fileno())


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS.keys())
async def test_an_odd_key_is_a_key_like_any_other(store, key):
    data = f"data of {key}".encode()
    info = await store.put(key, data, PLAIN, expect="absent")
    head = await store.head(key)
    assert (head.info.key, head.info.etag, head.info.size) == (key, info.etag, len(data))
    assert await store.read(info, 0, info.size) == data
    assert await names(store, delimiter="") == ([key], [])
    copied = await store.copy(info, f"copy of/{key}", expect="absent", headers=None)
    assert await store.read(copied, 0, info.size) == data
    upload = await store.begin_upload(key, PLAIN)
    await store.abort_upload(key, upload)
    await store.delete(key, expect=info.etag)
    assert (await names(store, delimiter=""))[0] == [f"copy of/{key}"]
    assert (await store.list_page("", start_after=key, delimiter="")).token is None


async def test_the_longest_key_is_a_key_and_a_longer_one_is_refused(side):
    room = 1024 - len(side.prefix)
    key = ("d" * 200 + "/") * 6
    key = key[: room - 3] + "éx"
    assert len(key.encode()) == room
    await side.store.put(key, b"1", PLAIN, expect="any")
    assert (await side.store.head(key)).info.size == 1
    with pytest.raises(Rejected):
        await side.store.put(key + "y", b"1", PLAIN, expect="any")


@pytest.mark.parametrize("key", [*DOTS, "", "\ud800"])
async def test_a_key_that_could_leave_the_prefix_is_refused(store, key):
    inside = await store.put("inside", b"1", PLAIN, expect="any")
    with pytest.raises(Rejected):
        await store.put(key, b"1", PLAIN, expect="any")
    with pytest.raises(Rejected):
        await store.head(key)
    with pytest.raises(Rejected):
        await store.copy(inside, key, expect="any", headers=None)
    with pytest.raises(Rejected):
        await store.delete(key)
    with pytest.raises(Rejected):
        await store.begin_upload(key, PLAIN)
    assert await names(store, delimiter="") == (["inside"], [])


async def test_a_copy_keeps_bytes_and_headers(store):
    headers = ObjectHeaders(content_type="a/b", cache_control="no-cache", metadata={"k": "v"})
    source = await store.put("source", b"bytes", headers, expect="any")
    copied = await store.copy(source, "d/target", expect="absent", headers=None)
    assert (copied.key, copied.size, copied.etag) == ("d/target", 5, source.etag)
    head = await store.head("d/target")
    assert (head.info.etag, head.headers) == (copied.etag, headers)
    assert await store.read(copied, 0, 5) == b"bytes"


async def test_a_copy_may_replace_the_headers(store):
    headers = ObjectHeaders(content_type="a/b", metadata={"k": "v"})
    source = await store.put("source", b"bytes", headers, expect="any")
    other = ObjectHeaders(content_type="c/d", metadata={"other": "w"})
    await store.copy(source, "target", expect="any", headers=other)
    assert (await store.head("target")).headers == other


async def test_a_copy_onto_itself_changes_headers_and_keeps_the_tag(store):
    source = await store.put("f", b"bytes", PLAIN, expect="any")
    other = ObjectHeaders(content_type="text/plain", metadata={"mode": "0644"})
    copied = await store.copy(source, "f", expect=source.etag, headers=other)
    assert copied.etag == source.etag
    assert (await store.head("f")).headers == other


async def test_a_copy_onto_itself_without_new_headers_is_refused(store):
    source = await store.put("f", b"bytes", PLAIN, expect="any")
    with pytest.raises(Rejected):
        await store.copy(source, "f", expect="any", headers=None)


@pytest.mark.parametrize("expect", ["any", "absent"])
async def test_a_replaced_source_is_not_copied(store, expect):
    source = await store.put("source", b"bytes", PLAIN, expect="any")
    await store.put("source", b"other", PLAIN, expect="any")
    with pytest.raises(Changed):
        await store.copy(source, "target", expect=expect, headers=None)
    with pytest.raises(NotFound):
        await store.head("target")


@pytest.mark.parametrize("expect", ["any", "absent"])
async def test_a_removed_source_is_not_copied(store, expect):
    source = await store.put("source", b"bytes", PLAIN, expect="any")
    await store.delete("source")
    with pytest.raises(Changed):
        await store.copy(source, "target", expect=expect, headers=None)


async def test_a_copy_onto_an_unexpected_target_is_refused(store):
    source = await store.put("source", b"bytes", PLAIN, expect="any")
    target = await store.put("target", b"theirs", PLAIN, expect="any")
    with pytest.raises(PreconditionFailed):
        await store.copy(source, "target", expect="absent", headers=None)
    with pytest.raises(PreconditionFailed):
        await store.copy(source, "target", expect=OTHER_TAG, headers=None)
    assert await store.read(target, 0, 6) == b"theirs"


async def test_a_copy_onto_the_expected_target_replaces_it(store):
    source = await store.put("source", b"bytes", PLAIN, expect="any")
    target = await store.put("target", b"theirs", PLAIN, expect="any")
    copied = await store.copy(source, "target", expect=target.etag, headers=None)
    assert await store.read(copied, 0, 5) == b"bytes"


async def test_deleting_removes_and_deleting_again_is_no_error(store):
    info = await store.put("f", b"1", PLAIN, expect="any")
    await store.delete("f")
    await store.delete("f")
    await store.delete("f", expect=info.etag)
    with pytest.raises(NotFound):
        await store.head("f")


async def test_another_version_is_not_deleted(store):
    first = await store.put("f", b"1", PLAIN, expect="any")
    second = await store.put("f", b"2", PLAIN, expect="any")
    with pytest.raises(PreconditionFailed):
        await store.delete("f", expect=first.etag)
    await store.delete("f", expect=second.etag)
    with pytest.raises(NotFound):
        await store.head("f")


async def test_a_delete_cannot_expect_absence(store):
    with pytest.raises(Rejected):
        await store.delete("f", expect="absent")


async def test_many_are_deleted_at_once_and_missing_ones_are_no_failure(store):
    infos = [await store.put(f"d/{n}", b"1", PLAIN, expect="any") for n in range(3)]
    versions = [(infos[0].key, infos[0].etag), ("d/1", "any"), ("d/none", "any")]
    assert dict(await store.delete_many(versions)) == {}
    assert (await names(store, "d/"))[0] == ["d/2"]


async def test_of_many_a_version_that_is_gone_is_no_failure(store):
    info = await store.put("f", b"1", PLAIN, expect="any")
    await store.delete("f")
    assert dict(await store.delete_many([("f", info.etag)])) == {}


async def test_of_many_another_version_is_not_deleted(store):
    first = await store.put("f", b"1", PLAIN, expect="any")
    await store.put("f", b"2", PLAIN, expect="any")
    gone = await store.put("g", b"3", PLAIN, expect="any")
    failures = await store.delete_many([("f", first.etag), ("g", gone.etag)])
    assert {key: type(exc) for key, exc in failures.items()} == {"f": PreconditionFailed}
    assert (await names(store))[0] == ["f"]


@pytest.mark.parametrize("odd", ODD_KEYS)
async def test_an_odd_key_is_deleted_like_any_other(store, odd):
    info = await store.put(ODD_KEYS[odd], b"1", PLAIN, expect="any")
    assert dict(await store.delete_many([(info.key, info.etag)])) == {}
    with pytest.raises(NotFound):
        await store.head(info.key)


async def test_many_have_a_limit(store):
    with pytest.raises(Rejected):
        await store.delete_many([(f"f{n}", "any") for n in range(1001)])
