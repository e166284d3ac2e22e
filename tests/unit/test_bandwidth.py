"""--bandwidth-limit: all connections together pass no more bytes a second than allowed."""

import threading

import pytest

from cognitofs import quantities
from cognitofs.store.bandwidth import BURST, SMALLEST, Bucket

RATE = 1_000_000


class Clock:
    """Time that passes by sleeping; safe for threads."""

    def __init__(self):
        self.time = 0.0
        self._lock = threading.Lock()

    def now(self):
        return self.time

    def sleep(self, seconds):
        with self._lock:
            self.time += seconds


def bucket(rate=RATE):
    clock = Clock()
    return Bucket(rate, now=clock.now, sleep=clock.sleep), clock


def test_a_body_takes_its_time_and_arrives_whole():
    limited, clock = bucket()
    body = [bytes([number]) * 256_000 for number in range(40)]
    assert b"".join(limited.pieces(body)) == b"".join(body)
    assert 10.24 - 2 * BURST <= clock.time <= 10.24


def test_after_a_pause_no_more_than_a_burst_is_made_up_for():
    limited, clock = bucket()
    limited.take(1)
    clock.time += 3600
    before = clock.time
    for _ in range(20):
        limited.take(RATE // 10)
    assert clock.time - before >= 2 - 3 * BURST


def test_pieces_are_small_enough_to_share_and_not_smaller():
    limited, _ = bucket(rate=64 * 1024)
    sizes = {len(piece) for piece in limited.pieces([bytes(256 * 1024)])}
    assert SMALLEST <= max(sizes) <= 64 * 1024 * BURST


def test_two_connections_share_one_limit():
    limited, clock = bucket()
    one, two = (iter(limited.pieces([bytes(RATE)])) for _ in range(2))
    for _ in zip(one, two, strict=True):
        pass
    assert clock.time >= 2 - 2 * BURST


def test_without_a_limit_nothing_is_cut_and_nobody_waits():
    limited, clock = bucket(rate=0)
    blocks = [bytes(10)]
    assert limited.pieces(blocks) is blocks
    limited.take(1 << 40)
    assert clock.time == 0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5M:20M", (5 << 20, 20 << 20)),
        ("1MB", (10**6, 10**6)),
        ("0:1M", (0, 1 << 20)),
        ("1M:0", (1 << 20, 0)),
        (0, (0, 0)),
        (1 << 20, (1 << 20, 1 << 20)),
    ],
)
def test_limits_are_written_up_and_down(written, meant):
    assert quantities.rates(written) == meant


@pytest.mark.parametrize("written", ["", "fast", "5M:", "5M:20M:1M", "1:1", "-1", None, True])
def test_other_limits_are_refused(written):
    with pytest.raises(ValueError, match="bytes a second"):
        quantities.rates(written)
