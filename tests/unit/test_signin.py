"""The conversation with a user pool and an identity pool, on a strict little Cognito."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from cognitofs.auth import srp
from cognitofs.auth.account import open_account, sign_in
from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.tokens import TokenStore
from cognitofs.auth.translate import Refusal
from cognitofs.config import Profile
from cognitofs.errors import (
    AuthUnavailable,
    ClockSkew,
    ConfigError,
    LoginRequired,
    SignInRefused,
    WrongCredentials,
)
from tests.unit.answers import Answers
from tests.unit.fakecognito import CLIENT, IDENTITY_POOL, POOL, FakeCognito, Refused, serving

PASSWORD = "Passw0rd!"
SESSION = "session-of-at-least-twenty"


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


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def challenge(name, session=SESSION, **parameters):
    return {"ChallengeName": name, "Session": session, "ChallengeParameters": parameters}


def test_a_person_signs_in_without_the_password_being_sent(fake, profile, state):
    tokens = sign_in(profile, state, "alice", Answers(PASSWORD))
    assert (tokens.username, tokens.sub) == ("alice", "sub-alice")
    assert PASSWORD not in repr(fake.requests)


def test_a_wrong_password_is_refused(profile, state):
    with pytest.raises(WrongCredentials):
        sign_in(profile, state, "alice", Answers("guess"))


def test_an_alias_signs_in_and_the_hash_follows_the_name_of_each_request(fake, profile, state):
    """The pool answers with its own name for the user; SECRET_HASH is over that from then on."""
    fake.client_secret = "hush"
    fake.alias = {"alice@example.org": "alice"}
    secret = replace(profile, client_secret="hush")
    assert sign_in(secret, state, "alice@example.org", Answers(PASSWORD)).username == "alice"


def test_a_wrong_client_secret_is_the_profiles_fault(fake, profile, state):
    fake.client_secret = "hush"
    with pytest.raises(ConfigError, match="client-secret-stdin"):
        sign_in(replace(profile, client_secret="other"), state, "alice", Answers(PASSWORD))


def test_a_new_password_comes_with_the_attributes_that_the_pool_lacks(fake, profile, state):
    fake.script(
        "RespondToAuthChallenge",
        challenge(
            "NEW_PASSWORD_REQUIRED",
            USER_ID_FOR_SRP="alice",
            requiredAttributes='["userAttributes.family_name"]',
        ),
        fake.tokens("alice", "r-1"),
    )
    answers = Answers(PASSWORD, new_password="Better1!", attributes={"family_name": "Liddell"})
    sign_in(profile, state, "alice", answers)
    assert fake.called("RespondToAuthChallenge")[1] == {
        "ClientId": CLIENT,
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": SESSION,
        "ChallengeResponses": {
            "USERNAME": "alice",
            "NEW_PASSWORD": "Better1!",
            "userAttributes.family_name": "Liddell",
        },
    }


def test_a_mistyped_code_is_asked_for_again_in_the_same_session(fake, profile, state):
    fake.script(
        "RespondToAuthChallenge",
        challenge("SOFTWARE_TOKEN_MFA", session="another-" + SESSION),
        Refused("CodeMismatchException", "Invalid code"),
        fake.tokens("alice", "r-1"),
    )
    answers = Answers(PASSWORD, code=["000000", "123456"])
    sign_in(profile, state, "alice", answers)
    sent = fake.called("RespondToAuthChallenge")[1:]
    codes = [request["ChallengeResponses"]["SOFTWARE_TOKEN_MFA_CODE"] for request in sent]
    assert codes == ["000000", "123456"]
    assert {request["Session"] for request in sent} == {"another-" + SESSION}
    assert answers.notices == ["The code is wrong; try again."]


def test_a_code_is_asked_for_three_times_at_most(fake, profile, state):
    wrong = Refused("CodeMismatchException", "Invalid code")
    fake.script(
        "RespondToAuthChallenge", challenge("SOFTWARE_TOKEN_MFA"), wrong, wrong, wrong, wrong
    )
    with pytest.raises(WrongCredentials, match="code is wrong"):
        sign_in(profile, state, "alice", Answers(PASSWORD, code=list("1234")))
    assert len(fake.called("RespondToAuthChallenge")) == 4


@pytest.mark.parametrize("name", ["CUSTOM_CHALLENGE", "WEB_AUTHN", "NEVER_HEARD_OF"])
def test_a_challenge_for_a_browser_is_named_with_the_command(fake, profile, state, name):
    fake.script("RespondToAuthChallenge", challenge(name))
    with pytest.raises(SignInRefused, match=f"{name}.*--browser"):
        sign_in(profile, state, "alice", Answers(PASSWORD))


def test_a_server_that_asks_for_ever_is_left(fake, profile, state):
    fake.script("RespondToAuthChallenge", *[challenge("SOFTWARE_TOKEN_MFA")] * 99)
    with pytest.raises(SignInRefused, match="ever more steps"):
        sign_in(profile, state, "alice", Answers(PASSWORD, code=["1"] * 99))


def test_an_unreadable_token_is_no_traceback(fake, profile, state):
    tokens = {"IdToken": "junk", "AccessToken": "junk", "RefreshToken": "r"}
    fake.script("RespondToAuthChallenge", {"AuthenticationResult": tokens})
    with pytest.raises(SignInRefused, match="cannot be read"):
        sign_in(profile, state, "alice", Answers(PASSWORD))


def test_nothing_listens_there(profile, state):
    gone = replace(profile, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(AuthUnavailable, match="check the network"):
        sign_in(gone, state, "alice", Answers(PASSWORD))


def test_the_identity_is_asked_for_once_and_then_kept(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    first = open_account(profile, state)
    second = open_account(profile, state)
    assert first.identity_id == second.identity_id == TokenStore(state).load().identity_id
    assert len(fake.called("GetId")) == 1


def test_a_new_login_of_the_same_person_keeps_the_identity(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    open_account(profile, state)
    sign_in(profile, state, "alice", Answers(PASSWORD))
    open_account(profile, state)
    assert len(fake.called("GetId")) == 1


def test_the_identity_of_the_keys_counts_when_identities_were_merged(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    open_account(profile, state)
    merged = "us-east-1:ffffffff-ffff-4fff-8fff-ffffffffffff"
    fake.identity_of["sub-alice"] = merged
    account = open_account(profile, state)
    assert account.identity_id == merged
    assert account.root == f"private/{merged}/"
    assert TokenStore(state).load().identity_id == merged


def test_a_kept_identity_that_is_refused_is_asked_for_anew(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    open_account(profile, state)
    fake.script(
        "GetCredentialsForIdentity",
        Refused("NotAuthorizedException", "Logins don't match. Please include at least one"),
    )
    assert open_account(profile, state).username == "alice"
    assert len(fake.called("GetId")) == 2


def test_an_id_token_that_the_pool_calls_old_is_renewed_and_tried_once_more(fake, profile, state):
    """The clock here may be behind: the pool's word counts."""
    tokens = sign_in(profile, state, "alice", Answers(PASSWORD))
    fake.dead_id_tokens.add(tokens.id_token)
    assert open_account(profile, state).username == "alice"
    assert len(fake.called("GetTokensFromRefreshToken")) == 1
    assert TokenStore(state).load().id_token != tokens.id_token


