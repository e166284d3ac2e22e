"""The policies that `cognitofs policy` prints: those of docs/PERMISSIONS.md, for any profile."""

import json
import subprocess
import sys

import pytest

from cognitofs import policy
from cognitofs.errors import ConfigError
from cognitofs.rootprefix import STANDARD_ROOT
from tests.unit.test_documents import PERMISSIONS, json_blocks

KEY = "arn:aws:kms:eu-west-1:111122223333:key/KEY-ID"
SUB = "${cognito-identity.amazonaws.com:sub}"


def grant(root=STANDARD_ROOT, region="eu-west-1", **options):
    return policy.Grant("BUCKET", root, region, "IDENTITY_POOL_ID", **options)


def test_the_documents_are_those_of_the_permissions_page():
    least, _, trust, lifecycle, kms = json_blocks(PERMISSIONS)
    assert policy.role(grant()) == least
    assert policy.trust(grant()) == trust
    assert policy.lifecycle() == lifecycle
    assert policy.kms(grant(kms=KEY)) == kms
    assert policy.role(grant(kms=KEY))["Statement"] == [*least["Statement"], kms]


def test_guests_have_a_trust_of_their_own():
    condition = policy.trust(grant(guests=True))["Statement"][0]["Condition"]
    assert list(condition["ForAnyValue:StringLike"].values()) == ["unauthenticated"]


def test_every_field_of_a_root_becomes_a_variable_and_tags_are_asked_for():
    assert policy.pattern("a/{identity_id}/b/") == f"a/{SUB}/b/"
    tagged = grant("{username}/{sub}/")
    assert policy.pattern(tagged.root) == "${aws:PrincipalTag/username}/${aws:PrincipalTag/sub}/"
    assert set(tagged.tags) == {"sub", "username"}
    assert "sts:TagSession" in policy.trust(tagged)["Statement"][0]["Action"]
    assert grant().tags == ()


def test_letters_that_iam_would_expand_are_taken_literally():
    assert policy.pattern("a*b?c$d/") == "a${*}b${?}c${$}d/"


def test_a_whole_bucket_needs_no_condition():
    own, listing = policy.role(grant(""))["Statement"]
    assert own["Resource"] == "arn:aws:s3:::BUCKET/*"
    assert "Condition" not in listing


def test_a_layout_grants_each_of_its_prefixes_and_reading_what_is_protected():
    own, reading, listing = policy.role(grant(layout="amplify"))["Statement"]
    assert own["Resource"] == [
        f"arn:aws:s3:::BUCKET/{each}*"
        for each in (f"private/{SUB}/", f"protected/{SUB}/", "public/")
    ]
    assert reading["Resource"] == "arn:aws:s3:::BUCKET/protected/*"
    assert reading["Action"] == "s3:GetObject"
    prefixes = listing["Condition"]["StringLike"]["s3:prefix"]
    assert prefixes[::2] == [f"private/{SUB}/", "public/", "protected/"]
    assert not grant(layout="amplify").names_owner
    assert grant(layout="a/{identity_id}/ b/{sub}/").names_owner
    assert grant(layout="a/{identity_id}/ b/{sub}/").tags == ("sub",)


def test_the_partition_follows_the_region():
    assert grant(region="cn-north-1").partition == "aws-cn"
    own = policy.role(grant(region="us-gov-west-1"))["Statement"][0]
    assert own["Resource"].startswith("arn:aws-us-gov:s3:::BUCKET/")


@pytest.mark.parametrize(
    "key", ["alias/mine", "1234", "arn:aws:kms:eu-west-1:111122223333:alias/x"]
)
def test_a_key_that_policies_cannot_name_is_refused(key):
    with pytest.raises(ConfigError, match="know no aliases"):
        policy.role(grant(kms=key))


@pytest.fixture
def run(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[profiles.default]\nbucket = "files"\nregion = "eu-west-1"\n')

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "cognitofs", "policy", f"--config={config}", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_each_document_alone_is_json_and_all_of_them_are_too(run):
    for part in ("role", "trust", "lifecycle"):
        done = run(part)
        assert json.loads(done.stdout) == json.loads(run("--json").stdout)[part]
        assert "IDENTITY_POOL_ID" in done.stderr
    done = run()
    assert done.returncode == 0
    assert done.stdout.count("\n# ") + done.stdout.startswith("# ") == 3


def test_a_shared_prefix_and_an_unknown_field_are_said(run):
    done = run("role", "--root=public/")
    assert "everybody with this role shares it" in done.stderr
    assert json.loads(done.stdout)["Statement"][0]["Resource"] == "arn:aws:s3:::files/public/*"
    done = run("--root={tenant}/")
    assert (done.returncode, done.stdout) == (2, "")
    assert run("role", "--kms=nope").returncode == 2
