"""The policies that an administrator attaches: as JSON documents, the least that gives everything.

Owns the actions and how a `root` template is said in IAM's language. Pure; asks AWS nothing.
Sources: IAM user guide, "Policy variables" and "Actions, resources, and condition keys for Amazon
S3"; Cognito developer guide, "IAM roles" and "Using attributes for access control".

INVARIANT: a document grants nothing outside the prefix of the template.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cognitofs.errors import ConfigError
from cognitofs.levels import AMPLIFY, PROTECTED, templates

Document = Mapping[str, object]

_IDENTITY = "cognito-identity.amazonaws.com"
_VERSION = "2012-10-17"
OBJECT_ACTIONS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
KMS_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")
# {sub} and {username} are known to IAM only as tags of the session, mapped in the identity pool.
_VARIABLES = {
    "identity_id": f"${{{_IDENTITY}:sub}}",
    "sub": "${aws:PrincipalTag/sub}",
    "username": "${aws:PrincipalTag/username}",
}
TAGS = {"sub": "sub", "username": "cognito:username"}
"""Fields of `root` that need a session tag of the same name, and the claim to map to it."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_KEY_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Grant:
    """What to grant, and where. *root* is a template that ends in "/", or "" (the whole bucket).

    *layout*, if any, takes its place (see `levels.py`). *kms* is the ARN of the key that the
    bucket encrypts with, "" for none; *guests* is for people who are not signed in.
    """

    bucket: str
    root: str
    region: str
    identity_pool_id: str = ""
    kms: str = ""
    guests: bool = False
    layout: str = ""

    @property
    def partition(self) -> str:
        """The partition that the ARNs are in."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def tags(self) -> tuple[str, ...]:
        """The fields of `root` that the identity pool must map to tags of the session."""
        text = self.layout or self.root
        return tuple(name for name in TAGS if f"{{{name}}}" in text)

    @property
    def names_owner(self) -> bool:
        """Whether every prefix that may be written is another one for each user."""
        return all(_FIELD.search(each) for each in templates(self.layout) or [self.root])


def role(grant: Grant) -> Document:
    """Return the policy of the role. Raises ConfigError when `kms` is no key's ARN."""
    arn = f"arn:{grant.partition}:s3:::{grant.bucket}"
    written = [pattern(each) for each in templates(grant.layout) or [grant.root]]
    # Of Amplify's protected files everybody may read all.
    shared = [PROTECTED] if grant.layout == AMPLIFY else []
    statements: list[Document] = [
        {
            "Sid": "OwnFiles",
            "Effect": "Allow",
            "Action": list(OBJECT_ACTIONS),
            "Resource": _one_or_all([f"{arn}/{each}*" for each in written]),
        },
        *(_reading(arn, each) for each in shared),
        _listing(arn, [each for each in written if not each.startswith(tuple(shared))] + shared),
    ]
    if grant.kms:
        statements.append(kms(grant))
    return {"Version": _VERSION, "Statement": statements}


def _reading(arn: str, prefix: str) -> Document:
    return {
        "Sid": "OthersFiles",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": f"{arn}/{prefix}*",
    }


def _listing(arn: str, prefixes: list[str]) -> Document:
    listing = {"Sid": "OwnListing", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn}
    if "" in prefixes:
        return listing
    patterns = [each for prefix in prefixes for each in (prefix, f"{prefix}*")]
    return {**listing, "Condition": {"StringLike": {"s3:prefix": patterns}}}


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def kms(grant: Grant) -> Document:
    """Return the statement for the key of the bucket, for use by way of S3 only."""
    match = _KEY_ARN.fullmatch(grant.kms)
    if match is None:
        raise ConfigError(
            f"{grant.kms!r} is not the ARN of a KMS key; give it as "
            "arn:aws:kms:REGION:ACCOUNT:key/ID (policies know no aliases)."
        )
    suffix = ".cn" if match[1] == "aws-cn" else ""
    service = f"s3.{match[2]}.amazonaws.com{suffix}"
    return {
        "Sid": "OwnFilesKey",
        "Effect": "Allow",
        "Action": list(KMS_ACTIONS),
        "Resource": grant.kms,
        "Condition": {"StringEquals": {"kms:ViaService": service}},
    }


def trust(grant: Grant) -> Document:
    """Return who may take the role: the signed-in users of the pool, or its guests."""
    actions = ["sts:AssumeRoleWithWebIdentity", *(["sts:TagSession"] if grant.tags else [])]
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": _IDENTITY},
        "Action": actions if len(actions) > 1 else actions[0],
        "Condition": {
            "StringEquals": {f"{_IDENTITY}:aud": grant.identity_pool_id or "IDENTITY_POOL_ID"},
            "ForAnyValue:StringLike": {
                f"{_IDENTITY}:amr": "unauthenticated" if grant.guests else "authenticated"
            },
        },
    }
    return {"Version": _VERSION, "Statement": [statement]}


def lifecycle() -> Document:
    """Return the rule that removes the parts of uploads nobody completes."""
    rule = {
        "ID": "abort-incomplete-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    return {"Rules": [rule]}


def pattern(root: str) -> str:
    """Return the template *root* in IAM's language, its wildcard letters taken literally."""
    parts = []
    end = 0
    for match in _FIELD.finditer(root):
        parts += [_literal(root[end : match.start()]), _VARIABLES[match[1]]]
        end = match.end()
    return "".join((*parts, _literal(root[end:])))


def _literal(text: str) -> str:
    return re.sub(r"[*?$]", lambda letter: f"${{{letter[0]}}}", text)
