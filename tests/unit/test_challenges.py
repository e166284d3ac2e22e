"""Flows that no emulator has, against the shapes of Cognito's own model (botocore's Stubber)."""

import base64
import json
import time
from dataclasses import replace

import pytest
from botocore.stub import ANY, Stubber

from cognitofs.auth import srp
from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.devices import Device
from cognitofs.auth.refresh import TokenSource
from cognitofs.auth.reset import reset_password
from cognitofs.auth.signin import SignIn
from cognitofs.auth.tokens import TokenStore, token_set
from cognitofs.config import Profile
from cognitofs.errors import ConfigError, LoginRequired, SignInRefused, WrongCredentials
from tests.unit.answers import Answers
from tests.unit.fakecognito import CLIENT, IDENTITY_POOL, POOL, SrpServer, jwt

PASSWORD = "Passw0rd!"
SESSION, NEXT = "s" * 20, "t" * 20
DEVICE = Device("us-east-1_00000000-0000-4000-8000-000000000001", "group", "device-password")
PROFILE = Profile(
    user_pool_id=POOL, client_id=CLIENT, identity_pool_id=IDENTITY_POOL, bucket="files"
)


class Conversation:
    """A user pool that expects exactly these requests, in this order."""

    def __init__(self, profile=PROFILE):
        self.profile, self.clock = profile, ServerClock()
        self.pool = CognitoClient("cognito-idp", profile, self.clock)
        self.stub = Stubber(self.pool._client)
        self.stub.activate()

    def expect(self, operation, request, answer):
        self.stub.add_response(operation, answer, request)
        return self

    def refuse(self, operation, code, message):
        self.stub.add_client_error(operation, code, message, http_status_code=400)
        return self

    def begin(self, answer, flow="USER_SRP_AUTH", **parameters):
        request = {"ClientId": CLIENT, "AuthFlow": flow, "AuthParameters": parameters}
        return self.expect("initiate_auth", request, answer)

    def answer(self, name, answer, *, session=SESSION, **responses):
        request = {"ClientId": CLIENT, "ChallengeName": name, "ChallengeResponses": responses}
        request |= {"Session": session} if session else {}
        return self.expect("respond_to_auth_challenge", request, answer)

    def run(self, answers, *arguments, username="alice", **options):
        signing = SignIn(self.pool, self.profile, answers, self.clock, **options)
        tokens = signing.run(username, *arguments)
        self.stub.assert_no_pending_responses()
        return tokens


def tokens(**more):
    now = time.time()
    claims = {"sub": "sub-alice", "iat": now, "exp": now + 3600, "cognito:username": "alice"}
    result = {"IdToken": jwt(**claims), "AccessToken": jwt(**claims), "RefreshToken": "r-1"}
    return {"AuthenticationResult": {**result, **more}}


def challenge(name, session=SESSION, **parameters):
    found = {"ChallengeName": name, "ChallengeParameters": parameters}
    return found | ({"Session": session} if session else {})


def verifier(username="alice", session=SESSION):
    server = SrpServer(srp.N, POOL, username, PASSWORD)
    return challenge("PASSWORD_VERIFIER", session, **server.challenge())


PROOF = {
    "USERNAME": "alice",
    "TIMESTAMP": ANY,
    "PASSWORD_CLAIM_SECRET_BLOCK": ANY,
    "PASSWORD_CLAIM_SIGNATURE": ANY,
}


@pytest.fixture
def pool():
    return Conversation()


def test_the_password_flow_sends_the_password_and_nothing_of_srp(pool):
    pool.begin(tokens(), "USER_PASSWORD_AUTH", USERNAME="alice", PASSWORD=PASSWORD)
    assert pool.run(Answers(PASSWORD), "password").username == "alice"


