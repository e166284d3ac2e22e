"""Identities without a user of the pool: guests, other providers, one's own server, own roles."""

import json
import shlex
import sys
from dataclasses import replace

import pytest

from cognitofs.auth.account import open_account, sign_in, sign_in_as_guest, sign_out
from cognitofs.auth.role import role_of
from cognitofs.errors import ConfigError, LoginRequired
from tests.cloud.emulator import PASSWORD, status_of
from tests.mount.mounted import assert_refused
from tests.unit.answers import Answers
from tests.unit.fakecognito import jwt


@pytest.fixture
def open_app(cloud, app):
    """Build an application that lets guests in."""
    cloud.admit(app)
    return app


def may_put(app, account, root=None):
    s3, key = app.s3(account.credentials.current()), f"{root or account.root}x"
    return status_of(s3.put_object, Bucket=app.bucket, Key=key, Body=b"1") == 200


def test_a_guest_has_files_of_its_own_and_stays_the_same_guest(open_app, tmp_path):
    first = sign_in_as_guest(open_app.profile, tmp_path / "a")
    again = sign_in_as_guest(open_app.profile, tmp_path / "a")
    other = sign_in_as_guest(open_app.profile, tmp_path / "b")
    assert first.identity_id == again.identity_id != other.identity_id
    account = open_account(open_app.profile, tmp_path / "a")
    assert (account.identity_id, account.who) == (first.identity_id, "a guest")
    assert may_put(open_app, account)
    assert not may_put(open_app, account, f"private/{other.identity_id}/")


def test_a_guests_identity_is_not_lost_to_a_login_by_mistake(open_app, tmp_path):
    sign_in_as_guest(open_app.profile, tmp_path)
    with pytest.raises(ConfigError, match="files nobody else can reach"):
        sign_in(open_app.profile, tmp_path, "alice", Answers(PASSWORD))
    sign_out(open_app.profile, tmp_path)
    assert sign_in(open_app.profile, tmp_path, "alice", Answers(PASSWORD)).username == "alice"


def test_a_guest_that_became_somebody_elses_login_is_no_guest_any_more(cloud, open_app, tmp_path):
    guest = sign_in_as_guest(open_app.profile, tmp_path / "guest")
    alice = open_app.sign_in(tmp_path / "alice")
    provider = f"cognito-idp.us-east-1.amazonaws.com/{open_app.profile.user_pool_id}"
    cloud.root("cognito-identity").get_credentials_for_identity(
        IdentityId=guest.identity_id, Logins={provider: alice.tokens.id_token}
    )
    with pytest.raises(LoginRequired, match="guest identity kept here no longer exists"):
        open_account(open_app.profile, tmp_path / "guest")


def printing(path, document):
    """Return a command that prints what stands in *path* at that time: *document* for now."""
    path.write_text(json.dumps(document))
    return shlex.join([sys.executable, "-c", f"print(open({str(path)!r}).read())"])


def test_the_login_of_another_provider_comes_from_a_command(cloud, app, tmp_path):
    provider = "login.example.org"
    cloud.admit(app, SupportedLoginProviders={provider: "their-client"})
    printed = {"Logins": {provider: jwt(sub="somebody", exp=9e9)}}
    command = printing(tmp_path / "printed.json", printed)
    profile = replace(app.profile, user_pool_id="", client_id="", login_command=command)
    account = open_account(profile, tmp_path / "state")
    assert account.who == "the login command"
    assert may_put(app, account)
    again = open_account(profile, tmp_path / "other state")
    assert again.identity_id == account.identity_id


def test_a_server_of_ones_own_names_the_identity_itself(cloud, app, tmp_path):
    """What GetOpenIdTokenForDeveloperIdentity gives that server, the command prints."""
    cloud.admit(app, DeveloperProviderName="our.server")
    identity = cloud.root("cognito-identity")
    found = identity.get_id(
        IdentityPoolId=app.profile.identity_pool_id,
        Logins={"cognito-identity.amazonaws.com": "a token of our server"},
    )["IdentityId"]
    printed = {"IdentityId": found, "Token": "a token of our server"}
    command = printing(tmp_path / "printed.json", printed)
    profile = replace(app.profile, user_pool_id="", client_id="", login_command=command)
    account = open_account(profile, tmp_path / "state")
    assert account.identity_id == found
    assert may_put(app, account)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ({}, "neither"),
        ({"Logins": {}}, "neither"),
        ({"Logins": {"x": 3}}, "neither"),
        ({"Logins": ["hush"]}, "neither"),
        ({"Token": "hush"}, "without its IdentityId"),
        ({"IdentityId": 3, "Token": "hush"}, "neither"),
        ([], "no JSON object"),
    ],
)
def test_a_login_command_that_prints_something_else_is_said_without_quoting_it(
    app, tmp_path, printed, words
):
    command = printing(tmp_path / "printed.json", printed)
    profile = replace(app.profile, login_command=command)
    with pytest.raises(ConfigError, match=words) as caught:
        open_account(profile, tmp_path / "state")
    assert "hush" not in str(caught.value)


def test_the_classic_flow_takes_the_role_of_the_profile_for_as_long_as_it_says(
    cloud, app, tmp_path
):
    classic = replace(app.profile, role_arn=cloud.role_arn(app), session_duration=900.0)
    identity = app.sign_in(tmp_path).identity_id
    account = open_account(classic, tmp_path)
    assert account.identity_id == identity
    left = account.expires_at - account.credentials._now()
    assert 890 < left <= 900
    assert f"assumed-role/{app.bucket}/cognitofs" in role_of(account.credentials.current(), classic)


def test_a_role_that_does_not_trust_the_login_is_the_administrators(cloud, app, tmp_path):
    other = cloud.new_application()
    wrong = replace(app.profile, role_arn=cloud.role_arn(other))
    app.sign_in(tmp_path)
    with pytest.raises(ConfigError, match="role_arn"):
        open_account(wrong, tmp_path)


def test_the_role_of_the_keys_is_what_aws_says(app, tmp_path):
    account = app.sign_in(tmp_path)
    arn = role_of(account.credentials.current(), app.profile)
    assert arn.endswith(f":assumed-role/{app.bucket}/CognitoIdentityCredentials")


def test_a_role_cannot_be_asked_for_where_nobody_answers(app, tmp_path):
    keys = app.sign_in(tmp_path).credentials.current()
    assert role_of(keys, replace(app.profile, endpoint_url="http://127.0.0.1:1")) == ""


def test_guests_at_the_command_line(open_app, tmp_path):
    from tests.cloud.test_cloud_mount import User  # noqa: PLC0415 - no mount is made here

    user = User(tmp_path / "guest", open_app, "nobody", sign_in="guest", user_pool_id="")
    done = user.run("login")
    assert done.returncode == 0, done.stderr
    assert "Whoever loses it loses them" in done.stderr
    found = json.loads(user.run("whoami", "--json").stdout)
    assert (found["is_guest"], found["username"], found["sign_in_ends_at"]) == (True, "", None)
    assert found["s3_uri"] == f"s3://{open_app.bucket}/private/{found['identity_id']}/"
    assert_refused(user.run("logout"), 2, "logout --purge")
    assert user.run("logout", "--purge").returncode == 0
    assert user.run("whoami").returncode == 3
