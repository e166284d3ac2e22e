"""Which role the keys at hand are of, as AWS itself says.

Owns one signed call, GetCallerIdentity of STS, which needs no permission.
"""

from cognitofs.auth.clients import signed_client
from cognitofs.config import Profile
from cognitofs.store.keys import Keys


def role_of(keys: Keys, profile: Profile) -> str:
    """Return the ARN of the session that *keys* belong to; "" when STS cannot say."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - costs 0.2 s

    try:
        answer = signed_client("sts", profile, keys).get_caller_identity()
    except (BotoCoreError, ClientError, OSError):
        return ""
    return str(answer.get("Arn", ""))
