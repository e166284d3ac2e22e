"""From an identity to keys: what the enhanced flow asks for."""

from datetime import UTC, datetime

import pytest

from cognitofs.auth.identity import EnhancedFlow, Login
from cognitofs.config import Profile
from cognitofs.errors import ConfigError

IDENTITY = "us-east-1:00000000-0000-4000-8000-000000000001"
ROLE = "arn:aws:iam::111122223333:role/Photographers"


class Pool:
    """Answers as GetCredentialsForIdentity does, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def ask(self, operation, **parameters):
        self.asked.append((operation, parameters))
        keys = {
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretKey": "secret",
            "SessionToken": "token",
            "Expiration": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return {"IdentityId": IDENTITY, "Credentials": keys}


@pytest.mark.parametrize(("role", "said"), [("", {}), (ROLE, {"CustomRoleArn": ROLE})])
def test_the_enhanced_flow_asks_for_a_role_only_when_the_profile_names_one(role, said):
    pool = Pool()
    profile = Profile(custom_role_arn=role)
    grant = EnhancedFlow(pool, profile).keys(IDENTITY, Login({"provider": "id token"}))
    assert pool.asked == [
        (
            "get_credentials_for_identity",
            {"IdentityId": IDENTITY, "Logins": {"provider": "id token"}, **said},
        )
    ]
    assert grant.identity_id == IDENTITY


def test_the_roles_of_both_flows_exclude_each_other():
    with pytest.raises(ConfigError, match="classic flow"):
        Profile(custom_role_arn=ROLE, role_arn=ROLE)
