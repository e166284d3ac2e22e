"""The fakes are strict where S3 is, and fail and stall where a test says so."""

import os

import pytest
import trio

from cognitofs.errors import Archived, NotFound, Rejected, TooLarge, Unreachable
from cognitofs.store.interface import FileSlice, ObjectHeaders
from cognitofs.testing import FaultyStore, MemoryStore

PLAIN = ObjectHeaders()


async def test_modified_is_in_whole_seconds_of_the_given_clock():
    store = MemoryStore(now=lambda: 12.9)
    assert (await store.put("f", b"", PLAIN, expect="any")).modified == 12


async def test_requests_are_counted_by_name_and_other_clients_are_not():
    store = MemoryStore()
    store.outside_put("f", b"1")
    await store.head("f")
    await store.list_page("")
    store.outside_delete("f")
    with pytest.raises(NotFound):
        await store.head("f")
    assert dict(store.requests) == {"head": 2, "list_page": 1}


async def test_a_page_has_at_most_a_thousand_entries_whatever_is_asked():
    store = MemoryStore()
    for number in range(1001):
        store.outside_put(f"f{number:04}", b"")
    page = await store.list_page("", limit=5000)
    assert len(page.objects) == 1000
    rest = await store.list_page("", token=page.token)
    assert [info.key for info in rest.objects] == ["f1000"]
    assert rest.token is None


async def test_the_minimum_of_a_part_can_be_small(tmp_path):
    store = MemoryStore(part_minimum=4)
    (tmp_path / "f").write_bytes(b"01234567")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    for first, error in ((3, Rejected), (4, None)):
        upload = await store.begin_upload("f", PLAIN)
        parts = [
            await store.upload_part("f", upload, 1, FileSlice(fd, 0, first)),
            await store.upload_part("f", upload, 2, FileSlice(fd, first, 8)),
        ]
        if error:
            with pytest.raises(error):
                await store.complete_upload("f", upload, parts, expect="any")
        else:
            await store.complete_upload("f", upload, parts, expect="any")
    os.close(fd)
    assert store.data("f") == b"01234567"


async def test_a_copy_is_a_single_part_object_and_has_a_limit(tmp_path):
    store = MemoryStore(part_minimum=1, copy_maximum=4)
    base = store.outside_put("base", b"0123")
    upload = await store.begin_upload("f", PLAIN)
    part = await store.copy_part("f", upload, 1, source=base, start=0, stop=4)
    whole = await store.complete_upload("f", upload, [part], expect="any")
    assert whole.etag != base.etag
    assert (await store.copy(whole, "g", expect="any", headers=None)).etag == base.etag
    large = store.outside_put("large", b"01234")
    with pytest.raises(TooLarge):
        await store.copy(large, "h", expect="any", headers=None)


async def test_an_archived_object_is_listed_but_not_read():
    store = MemoryStore()
    info = store.outside_put("f", b"123", storage_class="GLACIER")
    assert (await store.head("f")).info.storage_class == "GLACIER"
    with pytest.raises(Archived):
        await store.read(info, 0, 3)


async def test_a_failure_before_the_effect_leaves_nothing_and_after_it_everything():
    memory = MemoryStore()
    store = FaultyStore(memory)
    store.fail("put", Unreachable("before"), moment="before")
    with pytest.raises(Unreachable):
        await store.put("f", b"1", PLAIN, expect="any")
    assert memory.keys == ()
    store.fail("put", Unreachable("after"), moment="after", key="f")
    await store.put("g", b"1", PLAIN, expect="any")
    with pytest.raises(Unreachable):
        await store.put("f", b"1", PLAIN, expect="any")
    assert memory.keys == ("f", "g")
    await store.put("f", b"2", PLAIN, expect="any")
    assert store.requests["put"] == 4


async def test_failures_come_as_often_as_scripted():
    store = FaultyStore(MemoryStore())
    store.fail("head", Unreachable("twice"), times=2)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await store.head("f")
    with pytest.raises(NotFound):
        await store.head("f")
    store.fail("head", Unreachable("always"), times=-1)
    for _ in range(5):
        with pytest.raises(Unreachable):
            await store.head("f")
    store.heal()
    with pytest.raises(NotFound):
        await store.head("f")


async def test_a_stall_holds_calls_until_it_is_released():
    memory = MemoryStore()
    store = FaultyStore(memory)
    stall = store.stall("put")
    async with trio.open_nursery() as nursery:

        async def put(key):
            await store.put(key, b"", PLAIN, expect="any")

        for number in range(200):
            nursery.start_soon(put, f"f{number}")
        await stall.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert stall.waiting == 200
        assert memory.keys == ()
        assert (await store.list_page("")).objects == ()
        stall.release()
    assert len(memory.keys) == 200
    await store.put("later", b"", PLAIN, expect="any")
