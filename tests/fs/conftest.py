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


@pytest.fixture
def quick_clock():
    """Virtual time that passes only while nothing happens, worker threads included."""
    return trio.testing.MockClock(autojump_threshold=0.03)
