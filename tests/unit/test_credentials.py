"""When keys are fetched: ahead of their end, one at a time, with a pause after a failure."""

import json
import math
import shlex
import sys
import threading
from datetime import UTC, datetime

import pytest

from cognitofs.auth.account import open_account
from cognitofs.auth.credentials import CognitoCredentials, Held, Need
from cognitofs.auth.identity import Grant
from cognitofs.auth.process import ProcessIdentity
from cognitofs.config import Profile
from cognitofs.errors import AuthUnavailable, ConfigError, LoginRequired, WrongIdentity
from cognitofs.store.keys import Keys


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self):
        self.time = 1_000_000.0

    def __call__(self):
        return self.time


class Source:
    """An IdentitySource that gives numbered keys of a set life, or fails as told."""

    def __init__(self, clock, life=3600.0):
        self.clock, self.life = clock, life
        self.identity_id = "us-east-1:alice"
        self.fetches = 0
        self.error = None

    def fetch(self):
        self.fetches += 1
        if self.error:
            raise self.error
        expires = None if self.life is None else self.clock() + self.life
        return Grant(Keys(f"K{self.fetches}", "s", "t"), self.identity_id, expires)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source(clock):
    return Source(clock)


@pytest.fixture
def credentials(source, clock):
    return CognitoCredentials(source, now=clock, monotonic=clock)


def test_keys_are_fetched_once_and_kept(credentials, source):
    assert credentials.current().access_key == credentials.current().access_key == "K1"
    assert source.fetches == 1
    assert credentials.identity_id == "us-east-1:alice"
    assert credentials.expires_at == 1_003_600.0


@pytest.mark.parametrize(
    ("life", "soon", "now"),
    [(3600.0, 900.0, 60.0), (43200.0, 900.0, 60.0), (900.0, 225.0, 45.0), (6.0, 1.5, 0.3)],
)
def test_the_windows_follow_the_life_of_the_keys(life, soon, now):
    held = Held(Grant(Keys("K", "s"), "", life), 0.0)
    assert held.need(life - soon - 0.01) is Need.NONE
    assert held.need(life - soon) is Need.SOON
    assert held.need(life - now - 0.01) is Need.SOON
    assert held.need(life - now) is Need.NOW
    assert not held.is_dead(life - 0.01)
    assert held.is_dead(life)


def test_keys_are_renewed_a_quarter_of_their_life_ahead(credentials, source, clock):
    credentials.current()
    clock.time += 2699
    assert credentials.current().access_key == "K1"
    clock.time += 2
    assert credentials.current().access_key == "K2"
    assert source.fetches == 2


def test_ten_requests_of_a_short_session_fetch_once(credentials, source, clock):
    """Botocore's fixed windows fetched for every one of them."""
    source.life = 120.0
    for _ in range(10):
        credentials.current()
        clock.time += 5
    assert source.fetches == 1


def test_a_failure_ahead_of_the_end_is_quiet_and_pauses(credentials, source, clock):
    credentials.current()
    clock.time += 3000
    source.error = AuthUnavailable("away")
    for _ in range(5):
        assert credentials.current().access_key == "K1"
    assert source.fetches == 2
    assert credentials.last_error is source.error
    clock.time += 20
    credentials.current()
    assert source.fetches == 3


def test_old_keys_serve_until_they_are_really_dead(credentials, source, clock):
    credentials.current()
    source.error = AuthUnavailable("away")
    clock.time += 3599
    assert credentials.current().access_key == "K1"
    clock.time += 1
    with pytest.raises(AuthUnavailable, match="away"):
        credentials.current()


def test_dead_keys_are_not_asked_for_again_within_the_pause(credentials, source, clock):
    source.error = AuthUnavailable("away")
    for _ in range(5):
        with pytest.raises(AuthUnavailable, match="away"):
            credentials.current()
    assert source.fetches == 1
    clock.time += 20
    source.error = None
    assert credentials.current().access_key == "K2"
    assert credentials.last_error is None


def test_an_ended_login_is_looked_for_at_every_request(credentials, source):
    """A look costs no request to Cognito, and a new login counts at once."""
    source.error = LoginRequired("log in")
    for _ in range(2):
        with pytest.raises(LoginRequired):
            credentials.current()
    source.error = None
    assert credentials.current().access_key == "K3"


def test_the_background_refresher_pauses_after_any_failure(credentials, source, clock):
    source.error = LoginRequired("log in")
    with pytest.raises(LoginRequired):
        credentials.refresh()
    # To look for a new login costs no request.
    assert credentials.seconds_to_refresh() == 2.0
    source.error = AuthUnavailable("away")
    clock.time += 2
    with pytest.raises(AuthUnavailable):
        credentials.refresh()
    assert credentials.seconds_to_refresh() == 20.0


def test_the_background_refresher_is_due_at_three_quarters(credentials, source, clock):
    assert credentials.seconds_to_refresh() == 0.0
    credentials.refresh()
    assert credentials.seconds_to_refresh() == 2700.0
    credentials.refresh()
    assert source.fetches == 1
    clock.time += 2700
    assert credentials.seconds_to_refresh() == 0.0
    credentials.refresh()
    assert credentials.current().access_key == "K2"