def test_a_fresh_token_called_old_means_a_wrong_clock(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    old = Refused("NotAuthorizedException", "Invalid login token. Token expired: 2 >= 1")
    fake.script("GetId", old, old)
    with pytest.raises(ClockSkew, match="set the clock"):
        open_account(profile, state)


def age(state):
    """Make the kept id token old. Return what is kept then."""
    store = TokenStore(state)
    store.save(replace(store.load(), expires_at=1.0))
    return store.load()


def test_a_rotated_refresh_token_is_on_disk_before_it_is_used(fake, profile, state):
    fake.rotates = True
    sign_in(profile, state, "alice", Answers(PASSWORD))
    old = age(state)
    on_disk = []
    ask = fake.on_GetId
    fake.on_GetId = lambda request: (
        on_disk.append(TokenStore(state).load().refresh_token),
        ask(request),
    )[1]
    open_account(profile, state)
    assert on_disk[0] != old.refresh_token
    assert on_disk[0] in fake.refresh_tokens


def test_a_refusal_counts_only_if_nobody_renewed_meanwhile(fake, profile, state):
    """A process that does not honour the lock rotates while ours asks; its token is used."""
    fake.rotates = True
    sign_in(profile, state, "alice", Answers(PASSWORD))
    old = age(state)
    store = TokenStore(state)
    renew = fake.on_GetTokensFromRefreshToken

    def renewed_by_another_first(request):
        fake.on_GetTokensFromRefreshToken = renew
        result = renew(request)["AuthenticationResult"]
        theirs = replace(
            old,
            id_token=result["IdToken"],
            refresh_token=result["RefreshToken"],
            expires_at=old.issued_at + 3600,
        )
        store.save(theirs)
        raise Refused("RefreshTokenReuseException", "reused")

    fake.on_GetTokensFromRefreshToken = renewed_by_another_first
    assert open_account(profile, state).username == "alice"


def test_an_ended_login_is_not_asked_about_again_until_there_is_a_new_one(fake, profile, state):
    sign_in(profile, state, "alice", Answers(PASSWORD))
    credentials = open_account(profile, state).credentials
    age(state)
    fake.refresh_tokens.clear()
    credentials.invalidate(credentials.current().access_key)
    for _ in range(3):
        with pytest.raises(LoginRequired, match="cognitofs login"):
            credentials.current()
    assert len(fake.called("GetTokensFromRefreshToken")) == 1
    sign_in(profile, state, "alice", Answers(PASSWORD))
    assert credentials.current()


def test_an_id_token_near_its_end_serves_while_cognito_is_away(fake, profile, state):
    fake.token_life = 100
    sign_in(profile, state, "alice", Answers(PASSWORD))
    clock = ServerClock()
    near = replace(TokenStore(state).load(), expires_at=clock.now() + 20)
    TokenStore(state).save(near)
    fake.script("GetTokensFromRefreshToken", *[Refused("InternalErrorException", "", 500)] * 9)
    assert open_account(profile, state).username == "alice"


@pytest.mark.parametrize(
    "answer", [b"<html>not known</html>", Refused("UnknownOperationException", "", 400)]
)
def test_a_server_without_the_new_operation_is_asked_the_old_way(fake, profile, state, answer):
    """Emulators, reached by an endpoint of the profile; asked the new way once only."""
    sign_in(profile, state, "alice", Answers(PASSWORD))
    age(state)
    fake.script("GetTokensFromRefreshToken", *[answer] * 9)
    account = open_account(profile, state)
    flows = [request["AuthFlow"] for request in fake.called("InitiateAuth")]
    assert flows == ["USER_SRP_AUTH", "REFRESH_TOKEN_AUTH"]
    asked = len(fake.called("GetTokensFromRefreshToken"))
    age(state)
    account.credentials.invalidate(account.credentials.current().access_key)
    account.credentials.current()
    assert len(fake.called("GetTokensFromRefreshToken")) == asked


def test_trouble_of_aws_itself_is_not_taken_for_a_missing_operation():
    page = Refusal("get_tokens_from_refresh_token", "500", "", 500)
    assert page.is_missing_operation(on_aws=False)
    assert not page.is_missing_operation(on_aws=True)
    trouble = Refusal("get_tokens_from_refresh_token", "InternalErrorException", "", 500)
    assert not trouble.is_missing_operation(on_aws=False)


def test_the_servers_clock_is_believed(fake, profile, state):
    fake.skew = 400
    clock = ServerClock()
    sign_in(profile, state, "alice", Answers(PASSWORD), clock=clock)
    assert clock.skew == pytest.approx(400, abs=2)
    account = open_account(profile, state)
    assert account.credentials.seconds_to_refresh() == pytest.approx(2700, abs=5)


@pytest.mark.parametrize(("skew", "side"), [(900, "behind"), (-900, "ahead")])
def test_a_clock_too_far_off_is_said_before_anything_else_fails(fake, profile, state, skew, side):
    fake.skew = skew
    with pytest.raises(ClockSkew, match=f"15 minutes {side}"):
        sign_in(profile, state, "alice", Answers(PASSWORD))


def test_the_environment_cannot_redirect_or_sign_anything(fake, profile, tmp_path):
    """AWS_* variables and ~/.aws are for others; the fake asserts that nothing is signed."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nendpoint_url = http://127.0.0.1:1\nregion = mars-north-1\n"
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environ |= {
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_PROFILE": "missing",
        "AWS_CA_BUNDLE": "/nonexistent",
        "AWS_MAX_ATTEMPTS": "nonsense",
    }
    program = ASK.format(pool=POOL, url=profile.endpoint_url)
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    assert output.stdout == "UnknownOperationException\n"
    assert fake.called("RevokeToken") == [{"Token": "t", "ClientId": "c"}]


ASK = (
    "from cognitofs.auth.clients import CognitoClient\n"
    "from cognitofs.auth.clock import ServerClock\n"
    "from cognitofs.config import Profile\n"
    "profile = Profile(user_pool_id={pool!r}, endpoint_url={url!r})\n"
    "client = CognitoClient('cognito-idp', profile, ServerClock())\n"
    "print(client.ask('revoke_token', Token='t', ClientId='c').code)\n"
)


def test_a_proxy_of_the_environment_is_used(fake, profile):
    """Nothing listens at the endpoint: an answer can only come through the proxy."""
    program = ASK.format(pool=POOL, url="http://127.0.0.1:1")
    environ = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    environ["HTTP_PROXY"] = environ["http_proxy"] = profile.endpoint_url
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    assert output.stdout == "UnknownOperationException\n"
    assert fake.called("RevokeToken")


def test_aws_is_where_the_region_of_the_pool_says():
    client = CognitoClient("cognito-idp", Profile(user_pool_id="eu-west-3_x"), ServerClock())
    assert client._where == "https://cognito-idp.eu-west-3.amazonaws.com"


def test_a_region_that_cannot_be_one_is_the_profiles_fault():
    with pytest.raises(ConfigError, match="region"):
        CognitoClient("cognito-idp", Profile(region="not a region!"), ServerClock())


def test_a_missing_ca_bundle_is_the_profiles_fault(profile):
    with pytest.raises(ConfigError, match="ca_bundle"):
        CognitoClient("cognito-idp", replace(profile, ca_bundle="/none.pem"), ServerClock())
