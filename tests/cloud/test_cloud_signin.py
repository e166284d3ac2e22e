"""People sign in to an emulated Cognito that checks what AWS checks."""

import base64
import hmac
import json
import stat
import struct
import time
from dataclasses import replace

import pytest

from cognitofs.auth.account import open_account, sign_in, sign_out, stored_sign_in
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.tokens import TokenStore
from cognitofs.errors import (
    AuthUnavailable,
    ClockSkew,
    ConfigError,
    LoginRequired,
    SignInRefused,
    WrongCredentials,
    WrongIdentity,
)
from tests.cloud.emulator import PASSWORD, TEMPORARY_PASSWORD, status_of
from tests.unit.answers import Answers


def totp(secret):
    """Return the code of an authenticator app (RFC 6238) for the base32 *secret*."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def age_id_token(state):
    """Write down an id token of the same person that ended long ago."""
    store = TokenStore(state)
    tokens = store.load()
    header, _, _ = tokens.id_token.split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 0}).encode()).decode().rstrip("=")
    aged = replace(tokens, id_token=f"{header}.{claims}.x", issued_at=0, expires_at=1.0)
    store.save(aged)
    return aged


def test_a_user_signs_in_and_gets_keys_for_the_own_prefix_only(app, tmp_path):
    alice = app.sign_in(tmp_path / "alice")
    bob = app.sign_in(tmp_path / "bob", "bob")
    assert alice.username == "alice"
    assert alice.root == f"private/{alice.identity_id}/"
    assert alice.s3_uri == f"s3://{app.bucket}/{alice.root}"
    mine, theirs = app.s3(alice.credentials.current()), app.s3(bob.credentials.current())
    key = f"{alice.root}file"
    assert status_of(mine.put_object, Bucket=app.bucket, Key=key, Body=b"1") == 200
    assert status_of(theirs.get_object, Bucket=app.bucket, Key=key) == 403
    assert status_of(theirs.delete_object, Bucket=app.bucket, Key=key) == 403


def test_the_sign_in_is_kept_in_a_private_file_without_the_password(app, tmp_path):
    app.sign_in(tmp_path / "state")
    file = tmp_path / "state" / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert PASSWORD not in file.read_text()


def test_the_identity_is_the_same_at_every_sign_in(app, tmp_path):
    first = app.sign_in(tmp_path / "one")
    assert app.sign_in(tmp_path / "two").identity_id == first.identity_id


def test_a_wrong_password_is_refused_with_a_sentence(app, tmp_path):
    with pytest.raises(WrongCredentials, match="password is wrong"):
        app.sign_in(tmp_path / "state", "alice", "not it")
    assert TokenStore(tmp_path / "state").load() is None


def test_an_unknown_user_looks_like_a_wrong_password(app, tmp_path):
    with pytest.raises(WrongCredentials, match="user name or the password"):
        app.sign_in(tmp_path / "state", "nobody")


@pytest.mark.parametrize(
    "change", [{"client_id": "x" * 26}, {"identity_pool_id": f"us-east-1:{'0' * 8}-0000"}]
)
def test_an_unknown_pool_or_client_is_said_to_be_in_the_profile(app, tmp_path, change):
    wrong = replace(app, profile=replace(app.profile, **change))
    with pytest.raises(ConfigError, match="cognitofs configure"):
        wrong.sign_in(tmp_path / "state")


def test_a_disabled_user_is_told_to_ask_the_administrator(app, tmp_path):
    app.admin("admin_disable_user", "alice")
    with pytest.raises(SignInRefused, match="disabled; ask your administrator"):
        app.sign_in(tmp_path / "state")


def test_a_user_who_must_reset_the_password_is_told_so(app, tmp_path):
    app.admin("admin_reset_user_password", "alice")
    with pytest.raises(SignInRefused, match="new password"):
        app.sign_in(tmp_path / "state")


def test_a_temporary_password_is_replaced_at_the_first_sign_in(app, tmp_path):
    app.add_user("carol", is_temporary=True)
    answers = Answers(TEMPORARY_PASSWORD, new_password="Chosen-by-Carol-1")
    tokens = sign_in(app.profile, tmp_path / "state", "carol", answers)
    assert tokens.username == "carol"
    assert ("new_password", "carol") in answers.asked
    app.sign_in(tmp_path / "again", "carol", "Chosen-by-Carol-1")


def test_a_code_of_the_authenticator_app_is_asked_for_and_may_be_mistyped(app, tmp_path):
    cognito = app.cloud.root("cognito-idp")
    app.sign_in(tmp_path / "before")
    access = TokenStore(tmp_path / "before").load().access_token
    cognito.set_user_pool_mfa_config(
        UserPoolId=app.profile.user_pool_id,
        SoftwareTokenMfaConfiguration={"Enabled": True},
        MfaConfiguration="OPTIONAL",
    )
    secret = cognito.associate_software_token(AccessToken=access)["SecretCode"]
    cognito.verify_software_token(AccessToken=access, UserCode=totp(secret))
    cognito.set_user_mfa_preference(
        AccessToken=access, SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True}
    )
    right = totp(secret)
    answers = Answers(PASSWORD, code=["000000" if right != "000000" else "111111", right])
    tokens = sign_in(app.profile, tmp_path / "state", "alice", answers)
    assert tokens.username == "alice"
    assert answers.asked.count(("code", "SOFTWARE_TOKEN_MFA", "")) == 2
    assert any("code is wrong" in notice for notice in answers.notices)


def test_an_app_client_with_a_secret_works(cloud, tmp_path):
    app = cloud.new_application(has_secret=True)
    assert app.sign_in(tmp_path / "state").username == "alice"
    age_id_token(tmp_path / "state")
    assert open_account(app.profile, tmp_path / "state").username == "alice"


@pytest.mark.parametrize("secret", ["", "a-wrong-secret"])
def test_a_missing_or_wrong_client_secret_is_named(cloud, tmp_path, secret):
    app = cloud.new_application(has_secret=True)
    wrong = replace(app, profile=replace(app.profile, client_secret=secret))
    with pytest.raises(ConfigError, match="client-secret-stdin"):
        wrong.sign_in(tmp_path / "state")


def test_an_old_id_token_is_renewed_and_written_down(app, tmp_path):
    state = tmp_path / "state"
    identity = app.sign_in(state).identity_id
    aged = age_id_token(state)
    assert open_account(app.profile, state).identity_id == identity
    assert TokenStore(state).load().id_token != aged.id_token


def test_a_revoked_sign_in_asks_for_a_login_and_says_the_command(app, tmp_path):
    state = tmp_path / "state"
    app.sign_in(state)
    refresh_token = TokenStore(state).load().refresh_token
    app.cloud.root("cognito-idp").revoke_token(Token=refresh_token, ClientId=app.profile.client_id)
    age_id_token(state)
    with pytest.raises(LoginRequired, match="run `cognitofs login`"):
        open_account(app.profile, state)


def test_an_account_disabled_while_signed_in_asks_for_a_login(app, tmp_path):
    state = tmp_path / "state"
    app.sign_in(state)
    app.admin("admin_disable_user", "alice")
    age_id_token(state)
    with pytest.raises(LoginRequired, match="disabled"):
        open_account(app.profile, state)


def test_nobody_signed_in_asks_for_a_login_with_the_profile_named(app, tmp_path):
    work = replace(app.profile, name="work")
    with pytest.raises(LoginRequired, match="cognitofs login --profile work"):
        open_account(work, tmp_path / "state")


def test_a_sign_in_to_another_pool_does_not_count(app, cloud, tmp_path):
    app.sign_in(tmp_path / "state")
    with pytest.raises(LoginRequired, match="another user pool"):
        open_account(cloud.application("stock").profile, tmp_path / "state")


def test_logout_revokes_at_cognito_and_forgets_here(app, tmp_path):
    state = tmp_path / "state"
    app.sign_in(state)
    kept = TokenStore(state).load()
    assert sign_out(app.profile, state) is None
    with pytest.raises(LoginRequired):
        stored_sign_in(app.profile, state)
    TokenStore(state).save(replace(kept, expires_at=1.0))
    with pytest.raises(LoginRequired, match="has ended"):
        open_account(app.profile, state)


def test_logout_without_a_network_forgets_here_and_says_so(app, tmp_path):
    state = tmp_path / "state"
    app.sign_in(state)
    app.cloud.fail("cognito-idp", count=9)
    try:
        problem = sign_out(app.profile, state)
    finally:
        app.cloud.fail("cognito-idp", count=0)
    assert isinstance(problem, AuthUnavailable)
    assert TokenStore(state).load() is None


def test_a_cloud_in_trouble_is_not_a_wrong_password(app, tmp_path):
    app.cloud.fail("cognito-idp", count=9)
    try:
        with pytest.raises(AuthUnavailable, match="try again"):
            app.sign_in(tmp_path / "state")
    finally:
        app.cloud.fail("cognito-idp", count=0)


def test_a_clock_far_off_is_said_at_login(app, tmp_path):
    clock = ServerClock(lambda: time.time() - 3600)
    with pytest.raises(ClockSkew, match="60 minutes behind"):
        sign_in(app.profile, tmp_path / "state", "alice", Answers(PASSWORD), clock=clock)


def test_a_clock_far_off_is_said_when_the_account_is_opened(app, tmp_path):
    app.sign_in(tmp_path / "state")
    with pytest.raises(ClockSkew, match="60 minutes ahead"):
        open_account(app.profile, tmp_path / "state", clock=ServerClock(lambda: time.time() + 3600))


def test_a_clock_a_little_off_is_corrected(app, tmp_path):
    app.sign_in(tmp_path / "state")
    clock = ServerClock(lambda: time.time() - 300)
    account = open_account(app.profile, tmp_path / "state", clock=clock)
    assert 298 <= clock.skew <= 302
    assert account.credentials.seconds_to_refresh() == pytest.approx(2700, abs=10)


def test_another_user_never_gets_keys_through_the_same_credentials(app, tmp_path):
    state = tmp_path / "state"
    credentials = app.sign_in(state).credentials
    sign_in(app.profile, state, "bob", Answers(PASSWORD))
    credentials.invalidate(credentials.current().access_key)
    with pytest.raises(WrongIdentity, match="sign in as their owner"):
        credentials.current()
