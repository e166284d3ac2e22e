"""Keys of a short life are replaced before they end, and work goes on after they were ended."""

import pytest

from cognitofs.auth.account import sign_in
from cognitofs.auth.tokens import TokenStore
from cognitofs.errors import AuthUnavailable, LoginRequired
from tests.cloud.emulator import PASSWORD, status_of
from tests.cloud.test_cloud_signin import age_id_token
from tests.unit.answers import Answers


def test_keys_that_live_six_seconds_are_due_before_they_end(cloud, app, tmp_path):
    with cloud.lifetime(6):
        credentials = app.sign_in(tmp_path / "state").credentials
        assert 0 < credentials.seconds_to_refresh() <= 4.5


def test_background_refreshes_keep_the_keys_ahead_of_their_end(cloud, app, tmp_path):
    """As the background refresher does it: sleep as told, refresh; no request ever waits."""
    with cloud.lifetime(2):
        account = app.sign_in(tmp_path / "state")
        credentials, s3 = account.credentials, app.s3
        seen = set()
        while len(seen) < 3:
            keys = credentials.current()
            seen.add(keys.access_key)
            status = status_of(
                s3(keys).put_object, Bucket=app.bucket, Key=f"{account.root}x", Body=b"1"
            )
            assert status == 200
            if credentials.seconds_to_refresh() <= 0:
                credentials.refresh()


def test_keys_that_the_server_ended_are_replaced_once_they_are_given_back(cloud, app, tmp_path):
    account = app.sign_in(tmp_path / "state")
    keys = account.credentials.current()
    assert cloud.expire(keys.access_key) == 1
    request = {"Bucket": app.bucket, "Key": f"{account.root}x", "Body": b"1"}
    assert status_of(app.s3(keys).put_object, **request) == 400
    account.credentials.invalidate(keys.access_key)
    fresh = account.credentials.current()
    assert fresh.access_key != keys.access_key
    assert status_of(app.s3(fresh).put_object, **request) == 200


def test_trouble_of_cognito_does_not_take_good_keys_away(cloud, app, tmp_path):
    with cloud.lifetime(60):
        credentials = app.sign_in(tmp_path / "state").credentials
    keys = credentials.current()
    cloud.fail("cognito-identity", count=99)
    try:
        assert credentials.current() == keys
        credentials.invalidate(keys.access_key)
        with pytest.raises(AuthUnavailable):
            credentials.current()
        assert isinstance(credentials.last_error, AuthUnavailable)
    finally:
        cloud.fail("cognito-identity", count=0)


def test_a_new_login_resumes_the_same_credentials_at_once(app, tmp_path):
    state = tmp_path / "state"
    account = app.sign_in(state)
    credentials = account.credentials
    refresh_token = TokenStore(state).load().refresh_token
    app.cloud.root("cognito-idp").revoke_token(Token=refresh_token, ClientId=app.profile.client_id)
    age_id_token(state)
    credentials.invalidate(credentials.current().access_key)
    with pytest.raises(LoginRequired):
        credentials.current()
    sign_in(app.profile, state, "alice", Answers(PASSWORD))
    keys = credentials.current()
    assert credentials.last_error is None
    request = {"Bucket": app.bucket, "Key": f"{account.root}x", "Body": b"1"}
    assert status_of(app.s3(keys).put_object, **request) == 200


@pytest.mark.parametrize("policy", ["stock", "no-list", "no-put"])
def test_the_poorer_roles_differ_as_they_say(cloud, tmp_path, policy):
    app = cloud.application(policy)
    account = app.sign_in(tmp_path / "state")
    s3, key = app.s3(account.credentials.current()), f"{account.root}x"
    put = status_of(s3.put_object, Bucket=app.bucket, Key=key, Body=b"1")
    listing = status_of(s3.list_objects_v2, Bucket=app.bucket, Prefix=account.root)
    missing = status_of(s3.head_object, Bucket=app.bucket, Key=f"{account.root}none")
    assert put == (403 if policy == "no-put" else 200)
    assert listing == (403 if policy == "no-list" else 200)
    assert missing == (403 if policy == "no-list" else 404)
    if policy != "no-put":
        upload = s3.create_multipart_upload(Bucket=app.bucket, Key=key)["UploadId"]
        abort = status_of(s3.abort_multipart_upload, Bucket=app.bucket, Key=key, UploadId=upload)
        assert abort == 403
