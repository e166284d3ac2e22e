"""The reader fetches what is read, ahead of sequential readers, and keeps within its cache."""

import pytest
import trio

from cognitofs.errors import Changed, Unreachable
from cognitofs.spool.blockcache import BLOCK, open_cache
from cognitofs.testing import FaultyStore, MemoryStore
from cognitofs.transfer.readahead import (
    FIRST_FETCH,
    LARGEST_FETCH,
    RANDOM_FETCH,
    WHOLE_OBJECT,
    Reader,
    Window,
)

SIZE = 40 * BLOCK


@pytest.fixture
def bucket():
    return MemoryStore()


@pytest.fixture
def store(bucket):
    return FaultyStore(bucket)


@pytest.fixture
async def reader(store, tmp_path, nursery):
    cache = open_cache(tmp_path, 16 * BLOCK)
    reader = Reader(store, cache, timeout=60.0)
    await nursery.start(reader.run)
    yield reader
    cache.close()


def _pattern(size):
    return b"".join(n.to_bytes(8, "big") for n in range(size // 8))


async def test_a_sequential_reader_gets_the_bytes_in_a_few_large_fetches(bucket, store, reader):
    reader._cache.limit = 4 * SIZE
    data = _pattern(SIZE)
    info = bucket.outside_put("f", data)
    window, step = Window(), 128 * 1024
    for start in range(0, SIZE, step):
        assert await reader.read(info, start, start + step, window) == data[start : start + step]
    assert store.requests["read_into"] < SIZE / BLOCK


async def test_the_first_fetch_is_small(bucket, store, reader, monkeypatch):
    asked = []
    read_into = store.read_into

    async def note(info, start, stop, fd):
        asked.append(stop - start)
        await read_into(info, start, stop, fd)

    monkeypatch.setattr(store, "read_into", note)
    info = bucket.outside_put("f", bytes(SIZE))
    await reader.read(info, 0, 4096, Window())
    assert asked == [FIRST_FETCH]


async def test_random_reads_fetch_one_aligned_block_each(bucket, store, reader):
    info = bucket.outside_put("f", bytes(SIZE))
    window = Window()
    for at in (30 * BLOCK, 5 * BLOCK, 20 * BLOCK):
        await reader.read(info, at + 5, at + 100, window)
    assert store.requests["read_into"] == 3
    cached = reader._cache.open(info)
    assert cached.bytes.held.total() <= 3 * RANDOM_FETCH


async def test_a_small_object_is_fetched_whole_once(bucket, store, reader):
    info = bucket.outside_put("f", _pattern(WHOLE_OBJECT))
    for at in range(0, WHOLE_OBJECT, BLOCK):
        await reader.read(info, at, at + 10)
    assert store.requests["read_into"] == 1


async def test_readers_of_one_range_share_one_fetch(bucket, store, reader):
    info = bucket.outside_put("f", bytes(BLOCK))
    stall = store.stall("read_into")
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(reader.read, info, 0, 10)
        await stall.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        stall.release()
    assert store.requests["read_into"] == 1


async def test_a_changed_object_is_an_error_and_not_a_mix(bucket, reader):
    info = bucket.outside_put("f", bytes(SIZE))
    await reader.read(info, 0, 10)
    bucket.outside_put("f", b"x" * SIZE)
    with pytest.raises(Changed):
        await reader.read(info, SIZE - 10, SIZE)


async def test_a_failed_fetch_is_tried_again_by_the_next_read(bucket, store, reader):
    info = bucket.outside_put("f", b"data")
    store.fail("read_into", Unreachable("There is no network."))
    with pytest.raises(Unreachable):
        await reader.read(info, 0, 4)
    assert await reader.read(info, 0, 4) == b"data"


async def test_the_cache_keeps_within_its_limit_and_what_it_gave_up_is_fetched_again(
    bucket, reader
):
    data = _pattern(SIZE)
    info = bucket.outside_put("f", data)
    for start in range(0, SIZE, BLOCK):
        await reader.read(info, start, start + BLOCK)
        assert reader._cache.total <= 17 * BLOCK
    assert await reader.read(info, 0, 100) == data[:100]


def test_a_seek_collapses_the_window():
    window = Window()
    for start in range(0, 8 * BLOCK, BLOCK):
        window.advance(start, start + BLOCK)
    assert window.fetch_size == LARGEST_FETCH
    assert window.advance(100 * BLOCK, 101 * BLOCK) == 0
    assert window.fetch_size == FIRST_FETCH
