"""ExtentMap agrees with a plain set of offsets, whatever is done to it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cognitofs.spool.extents import Extent, ExtentMap

offset = st.integers(0, 24)
step = st.tuples(st.sampled_from(["add", "discard"]), offset, offset)


@given(st.lists(step, max_size=30), offset, offset)
def test_it_holds_what_a_set_of_offsets_would_hold(steps, start, stop):
    extents, model = ExtentMap(), set()
    for name, a, b in steps:
        getattr(extents, name)(a, b)
        (model.update if name == "add" else model.difference_update)(range(a, b))
    held = {i for e in extents for i in range(e.start, e.stop)}
    wanted = set(range(start, stop))
    assert held == model
    assert extents.total() == len(model)
    assert extents.covers(start, stop) == (wanted <= model)
    assert extents.overlaps(start, stop) == bool(wanted & model)
    assert {
        i for e in extents.within(start, stop) for i in range(e.start, e.stop)
    } == wanted & model
    assert {i for e in extents.gaps(start, stop) for i in range(e.start, e.stop)} == wanted - model


@given(st.lists(step, max_size=30))
def test_neighbours_are_merged_and_nothing_is_empty(steps):
    extents = ExtentMap()
    for name, a, b in steps:
        getattr(extents, name)(a, b)
    ranges = list(extents)
    assert all(e.start < e.stop for e in ranges)
    assert all(a.stop < b.start for a, b in pairwise(ranges))


def test_a_copy_is_independent():
    first = ExtentMap([(0, 4)])
    second = first.copy()
    second.add(4, 8)
    assert list(first) == [Extent(0, 4)]
    assert list(second) == [Extent(0, 8)]
