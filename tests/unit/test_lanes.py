"""Two lanes: transfers cannot starve metadata, and passing trouble is waited out."""

import threading
from itertools import pairwise
from random import Random

import pytest
import trio

from cognitofs.errors import Rejected, Throttled, Unreachable
from cognitofs.store.lanes import HALVING_SECONDS, LONGEST_PAUSE, Lanes


def _lanes(patience: float = 20.0) -> Lanes:
    return Lanes(transfers=2, metadata=2, patience=patience, random=Random(3))


async def test_metadata_answers_while_every_transfer_stalls():
    lanes, gate = _lanes(), threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(lanes.once, lanes.transfers, gate.wait)
        await trio.testing.wait_all_tasks_blocked()
        assert lanes.transfers.limiter.borrowed_tokens == 2
        assert await lanes.repeatedly(lanes.metadata, lambda: "answer") == "answer"
        gate.set()


async def test_pauses_grow_are_random_and_end(autojump_clock):
    moments = []

    def fail():
        moments.append(trio.from_thread.run_sync(trio.current_time))
        raise Unreachable("no network")

    with pytest.raises(Unreachable):
        await _lanes().repeatedly(_lanes().metadata, fail)
    pauses = [after - before for before, after in pairwise(moments)]
    assert len(pauses) > 4
    assert all(0 <= pause <= LONGEST_PAUSE + 0.1 for pause in pauses)
    assert len({round(pause, 3) for pause in pauses}) > 3
    assert moments[-1] - moments[0] <= 20.0


async def test_what_will_not_pass_is_not_repeated():
    calls = []

    def refuse():
        calls.append(1)
        raise Rejected("never")

    with pytest.raises(Rejected):
        await _lanes().repeatedly(_lanes().metadata, refuse)
    assert len(calls) == 1


async def test_an_abandoned_call_keeps_its_slot_until_it_ends():
    lanes, gate, started = _lanes(), threading.Event(), threading.Event()

    def wait():
        started.set()
        gate.wait()

    async with trio.open_nursery() as nursery:

        async def call():
            await lanes.repeatedly(lanes.metadata, wait, is_abandonable=True)

        nursery.start_soon(call)
        await trio.to_thread.run_sync(started.wait)
        nursery.cancel_scope.cancel()
    assert lanes.metadata.limiter.borrowed_tokens == 1
    gate.set()
    while lanes.metadata.limiter.borrowed_tokens:
        await trio.lowlevel.checkpoint()


async def test_a_silent_server_is_not_waited_for_for_ever(autojump_clock):
    """The thread stays behind until its socket's own deadline."""
    lanes = Lanes(transfers=2, metadata=2, patience=0, silence=5)
    began, gate = trio.current_time(), threading.Event()
    with pytest.raises(Unreachable, match="--net-wait"):
        await lanes.repeatedly(lanes.metadata, gate.wait, is_abandonable=True)
    assert trio.current_time() - began == 5
    gate.set()


def _throttled(retry_after=0.0):
    error = Throttled("slow down")
    error.retry_after = retry_after
    return error


def _raising(error):
    def call():
        raise error

    return call


async def test_a_lane_that_is_asked_to_slow_down_is_halved_once_for_a_burst(autojump_clock):
    lanes = Lanes(transfers=8, metadata=8, patience=20.0)
    for _ in range(5):
        with pytest.raises(Throttled):
            await lanes.once(lanes.transfers, _raising(_throttled()))
    assert (lanes.transfers.width, lanes.metadata.width) == (4, 8)
    for expected in (2, 1, 1):
        await trio.sleep(HALVING_SECONDS)
        with pytest.raises(Throttled):
            await lanes.once(lanes.transfers, _raising(_throttled()))
        assert lanes.transfers.width == expected


async def test_a_lane_becomes_wide_again_with_the_answers_it_gets():
    lanes = Lanes(transfers=4, metadata=4, patience=20.0)
    with pytest.raises(Throttled):
        await lanes.once(lanes.transfers, _raising(_throttled()))
    widths = []
    for _ in range(8):
        await lanes.once(lanes.transfers, int)
        widths.append(lanes.transfers.width)
    assert widths == [2, 3, 3, 3, 4, 4, 4, 4]


async def test_a_server_that_names_its_pause_is_given_it(autojump_clock):
    lanes, moments = _lanes(), []

    def call():
        moments.append(trio.from_thread.run_sync(trio.current_time))
        if len(moments) == 1:
            raise _throttled(retry_after=7.0)

    await lanes.repeatedly(lanes.metadata, call)
    assert moments[1] - moments[0] >= 7.0
