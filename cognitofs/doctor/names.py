"""Keys below the prefix that no file name can be: hidden in a mount, never altered."""

from collections.abc import Sequence

from cognitofs.doctor.findings import Check, Finding, hint, ok
from cognitofs.store.interface import ObjectStore
from cognitofs.tree.names import is_representable

_PAGES = 20
"""Of 1000 keys; an examination must end."""
_SHOWN = 5


async def examine(store: ObjectStore) -> Finding:
    """Return which keys are hidden, among the first of the prefix."""
    token: str | None = None
    keys: list[str] = []
    for _ in range(_PAGES):
        page = await store.list_page("", delimiter="", token=token)
        keys += [each.key for each in page.objects]
        token = page.token
        if token is None:
            break
    hidden = hidden_keys(keys)
    if not hidden:
        return ok(Check.HIDDEN_KEYS, f"Every key is a file name ({len(keys)} looked at).")
    shown = ", ".join(repr(key)[:100] for key in hidden[:_SHOWN])
    more = f" and {len(hidden) - _SHOWN} more" if len(hidden) > _SHOWN else ""
    return hint(
        Check.HIDDEN_KEYS,
        f"{len(hidden)} of {len(keys)} keys cannot be file names and are hidden: {shown}{more}.",
        "Rename them with another S3 tool (`cognitofs exec -- aws s3 mv ...`), or let them be; a "
        "directory that holds one cannot be removed.",
    )


def hidden_keys(keys: Sequence[str]) -> list[str]:
    """Return which of *keys* a mount does not show: no names, and the file `a` beside `a/`."""
    directories = {
        "/".join(segments[:depth])
        for key in keys
        for segments in (key.split("/"),)
        for depth in range(1, len(segments))
    }
    return [
        key
        for key in keys
        if key in directories
        or not all(is_representable(each) for each in key.removesuffix("/").split("/"))
    ]
