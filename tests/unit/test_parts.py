"""Part plans keep the limits of S3 and cover every byte exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.errors import TooLarge
from cognitofs.spool.extents import ExtentMap
from cognitofs.transfer.parts import (
    COPY_RANGE,
    GIB,
    MIB,
    PART_MAXIMUM,
    PART_MINIMUM,
    PARTS_MAXIMUM,
    Ladder,
    plan_change,
)


def _check_shape(parts, size):
    assert [p.number for p in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= PARTS_MAXIMUM
    assert [p.start for p in parts] == [0, *(p.stop for p in parts[:-1])]
    assert parts[-1].stop == size
    assert all(p.size >= PART_MINIMUM for p in parts[:-1])
    assert all(0 < p.size <= PART_MAXIMUM for p in parts)


@given(st.integers(1, 11 * 1024 * GIB), st.sampled_from([5 * MIB, 8 * MIB, 64 * MIB]))
def test_a_ladder_covers_any_size_it_can_reach(size, first):
    ladder = Ladder(first)
    reach = sum(step * count for step, count in ladder.steps())
    if size > reach:
        with pytest.raises(TooLarge):
            ladder.cut(size)
    else:
        _check_shape(ladder.cut(size), size)


def test_the_default_ladder_reaches_eleven_tebibytes():
    assert sum(size * count for size, count in Ladder().steps()) > 11 * 1024 * GIB


@given(st.integers(1, 10_000))
def test_a_full_part_lies_where_the_cut_of_a_long_file_puts_it(number):
    ladder = Ladder()
    full = ladder.part(number)
    assert ladder.cut(full.stop)[number - 1] == full


near = st.integers(0, 3 * GIB)
touched = st.lists(st.tuples(near, st.integers(1, 40 * MIB)), max_size=12)


@given(st.integers(1, 3 * GIB), near, touched)
def test_a_plan_sends_what_was_touched_and_copies_only_what_was_not(size, base_limit, writes):
    held = ExtentMap((at, min(size, at + length)) for at, length in writes if at < size)
    parts = plan_change(size, held, base_limit, Ladder())
    _check_shape(parts, size)
    for part in parts:
        if part.source == "base":
            assert part.stop <= min(base_limit, size)
            assert part.size <= COPY_RANGE + PART_MINIMUM
            assert not held.overlaps(part.start, part.stop)


def test_four_kibibytes_in_the_middle_of_a_gibibyte_send_one_smallest_part():
    held = ExtentMap([(512 * MIB, 512 * MIB + 4096)])
    parts = plan_change(GIB, held, GIB, Ladder())
    sent = [p for p in parts if p.source == "spool"]
    assert sum(p.size for p in sent) == PART_MINIMUM


def test_an_append_sends_only_the_new_tail():
    parts = plan_change(GIB + 4096, ExtentMap([(GIB, GIB + 4096)]), GIB, Ladder())
    assert {p.source for p in parts[:-1]} == {"base"}
    assert (parts[-1].source, parts[-1].size) == ("spool", 4096)


def test_a_hole_behind_the_base_is_sent_as_zeros():
    parts = plan_change(100 * MIB, ExtentMap(), 10 * MIB, Ladder())
    assert parts[0].source == "base"
    assert {p.source for p in parts[1:]} == {"spool"}


def test_a_thousand_scattered_writes_stay_under_ten_thousand_parts():
    size = 400 * GIB
    held = ExtentMap((n * 400 * MIB, n * 400 * MIB + 4096) for n in range(1000))
    _check_shape(plan_change(size, held, size, Ladder()), size)
