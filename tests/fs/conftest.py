import pytest
import trio.testing

from cognitofs.testing import FaultyStore, MemoryStore


@pytest.fixture
def bucket():
    """Return what S3 holds; small parts."""
    return MemoryStore(part_minimum=16)


@pytest.fixture
def store(bucket):
    return FaultyStore(bucket)


IDLE = 0.005
"""Real seconds without work after which virtual time passes."""


@pytest.fixture
def quick_clock(monkeypatch):
    """Virtual time that passes only while nothing happens, worker threads included."""
    clock = trio.testing.MockClock(autojump_threshold=IDLE)
    run_sync = trio.to_thread.run_sync
    begun = ended = 0

    async def counted(*arguments, **options):
        nonlocal begun, ended
        begun += 1
        clock.autojump_threshold = float("inf")
        try:
            return await run_sync(*arguments, **options)
        finally:
            ended += 1
            if begun == ended:
                clock.autojump_threshold = IDLE

    monkeypatch.setattr(trio.to_thread, "run_sync", counted)
    return clock