def test_the_choice_of_the_pool_prefers_proving_the_password_to_sending_it(pool):
    offered = {
        "ChallengeName": "SELECT_CHALLENGE",
        "Session": SESSION,
        "AvailableChallenges": ["PASSWORD", "PASSWORD_SRP", "EMAIL_OTP", "WEB_AUTHN"],
        "ChallengeParameters": {},
    }
    pool.begin(offered, "USER_AUTH", USERNAME="alice")
    pool.answer(
        "SELECT_CHALLENGE",
        verifier(session=NEXT),
        USERNAME="alice",
        ANSWER="PASSWORD_SRP",
        SRP_A=ANY,
    )
    pool.answer("PASSWORD_VERIFIER", tokens(), session=NEXT, **PROOF)
    answers = Answers(PASSWORD, choice="PASSWORD_SRP")
    pool.run(answers, "choice")
    assert answers.asked[0] == ("choice", "SELECT_CHALLENGE", ("PASSWORD_SRP", "EMAIL_OTP"))


def test_one_way_left_is_taken_without_asking(pool):
    offered = {
        "ChallengeName": "SELECT_CHALLENGE",
        "Session": SESSION,
        "AvailableChallenges": ["EMAIL_OTP", "WEB_AUTHN"],
        "ChallengeParameters": {},
    }
    sent = challenge("EMAIL_OTP", NEXT, CODE_DELIVERY_DESTINATION="a***@e***")
    pool.begin(offered, "USER_AUTH", USERNAME="alice")
    pool.answer("SELECT_CHALLENGE", sent, USERNAME="alice", ANSWER="EMAIL_OTP")
    pool.answer("EMAIL_OTP", tokens(), session=NEXT, USERNAME="alice", EMAIL_OTP_CODE="12345678")
    answers = Answers(code="12345678")
    pool.run(answers, "choice")
    assert answers.asked == [("code", "EMAIL_OTP", "a***@e***")]


def test_passkeys_alone_send_the_person_to_the_browser(pool):
    offered = {
        "ChallengeName": "SELECT_CHALLENGE",
        "Session": SESSION,
        "AvailableChallenges": ["WEB_AUTHN"],
        "ChallengeParameters": {},
    }
    pool.begin(offered, "USER_AUTH", USERNAME="alice")
    with pytest.raises(SignInRefused, match="--browser"):
        pool.run(Answers(), "choice")


def test_a_script_asks_for_the_factor_that_it_can_answer(pool):
    pool.begin(
        verifier(),
        "USER_AUTH",
        USERNAME="alice",
        PREFERRED_CHALLENGE="PASSWORD_SRP",
        SRP_A=ANY,
    )
    pool.answer("PASSWORD_VERIFIER", tokens(), **PROOF)
    pool.run(Answers(PASSWORD), "choice", "PASSWORD_SRP")


@pytest.mark.parametrize("name", ["SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP", "SMS_OTP"])
def test_a_code_goes_back_under_its_challenges_name(pool, name):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    pool.answer("PASSWORD_VERIFIER", challenge(name, NEXT), **PROOF)
    pool.answer(name, tokens(), session=NEXT, USERNAME="alice", **{f"{name}_CODE": "123456"})
    pool.run(Answers(PASSWORD, code="123456"))


def test_two_second_factors_let_the_person_choose(pool):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    offered = challenge("SELECT_MFA_TYPE", MFAS_CAN_CHOOSE='["SMS_MFA","SOFTWARE_TOKEN_MFA"]')
    pool.answer("PASSWORD_VERIFIER", offered, **PROOF)
    sent = challenge("SMS_MFA", NEXT, CODE_DELIVERY_DESTINATION="+***99")
    pool.answer("SELECT_MFA_TYPE", sent, USERNAME="alice", ANSWER="SMS_MFA")
    pool.answer("SMS_MFA", tokens(), session=NEXT, USERNAME="alice", SMS_MFA_CODE="1234")
    answers = Answers(PASSWORD, choice="SMS_MFA", code="1234")
    pool.run(answers)
    assert ("code", "SMS_MFA", "+***99") in answers.asked


