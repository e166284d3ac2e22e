"""Two lanes: transfers cannot starve metadata, and passing trouble is waited out."""

import threading
from itertools import pairwise
from random import Random

import pytest
import trio

from cognitofs.errors import Rejected, Unreachable
from cognitofs.store.lanes import LONGEST_PAUSE, Lanes


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
