"""Whatever happens to a cache, the bytes are right and its limit holds: Hypothesis tries."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cognitofs.spool.blockcache import BLOCK
from tests.unit.cachemachine import KIB, Machine, noise, spooled

PAGE = 4096
UNIT = 64 * KIB
UNITS = 40
"""Of the largest object: two and a half blocks."""

NUMBERS = st.integers(0, 3)
PLACES = st.integers(0, UNITS)
STEPS = st.one_of(
    st.tuples(st.just("read"), NUMBERS, PLACES, PLACES),
    st.tuples(st.just("write"), NUMBERS, PLACES),
    st.tuples(st.just("overwrite_elsewhere"), NUMBERS, PLACES),
    st.tuples(st.just("rename"), NUMBERS, NUMBERS),
    st.tuples(st.just("forget"), NUMBERS),
    st.tuples(st.just("give_back"), PLACES),
    st.tuples(st.just("save")),
)
DAMAGES = st.lists(st.tuples(st.integers(0, 7), PLACES), max_size=3)
PROCESSES = st.tuples(st.lists(STEPS, max_size=12), st.sampled_from([4, 6, 16]), DAMAGES)


class Life:
    """Objects of up to two and a half blocks, and one cache directory."""

    def __init__(self, path):
        self.machine = Machine(path)
        self.contents, self.infos, self.seed = {}, {}, 0
        self.reader = None

    async def run(self, processes):
        """Each process works under a limit in blocks, and ends without a word."""
        for steps, limit, damages in processes:
            left = set(self.machine.files())
            async with self.machine.process(limit * BLOCK, saves=False) as self.reader:
                for name, *values in steps:
                    await getattr(self, name)(*values)
                    self.check(limit * BLOCK, left)
            self.damage(damages)

    def check(self, limit, left):
        """Its total is what the disk has, unless an earlier process *left* something."""
        cache = self.reader._cache
        known = cache._index.files().keys() | cache._warm_files()
        files = [path for path in self.machine.files() if path.name in known]
        assert cache.total <= limit + BLOCK
        if not left:
            assert cache.total == sum(path.stat().st_blocks * 512 for path in files)
        assert set(self.machine.files()) - left <= set(files)

    def put(self, number, size):
        self.seed += 1
        self.contents[number] = noise(size * UNIT, self.seed)
        key = f"f{number}"
        self.infos[number] = self.machine.bucket.outside_put(key, self.contents[number])

    def damage(self, damages):
        files = self.machine.files()
        for which, where in damages if files else ():
            path = files[which % len(files)]
            there = bytearray(path.read_bytes())
            if there:
                there[where * UNIT % len(there)] ^= 0x55
                path.write_bytes(there)

    async def read(self, number, start, size):
        if number in self.infos:
            span = slice(start * UNIT, (start + size) * UNIT)
            found = await self.reader.read(self.infos[number], span.start, span.stop)
            assert found == self.contents[number][span]

    async def write(self, number, size):
        self.put(number, size)
        spool = await spooled(self.machine, self.contents[number])
        self.reader._cache.adopt(self.infos[number], spool)

    async def overwrite_elsewhere(self, number, size):
        self.put(number, size)

    async def rename(self, old, new):
        if old in self.infos:
            self.contents[new] = self.contents[old]
            self.infos[new] = self.machine.bucket.outside_put(f"f{new}", self.contents[old])
            self.reader._cache.rename(self.infos[old], self.infos[new])

    async def forget(self, number):
        if number in self.infos:
            self.reader._cache.forget(self.infos[number])

    async def give_back(self, size):
        self.reader._cache.give_back(size * UNIT)

    async def save(self):
        await self.reader._cache.save()


@settings(deadline=None)
@given(processes=st.lists(PROCESSES, max_size=4))
def test_whatever_happens_the_bytes_are_right_and_the_limit_holds(processes, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache")
    path.chmod(0o700)
    trio.run(Life(path).run, processes)
