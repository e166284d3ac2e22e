"""Whether the sign-in works, whose clock is right, and which role it leads to."""

from collections.abc import Mapping
from pathlib import Path

from cognitofs.auth.account import Account, stored_sign_in
from cognitofs.auth.clock import TOLERATED_SECONDS, ServerClock
from cognitofs.auth.role import role_of
from cognitofs.auth.tokens import claims_of
from cognitofs.config import Profile
from cognitofs.doctor.findings import Check, Finding, hint, ok, problem
from cognitofs.errors import CognitoFSError

# Signatures are refused at 15 minutes; a clock that is off by one minute is not kept by NTP.
_NOTICEABLE_SECONDS = 60.0


def signed_in(account: Account) -> Finding:
    """Return as whom, and with which role, keys were given out."""
    who = account.username or account.identity_id or "the credential process"
    identity = f" ({account.identity_id})" if account.username and account.identity_id else ""
    role = role_of(account.credentials.current(), account.profile)
    with_role = f" with the role {role}" if role else ""
    return ok(Check.SIGN_IN, f"There are keys for {who}{identity}{with_role}; see {account.s3_uri}")


def clock(measured: ServerClock) -> Finding:
    """Return how far this machine's clock is off."""
    off = abs(measured.skew)
    text = f"The clock of this machine is {off:.0f} s off the server's."
    remedy = "Set the clock, for example with `timedatectl set-ntp true`."
    if off > TOLERATED_SECONDS:
        return problem(Check.CLOCK, f"{text} S3 refuses signatures at 900 s.", remedy)
    if off > _NOTICEABLE_SECONDS:
        return hint(Check.CLOCK, text, remedy)
    return ok(Check.CLOCK, "The clock agrees with the server's.")


def stored_claims(profile: Profile, state: Path) -> Mapping[str, object]:
    """Return the claims of the stored sign-in; none when there is none."""
    try:
        return claims_of(stored_sign_in(profile, state).id_token)
    except CognitoFSError:
        return {}


def groups(claims: Mapping[str, object]) -> Finding:
    """Warn of a group's role, which takes the place of the one for signed-in users."""
    names = claims.get("cognito:groups")
    role = claims.get("cognito:preferred_role")
    if not isinstance(names, list) or not names:
        return ok(Check.GROUPS, "You are in no group that could change your role.")
    if not role:
        return ok(Check.GROUPS, f"Your groups ({_listed(names)}) bring no role of their own.")
    return hint(
        Check.GROUPS,
        f"You are in {_listed(names)}, so the identity pool may give you {role} in place of the "
        "role for signed-in users, whose rights you then do not have.",
        "If something is denied below, that role needs the policy of `cognitofs policy role`, or "
        "the identity pool must use its default role.",
    )


def _listed(names: list[object]) -> str:
    return ", ".join(str(each)[:60] for each in names[:5])
