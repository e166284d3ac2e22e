"""`cognitofs login`, `whoami` and `logout` as a person and a script run them."""

import json
import os
import stat
import subprocess
import sys

import pytest

from tests.cloud.emulator import PASSWORD, TEMPORARY_PASSWORD
from tests.unit.terminal import dialogue


@pytest.fixture
def environ(app, tmp_path):
    """No AWS_* variable: what works, works without keys of the environment."""
    config = app.write_profile(tmp_path / "config.toml")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH") if key in os.environ}
    return kept | {
        "HOME": str(tmp_path),
        "COGNITOFS_CONFIG": str(config),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def run(environ):
    def run(*arguments, stdin=""):
        return subprocess.run(
            [sys.executable, "-m", "cognitofs", *arguments],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def login(run):
    def login(username="alice", password=PASSWORD):
        return run("login", "--username", username, "--password-stdin", stdin=f"{password}\n")

    return login


def test_a_script_signs_in_and_hears_who_and_where(login, run, app, tmp_path):
    done = login()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Signed in as alice (us-east-1:" in done.stdout
    assert f"s3://{app.bucket}/private/us-east-1:" in done.stdout
    file = tmp_path / "state" / "cognitofs" / "default" / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = run("whoami", "--json")
    found = json.loads(shown.stdout)
    assert (found["username"], found["profile"], found["checked"]) == ("alice", "default", True)
    assert found["root"] == f"private/{found['identity_id']}/"
    assert PASSWORD not in done.stdout + shown.stdout


def test_a_wrong_password_is_one_sentence_and_code_3(login):
    done = login(password="guess")
    assert (done.returncode, done.stdout) == (3, "")
    assert "password is wrong" in done.stderr
    assert "Traceback" not in done.stderr
    assert "guess" not in done.stderr


def test_nobody_signed_in_is_code_3_with_the_command_to_run(run):
    done = run("whoami")
    assert done.returncode == 3
    assert "cognitofs login" in done.stderr


def test_no_terminal_and_no_password_is_a_usage_error(run):
    assert run("login", "--username", "alice").returncode == 2
    done = run("login", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 2
    assert "--username" in done.stderr


def test_logout_ends_the_sign_in(login, run, app, tmp_path):
    login()
    kept = tmp_path / "state" / "cognitofs" / "default" / "tokens.json"
    refresh_token = json.loads(kept.read_text())["refresh_token"]
    done = run("logout")
    assert (done.returncode, done.stderr) == (0, "")
    assert run("whoami").returncode == 3
    cognito = app.cloud.root("cognito-idp")
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        cognito.get_tokens_from_refresh_token(
            ClientId=app.profile.client_id, RefreshToken=refresh_token
        )


def test_an_unknown_client_is_a_configuration_error(login, run, app, tmp_path):
    app.write_profile(tmp_path / "config.toml", client_id="x" * 26)
    done = login()
    assert done.returncode == 2
    assert "cognitofs configure" in done.stderr


def test_no_network_is_said(run, app, tmp_path):
    app.write_profile(tmp_path / "config.toml", endpoint_url="http://127.0.0.1:1")
    done = run("login", "-u", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 1
    assert "check the network" in done.stderr


def test_whoami_without_a_network_shows_what_is_kept(login, run, app):
    login()
    app.cloud.fail("cognito-identity", count=9)
    try:
        done = run("whoami", "--json")
    finally:
        app.cloud.fail("cognito-identity", count=0)
    assert done.returncode == 0
    assert json.loads(done.stdout)["checked"] is False
    assert "not known" in done.stderr


def test_a_person_may_mistype_the_password(environ):
    answers = [
        ("User name", "alice"),
        ("Password of alice", "guess"),
        ("Password of alice", PASSWORD),
    ]
    session = dialogue(["login"], answers, environ)
    assert session.code == 0
    assert "password is wrong" in session.screen
    assert "Signed in as alice" in session.screen
    assert PASSWORD not in session.screen


def test_a_person_replaces_a_temporary_password(environ, app):
    app.add_user("carol", is_temporary=True)
    answers = [
        ("Password of carol", TEMPORARY_PASSWORD),
        ("New password: ", "Better-Pass-1"),
        ("again", "Another-Pass-1"),
        ("New password: ", "Better-Pass-1"),
        ("again", "Better-Pass-1"),
    ]
    session = dialogue(["login", "--username", "carol"], answers, environ)
    assert session.code == 0
    assert "The two differ" in session.screen
    assert "Better-Pass-1" not in session.screen


def test_a_script_replaces_a_temporary_password_on_the_second_line(run, app):
    app.add_user("carol", is_temporary=True)
    command = ("login", "-u", "carol", "--password-stdin")
    done = run(*command, stdin=f"{TEMPORARY_PASSWORD}\n")
    assert done.returncode == 2
    assert "new password" in done.stderr
    done = run(*command, stdin=f"{TEMPORARY_PASSWORD}\nBetter-Pass-1\n")
    assert done.returncode == 0
