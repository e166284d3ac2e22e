"""The choices that a configuration can leave open: which bucket, and which prefixes of it.

Owns the rules; pure. Whom to ask is for the command line.
"""

from collections.abc import Sequence

from cognitofs.application.application import Bucket
from cognitofs.errors import ConfigError
from cognitofs.levels import check_layout
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


def root_and_layout(bucket: Bucket) -> tuple[str, str]:
    """Return `root` and `layout` for the prefixes that one identity owns; "" is the default.

    The standard prefix is preferred; of several others none is left out. Raises ConfigError when
    no prefix belongs to one identity, or when they cannot be shown beside one another.
    """
    if bucket.owned is None or STANDARD_ROOT in bucket.owned:
        return "", ""
    if not bucket.owned:
        raise ConfigError(
            f"No path of {shown(bucket)} belongs to one signed-in user; say which prefix to "
            "mount with --set root=PREFIX/, for example --set root=public/."
        )
    outermost = [each for each in bucket.owned if not _lies_in_another(each, bucket.owned)]
    for each in outermost:
        check_template(each)
    if len(outermost) == 1:
        return outermost[0], ""
    layout = " ".join(outermost)
    check_layout(layout)
    return "", layout


def _lies_in_another(template: str, templates: Sequence[str]) -> bool:
    return any(template.startswith(each) for each in templates if each != template)
