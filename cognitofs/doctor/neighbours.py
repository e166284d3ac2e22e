"""Whether the role keeps users apart: what of others it can reach.

Owns the choice of foreign prefixes. The one place that asks beyond the person's prefix: with a
store of its own for each, which lets nothing out but to that prefix.

A GetObject of what does not exist is answered 403 by any role that may not list, so it cannot show
that reading is denied; listing and writing (with a condition that cannot hold) can.
"""

import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from cognitofs.doctor.findings import Check, Finding, hint, ok, problem
from cognitofs.errors import AccessDenied, ConditionalConflict, NotFound, PreconditionFailed
from cognitofs.rootprefix import resolve_root
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectStore

_FIELD = re.compile(r"\{[^{}]*\}")
_NOBODY = ETag('"00000000000000000000000000000000"')


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Foreign prefixes of one bucket. *store_at* gives a store for a prefix.

    *conditions_hold* says that the server refuses writes whose condition is false: else nothing
    is written, not even in vain.
    """

    template: str
    identity_id: str
    store_at: Callable[[str], ObjectStore]
    conditions_hold: bool

    async def examine(self) -> AsyncIterator[Finding]:
        """Yield what the role can reach of others."""
        if not _FIELD.search(self.template):
            yield hint(
                Check.NEIGHBOURS,
                f"The prefix {self.template!r} is the same for everybody: whoever has the role "
                "shares these files.",
                "Give each user a prefix of their own with `root`, if that is not meant.",
            )
            return
        reached = [
            what
            for prefix, name in self._foreign()
            async for what in self._reached(self.store_at(prefix), name)
        ]
        if reached:
            yield problem(
                Check.NEIGHBOURS,
                f"THE ROLE DOES NOT KEEP USERS APART: it may {'; it may '.join(reached)}.",
                "Tell the administrator at once: `cognitofs policy role` prints a policy that "
                "does.",
            )
        else:
            yield ok(Check.NEIGHBOURS, "Other users' prefixes can be neither listed nor written.")

    def _foreign(self) -> tuple[tuple[str, str], ...]:
        """Return prefixes that are not the person's, each with what to call it."""
        region = self.identity_id.partition(":")[0] or "us-east-1"
        stranger: Mapping[str, str] = {
            "identity_id": f"{region}:{uuid.uuid4()}",
            "sub": str(uuid.uuid4()),
            "username": f"cognitofs-doctor-{secrets.token_hex(4)}",
        }
        return (
            (resolve_root(self.template, stranger), "the prefix of another user"),
            *((above, f"everything below {above!r}") for above in _above(self.template)),
            ("", "the whole bucket"),
        )

    async def _reached(self, store: ObjectStore, name: str) -> AsyncIterator[str]:
        if await _is_allowed(store.list_page("", delimiter="", limit=1)):
            yield f"list {name}"
        if self.conditions_hold:
            key = f".cognitofs-doctor-{secrets.token_hex(8)}"
            if await _is_allowed(store.put(key, b"", ObjectHeaders(), expect=_NOBODY)):
                yield f"write to {name}"


def _above(template: str) -> tuple[str, ...]:
    """Return the prefix in which the users' own ones lie, if it is not the whole bucket."""
    fixed = _FIELD.split(template, maxsplit=1)[0]
    above = fixed[: fixed.rfind("/") + 1]
    return (above,) if above else ()


async def _is_allowed(call: Awaitable[object]) -> bool:
    """Whether a request gets past the policy, whatever comes of it then."""
    try:
        await call
    except AccessDenied:
        return False
    except (NotFound, PreconditionFailed, ConditionalConflict):
        return True
    return True
