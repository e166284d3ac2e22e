"""The choices that a configuration can leave open: which bucket, and which prefix of it.

Owns the rules; pure. Whom to ask is for the command line.
"""

from collections.abc import Sequence

from cognitofs.application.application import Bucket
from cognitofs.errors import ConfigError
from cognitofs.rootprefix import STANDARD_ROOT, check_template


def named_bucket(buckets: Sequence[Bucket], name: str) -> Bucket:
    """Return the bucket with the friendly name or the name *name*. Raises ConfigError."""
    labelled = [each for each in buckets if name and each.label == name]
    named = [each for each in buckets if each.name.value == name]
    for found in (labelled, named):
        if found:
            return found[0]
    known = ", ".join(shown(each) for each in buckets) or "it names none"
    raise ConfigError(f"The file has no bucket {name!r} ({known}); choose one with --bucket.")


def shown(bucket: Bucket) -> str:
    """Return the bucket's name, and how the application calls it."""
    return f"{bucket.label} ({bucket.name.value})" if bucket.label else bucket.name.value


def roots(bucket: Bucket) -> tuple[str, ...]:
    """Return the templates among which `root` is chosen; "" stands for the standard one.

    Raises ConfigError when no prefix of the bucket belongs to one identity.
    """
    if bucket.owned is None:
        return ("",)
    for each in bucket.owned:
        check_template(each)
    if not bucket.owned:
        raise ConfigError(
            f"No path of {shown(bucket)} belongs to one signed-in user; say which prefix to "
            "mount with --set root=PREFIX/, for example --set root=public/."
        )
    return tuple("" if each == STANDARD_ROOT else each for each in bucket.owned)


def only_root(bucket: Bucket) -> str | None:
    """Return the one choice of `roots`, the standard one if it is there; None when open."""
    found = roots(bucket)
    if "" in found:
        return ""
    return found[0] if len(found) == 1 else None
