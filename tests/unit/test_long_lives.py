"""Hours of renewals on a Cognito that enforces rotation, and many threads on keys that die soon."""

import threading
import time

import pytest

from cognitofs.auth import srp
from cognitofs.auth.account import open_account, sign_in
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.credentials import CognitoCredentials
from cognitofs.auth.identity import Grant
from cognitofs.auth.tokens import TokenStore
from cognitofs.config import Profile
from cognitofs.store.keys import Keys
from tests.unit.answers import Answers
from tests.unit.fakecognito import CLIENT, IDENTITY_POOL, POOL, FakeCognito, serving

HOUR = 3600.0


@pytest.fixture
def fake():
    return FakeCognito(srp.N)


@pytest.fixture
def profile(fake):
    with serving(fake) as url:
        yield Profile(
            user_pool_id=POOL,
            client_id=CLIENT,
            identity_pool_id=IDENTITY_POOL,
            bucket="files",
            endpoint_url=url,
        )


class Passing(ServerClock):
    """The server's clock, moved by the test on both sides at once."""

    def __init__(self, fake):
        super().__init__()
        self._fake = fake

    def observe(self, date):
        """Both sides agree: there is nothing to learn."""

    def now(self):
        return time.time() + self._fake.skew


def test_three_hours_of_rotation_without_grace_fail_no_request(fake, profile, tmp_path):
    """Id tokens live 5 minutes, keys 15, and each refresh token is good for one renewal only.

    Two processes' worth of credentials share the store; each asks every simulated minute. Keys that
    the server would refuse are seen by their end, which the server's clock tells.
    """
    fake.rotates, fake.token_life, fake.key_life = True, 300, 900
    clock = Passing(fake)
    sign_in(profile, tmp_path, "alice", Answers("Passw0rd!"), clock=clock)
    both = [open_account(profile, tmp_path, clock=clock).credentials for _ in range(2)]
    for credentials in both:
        credentials._monotonic = clock.now
    served, used = 0, set()
    while fake.skew < 3 * HOUR:
        fake.skew += 60
        for credentials in both:
            keys = credentials.current()
            used.add(keys.access_key)
            assert credentials.expires_at > clock.now(), "keys that the server no longer takes"
            assert credentials.last_error is None
            served += 1
    assert served == 360
    # Each is renewed at three quarters of its life: 12 lives of 15 minutes need at most 16 keys.
    assert 2 * 12 <= len(used) <= 2 * 17
    assert len(fake.refresh_tokens) == 1, "one token was good at any time"
    assert TokenStore(tmp_path).load().refresh_token in fake.refresh_tokens


@pytest.mark.reliability
def test_sixteen_threads_on_keys_of_eight_seconds_never_fail_and_fetch_once_a_life():
    """For 20 s of real time; a request is served if its keys still live when they are given."""
    life, seconds = 8.0, 20.0

    class Source:
        fetches = 0

        def fetch(self):
            self.fetches += 1
            time.sleep(0.1)
            return Grant(Keys(f"K{self.fetches}", "s", "t"), "i", time.time() + life)

    source = Source()
    credentials = CognitoCredentials(source)
    failures, served = [], []
    end = time.monotonic() + seconds

    def work():
        count = 0
        while time.monotonic() < end:
            try:
                keys = credentials.current()
            except Exception as exc:  # noqa: BLE001 - whatever fails, fails the test
                failures.append(exc)
                return
            count += bool(keys.access_key)
            time.sleep(0.001)
        served.append(count)

    threads = [threading.Thread(target=work) for _ in range(16)]
    started = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(served) == 16
    # Three quarters of a life pass between two fetches.
    assert source.fetches <= (time.time() - started) / (0.75 * life) + 1
