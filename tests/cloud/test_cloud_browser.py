"""The sign-in in a browser, against a login page that checks the code's challenge."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cognitofs.auth.account import open_account, token_store
from cognitofs.auth.browser import HostedLogin
from cognitofs.auth.clock import ServerClock
from cognitofs.errors import ConfigError, SignInRefused
from tests.cloud import scripted_browser
from tests.cloud.emulator import PASSWORD
from tests.servers import free_ports
from tests.unit.terminal import dialogue

SCRIPT = Path(scripted_browser.__file__)
ENOUGH = 60.0


@pytest.fixture
def app(cloud):
    """Build an application whose second app client is for browsers, at a port of the test's own."""
    (port,) = free_ports(1)
    return cloud.add_browser_client(cloud.new_application(), f"http://localhost:{port}/callback")


class Visitor:
    """Signs in as alice in another thread, changing the redirects as told; keeps what it saw."""

    def __init__(self, *changes):
        self.changes = changes or (lambda sent: sent,)
        self.seen = []
        self._thread = None

    def __call__(self, url):
        self._thread = threading.Thread(target=self._visit, args=(url,))
        self._thread.start()

    def _visit(self, url):
        for change in self.changes:
            self.seen.append(scripted_browser.sign_in(url, "alice", PASSWORD, change))

    def join(self):
        self._thread.join(ENOUGH)
        return self.seen


def signed_in(app, visitor, **options):
    try:
        return HostedLogin(app.profile, ServerClock()).through_browser(
            visitor, seconds=ENOUGH, **options
        )
    finally:
        visitor.join()


def test_a_person_signs_in_and_the_page_says_so(app, tmp_path):
    visitor = Visitor()
    tokens = signed_in(app, visitor)
    assert tokens.username == "alice"
    ((status, page),) = visitor.seen
    assert status == 200
    assert "Signed in as alice" in page
    store = token_store(app.profile, tmp_path)
    store.save(replace(tokens, expires_at=1.0))
    # The same refresh token serves the API: the sign-in goes on without a browser.
    assert open_account(app.profile, tmp_path).username == "alice"


def test_a_forged_answer_is_refused_and_the_right_one_still_counts(app):
    visitor = Visitor(lambda sent: re.sub("state=[^&]+", "state=forged", sent), lambda sent: sent)
    assert signed_in(app, visitor).username == "alice"
    (forged, page), (right, _) = visitor.seen
    assert (forged, right) == (400, 200)
    assert "does not belong to the sign-in" in page


def test_a_code_of_somebody_else_is_not_accepted(app):
    visitor = Visitor(lambda sent: re.sub("code=[^&]+", "code=stolen", sent))
    with pytest.raises(SignInRefused, match="did not accept the code"):
        signed_in(app, visitor)
    assert visitor.seen[0][0] == 400
    assert "You are not signed in" in visitor.seen[0][1]


def test_a_code_of_another_attempt_lacks_our_verifier(app):
    """Somebody injects a code that is good, but was made for a challenge of their own."""
    theirs = HostedLogin(app.profile, ServerClock()).begin()
    sent = scripted_browser.redirect_after_sign_in(theirs.url, "bob", PASSWORD)
    code = parse_qs(urlsplit(sent).query)["code"][0]
    visitor = Visitor(lambda own: re.sub("code=[^&]+", f"code={code}", own))
    with pytest.raises(SignInRefused, match="did not accept the code"):
        signed_in(app, visitor)


def test_whoever_says_no_on_the_page_is_told_so(app):
    visitor = Visitor(lambda sent: re.sub("code=[^&]+", "error=access_denied", sent))
    with pytest.raises(SignInRefused, match="refused in the browser"):
        signed_in(app, visitor)


def test_what_the_browser_brings_is_escaped_and_loads_nothing(app):
    evil = "error=x&error_description=%3Cscript%3Ealert(1)%3C/script%3E%1b[2J"
    visitor = Visitor(lambda sent: re.sub("code=[^&]+", evil, sent))
    with pytest.raises(ConfigError) as caught:
        signed_in(app, visitor)
    assert str(caught.value).isprintable()
    page = visitor.seen[0][1]
    assert "&lt;script&gt;" in page
    assert not re.search(r"<script|src=|@import|url\(|https?://", page)


