"""The device case: no terminal, no home directory, no D-Bus, no keyring; and a person at a pty."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.cloud.emulator import PASSWORD
from tests.cloud.test_cloud_signin import totp
from tests.unit.terminal import dialogue

SECONDS = 120


@pytest.fixture
def environ(app, tmp_path):
    """All a service manager gives: a path, the configuration and a state directory."""
    config = app.write_profile(tmp_path / "config.toml")
    return {
        "PATH": os.environ["PATH"],
        "COGNITOFS_CONFIG": str(config),
        "COGNITOFS_STATE_DIR": str(tmp_path / "state"),
        "COGNITOFS_CACHE_DIR": str(tmp_path / "cache"),
    }


def run(environ, *arguments, stdin=""):
    """Run a command in a session of its own: there is no terminal to find."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "cognitofs", *arguments],
        env=environ,
        cwd="/",
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        start_new_session=True,
        check=False,
    )


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_a_device_signs_in_from_standard_input(environ, home):
    environ |= {"HOME": home} if home else {}
    done = run(environ, "login", "-u", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(run(environ, "whoami", "--json").stdout)
    assert (found["username"], found["checked"]) == ("alice", True)
    assert found["role"].endswith("/CognitoIdentityCredentials")
    assert found["sign_in_ends_at"] > found["signed_in_at"]


def test_a_device_is_a_guest_without_any_input(cloud, app, environ):
    cloud.admit(app)
    done = run(environ, "login", "--guest")
    assert done.returncode == 0, done.stderr
    assert json.loads(run(environ, "whoami", "--json").stdout)["is_guest"] is True


def test_a_device_never_waits_for_somebody_to_type(environ):
    done = run(environ, "login", "-u", "alice")
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("login", "--guest", "--browser"),
        ("login", "--browser", "--password-stdin"),
        ("login", "--guest", "--flow", "srp"),
        ("login", "--flow", "magic"),
    ],
)
def test_two_ways_at_once_or_an_unknown_one_are_a_usage_error(environ, arguments):
    done = run(environ, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_browser_without_a_domain_is_told_the_key(environ):
    done = run(environ, "login", "--browser")
    assert done.returncode == 2
    assert "oauth_domain" in done.stderr


def test_ctrl_c_at_the_password_leaves_cleanly(environ, tmp_path):
    """The terminal echoes again, nothing is kept, and no traceback is seen."""
    shell = f"stty echo; {sys.executable} -P -m cognitofs login -u alice; echo code=$?; stty -a"
    session = dialogue(
        [],
        [("Password of alice", signal.SIGINT)],
        environ | {"HOME": str(tmp_path)},
        program=["bash", "-c", shell],
    )
    assert "code=130" in session.screen
    assert "Interrupted." in session.screen
    assert "Traceback" not in session.screen
    assert re.search(r"(?<!-)\becho\b", session.screen)
    assert not (tmp_path / "state" / "default" / "tokens.json").exists()


def test_a_person_gives_the_code_of_an_app_after_the_password(app, cloud, environ, tmp_path):
    cognito, profile = cloud.root("cognito-idp"), app.profile
    cognito.set_user_pool_mfa_config(
        UserPoolId=profile.user_pool_id,
        SoftwareTokenMfaConfiguration={"Enabled": True},
        MfaConfiguration="OPTIONAL",
    )
    access = app.sign_in(tmp_path / "first").tokens.access_token
    secret = cognito.associate_software_token(AccessToken=access)["SecretCode"]
    cognito.verify_software_token(AccessToken=access, UserCode=totp(secret))
    cognito.set_user_mfa_preference(
        AccessToken=access, SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True}
    )
    answers = [
        ("Password of alice", PASSWORD),
        ("authenticator app", lambda _: totp(secret)),
    ]
    session = dialogue(["login", "-u", "alice"], answers, environ | {"HOME": str(tmp_path)})
    assert session.code == 0, session.screen
    assert PASSWORD not in session.screen
