"""Markers: what the objects that stand for directories (`d/`) carry.

Owns the asking; what a directory shows is its inode's.
"""

from cognitofs.errors import AccessDenied, NotFound
from cognitofs.store.interface import ObjectHeaders
from cognitofs.tree.attributes import read_attributes
from cognitofs.tree.away import UNANSWERED
from cognitofs.tree.describer import Describer
from cognitofs.tree.inodes import Inode
from cognitofs.tree.veil import Veil

_NO_MARKER = ObjectHeaders()


class Markers:
    """The markers of one mount."""

    def __init__(self, store: Veil, describer: Describer) -> None:
        self._store = store
        self._describer = describer

    async def describe(self, directory: Inode) -> None:
        """Ask a marker for mode and mtime; an implicit directory has the defaults.

        So has one whose marker was never asked for, until S3 can be asked.
        """
        if directory.headers is not None or directory.unsent or directory.parent is None:
            return
        if not self._describer.may_ask:
            directory.headers = _NO_MARKER
            return
        if self._store.away.is_away():
            return
        try:
            head = await self._store.head(directory.key)
        except (NotFound, AccessDenied):
            directory.headers = _NO_MARKER
            return
        except UNANSWERED:
            return
        directory.headers = head.headers
        directory.attributes = read_attributes(
            self._describer.unsent_headers(head.info) or head.headers,
            head.info,
            self._describer.defaults,
            is_marker=True,
        )

    def has(self, directory: Inode) -> bool:
        """Tell whether a directory is known to have its marker object."""
        return directory.headers is not None and directory.headers is not _NO_MARKER
