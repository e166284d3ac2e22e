"""Questions: what S3 says of one name or one page of names, in as few requests as it takes.

Owns the requests of a look-up and what 403 means there; what becomes of the answers is the
namespace's.
"""

from cognitofs.errors import AccessDenied, NotFound
from cognitofs.parallel import run_all
from cognitofs.store.interface import ObjectHead
from cognitofs.tree.listing import Listing, entries_of
from cognitofs.tree.seen import Seen, key_before
from cognitofs.tree.veil import Veil


class Questions:
    """Asks S3, less what is about to go."""

    def __init__(self, store: Veil) -> None:
        self._store = store

    async def whole_page(self, prefix: str, started: float) -> Listing | None:
        """Return a directory's listing if it fits one page."""
        page = await self._store.list_page(prefix)
        if page.token is not None:
            return None
        listing = Listing(started)
        listing.extend(entries_of(page, prefix)[0], started)
        return listing

    async def of_name(self, key: str) -> Seen | None:
        """Ask S3 for the object *key* and for anything below `key/`, at the same time."""
        head: ObjectHead | None = None
        below = False
        denied: AccessDenied | None = None

        async def ask_head() -> None:
            nonlocal head, denied
            try:
                head = await self._store.head(key)
            except NotFound:
                return
            except AccessDenied as exc:  # "maybe missing", where the role may not list that key
                denied = exc

        async def ask_list() -> None:
            nonlocal below
            page = await self._store.list_page(key + "/", delimiter="", limit=1)
            below = bool(page.objects)

        await run_all((ask_head, ask_list), limit=2)
        if below:
            return Seen(is_directory=True)
        if denied is not None and await self._is_listed(key):
            raise denied
        return None if head is None else Seen(is_directory=False, head=head, info=head.info)

    async def of_object(self, key: str) -> Seen | None:
        """Ask S3 for the object *key* alone."""
        try:
            head = await self._store.head(key)
        except NotFound:
            return None
        return Seen(is_directory=False, head=head, info=head.info)

    async def _is_listed(self, key: str) -> bool:
        """Tell whether LIST shows *key*: existence is decided by LIST where HEAD says 403."""
        directory = key[: key.rfind("/") + 1]
        page = await self._store.list_page(directory, delimiter="", start_after=key_before(key))
        return any(found.key == key for found in page.objects)