def test_six_second_keys_are_due_early(credentials, source, clock):
    source.life = 6.0
    credentials.refresh()
    assert credentials.seconds_to_refresh() == 4.5
    clock.time += 4.5
    credentials.refresh()
    assert credentials.current().access_key == "K2"


def test_keys_without_an_end_are_never_due(credentials, source, clock):
    source.life = None
    credentials.current()
    clock.time += 10**9
    assert credentials.current().access_key == "K1"
    assert credentials.seconds_to_refresh() == math.inf
    assert credentials.expires_at is None
    credentials.invalidate("K1")
    assert credentials.current().access_key == "K2"


def test_keys_that_were_given_back_are_replaced(credentials):
    keys = credentials.current()
    credentials.invalidate(keys.access_key)
    assert credentials.current().access_key == "K2"


def test_giving_back_older_keys_changes_nothing(credentials, source):
    credentials.current()
    credentials.invalidate("K0")
    assert credentials.current().access_key == "K1"
    assert source.fetches == 1


def test_keys_of_another_identity_are_never_given_out(credentials, source):
    credentials.current()
    source.identity_id = "us-east-1:bob"
    credentials.invalidate("K1")
    with pytest.raises(WrongIdentity, match="us-east-1:alice"):
        credentials.current()
    assert credentials.identity_id == "us-east-1:alice"


def test_keys_that_are_dead_on_arrival_are_said(credentials, source):
    source.life = -1.0
    with pytest.raises(AuthUnavailable, match="already ended"):
        credentials.current()


def test_many_threads_wait_for_one_fetch(clock):
    started, go = threading.Event(), threading.Event()

    class Slow(Source):
        def fetch(self):
            started.set()
            assert go.wait(30)
            return super().fetch()

    source = Slow(clock)
    credentials = CognitoCredentials(source, now=clock, monotonic=clock)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(credentials.current().access_key))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    go.set()
    for thread in threads:
        thread.join()
    assert got == ["K1"] * 16
    assert source.fetches == 1


def test_nobody_waits_while_another_renews_good_keys(clock):
    started, go = threading.Event(), threading.Event()

    class Slow(Source):
        def fetch(self):
            if self.fetches:
                started.set()
                assert go.wait(30)
            return super().fetch()

    credentials = CognitoCredentials(Slow(clock), now=clock, monotonic=clock)
    credentials.current()
    clock.time += 3000
    renewing = threading.Thread(target=credentials.current)
    renewing.start()
    assert started.wait(30)
    assert credentials.current().access_key == "K1"
    go.set()
    renewing.join()
    assert credentials.current().access_key == "K2"


def process(**printed):
    return shlex.join([sys.executable, "-c", f"print({json.dumps(json.dumps(printed))})"])


KEYS = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}
IDENTITY = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"


def test_a_command_may_print_the_keys():
    expires = "2026-11-22T12:00:00Z"
    grant = ProcessIdentity(process(**KEYS, Expiration=expires)).fetch()
    assert grant.keys == Keys("A", "S", "T")
    assert grant.identity_id == ""
    assert grant.expires_at == datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def test_keys_of_a_store_without_sessions_have_no_token_and_no_end():
    grant = ProcessIdentity(process(Version=1, AccessKeyId="A", SecretAccessKey="S")).fetch()
    assert grant == Grant(Keys("A", "S", ""), "", None)


def test_an_account_of_a_command_needs_no_cognito(tmp_path):
    profile = Profile(credential_process=process(**KEYS), bucket="files", region="us-east-1")
    account = open_account(profile, tmp_path)
    assert (account.root, account.identity_id, account.username) == ("", "", "")
    named = Profile(credential_process=process(**KEYS, IdentityId=IDENTITY), bucket="files")
    assert open_account(named, tmp_path).root == f"private/{IDENTITY}/"
    own = Profile(credential_process=process(**KEYS), bucket="files", root="mine/")
    assert open_account(own, tmp_path).s3_uri == "s3://files/mine/"


def test_no_shell_reads_the_command(tmp_path):
    trap = tmp_path / "trap"
    command = process(**KEYS) + f" ; touch {trap} && touch {trap}"
    ProcessIdentity(command).fetch()
    assert not trap.exists()


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        ("false", AuthUnavailable, "failed with status 1"),
        ("/nonexistent/command", ConfigError, "cannot be run"),
        ("echo hush", ConfigError, "no JSON"),
        ("echo '[]'", ConfigError, "no JSON object"),
        ("echo '{\"Version\": 2}'", ConfigError, "Version"),
        (process(Version=1, AccessKeyId="A"), ConfigError, "no AccessKeyId and"),
        (process(**KEYS, Expiration="later"), ConfigError, "ISO 8601"),
        (process(**KEYS, Expiration=5), ConfigError, "ISO 8601"),
        (process(**(KEYS | {"SessionToken": 5})), ConfigError, "not text"),
        ("echo 'open", ConfigError, "open quote"),
        (" ", ConfigError, "empty"),
    ],
)
def test_a_command_that_does_not_work_is_said_without_its_output(command, error, words):
    with pytest.raises(error, match=words) as caught:
        ProcessIdentity(command).fetch()
    assert "hush" not in str(caught.value)


def test_keys_never_show_in_a_repr(credentials):
    grant = Grant(Keys("A", "hush", "hush"), "", None)
    assert "hush" not in repr((grant, Held(grant, 0.0), credentials.current()))