def test_an_authenticator_app_is_set_up_in_the_middle_of_a_sign_in(pool):
    """The session moves from call to call; a mistyped code is asked for again."""
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    setup = challenge("MFA_SETUP", MFAS_CAN_SETUP='["SMS_MFA","SOFTWARE_TOKEN_MFA"]')
    pool.answer("PASSWORD_VERIFIER", setup, **PROOF)
    pool.expect(
        "associate_software_token",
        {"Session": SESSION},
        {"SecretCode": "JBSWY3DPEHPK3PXPJBSW", "Session": NEXT},
    )
    pool.refuse("verify_software_token", "EnableSoftwareTokenMFAException", "Code mismatch")
    pool.expect(
        "verify_software_token",
        {"Session": NEXT, "UserCode": "222222"},
        {"Status": "SUCCESS", "Session": "u" * 20},
    )
    pool.answer("MFA_SETUP", tokens(), session="u" * 20, USERNAME="alice")
    answers = Answers(PASSWORD, authenticator=["111111", "222222"])
    pool.run(answers)
    uri = "otpauth://totp/files:alice?secret=JBSWY3DPEHPK3PXPJBSW&issuer=files"
    assert answers.asked[1] == ("authenticator", uri, "JBSWY3DPEHPK3PXPJBSW")
    assert answers.notices == ["The code of the authenticator app is wrong; try again."]


def test_a_second_factor_that_cannot_be_set_up_here_is_named(pool):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    setup = challenge("MFA_SETUP", MFAS_CAN_SETUP='["SMS_MFA"]')
    pool.answer("PASSWORD_VERIFIER", setup, **PROOF)
    with pytest.raises(SignInRefused, match="wants SMS_MFA set up first"):
        pool.run(Answers(PASSWORD))


def test_a_list_that_is_none_is_said(pool):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    pool.answer("PASSWORD_VERIFIER", challenge("MFA_SETUP", MFAS_CAN_SETUP="{"), **PROOF)
    with pytest.raises(SignInRefused, match="MFAS_CAN_SETUP that cannot be read"):
        pool.run(Answers(PASSWORD))


# -- remembered devices ---------------------------------------------------------------------------

NEW_DEVICE = {"DeviceKey": DEVICE.key, "DeviceGroupKey": DEVICE.group_key}


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_new_device_is_confirmed_at_once_and_remembered_only_if_wanted(pool, is_trusted):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    pool.answer("PASSWORD_VERIFIER", tokens(NewDeviceMetadata=NEW_DEVICE), **PROOF)
    confirmation = {
        "AccessToken": ANY,
        "DeviceKey": DEVICE.key,
        "DeviceSecretVerifierConfig": ANY,
        "DeviceName": ANY,
    }
    pool.expect("confirm_device", confirmation, {"UserConfirmationNecessary": True})
    if is_trusted:
        status = {"DeviceKey": DEVICE.key, "DeviceRememberedStatus": "remembered"}
        pool.expect("update_device_status", {"AccessToken": ANY, **status}, {})
    found = pool.run(Answers(PASSWORD), is_trusted=is_trusted)
    assert (found.device.key, found.device.group_key) == (DEVICE.key, DEVICE.group_key)
    assert found.device.password not in repr(found)


def device_server():
    """Return the pool's side of a device's proof, by the arithmetic of the user's."""
    return SrpServer(srp.N, f"_{DEVICE.group_key}", DEVICE.key, DEVICE.password)


