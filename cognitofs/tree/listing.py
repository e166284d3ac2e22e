"""Listing: the children of one directory as one LIST gave them. Pure.

Owns how keys become entries: what is hidden and why. Freshness is the namespace's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cognitofs.store.interface import ObjectInfo, Page
from cognitofs.tree.names import is_representable, order

KEPT_ENTRIES = 10_000
"""Larger directories are streamed and not kept: memory stays bounded."""

KEPT_HIDDEN = 10
"""Hidden keys that are named; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name. `info` is the object's version; None for a directory."""

    name: str
    info: ObjectInfo | None

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return self.info is None

    @property
    def order(self) -> bytes:
        """Its place among its neighbours."""
        return order(self.name, is_directory=self.is_directory)


@dataclass(slots=True)
class Listing:
    """A directory as LIST gave it: all of it once the last page came.

    `started` is when the first page was asked for (monotonic seconds), `pages` where each page
    begins and when it was asked for.
    """

    started: float
    pages: list[tuple[int, float]] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    described: int = -1

    def extend(self, entries: Iterable[Entry], at: float) -> None:
        """Add the next page, asked for at *at*; a directory hides an object of the same name."""
        self.pages.append((len(self.names), at))
        for entry in entries:
            if entry.name not in self.entries or entry.is_directory:
                self.entries[entry.name] = entry
                self.places[entry.name] = len(self.names)
                self.names.append(entry.name)

    def seen_at(self, name: str) -> float | None:
        """Return when the page that shows *name* was asked for; None when none does."""
        place = self.places.get(name)
        if place is None:
            return None
        return next(at for first, at in reversed(self.pages) if first <= place)

    def ahead(self, name: str, count: int) -> list[Entry]:
        """Return up to *count* entries behind *name* if names are asked in listing order."""
        place = self.places.get(name)
        if place is None:
            return []
        follows = 0 <= place - self.described <= 2
        self.described = place
        if not follows or place == 0:
            return []
        return [self.entries[name] for name in self.names[place + 1 : place + 1 + count]]


def entries_of(page: Page, prefix: str) -> tuple[list[Entry], list[str]]:
    """Return the entries of a page in listing order, and the names that had to be hidden.

    What is hidden cannot be a file name, or is an object beside a directory of its name.
    """
    directories = {p[len(prefix) : -1]: Entry(p[len(prefix) : -1], None) for p in page.prefixes}
    files = {o.key[len(prefix) :]: Entry(o.key[len(prefix) :], o) for o in page.objects}
    files.pop("", None)  # the directory's own marker
    shown = [e for e in (files | directories).values() if is_representable(e.name)]
    hidden = [name for name in files if name in directories or not is_representable(name)]
    hidden += [f"{name}/" for name in directories if not is_representable(name)]
    return sorted(shown, key=lambda entry: entry.order), hidden


class HiddenKeys:
    """How many keys are hidden in each directory that was listed, and the first of them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    @property
    def count(self) -> int:
        """All that was seen."""
        return sum(self._counts.values())

    @property
    def first(self) -> tuple[str, ...]:
        """Some of them."""
        return tuple(key for keys in self._first.values() for key in keys)[:KEPT_HIDDEN]

    def note(self, prefix: str, hidden: Sequence[str], *, is_first: bool) -> None:
        """Count what a page hides; of the many directories without any nothing is kept."""
        before, keys = self._counts.pop(prefix, 0), self._first.pop(prefix, [])
        if is_first:
            before, keys = 0, []
        if before or hidden:
            self._counts[prefix] = before + len(hidden)
            self._first[prefix] = [*keys, *(prefix + name for name in hidden)][:KEPT_HIDDEN]
