"""Forerunners: the seals of one file that its next seal takes the place of.

Owns what must not be forgotten of them: the upload that was stopped and may have to go on, the
rows of the journal and their spool files, and the commits of which nobody knows whether they
happened. What is done about them is `openfile.py`'s.

INVARIANT: a spool file named here goes only after its row was replaced or removed.
"""

from collections.abc import Collection

from cognitofs.spool.intents import Doomed
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.upload import Upload


class Forerunners:
    """Earlier seals of one file.

    `stopped` is the upload that gave way to the next seal. `doubts` are the txids of stopped
    commits that may have happened under this name, `leaves` (key, txid) those under earlier names.
    `rows` are the journal's rows, each with its spool file.
    """

    def __init__(self) -> None:
        self.stopped: Upload | None = None
        self.doubts: tuple[str, ...] = ()
        self.leaves: tuple[tuple[str, str], ...] = ()
        self.rows: dict[str, SpoolFile | None] = {}

    def left(self, *, beside: Collection[Doomed] = ()) -> list[Doomed]:
        """Return what S3 may have under earlier names, which goes when the file has lost its name.

        One for each name, but none for what goes anyway: *beside*.
        """
        txids: dict[str, tuple[str, ...]] = {}
        for key, txid in self.leaves:
            txids[key] = (*txids.get(key, ()), txid)
        others = txids.keys() - {each.key for each in beside}
        return [Doomed(key, ETag(""), txids[key]) for key in txids if key in others]

    def add(self, upload: Upload) -> None:
        """Note an upload that was stopped; its commit may have happened."""
        self.stopped = upload
        self.rows[upload.seal.id] = upload.spool
        self.doubts = upload.seal.supersedes
        if upload.commit_was_sent:
            self.doubts += (upload.seal.txid,)

    def take_back(self, key: str) -> Upload | None:
        """Return what was stopped, which is to go on as it was; None if *key* is not its name."""
        old, self.stopped = self.stopped, None
        if old is None or old.seal.key != key:
            return None
        self.rows.pop(old.seal.id, None)
        return old

    def replaced_by(self, id: str, spool: SpoolFile | None) -> None:
        """Note that the row *id* stands for all of them now; *spool* is still the file's own."""
        self.stopped = None
        self.rows.pop(id, None)
        self.discard(spool)

    def discard(self, spool: SpoolFile | None) -> None:
        """Give up the spool files of rows that are gone, but for the file's own *spool*."""
        rows, self.rows = self.rows, {}
        for replaced in rows.values():
            if replaced is not None and replaced is not spool:
                replaced.discard()

    def renamed(self, old_key: str, key: str) -> None:
        """Keep the doubts about *old_key*, and take up again those about *key*."""
        leaves = self.leaves + tuple((old_key, txid) for txid in self.doubts)
        self.leaves = tuple(left for left in leaves if left[0] != key)
        self.doubts = tuple(txid for where, txid in leaves if where == key)

    def settled(self) -> None:
        """Forget the doubts: S3 has acknowledged a later seal."""
        self.doubts, self.leaves = (), ()


def may_go_on(old: Upload, at_hand: Multipart | None) -> bool:
    """Tell whether what was stopped goes on with its multipart upload: not if that is aborted."""
    return old.multipart is not None and (old.multipart is at_hand or old.has_sole_bytes)
