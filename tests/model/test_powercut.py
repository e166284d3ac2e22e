"""The power fails at every request and journal entry of some short works.

What close() and fsync() acknowledged is there afterwards, and what they did not is as before or as
it should become: nothing is torn, and no half file takes the place of a whole one.
"""

import pytest

from tests.model.powercut import SafeState
from tests.model.test_crashpoints import CRASHES, WORKS, points, with_case

ABOUT_NAMES = (
    "files are removed",
    "a link and a mode",
    "a stored file moves and its directory stays",
    "a directory goes and comes back",
)
"""Works in which a name goes before S3 has heard of it: nobody promised that it stays away."""
CHOSEN = {name: work for name, work in WORKS.items() if name not in ABOUT_NAMES}


async def recover(case, before, after):
    """Mount again and compare; of what S3 acknowledged a moment ago the journal may not know."""
    async with case.host.mount(case.level):
        await case.host.check_start(before, after)
        await case.host.mend()
        case.host.check_bucket()


def cut_and_recover(level, work, point, keeps_names, counts):
    def body(case):
        safe = SafeState(case.patch, case.host.state)
        case.light = lambda: case.fuse(point[0]).arm(point[1], after=point[2])
        if case.run(case.live):
            return
        counts["cases"] += 1
        counts[CRASHES[point[0]]] += 1
        counts["fdatasyncs"] += safe.syncs
        before = case.host.world.kept()
        intended = case.host.intended(before)
        safe.cut(keeps_names=keeps_names)
        case.cloud.journalled.clear()  # an upload begun a moment ago may be unknown now
        assert case.run(lambda: recover(case, before, intended))

    with_case(level, work, body)


@pytest.mark.reliability
@pytest.mark.parametrize("level", ["close", "fsync", "local"])
@pytest.mark.parametrize("work", CHOSEN.values(), ids=CHOSEN.keys())
def test_a_power_cut_at_any_point_loses_nothing_that_was_acknowledged(level, work, effort):
    for point in points(level, work):
        for keeps_names in (False, True):
            cut_and_recover(level, work, point, keeps_names, effort.counts)
    effort.demand(1, "crashes at a request", "crashes at an entry")
    if level != "close" and any(line.startswith("write") for line in work):
        effort.demand(1, "fdatasyncs")
