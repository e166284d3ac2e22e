"""Generated lives of one host: whatever it does and meets, nothing is lost and nothing is torn."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.host import Host, Undecided
from tests.model.steps import LEVELS, Steps, pick, steps
from tests.model.weather import Cloud, Disk, close_files_in

EXAMPLES = int(os.environ.get("COGNITOFS_EXAMPLES", "0"))


async def live(host, level, script):
    """Do the steps, then look at everything."""
    async with trio.open_nursery() as nursery:
        do = Steps(host, nursery).do
        left = list(script)
        while level is not None:
            async with host.mount(level):
                await host.check_start(host.world.kept(), host.world.kept())
                level = await live_until_crash(host, do, left)
        await host.check_again()
        nursery.cancel_scope.cancel()


async def live_until_crash(host, do, left):
    """Do steps up to a crash and return the next mount's level, None after the last one."""
    while left:
        step = left.pop(0)
        host.counts[step[0]] += 1
        if step[0] == "crash":
            return pick(LEVELS, step[1])
        await do(step)
    await host.finish()
    return None


def run_life(counts, level, seed, script):
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch:
        trio._core._run._r.seed(seed)
        cloud = Cloud()
        Disk(patch, cloud)
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            trio.run(live, Host(cloud, Path(state), counts), level, script, clock=clock)
        except* Undecided:
            counts["undecided"] += 1
        finally:
            close_files_in(state)


def generated(examples, counts):
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(LEVELS), st.integers(0, 2**32), steps)
    def run(level, seed, script):
        run_life(counts, level, seed, script)

    return run


def check_counts(counts):
    """Fail for what no life met: that was not proved. Crashes between parts: test_crashpoints."""
    for what in (
        "crashes with sealed files pending",
        "crashes with unsealed bytes",
        "failed closes",
        "failed steps on names",
        "lost answers",
        "stalls met",
        "files recovered",
    ):
        assert counts[what], f"no run met: {what}"


def test_a_host_loses_nothing_and_shows_nothing_torn():
    counts = Counter()
    generated(EXAMPLES or 400, counts)()
    print(sorted(counts.items()))
    check_counts(counts)


@pytest.mark.reliability
def test_many_lives_of_a_host():
    counts = Counter()
    generated(EXAMPLES or 1000, counts)()
    print(sorted(counts.items()))
    check_counts(counts)
