"""Generated lives of one host: whatever it does and meets, nothing is lost and nothing is torn."""

import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.host import Host, Undecided
from tests.model.steps import LEVELS, Steps, pick, random_script, steps
from tests.model.weather import Cloud, Disk, close_files_in

STEPS = 50
LONG_STEPS = 200


async def live(host, level, script):
    """Do the steps, then look at everything."""
    async with trio.open_nursery() as nursery:
        do = Steps(host, nursery).do
        left = list(script)
        while level is not None:
            async with host.mount(level):
                before, begun, host.begun = host.world.kept(), host.begun, dict
                await host.check_start(before, begun(before))
                level = await live_until_crash(host, do, left)
        await host.check_again()
        nursery.cancel_scope.cancel()


async def live_until_crash(host, do, left):
    """Do steps up to a crash and return the next mount's level, None after the last one."""
    while left:
        step = left.pop(0)
        host.counts["steps"] += 1
        if step[0] == "crash":
            return pick(LEVELS, step[1])
        await do(step)
        if step[0] == "crash_in_close":
            return pick(LEVELS, step[1])
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


def lives_of(seeds, counts, length):
    """Live the lives that the seeds tell, and count what they met. A seed tells the same again."""
    for seed in seeds:
        chance = random.Random(seed)
        level, script = chance.choice(LEVELS), random_script(chance, length)
        try:
            run_life(counts, level, seed, script)
        except BaseException as exc:
            exc.add_note(
                f"The life of seed {seed}: run_life(Counter(), {level!r}, {seed}, {script})"
            )
            raise


TO_MEET = (
    "crashes with sealed files pending",
    "crashes with parts sent",
    "crashes with an unsettled commit",
    "crashes with unsealed bytes",
    "failed closes",
    "failed steps on names",
    "lost answers",
    "stalls met",
    "files recovered",
    "ended keys",
    "changes by another client",
    "crashes between parts",
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(LEVELS), st.integers(0, 2**32), steps)
def test_a_host_loses_nothing_and_shows_nothing_torn(level, seed, script):
    """Short lives, which hypothesis makes shorter still when one fails."""
    run_life(Counter(), level, seed, script)


def test_lives_of_a_host(effort):
    lives_of(effort.rounds(100), effort.counts, STEPS)
    effort.demand(1, *TO_MEET)


@pytest.mark.reliability
def test_long_lives_of_a_host(effort):
    lives_of(effort.rounds(400), effort.counts, LONG_STEPS)
    effort.demand(4, *TO_MEET)
