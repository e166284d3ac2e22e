"""A spool file's label says what it is, and is told from that of the seal it took the place of."""

from dataclasses import replace

from cognitofs.spool.labels import decode_label, encode_label, mark_of, new_label
from tests.unit.test_journal import SEAL


def test_a_label_is_read_as_it_was_written():
    label = new_label(SEAL, "boot", replaces=("b" * 32,), durable=True)
    assert decode_label(encode_label(label)) == label


def test_a_label_that_was_damaged_is_none():
    data = encode_label(new_label(SEAL, "boot", durable=True))
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert decode_label(flipped) is None


def test_a_seal_is_not_taken_for_one_that_supersedes_it():
    headers = replace(SEAL.headers, metadata={"cognitofs-txid": "newer"})
    newer = replace(SEAL, headers=headers, supersedes=(SEAL.txid,), leaves=(("k", SEAL.txid),))
    data = encode_label(new_label(newer, "boot", durable=True))
    assert mark_of(newer) in data
    assert mark_of(SEAL) not in data
