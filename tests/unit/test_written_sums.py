"""Sums of what was written, whatever is written over, cut off or synced in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.errors import SpoolDamaged
from cognitofs.spool import writtensums
from cognitofs.spool.writtensums import WrittenSums

STEPS = st.lists(
    st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=40), st.booleans()), max_size=20
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(writtensums, "BLOCK", 16)


class File:
    def __init__(self):
        self.data, self.sums = bytearray(200), WrittenSums()

    def read(self, start, stop):
        return bytes(self.data[start:stop])

    def write(self, start, data):
        self.sums.cut(start, start + len(data), self.read)
        self.data[start : start + len(data)] = data
        self.sums.add(start, data)


@given(STEPS, st.integers(0, 99))
def test_a_byte_differs_where_it_is_not_what_was_written_since_the_last_sync(steps, flipped):
    file, unsynced = File(), set()
    for start, data, is_synced in steps:
        file.write(start, data)
        unsynced |= set(range(start, start + len(data)))
        if is_synced:
            file.sums.synced(file.sums.begin_sync())
            unsynced.clear()
    assert not file.sums.differing(file.read)
    assert bool(file.sums) == bool(unsynced)
    file.data[flipped] ^= 1
    assert bool(file.sums.differing(file.read)) == (flipped in unsynced)


@given(STEPS, st.integers(0, 99))
def test_what_is_cut_off_differs_no_more_and_a_difference_is_not_covered_up(steps, cut):
    file = File()
    for start, data, _ in steps:
        file.write(start, data)
    file.sums.cut(cut, 1 << 63, file.read)
    file.data[cut:] = bytes(len(file.data) - cut)
    assert not file.sums.differing(file.read)


def test_what_is_written_while_a_sync_is_under_way_is_not_taken_for_synced():
    file = File()
    file.write(0, b"before")
    era = file.sums.begin_sync()
    file.write(6, b"meanwhile")
    file.sums.synced(era)
    file.data[8] ^= 1
    assert file.sums.differing(file.read)


def test_writing_over_a_part_of_what_changed_already_does_not_make_it_right():
    file = File()
    file.write(0, b"0123456789")
    file.data[1] ^= 1
    file.write(5, b"x")
    assert file.sums.differing(file.read).covers(0, 5)


def test_what_cannot_be_read_differs():
    def refuse(start, stop):
        raise SpoolDamaged("The disk is gone.")

    file = File()
    file.write(0, b"data")
    assert file.sums.differing(refuse)
