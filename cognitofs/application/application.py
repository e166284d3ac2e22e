"""Application: what an application's own configuration says that a profile needs.

Owns the facts and where each was found, and that a contradiction is an error, never a choice.
Reads no file (`literals.py`) and knows no form (`forms.py`).

INVARIANT: every value is of the shape that Cognito and S3 give out, so that a placeholder of a
template is refused by name and not by AWS.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cognitofs.errors import ConfigError

# The patterns of UserPoolIdType, ClientIdType (cognito-idp) and IdentityPoolId (cognito-identity)
# in AWS's service models.
_SHAPES = {
    "user_pool_id": (re.compile(r"[\w-]+_[0-9a-zA-Z]+"), "eu-west-1_AbCdEfGhI"),
    "client_id": (re.compile(r"[\w+]+"), "1h57kf5cpq17m0eml12EXAMPLE"),
    "identity_pool_id": (re.compile(r"[\w-]+:[0-9a-f-]+"), "eu-west-1:7ad01d25-..."),
    "bucket": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]"), "family-files"),
    "bucket_region": (re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+"), "eu-west-1"),
    "region": (re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+"), "eu-west-1"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One value, and the path in the file where it stands."""

    value: str = field(repr=False)
    place: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of the application. *label* is its friendly name, "" when it has none.

    *owned* are the templates of the prefixes that one identity may write; None when the file does
    not say, which means Amplify's levels.
    """

    label: str
    name: Fact
    region: Fact | None
    owned: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """One application. *form* names the kind of file; *facts* has keys of a profile.

    The first of *buckets* is the application's default.
    """

    form: str
    facts: Mapping[str, Fact]
    buckets: tuple[Bucket, ...] = ()
    notices: tuple[str, ...] = ()


class Facts:
    """Collects facts; the same one twice must be the same."""

    def __init__(self) -> None:
        self.found: dict[str, Fact] = {}

    def add(self, key: str, value: object, place: str) -> None:
        """Note *value* if it is there. Raises ConfigError for a contradiction or a wrong shape."""
        if value is None or value == "":
            return
        fact = checked(key, value, place)
        known = self.found.setdefault(key, fact)
        if known.value != fact.value:
            raise ConfigError(
                f"The file contradicts itself: {known.place} is {known.value!r}, but {place} is "
                f"{fact.value!r}; correct it, or set `{key}` yourself with --set."
            )


def checked(key: str, value: object, place: str) -> Fact:
    """Return the fact that *place* says *value*. Raises ConfigError for what cannot be a *key*."""
    shape = _SHAPES.get(key)
    is_text = isinstance(value, str) and value.isprintable()
    if not isinstance(value, str) or not is_text or (shape and not shape[0].fullmatch(value)):
        shown = "not of the right shape" if key == "client_secret" else repr(value)[:80]
        example = f" such as {shape[1]}" if shape else ""
        raise ConfigError(
            f"{place} is {shown}, which cannot be `{key}`{example}; fill the file in, or take "
            "the one that the application was deployed with."
        )
    return Fact(value, place)