def test_a_remembered_device_proves_itself_instead_of_a_second_factor(pool):
    known = {"USERNAME": "alice", "DEVICE_KEY": DEVICE.key}
    server = device_server()
    sent = {}

    class Proved:
        """Equal to a proof that the independent server accepts."""

        def __eq__(self, signature):
            sent["PASSWORD_CLAIM_SIGNATURE"] = signature
            return True

        __hash__ = None

    class Kept:
        def __init__(self, key):
            self.key = key

        def __eq__(self, value):
            sent[self.key] = value
            return True

        __hash__ = None

    pool.begin(verifier(), SRP_A=ANY, **known)
    pool.answer("PASSWORD_VERIFIER", challenge("DEVICE_SRP_AUTH", NEXT), **known | PROOF)
    block = challenge("DEVICE_PASSWORD_VERIFIER", NEXT, **server.challenge())
    pool.answer("DEVICE_SRP_AUTH", block, session=NEXT, **known, SRP_A=Kept("SRP_A"))
    # The server's challenge names the device as its user; the person's name stays.
    block["ChallengeParameters"] |= {"USERNAME": "alice", "DEVICE_KEY": DEVICE.key}
    proof = known | {
        "TIMESTAMP": Kept("TIMESTAMP"),
        "PASSWORD_CLAIM_SECRET_BLOCK": ANY,
        "PASSWORD_CLAIM_SIGNATURE": Proved(),
    }
    pool.answer("DEVICE_PASSWORD_VERIFIER", tokens(), session=NEXT, **proof)
    found = pool.run(Answers(PASSWORD), device=DEVICE)
    assert server.accepts(sent["SRP_A"], sent)
    assert found.device == DEVICE


def test_what_confirms_a_device_is_the_verifier_of_its_password():
    """ConfirmDevice's salt and verifier, used as a server would, accept the device's proof."""
    config = srp.device_verifier_config(DEVICE.name, DEVICE.password)
    salt, verifier_value = (
        int.from_bytes(base64.b64decode(config[each])) for each in ("Salt", "PasswordVerifier")
    )
    server = SrpServer(srp.N, f"_{DEVICE.group_key}", DEVICE.key, DEVICE.password, salt=salt)
    assert server.verifier == verifier_value


@pytest.mark.parametrize("at", ["initiate_auth", "respond_to_auth_challenge", "device"])
def test_a_device_that_the_pool_forgot_is_forgotten_here_and_the_sign_in_starts_over(pool, at):
    known = {"USERNAME": "alice", "DEVICE_KEY": DEVICE.key}
    missing = ("ResourceNotFoundException", "Device does not exist.")
    if at == "initiate_auth":
        pool.refuse(at, *missing)
    else:
        pool.begin(verifier(), SRP_A=ANY, **known)
        if at == "device":
            pool.answer("PASSWORD_VERIFIER", challenge("DEVICE_SRP_AUTH", NEXT), **known | PROOF)
            missing = ("NotAuthorizedException", "Incorrect username or password.")
        pool.refuse("respond_to_auth_challenge", *missing)
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    pool.answer("PASSWORD_VERIFIER", tokens(), **PROOF)
    answers = Answers(PASSWORD)
    assert pool.run(answers, device=DEVICE).device is None
    assert sum(each[0] == "password" for each in answers.asked) <= 1


def renewing(conversation, directory, **more):
    """Return a source of tokens whose id token has ended, kept in *directory*."""
    store = TokenStore(directory)
    kept = token_set(tokens()["AuthenticationResult"], PROFILE, "alice", 0.0, DEVICE)
    store.save(replace(kept, expires_at=1.0, **more))
    return TokenSource(store, conversation.pool, conversation.profile, conversation.clock)


def test_every_renewal_names_the_device(pool, tmp_path):
    request = {"ClientId": CLIENT, "RefreshToken": "r-1", "DeviceKey": DEVICE.key}
    pool.expect("get_tokens_from_refresh_token", request, tokens())
    assert renewing(pool, tmp_path).current().device == DEVICE
    pool.stub.assert_no_pending_responses()


