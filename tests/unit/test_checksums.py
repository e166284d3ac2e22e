"""Checksums are S3's, and the sum of parts is the sum of the whole."""

import hashlib
import os
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.errors import SpoolDamaged
from cognitofs.store.answers import announced
from cognitofs.store.bodies import BLOCK, blocks, size_of
from cognitofs.store.checksums import checksum, combine
from cognitofs.store.interface import FileSlice


def test_the_check_value_is_that_of_the_standard():
    """NVM Express: the CRC-64/NVME of "123456789" is AE8B14860A799888."""
    assert checksum((b"123456789",)) == b64encode(bytes.fromhex("AE8B14860A799888")).decode()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-checksum-crc32", "cbf43926"),
        ("x-amz-checksum-crc32c", "e3069283"),
        ("x-amz-checksum-sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("x-amz-checksum-sha256", hashlib.sha256(b"123456789").hexdigest()),
    ],
)
def test_what_others_stored_is_counted_in_their_algorithm(header, value):
    """The check values of CRC-32 and CRC-32C (RFC 3720); S3 announces the base64 of the bytes."""
    expected = b64encode(bytes.fromhex(value)).decode()
    found, summer = announced({header: expected})
    assert summer is not None
    assert found == expected == summer((b"1234", b"56789"))


def test_a_checksum_of_checksums_says_nothing_of_the_body():
    assert announced({"x-amz-checksum-crc32": "AAAAAA==-3"}) == ("", None)
    assert announced({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"}) == (
        "",
        None,
    )


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=6))
def test_the_sum_of_parts_is_the_sum_of_the_whole(pieces):
    parts = [(checksum((piece,)), len(piece)) for piece in pieces]
    assert combine(parts) == checksum(pieces) == checksum((b"".join(pieces),))


def test_a_part_without_a_checksum_leaves_the_whole_without():
    assert combine([(checksum((b"a",)), 1), ("", 1)]) == ""


def test_a_slice_is_read_in_blocks_and_as_often_as_wanted(tmp_path):
    data = os.urandom(3 * BLOCK)
    (tmp_path / "f").write_bytes(data)
    with (tmp_path / "f").open("rb") as file:
        body = FileSlice(file.fileno(), 5, 3 * BLOCK - 7)
        for _ in range(2):
            pieces = list(blocks(body))
            assert b"".join(pieces) == data[5:-7]
            assert max(map(len, pieces)) <= BLOCK
        assert size_of(body) == 3 * BLOCK - 12


def test_a_slice_beyond_the_file_is_damage(tmp_path):
    (tmp_path / "f").write_bytes(b"123")
    with (tmp_path / "f").open("rb") as file, pytest.raises(SpoolDamaged):
        list(blocks(FileSlice(file.fileno(), 0, 4)))
