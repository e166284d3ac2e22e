"""User metadata survives the trip whatever it holds, and no value can end its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs.errors import Rejected
from cognitofs.store.headers import decode_value, encode_value, from_wire, to_wire
from cognitofs.store.interface import ObjectHeaders

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXT)
def test_a_value_comes_back_as_it_was(text):
    sent = encode_value(text)
    assert decode_value(sent) == text
    assert all(0x20 <= ord(letter) <= 0x7E for letter in sent)
    assert all(len(word) <= 75 for word in sent.split(" ") if word.startswith("=?UTF-8?B?"))


def test_a_plain_value_is_sent_as_it_is():
    assert encode_value("1700000000.000000001") == "1700000000.000000001"


def test_what_other_clients_encoded_is_read():
    assert decode_value("=?UTF-8?Q?za=C5=BC?=") == "zaż"
    assert decode_value("=?no-such-charset?B?eA==?=") == "=?no-such-charset?B?eA==?="
    assert decode_value("=?UTF-8?B?!?=") in {"=?UTF-8?B?!?=", ""}


@pytest.mark.parametrize("name", ["Upper", "a b", "a\r\nb", "a:b", "ż", ""])
def test_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(Rejected):
        to_wire(ObjectHeaders(metadata={name: "v"}))


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\0b", "日本"])
def test_a_header_that_cannot_be_sent_is_refused(value):
    with pytest.raises(Rejected):
        to_wire(ObjectHeaders(content_disposition=value))


def test_metadata_may_have_two_kib_before_it_is_encoded():
    to_wire(ObjectHeaders(metadata={"n": "ż" * 1023}))
    with pytest.raises(Rejected):
        to_wire(ObjectHeaders(metadata={"n": "ż" * 1024}))


def test_headers_of_an_answer_are_those_of_the_object():
    headers = ObjectHeaders(content_type="a/b", expires="x", metadata={"mtime": "1"})
    assert from_wire({**to_wire(headers), "server": "x"}) == headers
