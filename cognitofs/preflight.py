"""Preflight: what the role may do below the prefix, found out before the mount returns.

Needs exactly the requests a stock Amplify role allows, and writes nothing: the right to write is
tried with a PutObject that cannot succeed (If-Match on a key that does not exist; S3 checks the
right first, then the condition, 403 against 404 or 412).
"""

import secrets
from dataclasses import dataclass

from cognitofs.errors import (
    AccessDenied,
    ConditionalConflict,
    KeysRefused,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
    Rejected,
    Unsupported,
)
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectStore

_NOBODY = ETag('"00000000000000000000000000000000"')


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out: whether we may write, and what the person should know."""

    may_write: bool
    notices: tuple[str, ...] = ()


async def examine(store: ObjectStore, s3_uri: str, *, own: str = "") -> Findings:
    """Return what the role may do; *own* is the directory to write to, "" the whole prefix.

    Raises what makes a mount impossible, as a sentence.
    """
    some_key = await _list(store, s3_uri)
    await _check_read(store, some_key, s3_uri)
    return await _try_write(store, s3_uri, own)


async def _list(store: ObjectStore, s3_uri: str) -> str | None:
    try:
        page = await store.list_page("", delimiter="", limit=2)
    except (NoSuchBucket, KeysRefused) as exc:
        raise type(exc)(f"{s3_uri} cannot be mounted. {exc}") from exc
    except AccessDenied as exc:
        raise AccessDenied(
            f"The role may not list {s3_uri}; it needs s3:ListBucket for that prefix"
            " (docs/PERMISSIONS.md has the statement to hand to the administrator)."
        ) from exc
    return next((found.key for found in page.objects if found.key), None)


async def _check_read(store: ObjectStore, key: str | None, s3_uri: str) -> None:
    """Refuse a role that may not read: conditional writes need GetObject too."""
    if key is None:
        return
    try:
        await store.head(key)
    except NotFound:
        return
    except AccessDenied as exc:
        raise AccessDenied(
            f"The role may not read {s3_uri}; it needs s3:GetObject below that prefix"
            " (docs/PERMISSIONS.md)."
        ) from exc


async def _try_write(store: ObjectStore, s3_uri: str, own: str) -> Findings:
    probe = f"{own}.cognitofs-probe-{secrets.token_hex(8)}"
    try:
        await store.put(probe, b"", ObjectHeaders(), expect=_NOBODY)
    except AccessDenied:
        return Findings(
            may_write=False,
            notices=(
                f"The role may not write {s3_uri} (it needs s3:PutObject, and s3:GetObject for"
                " conditional writes): mounted read-only.",
            ),
        )
    except (NotFound, PreconditionFailed, ConditionalConflict):
        return Findings(may_write=True)
    except (Rejected, Unsupported):  # what it does with conditions is found out for itself
        return Findings(may_write=True)
    await store.delete(probe)  # the server ignored the condition: only servers off AWS do
    return Findings(may_write=True)
