"""How extended attributes stand in the metadata of an object."""

import json
from base64 import b64encode
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.errors import AttributesFull
from cognitofs.store.headers import from_wire, to_wire
from cognitofs.store.interface import ObjectHeaders
from cognitofs.tree.xattrs import changed, check_size, read_xattrs, write_xattrs

NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)
SETS = st.dictionaries(NAMES.map("user.{}".format), st.binary(max_size=30), max_size=5)


@given(SETS)
def test_what_is_written_is_read_again_after_a_way_over_the_wire(values):
    xattrs = tuple(sorted(values.items()))
    sent = ObjectHeaders(metadata=write_xattrs({}, xattrs))
    assert read_xattrs(from_wire(to_wire(sent)).metadata) == xattrs


@given(SETS, st.dictionaries(NAMES, st.text(min_size=1, max_size=10), max_size=5))
def test_other_metadata_is_never_touched(values, metadata):
    """Only what reads as an attribute may go."""
    own = {f"user.{name}" for name in metadata} & set(dict(read_xattrs(metadata)))
    foreign = {n: t for n, t in metadata.items() if f"user.{n}" not in own and n != "xattr"}
    written = write_xattrs(metadata, tuple(sorted(values.items())))
    assert {name: written.get(name) for name in foreign} == foreign


def test_a_plain_attribute_is_metadata_of_its_name():
    assert write_xattrs({}, (("user.author", b"Ada"),)) == {"author": "Ada"}
    assert read_xattrs({"author": "Ada"}) == (("user.author", b"Ada"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user.Author", b"Ada"),
        ("user.mode", b"33188"),
        ("user.mtime", b"1"),
        ("user.file-permissions", b"0120777"),
        ("user.xattr", b"x"),
        ("user.empty", b""),
        ("user.binary", b"\xff\0"),
        ("user.spaced", b" x "),
        ("user.h\xe9", b"x"),
    ],
)
def test_what_a_header_cannot_say_or_would_misunderstand_stands_as_s3fs_writes_it(name, value):
    written = write_xattrs({}, ((name, value),))
    assert list(written) == ["xattr"]
    assert read_xattrs(written) == ((name, value),)


def test_what_s3fs_wrote_is_read():
    document = json.dumps({"user.tag": b64encode(b"red").decode(), "security.x": "eA=="})
    assert read_xattrs({"xattr": quote(document, safe="")}) == (("user.tag", b"red"),)


def test_what_s3fs_keeps_in_other_namespaces_survives_a_change():
    document = json.dumps({"user.tag": "cmVk", "security.x": "eA=="})
    written = write_xattrs({"xattr": quote(document, safe="")}, (("user.Tag", b"blue"),))
    assert json.loads(unquote(written["xattr"])) == {"security.x": "eA==", "user.Tag": "Ymx1ZQ=="}


@pytest.mark.parametrize("text", ["%", "[1]", "{", '{"user.a": 1}', '{"user.a": "*"}', "%ff"])
def test_what_cannot_be_read_is_no_attribute_and_stays(text):
    assert read_xattrs({"xattr": text}) == ()
    assert write_xattrs({"xattr": text}, ()) == {"xattr": text}


def test_an_attribute_is_set_replaced_and_removed():
    xattrs = changed((), "user.b", b"1")
    xattrs = changed(changed(xattrs, "user.a", b"2"), "user.b", b"3")
    assert xattrs == (("user.a", b"2"), ("user.b", b"3"))
    assert changed(xattrs, "user.b", None) == (("user.a", b"2"),)


def test_more_than_s3_keeps_is_refused():
    check_size({"a": "x" * 2047})
    with pytest.raises(AttributesFull, match="2048"):
        check_size({"a": "x" * 2048})
