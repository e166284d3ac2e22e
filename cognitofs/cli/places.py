"""Where a person's files are in the bucket, as URIs.

Owns the difference between one prefix and the several of a layout.
"""

from cognitofs.auth.account import Account
from cognitofs.levels import levels_of


def places(found: Account) -> tuple[str, ...]:
    """Return the URI of each prefix that a mount of *found* shows; none without a bucket.

    Raises ConfigError for a layout that does not fit the sign-in.
    """
    profile = found.profile
    if not profile.bucket:
        return ()
    claims = {"identity_id": found.identity_id, "sub": found.sub, "username": found.username}
    levels = levels_of(profile.layout, claims)
    if not levels:
        return (found.s3_uri,)
    return tuple(f"s3://{profile.bucket}/{level.prefix}" for level in levels)
