"""What every ObjectStore lists: the strict fake, our protocol and boto3 alike."""

import pytest

from cognitofs.errors import (
    Rejected,
)
from cognitofs.store.interface import ObjectHeaders
from tests.contract.cases import PLAIN, names


async def test_listing_and_head_report_the_same_version(store):
    await store.put("f", b"hello", PLAIN, expect="any")
    page = await store.list_page("")
    assert page.objects == ((await store.head("f")).info,)


async def test_a_listing_groups_by_directory_in_byte_order(store):
    for key in ("b", "a/1", "a/2", "a.txt", "Z", "é", "a0"):
        await store.put(key, b"", PLAIN, expect="any")
    assert await names(store) == (["Z", "a.txt", "a0", "b", "é"], ["a/"])
    assert await names(store, "a/") == (["a/1", "a/2"], [])


async def test_a_recursive_listing_is_in_byte_order(store):
    for key in ("a/1", "a0", "a.txt"):
        await store.put(key, b"", PLAIN, expect="any")
    assert await names(store, delimiter="") == (["a.txt", "a/1", "a0"], [])


async def test_a_listing_of_nothing_is_empty(store):
    page = await store.list_page("nowhere/")
    assert (page.objects, page.prefixes, page.token) == ((), (), None)


async def test_a_directory_marker_is_listed_inside_its_directory(store):
    await store.put("d/", b"", ObjectHeaders(content_type="application/x-directory"), expect="any")
    await store.put("d/f", b"", PLAIN, expect="any")
    assert await names(store) == ([], ["d/"])
    assert await names(store, "d/") == (["d/", "d/f"], [])


async def test_an_object_may_stand_beside_a_directory_of_its_name(store):
    await store.put("a", b"1", PLAIN, expect="any")
    await store.put("a/b", b"2", PLAIN, expect="any")
    assert await names(store) == (["a"], ["a/"])


async def test_pages_join_to_the_whole_listing(store):
    wanted = ["a/1", "b", "c/1", "c/2", "d", "e"]
    for key in wanted:
        await store.put(key, b"", PLAIN, expect="any")
    found, token = [], None
    for _ in range(len(wanted) + 1):
        page = await store.list_page("", token=token, limit=2)
        assert len(page.objects) + len(page.prefixes) <= 2
        found += [info.key for info in page.objects] + list(page.prefixes)
        token = page.token
        if token is None:
            break
    assert sorted(found) == ["a/", "b", "c/", "d", "e"]


async def test_a_listing_can_start_behind_a_key(store):
    for key in ("a", "b/1", "b/2", "c", "d"):
        await store.put(key, b"", PLAIN, expect="any")
    assert await names(store, start_after="a") == (["c", "d"], ["b/"])
    assert await names(store, start_after="c") == (["d"], [])
    assert await names(store, start_after="b/1", delimiter="") == (["b/2", "c", "d"], [])
    assert await names(store, "b/", start_after="b/1") == (["b/2"], [])


async def test_a_group_that_sorts_before_the_start_is_left_out(store):
    for key in ("b/1", "b/2", "c"):
        await store.put(key, b"", PLAIN, expect="any")
    assert await names(store, start_after="b/1") == (["c"], [])
    assert await names(store, start_after="b/") == (["c"], [])


async def test_only_directories_are_listed(store):
    with pytest.raises(Rejected):
        await store.list_page("a")
