"""--idle-exit: an unused mount is left, a used one never."""

import pytest
import trio

from cognitofs.errors import MountpointBusy
from cognitofs.idling import leave_when_unused

PERIOD = 100.0


class Use:
    def __init__(self):
        self.open_handles = 0
        self.used_at = float("-inf")
        self.pending = False
        self.left = []
        self.refusals = 0

    async def leave(self):
        self.left.append(trio.current_time())
        if self.refusals:
            self.refusals -= 1
            raise MountpointBusy("Somebody works there.")


@pytest.fixture
def use():
    return Use()


async def left_after(use, within=10 * PERIOD):
    """Return after how many seconds it was left for good; None when not at all."""
    began = trio.current_time()
    with trio.move_on_after(within):
        await leave_when_unused(use, lambda: use.pending, use.leave, PERIOD)
        return trio.current_time() - began
    return None


async def test_a_mount_that_was_never_used_is_left(use, autojump_clock):
    assert PERIOD <= await left_after(use) < 2 * PERIOD


@pytest.mark.parametrize("reason", ["open_handles", "pending"])
async def test_something_open_or_unsent_keeps_it(use, autojump_clock, reason):
    setattr(use, reason, 1)
    assert await left_after(use) is None
    assert not use.left


async def test_the_time_counts_from_the_last_use(use, autojump_clock):
    use.used_at = trio.current_time() + 5 * PERIOD
    assert 6 * PERIOD <= await left_after(use) < 7 * PERIOD


async def test_a_refusal_of_the_kernel_begins_the_time_anew(use, autojump_clock):
    use.refusals = 2
    assert 3 * PERIOD <= await left_after(use) < 5 * PERIOD
    assert len(use.left) == 3
