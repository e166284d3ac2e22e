"""How long a mount takes back what an earlier one left: `python tests/bench/recovery.py [FILES]`.

Seals FILES files of a few bytes in 100 directories while S3 answers nothing, crashes, and prints
the seconds from the opening of the journal until the mount answers.
"""

import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path

import trio

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "fs"), str(TESTS)]

from fsrig import mounted  # noqa: E402  # after the path

from cognitofs.testing import FaultyStore, MemoryStore  # noqa: E402


async def populate(store, state, count):
    """Seal *count* files whose uploads never get an answer."""
    async with mounted(store, state, sync="fsync") as mount:
        homes = [await mount.fs.mkdir(1, f"d{n}", 0o755) for n in range(100)]
        for n in range(count):
            await mount.store_file(f"f{n}", b"bytes", parent=homes[n % 100].number)


async def measure(store, state, *, profile=False):
    """Mount again and return the seconds until it answers, with the number of files it knows."""
    profiler = cProfile.Profile()
    began = time.perf_counter()
    if profile:
        profiler.enable()
    async with mounted(store, state, sync="fsync") as mount:
        await mount.fs.getattr(1)
        took = time.perf_counter() - began
        profiler.disable()
        found = mount.recovered.files
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(30)
    return took, found


def main(count, runs=3, *, profile=False):
    """Populate once, then mount *runs* times: what is not sent is taken back by each of them."""
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        store = FaultyStore(MemoryStore())
        store.stall("put")
        trio.run(populate, store, Path(name), count)
        for _ in range(runs):
            took, found = trio.run(lambda: measure(store, Path(name), profile=profile))
            print(f"{found} files taken back in {took:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, profile="--profile" in sys.argv)
