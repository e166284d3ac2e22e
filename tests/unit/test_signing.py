"""Our signature is botocore's, whatever is signed."""

import datetime
from unittest import mock
from urllib.parse import urlencode

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from cognitofs.store.keys import Keys
from cognitofs.store.requests import encode_key, encode_query
from cognitofs.store.signing import sign

NOW = 1_700_000_000.0
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
VALUES = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)


def _botocore(method, path, query, headers, keys):
    """Return the Authorization header of botocore's own signer at NOW."""
    request = AWSRequest(method, f"https://{headers['host']}{path}?{query}", headers=headers)
    request.context["client_config"] = None
    moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token or None)
    signer = auth.S3SigV4Auth(credentials, "s3", "eu-west-1")
    with (
        mock.patch.object(auth, "get_current_datetime", return_value=moment),
        mock.patch.object(signer, "_should_sha256_sign_payload", return_value=False),
    ):
        signer.add_auth(request)
    return request.headers["Authorization"]


@example(method="GET", key="0", query={"a": "", "a-": ""}, meta={}, token="")
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    key=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    query=st.dictionaries(NAMES, VALUES, max_size=4),
    meta=st.dictionaries(NAMES.map("x-amz-meta-{}".format), VALUES, max_size=4),
    token=st.sampled_from(["", "a/token+with=signs"]),
)
def test_the_signature_is_botocores(method, key, query, meta, token):
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token)
    headers = {"host": "bucket.s3.eu-west-1.amazonaws.com", **meta}
    path, encoded = f"/{encode_key(key)}", encode_query(tuple(query.items()))
    ours = sign(method, path, encoded, headers, keys=keys, region="eu-west-1", now=NOW)
    assert ours["authorization"] == _botocore(method, path, encoded, headers, keys)


def test_the_secret_is_in_no_header():
    keys = Keys("AKID", "very-secret", "token")
    signed = sign("GET", "/k", "", {"host": "h"}, keys=keys, region="r", now=NOW)
    assert "very-secret" not in urlencode(signed)
    assert signed["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_keys_do_not_show_themselves():
    assert "very-secret" not in repr(Keys("AKID", "very-secret", "token-text"))
    assert "token-text" not in repr(Keys("AKID", "very-secret", "token-text"))


@pytest.mark.parametrize("key", ["a b", "a+b", "ż", "a%2Fb", "x//y", "~*'()", "us-east-1:0"])
def test_keys_are_encoded_as_signatures_want(key):
    unreserved = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/%")
    assert set(encode_key(key)) <= unreserved