def test_an_address_that_is_not_registered_never_comes_back(app, cloud):
    (port,) = free_ports(1)
    wrong = replace(app.profile, oauth_redirect=f"http://localhost:{port}/callback")
    hosted = HostedLogin(wrong, ServerClock())
    seen = []
    with pytest.raises(SignInRefused, match="oauth_redirect"):
        hosted.through_browser(lambda url: seen.append(scripted_browser.visit(url)), seconds=0.1)
    assert seen[0][0] == 400


def test_a_port_in_use_is_said(app):
    port = urlsplit(app.profile.oauth_redirect).port
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ConfigError, match="--no-browser"):
            HostedLogin(app.profile, ServerClock()).through_browser(lambda _: None, seconds=1)


def test_the_answer_is_heard_on_loopback_only(app):
    """Of all sockets that listen at the port, none is bound to an address of the network."""
    port = urlsplit(app.profile.oauth_redirect).port
    bound = []

    def look(_url):
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                address, _, number = line.split()[1].rpartition(":")
                if int(number, 16) == port:
                    bound.append(address)

    with pytest.raises(SignInRefused):
        HostedLogin(app.profile, ServerClock()).through_browser(look, seconds=0.1)
    assert "0100007F" in bound
    assert set(bound) <= {"0100007F", "00000000000000000000000001000000"}


def test_an_app_client_that_the_identity_pool_does_not_know_is_named(cloud, app, tmp_path):
    """Signing in works, and then there are no keys."""
    tokens = signed_in(app, Visitor())
    token_store(app.profile, tmp_path).save(tokens)
    identity = cloud.root("cognito-identity")
    pool = identity.describe_identity_pool(IdentityPoolId=app.profile.identity_pool_id)
    identity.update_identity_pool(
        IdentityPoolId=pool["IdentityPoolId"],
        IdentityPoolName=pool["IdentityPoolName"],
        AllowUnauthenticatedIdentities=False,
        CognitoIdentityProviders=pool["CognitoIdentityProviders"][:1],
    )
    with pytest.raises(ConfigError, match="to link them"):
        open_account(app.profile, tmp_path)


@pytest.fixture
def environ(app, tmp_path):
    config = app.write_profile(tmp_path / "config.toml")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH") if key in os.environ}
    return kept | {
        "HOME": str(tmp_path),
        "COGNITOFS_CONFIG": str(config),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def run(environ, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "cognitofs", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=2 * ENOUGH,
        check=False,
    )


def test_the_command_opens_the_persons_browser(environ):
    environ["BROWSER"] = f"{sys.executable} {SCRIPT} alice {PASSWORD} %s"
    done = run(environ, "login", "--browser")
    assert done.returncode == 0, done.stderr
    assert "Signed in as alice" in done.stdout
    assert json.loads(run(environ, "whoami", "--json").stdout)["username"] == "alice"


def test_over_ssh_the_address_is_pasted_back(environ, app):
    def paste(screen):
        (url,) = re.findall(rf"{re.escape(app.profile.oauth_url)}/oauth2/authorize\S+", screen)
        return scripted_browser.redirect_after_sign_in(url, "alice", PASSWORD)

    session = dialogue(
        ["login", "--no-browser"], [("Paste its whole address here:", paste)], environ
    )
    assert session.code == 0, session.screen
    assert "Signed in as alice" in session.screen


@pytest.mark.parametrize(
    ("pasted", "words"),
    [("hello", "copy the whole of it"), ("http://localhost/?state=x&code=y", "another sign-in")],
)
def test_something_else_pasted_is_refused(app, pasted, words):
    with pytest.raises((ConfigError, SignInRefused), match=words):
        HostedLogin(app.profile, ServerClock()).through_paste(lambda _: pasted)


# -- a real browser -------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.reliability
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
def test_a_real_browser_signs_in_and_shows_the_landing_page(app, tmp_path):
    from tests.cloud.chromium import Chromium  # noqa: PLC0415 - only where there is one

    with Chromium(CHROMIUM, tmp_path / "chromium") as browser:

        def sign_in(url):
            browser.open(url)
            browser.fill('input[name="username"]', "alice")
            browser.fill('input[name="password"]', PASSWORD)
            browser.submit("form")

        tokens = HostedLogin(app.profile, ServerClock()).through_browser(sign_in, seconds=ENOUGH)
        assert tokens.username == "alice"
        assert browser.wait_for_text("Signed in as alice").startswith(app.profile.oauth_redirect)
        assert browser.complaints("http://localhost") == []
