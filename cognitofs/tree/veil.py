"""Veil: the store as the tree sees it, without the objects that are about to go.

Owns the filter alone. What is hidden is asked of whoever removes it, since S3 lists an object until
its deletion has happened there.
"""

from dataclasses import replace
from functools import partial
from typing import Protocol

from cognitofs.errors import NotFound
from cognitofs.store.interface import ETag, ObjectHead, ObjectStore, Page
from cognitofs.tree.away import Away


class Hides(Protocol):
    """Who knows what is about to go."""

    def hides(self, key: str, etag: ETag) -> bool:
        """Tell whether that version of an object is about to go."""
        ...

    def hides_tree(self, prefix: str) -> bool:
        """Tell whether everything that S3 lists below *prefix* is about to go."""
        ...


class Veil:
    """Looks at *store* past what *doomed* hides."""

    def __init__(self, store: ObjectStore, doomed: Hides, away: Away) -> None:
        self.away = away
        self._store = store
        self._doomed = doomed

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        found = await self.away.ask(partial(self._store.head, key))
        if self._doomed.hides(key, found.info.etag):
            raise NotFound(f"{key!r} was removed.")
        return found

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        """See `ObjectStore.list_page`; only the last page can be empty."""
        token: str | None = None
        while True:
            ask = partial(
                self._store.list_page,
                prefix,
                delimiter=delimiter,
                token=token,
                start_after=start_after,
                limit=limit,
            )
            page = await self.away.ask(ask)
            seen = self._seen(page)
            token = page.token
            if token is None or seen.objects or seen.prefixes:
                return seen

    def _seen(self, page: Page) -> Page:
        """Return *page* without what is hidden."""
        hides, hides_tree = self._doomed.hides, self._doomed.hides_tree
        return replace(
            page,
            objects=tuple(found for found in page.objects if not hides(found.key, found.etag)),
            prefixes=tuple(prefix for prefix in page.prefixes if not hides_tree(prefix)),
        )
