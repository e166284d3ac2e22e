"""Modes and times survive the way through user metadata, ours and other tools'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo
from cognitofs.tree.attributes import (
    Attributes,
    Defaults,
    Kind,
    new_headers,
    read_attributes,
    write_attributes,
)
from cognitofs.tree.xattrs import read_xattrs

INFO = ObjectInfo("k", 10, ETag('"e"'), 1_000)


def read(metadata, *, is_marker=False):
    return read_attributes(ObjectHeaders(metadata=metadata), INFO, Defaults(), is_marker=is_marker)


@given(
    st.sampled_from([Kind.FILE, Kind.SYMLINK]),
    st.integers(0, 0o777),
    st.integers(0, 2**62),
    st.dictionaries(st.sampled_from(["mine", "mode-of-life"]), st.text("ab", max_size=3)),
)
def test_what_is_written_is_read_back_and_foreign_metadata_stays(kind, mode, mtime, foreign):
    attributes = Attributes(kind, mode, mtime, read_xattrs(foreign))
    headers = write_attributes(ObjectHeaders(metadata=foreign), attributes, "t")
    assert read_attributes(headers, INFO, Defaults(), is_marker=False) == attributes
    assert {k: headers.metadata[k] for k in foreign} == foreign
    assert headers.metadata["cognitofs-txid"] == "t"


@pytest.mark.parametrize(
    ("metadata", "mode"),
    [
        ({}, 0o644),
        ({"file-permissions": "0100600"}, 0o600),
        ({"mode": "33188"}, 0o644),
        ({"mode": "33261"}, 0o755),
        ({"mode": "100664"}, 0o664),
        ({"mode": "nonsense"}, 0o644),
        ({"file-permissions": "0104755"}, 0o755),
    ],
    ids=["none", "AWS", "s3fs", "s3fs 755", "rclone", "nonsense", "no setuid from a bucket"],
)
def test_modes_of_other_tools_are_read(metadata, mode):
    assert read(metadata).mode == mode


@pytest.mark.parametrize(
    ("metadata", "mtime_ns"),
    [
        ({}, 1_000 * 10**9),
        ({"file-mtime": "1595002920000000123ns"}, 1595002920000000123),
        ({"file-mtime": "1595002920123"}, 1595002920123 * 10**6),
        ({"mtime": "1595002920.000000123"}, 1595002920000000123),
        ({"mtime": "1595002920"}, 1595002920 * 10**9),
        ({"goog-reserved-file-mtime": "1595002920"}, 1595002920 * 10**9),
        ({"mtime": "yesterday"}, 1_000 * 10**9),
        ({"mtime": "NaN"}, 1_000 * 10**9),
        ({"mtime": "Infinity"}, 1_000 * 10**9),
    ],
    ids=["none", "AWS", "AWS ms", "s3fs", "geesefs", "Google", "nonsense", "NaN", "Infinity"],
)
def test_times_of_other_tools_are_read(metadata, mtime_ns):
    assert read(metadata).mtime_ns == mtime_ns


def test_a_marker_is_a_directory_whatever_its_mode_says():
    assert read({"file-permissions": "0100600"}, is_marker=True).kind is Kind.DIRECTORY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "text/plain"),
        ("a.JPG", "image/jpeg"),
        ("a.tar.gz", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ],
)
def test_a_content_type_comes_from_the_name(name, expected):
    assert new_headers(name, Kind.FILE).content_type == expected
