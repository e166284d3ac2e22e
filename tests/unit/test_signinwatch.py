"""The keys of a mount are renewed ahead of need, and the end of its sign-in is told in time."""

import logging
import math
import threading
from dataclasses import replace

import pytest
import trio

from cognitofs.auth.account import Account
from cognitofs.auth.credentials import CognitoCredentials
from cognitofs.auth.identity import Grant
from cognitofs.auth.tokens import TokenSet, TokenStore
from cognitofs.config import Profile
from cognitofs.errors import LoginRequired
from cognitofs.signinwatch import DAY, HOUR, SignInWatch, due_warning, seconds_to_warning
from cognitofs.store.keys import Keys
from tests.unit.test_tokens import TOKENS

PROFILE = Profile(user_pool_id="us-east-1_x", client_id="c", identity_pool_id="us-east-1:p")
START = TOKENS.signed_in_at


@pytest.mark.parametrize(
    ("left", "due", "until"),
    [
        (4 * DAY, None, DAY),
        (3 * DAY, 3 * DAY, 2 * DAY),
        (2 * DAY, 3 * DAY, DAY),
        (DAY, DAY, 23 * HOUR),
        (2 * HOUR, DAY, HOUR),
        (HOUR, HOUR, math.inf),
        (-5.0, HOUR, math.inf),
    ],
)
def test_the_warnings_come_three_days_one_day_and_one_hour_before(left, due, until):
    assert due_warning(left) == due
    assert seconds_to_warning(left) == until


class Clock:
    """Time since the sign-in began: as the test says, and as trio's clock goes on once it runs."""

    def __init__(self):
        self.at, self.started = 0.0, None

    def __call__(self):
        passed = 0.0 if self.started is None else trio.current_time() - self.started
        return START + self.at + passed


class Source:
    """Keys for an hour, or the end of the sign-in."""

    def __init__(self, clock):
        self.clock, self.ended = clock, False
        self.failed = threading.Event()
        self.fetches = 0

    def fetch(self):
        self.fetches += 1
        if self.ended:
            if self.fetches > 2:
                self.failed.set()
            raise LoginRequired("over; run `cognitofs login`.")
        return Grant(Keys(f"K{self.fetches}", "s", "t"), "us-east-1:i", self.clock() + HOUR)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source(clock):
    return Source(clock)


def watch(clock, source, state, tokens: TokenSet | None = TOKENS):
    credentials = CognitoCredentials(source, now=clock, monotonic=clock)
    credentials.current()
    account = Account(PROFILE, credentials, "us-east-1:i", "", tokens)
    return SignInWatch(account, state, now=clock)


def test_the_sentence_stands_from_three_days_before_on(clock, source, tmp_path):
    found = watch(clock, source, tmp_path)
    assert found.sign_in_ends.startswith("1970-01-31")
    assert found.warning == ""
    clock.at = 27.5 * DAY
    assert "cognitofs login --profile default" in found.warning
    clock.at = 31 * DAY
    assert "has ended about" in found.warning


def test_keys_of_a_command_have_no_end_of_a_sign_in(clock, source, tmp_path):
    found = watch(clock, source, tmp_path, None)
    assert (found.sign_in_ends, found.warning) == ("", "")


async def inline(function, **_):
    """Stand in for a thread: a virtual clock would not wait for one."""
    return function()


async def test_a_month_is_warned_of_three_times_and_a_new_login_ends_it(
    clock, source, tmp_path, autojump_clock, caplog, monkeypatch
):
    monkeypatch.setattr(trio.to_thread, "run_sync", inline)
    store = TokenStore(tmp_path)
    store.save(TOKENS)
    clock.at, clock.started = 26 * DAY, trio.current_time()
    found = watch(clock, source, tmp_path)
    caplog.set_level(logging.WARNING, "cognitofs.signinwatch")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run, lambda: None)
        await trio.sleep(3.99 * DAY)
        assert len(caplog.records) == 3
        store.save(replace(TOKENS, signed_in_at=START + 30 * DAY))
        await trio.sleep(DAY)
        assert found.warning == ""
        assert len(caplog.records) == 3
        nursery.cancel_scope.cancel()


async def test_an_ended_sign_in_is_logged_once_and_a_new_one_is_noticed_within_seconds(
    clock, source, tmp_path, caplog
):
    TokenStore(tmp_path).save(TOKENS)
    credentials = CognitoCredentials(source, now=clock)
    credentials.current()
    found = SignInWatch(Account(PROFILE, credentials, "i", "", TOKENS), tmp_path, now=clock)
    source.ended = True
    credentials.invalidate("K1")
    caplog.set_level(logging.WARNING, "cognitofs.signinwatch")
    resumed = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run, resumed.set)
        with trio.fail_after(60):
            await trio.to_thread.run_sync(source.failed.wait)
            source.ended = False
            await resumed.wait()
        nursery.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "The keys could not be renewed: over; run `cognitofs login`."
    ]
