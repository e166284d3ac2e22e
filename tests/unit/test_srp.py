"""Our side of SRP agrees with servers that share no code with it."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycognito.aws_srp import AWSSRP

from cognitofs.auth import srp
from cognitofs.errors import SignInRefused
from tests.unit.fakecognito import POOL, SrpServer

NOW = datetime(2026, 11, 2, 8, 5, 9, tzinfo=UTC)


def exchange(password, server, private=None):
    client = srp.SrpClient(private)
    proof = client.password_verifier(POOL, password, server.challenge(), NOW)
    return server.accepts(client.srp_a, proof)


def test_the_group_is_the_safe_prime_of_the_rfc():
    """N and (N-1)/2 are prime by Fermat's test, and N has the RFC's shape."""
    assert srp.N.bit_length() == 3072
    assert pow(3, srp.N - 1, srp.N) == pow(3, (srp.N - 3) // 2, (srp.N - 1) // 2) == 1
    assert srp.N >> 3008 == srp.N % 2**64 == 2**64 - 1


SOME_OR_A_HUNDRED = pytest.mark.parametrize(
    "times", [10, pytest.param(100, marks=pytest.mark.reliability)]
)


@SOME_OR_A_HUNDRED
def test_random_exchanges_are_accepted(times):
    for _ in range(times):
        assert exchange("Passw0rd!", SrpServer(srp.N, POOL, "alice", "Passw0rd!"))


def test_wrong_passwords_are_refused():
    for number in range(20):
        assert not exchange(f"guess {number}", SrpServer(srp.N, POOL, "alice", "Passw0rd!"))


@settings(max_examples=25, deadline=None)
@given(
    password=st.text(st.characters(exclude_categories=["Cs"])),
    salt=st.integers(0, 2**128 - 1),
    server_private=st.integers(1, 2**256),
    client_private=st.integers(1, 2**256),
)
def test_every_padding_agrees(password, salt, server_private, client_private):
    """Leading zero bits, odd digits and high bits of any number are written as Java does."""
    server = SrpServer(srp.N, POOL, "alice", password, salt=salt, private=server_private)
    assert exchange(password, server, client_private)


@SOME_OR_A_HUNDRED
def test_the_key_is_the_one_of_pycognito(times):
    chance = random.Random(1)
    for _ in range(times):
        server = SrpServer(srp.N, POOL, "alice", "pw", salt=chance.getrandbits(128))
        client = srp.SrpClient(chance.getrandbits(1024))
        theirs = AWSSRP("alice", "pw", POOL, "client", client=object())
        theirs.small_a_value, theirs.large_a_value = client._a, client._public
        challenge = server.challenge()
        expected = theirs.get_password_authentication_key(
            "alice", "pw", int(challenge["SRP_B"], 16), challenge["SALT"]
        )
        pool = POOL.partition("_")[2]
        got = client.session_key(f"{pool}alice", "pw", challenge["SALT"], challenge["SRP_B"])
        assert got == expected == server.key(client._public)


@pytest.mark.parametrize("value", ["0", format(srp.N, "x"), format(2 * srp.N, "x"), "not hex"])
def test_a_server_value_that_would_give_the_key_away_is_refused(value):
    with pytest.raises(SignInRefused, match="nothing was proved"):
        srp.SrpClient().session_key("u", "pw", "ab", value)


@pytest.mark.parametrize("missing", ["SALT", "SRP_B", "SECRET_BLOCK", "USER_ID_FOR_SRP"])
def test_a_challenge_that_is_not_srp_is_refused(missing):
    challenge = SrpServer(srp.N, POOL, "alice", "pw").challenge()
    del challenge[missing]
    with pytest.raises(SignInRefused, match="not valid SRP"):
        srp.SrpClient().password_verifier(POOL, "pw", challenge, NOW)


def test_each_client_has_a_secret_of_its_own():
    assert len({srp.SrpClient().srp_a for _ in range(10)}) == 10


def test_the_timestamp_is_english_with_an_unpadded_day_in_utc():
    assert srp.timestamp(NOW) == "Mon Nov 2 08:05:09 UTC 2026"
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-9)))
    assert srp.timestamp(elsewhere) == "Mon Nov 2 08:05:09 UTC 2026"


def test_the_secret_hash_is_the_documented_hmac():
    """The value is that of `printf usernameclient | openssl dgst -sha256 -hmac secret`."""
    assert (
        srp.secret_hash("username", "client", "secret")
        == "3eHghirMWj+WOzL87OR6YliFJS5uVrSiiHMDAKYvIlQ="
    )


def test_numbers_are_padded_as_java_pads_them():
    assert srp.padded(0) == b"\0"
    assert srp.padded(0x7F) == b"\x7f"
    assert srp.padded(0x80) == b"\0\x80"
    assert srp.padded(0x100) == b"\x01\0"
