"""The root template: which prefix of the bucket belongs to whom.

Owns the template's language and the check of what is filled in. Does not know where the values
come from, nor S3. The role's policy is the real boundary; this keeps a mistake, or an attribute
that a user may edit, from aiming the mount at somebody else's prefix.

INVARIANT: `resolve_root` returns "" or a prefix that ends in "/" and has no empty, "." or ".."
segment.
"""

import re
from collections.abc import Mapping

from cognitofs.errors import ConfigError

STANDARD_ROOT = "private/{identity_id}/"
"""What Amplify's stock roles give to each signed-in user."""

CLAIMS = ("identity_id", "sub", "username")

_FIELD = re.compile(r"\{([^{}]*)\}")
_VALUE = re.compile(r"[A-Za-z0-9@._+=-]+")
# "{region}:{uuid}", the pattern of IdentityId in the model of cognito-identity.
_IDENTITY_ID = re.compile(r"[a-z0-9-]+:[0-9a-f-]{36}")


def check_template(template: str) -> None:
    """Raise ConfigError unless *template* is "" or a prefix with known fields."""
    if not template:
        return
    unknown = [name for name in _FIELD.findall(template) if name not in CLAIMS]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in CLAIMS)
        raise ConfigError(f"`root` knows only {known}; remove {{{unknown[0]}}} from it.")
    if re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigError(
            "`root` has a brace without its partner; write for example {identity_id}."
        )
    _check_prefix(_FIELD.sub("x", template), template)


def resolve_root(template: str, claims: Mapping[str, str]) -> str:
    """Return *template* with its fields filled from *claims* (keys as in `CLAIMS`).

    Raises ConfigError when a value is missing, or could change the prefix's shape.
    """
    check_template(template)
    return _FIELD.sub(lambda match: _checked(match[1], claims.get(match[1], "")), template)


def _checked(name: str, value: str) -> str:
    if not value:
        raise ConfigError(
            f"`root` asks for {{{name}}}, which this sign-in does not have; "
            "set `root` to a prefix without it."
        )
    shape = _IDENTITY_ID if name == "identity_id" else _VALUE
    if not shape.fullmatch(value) or value in (".", ".."):
        raise ConfigError(
            f"The value of {{{name}}} has characters that may not stand in `root`; "
            "set `root` to a prefix without it."
        )
    return value


def _check_prefix(prefix: str, template: str) -> None:
    if not prefix.endswith("/"):
        raise ConfigError(f'`root` must end in "/"; write "{template}/".')
    if any(segment in ("", ".", "..") for segment in prefix[:-1].split("/")):
        raise ConfigError(
            f'`root` "{template}" has an empty, "." or ".." segment; write a plain prefix.'
        )
    if not prefix.isprintable():
        raise ConfigError("`root` has a control character; write a plain prefix.")
