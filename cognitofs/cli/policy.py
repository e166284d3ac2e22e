"""`cognitofs policy`: what an administrator attaches, made for this profile's bucket and prefix."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from cognitofs import policy as documents
from cognitofs.cli.options import ConfigOption, JsonOption, ProfileOption
from cognitofs.cli.output import complain, say
from cognitofs.config import Profile
from cognitofs.errors import ConfigError
from cognitofs.rootprefix import check_template
from cognitofs.settings import load_settings


class Part(StrEnum):
    """Which document."""

    ROLE = "role"
    TRUST = "trust"
    LIFECYCLE = "lifecycle"


_TITLES = {
    Part.ROLE: "The policy of the role (aws iam put-role-policy --policy-document)",
    Part.TRUST: "Who may take the role (aws iam update-assume-role-policy --policy-document)",
    Part.LIFECYCLE: "The bucket's lifecycle rule for uploads that nobody completes; add it to the "
    "rules that are there",
}


_Part = Annotated[
    Part | None,
    typer.Argument(metavar="[role|trust|lifecycle]", help="Only this document, as plain JSON."),
]
_Kms = Annotated[
    str,
    typer.Option(metavar="KEY_ARN", help="Also allow this KMS key, which the bucket uses."),
]
_Guest = Annotated[bool, typer.Option("--guest", help="For people who are not signed in.")]
_Root = Annotated[
    str | None,
    typer.Option(metavar="TEMPLATE", help="Another prefix than the profile's `root`."),
]
_Bucket = Annotated[
    str | None, typer.Option(metavar="NAME", help="Another bucket than the profile's.")
]


def policy(
    part: _Part = None,
    *,
    kms: _Kms = "",
    guest: _Guest = False,
    root: _Root = None,
    bucket: _Bucket = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the policies that let people use this bucket with cognitofs, and nothing more.

    For example:

      cognitofs policy

      cognitofs policy role > role.json

      cognitofs policy --kms arn:aws:kms:eu-west-1:111122223333:key/1234abcd --json
    """
    grant = _grant(load_settings(profile, config).profile, root, bucket, kms, guests=guest)
    made = {
        Part.ROLE: documents.role(grant),
        Part.TRUST: documents.trust(grant),
        Part.LIFECYCLE: documents.lifecycle(),
    }
    for notice in _notices(grant):
        complain(notice)
    if part is not None:
        say(json.dumps(made[part], indent=2))
    elif as_json:
        say(json.dumps({str(each): document for each, document in made.items()}, indent=2))
    else:
        _show(made)


def _grant(
    profile: Profile, root: str | None, bucket: str | None, kms: str, *, guests: bool
) -> documents.Grant:
    if root is not None:
        check_template(root)
    name = bucket or profile.bucket
    if not name:
        raise ConfigError("No bucket is configured; name one with --bucket NAME.")
    template = profile.root_template(has_identity=True) if root is None else root
    return documents.Grant(
        name,
        template,
        profile.s3_region,
        profile.identity_pool_id,
        kms,
        guests,
        layout=profile.layout if root is None else "",
    )


def _notices(grant: documents.Grant) -> list[str]:
    notices = [
        f"{{{name}}} is known to S3 only as a session tag: in the identity pool, map the tag "
        f"{name!r} to the claim {documents.TAGS[name]!r} (attributes for access control)."
        for name in grant.tags
    ]
    if not grant.names_owner:
        notices.append(
            f"A prefix of {grant.layout or grant.root!r} names no user: everybody with this role "
            "shares it."
        )
    if grant.partition != "aws":
        notices.append(
            "In this partition the Cognito principal may have another name than "
            "cognito-identity.amazonaws.com; compare with a role that the console made."
        )
    if not grant.identity_pool_id:
        notices.append("Replace IDENTITY_POOL_ID: the profile has no identity_pool_id.")
    return notices


def _show(made: dict[Part, documents.Document]) -> None:
    for part, document in made.items():
        say(f"# {_TITLES[part]}")
        say(json.dumps(document, indent=2))
        say()