def test_rotation_keeps_the_new_token_and_uses_it_next(tmp_path):
    secret = "x" * 40
    pool = Conversation(replace(PROFILE, client_secret=secret))
    for old, new in [("r-1", "r-2"), ("r-2", "r-3")]:
        request = {"RefreshToken": old, "DeviceKey": DEVICE.key, "ClientSecret": secret}
        answer = tokens(RefreshToken=new)
        pool.expect("get_tokens_from_refresh_token", {"ClientId": CLIENT, **request}, answer)
    source = renewing(pool, tmp_path)
    first = source.current()
    assert TokenStore(tmp_path).load().refresh_token == "r-2"
    source.renew(first.id_token)
    assert TokenStore(tmp_path).load().refresh_token == "r-3"
    pool.stub.assert_no_pending_responses()


def test_a_token_used_twice_after_rotation_ends_the_sign_in(pool, tmp_path):
    pool.refuse("get_tokens_from_refresh_token", "RefreshTokenReuseException", "reused")
    with pytest.raises(LoginRequired, match="renewed elsewhere"):
        renewing(pool, tmp_path).current()


# -- a forgotten password -------------------------------------------------------------------------

SENT = {"CodeDeliveryDetails": {"Destination": "a***@e***", "DeliveryMedium": "EMAIL"}}


def test_a_forgotten_password_is_set_anew_with_the_code(pool):
    named = {"ClientId": CLIENT, "Username": "alice"}
    pool.expect("forgot_password", named, SENT)
    pool.refuse("confirm_forgot_password", "CodeMismatchException", "Invalid code")
    given = {"ConfirmationCode": "222222", "Password": "Better1!"}
    pool.expect("confirm_forgot_password", named | given, {})
    answers = Answers(new_password="Better1!", code=["111111", "222222"])
    reset_password(pool.pool, PROFILE, answers, "alice")
    pool.stub.assert_no_pending_responses()
    assert answers.asked[0] == ("code", "FORGOT_PASSWORD", "a***@e***")
    assert answers.notices == ["The code is wrong; try again."]


def test_three_wrong_codes_end_the_reset(pool):
    pool.expect("forgot_password", {"ClientId": CLIENT, "Username": "alice"}, SENT)
    for _ in range(3):
        pool.refuse("confirm_forgot_password", "CodeMismatchException", "Invalid code")
    with pytest.raises(WrongCredentials):
        reset_password(pool.pool, PROFILE, Answers(new_password="x", code=list("123")), "alice")
    pool.stub.assert_no_pending_responses()


def test_the_reset_of_a_client_with_a_secret_is_hashed():
    pool = Conversation(replace(PROFILE, client_secret="hush"))
    digest = srp.secret_hash("alice", CLIENT, "hush")
    named = {"ClientId": CLIENT, "Username": "alice", "SecretHash": digest}
    pool.expect("forgot_password", named, SENT)
    pool.expect("confirm_forgot_password", {**named, "ConfirmationCode": "1", "Password": "p"}, {})
    answers = Answers(new_password="p", code="1")
    reset_password(pool.pool, pool.profile, answers, "alice")
    pool.stub.assert_no_pending_responses()


def test_a_flow_that_the_client_does_not_allow_is_named_as_the_administrator_knows_it(pool):
    text = "USER_PASSWORD_AUTH flow not enabled for this client"
    pool.refuse("initiate_auth", "InvalidParameterException", text)
    with pytest.raises(ConfigError, match="ALLOW_USER_PASSWORD_AUTH"):
        pool.run(Answers(PASSWORD), "password")


def test_json_of_attributes_is_answered_name_by_name(pool):
    pool.begin(verifier(), USERNAME="alice", SRP_A=ANY)
    wanted = json.dumps(["userAttributes.name", "userAttributes.email"])
    pool.answer(
        "PASSWORD_VERIFIER", challenge("NEW_PASSWORD_REQUIRED", requiredAttributes=wanted), **PROOF
    )
    given = {"NEW_PASSWORD": "B3tter!!", "userAttributes.name": "A", "userAttributes.email": "e"}
    pool.answer("NEW_PASSWORD_REQUIRED", tokens(), USERNAME="alice", **given)
    pool.run(Answers(PASSWORD, new_password="B3tter!!", attributes={"name": "A", "email": "e"}))
