"""Generated lives of one host: whatever it does and meets, nothing is lost and nothing is torn."""

import os
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

EXAMPLES = int(os.environ.get("COGNITOFS_EXAMPLES", "0"))
FIRST_SEED = int(os.environ.get("COGNITOFS_TEST_SEED", "0")) * 1_000_000
STEPS = 40


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


def lives_of(seeds):
    """Live the lives that the seeds tell, and return what they met. A seed tells the same again."""
    counts = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        level, script = chance.choice(LEVELS), random_script(chance, STEPS)
        try:
            run_life(counts, level, seed, script)
        except BaseException as exc:
            exc.add_note(
                f"The life of seed {seed}: run_life(Counter(), {level!r}, {seed}, {script})"
            )
            raise
    print(sorted(counts.items()))
    return counts


def check_counts(counts, least):
    """Fail a suite that met nothing: it has proved nothing."""
    for what in (
        "crashes with sealed files pending",
        "crashes with parts sent",
        "crashes with an unsettled commit",
        "crashes with unsealed bytes",
        "failed closes",
        "failed steps on names",
        "lost answers",
        "stalls met",
        "files recovered",
    ):
        assert counts[what] >= least, f"too few lives met: {what}"


@settings(max_examples=EXAMPLES or 100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(LEVELS), st.integers(0, 2**32), steps)
def test_a_host_loses_nothing_and_shows_nothing_torn(level, seed, script):
    """Short lives, which hypothesis makes shorter still when one fails."""
    run_life(Counter(), level, seed, script)


def test_long_lives_of_a_host():
    check_counts(lives_of(range(FIRST_SEED, FIRST_SEED + 400)), least=2)


@pytest.mark.reliability
def test_many_long_lives_of_a_host():
    first = FIRST_SEED + 1000
    check_counts(lives_of(range(first, first + (EXAMPLES or 2_000))), least=4)
