"""Fakes that pass the same contract as the real thing; shipped, as `trio.testing` is.

The names re-exported here are the interface; the modules behind it may move.
"""

from cognitofs.testing.bucket import Bucket
from cognitofs.testing.faultystore import FaultyStore, Stall
from cognitofs.testing.memorystore import MemoryStore

__all__ = ["Bucket", "FaultyStore", "MemoryStore", "Stall"]
