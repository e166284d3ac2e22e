"""The demo's cloud, moto, works too, though it lacks GetTokensFromRefreshToken."""

from dataclasses import replace

import boto3
import pytest

from cognitofs.auth.account import open_account, sign_in
from cognitofs.auth.tokens import TokenStore
from cognitofs.config import Profile
from tests.cloud.emulator import PASSWORD, REGION
from tests.unit.answers import Answers


@pytest.fixture
def profile(moto_server):
    clients = {
        service: boto3.client(
            service,
            endpoint_url=moto_server.endpoint,
            region_name=REGION,
            aws_access_key_id="moto",
            aws_secret_access_key="moto",
        )
        for service in ("cognito-idp", "cognito-identity")
    }
    users = clients["cognito-idp"]
    pool = users.create_user_pool(PoolName="people")["UserPool"]["Id"]
    client = users.create_user_pool_client(UserPoolId=pool, ClientName="cognitofs")
    users.admin_create_user(UserPoolId=pool, Username="alice", MessageAction="SUPPRESS")
    users.admin_set_user_password(
        UserPoolId=pool, Username="alice", Password=PASSWORD, Permanent=True
    )
    identity_pool = clients["cognito-identity"].create_identity_pool(
        IdentityPoolName="people", AllowUnauthenticatedIdentities=False
    )
    yield Profile(
        user_pool_id=pool,
        client_id=client["UserPoolClient"]["ClientId"],
        identity_pool_id=identity_pool["IdentityPoolId"],
        bucket="files",
        endpoint_url=moto_server.endpoint,
    )
    for made in clients.values():
        made.close()


def test_the_sign_in_is_renewed_the_old_way(profile, tmp_path):
    state = tmp_path / "state"
    sign_in(profile, state, "alice", Answers(PASSWORD))
    store = TokenStore(state)
    store.save(replace(store.load(), id_token="aged", expires_at=1.0))
    account = open_account(profile, state)
    assert account.username == "alice"
    assert store.load().id_token != "aged"


def test_the_identity_stays_although_moto_names_a_new_one_at_each_question(profile, tmp_path):
    state = tmp_path / "state"
    sign_in(profile, state, "alice", Answers(PASSWORD))
    first = open_account(profile, state)
    sign_in(profile, state, "alice", Answers(PASSWORD))
    assert open_account(profile, state).identity_id == first.identity_id
    assert first.root == f"private/{first.identity_id}/"
