"""`login` and `whoami` say where the files are: one prefix, or each of a layout."""

from types import SimpleNamespace

import pytest

from cognitofs.cli.places import places
from cognitofs.config import Profile


def account(**profile):
    return SimpleNamespace(
        profile=Profile(**profile),
        identity_id="eu-west-1:7ad01d25-40b8-4df0-b1a0-9d5e2b1b3c4d",
        sub="1234",
        username="ada",
        s3_uri="s3://files/private/eu-west-1:7ad01d25-40b8-4df0-b1a0-9d5e2b1b3c4d/",
    )


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({}, ()),
        (
            {"bucket": "files"},
            ("s3://files/private/eu-west-1:7ad01d25-40b8-4df0-b1a0-9d5e2b1b3c4d/",),
        ),
        (
            {"bucket": "files", "layout": "amplify"},
            (
                "s3://files/private/eu-west-1:7ad01d25-40b8-4df0-b1a0-9d5e2b1b3c4d/",
                "s3://files/protected/",
                "s3://files/public/",
            ),
        ),
        (
            {"bucket": "files", "layout": "full/{identity_id}/ public/"},
            (
                "s3://files/full/eu-west-1:7ad01d25-40b8-4df0-b1a0-9d5e2b1b3c4d/",
                "s3://files/public/",
            ),
        ),
    ],
)
def test_each_prefix_of_a_mount_is_named(profile, expected):
    assert places(account(**profile)) == expected
