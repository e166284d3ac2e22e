"""Damage: what becomes of a journal that cannot be read any more.

Owns the examination when a mount opens it, the moving aside, and the new journal that is made
from the labels of the spool files. Nothing is deleted.

What only the journal knew is forgotten: which parts of a file S3 has already (they are sent
again), files without bytes, directories, and changes of names or attributes that S3 did not have.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import apsw

from cognitofs.errors import JournalDamaged
from cognitofs.spool.intents import Intents
from cognitofs.spool.journal import Journal
from cognitofs.spool.labels import Label, mark_of
from cognitofs.spool.reserve import Reserve
from cognitofs.spool.schema import damaged
from cognitofs.spool.seal import Seal
from cognitofs.spool.sparsefile import local_disk
from cognitofs.spool.spooldirectory import SpoolDirectory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedJournal:
    """A journal that can be trusted, and what a person should know of how it came about."""

    journal: Journal
    notices: tuple[str, ...] = ()


def open_journal(path: Path, spools: SpoolDirectory, reserve: Reserve | None) -> OpenedJournal:
    """Open the journal *path*, a new one made from the labels in *spools* if it is damaged.

    Raises JournalTooNew, SpoolFull, SpoolDamaged. Blocks; called once.
    """
    aside: Path | None = None
    try:
        journal = _examined(path, reserve)
    except JournalDamaged as exc:
        aside = _move_aside(path)
        _log.error("%s (%s)", exc, exc.__cause__)
        journal = Journal.open(path, reserve)
    try:
        found = _taken_up(journal, spools)
    except BaseException:
        journal.close()
        raise
    journal.labels = spools
    if aside is None and not found:
        return OpenedJournal(journal)
    sentence = _sentence(aside, len(found))
    _log.error("%s", sentence)
    return OpenedJournal(journal, (sentence,))


def _taken_up(journal: Journal, spools: SpoolDirectory) -> tuple[Label, ...]:
    """Give the journal back what it should have had; return the labels that told."""
    found = _lost(journal, spools)
    replaced = {old for label in found for old in label.replaces}
    journal.take_up([each.seal for each in found if each.seal is not None], replaced)
    for name in replaced:
        spools.unlink(name)
    return found


def _lost(journal: Journal, spools: SpoolDirectory) -> tuple[Label, ...]:
    """Return the labels of what the spool has and the journal should have had.

    A damaged WAL is cut off by SQLite without a word, so this is asked of every journal. A label
    is written before its row: of two seals of one file it tells the newer.
    """
    rows = {each.seal.id: each.seal for each in journal.pending()}
    found: dict[str, Label] = {}
    for name in spools.names():
        row = rows.get(name)
        label = spools.label_of(name, unless=mark_of(row) if row is not None else b"")
        if label is not None and _is_news(label, row):
            found[name] = label
    return newest(found, spools.boot)


def _is_news(label: Label, row: Seal | None) -> bool:
    """Tell whether the journal lacks it. Of a rename that may not have happened, it does not."""
    seal = label.seal
    if row is None or seal is None:
        return row is None
    return seal.key == row.key and seal.txid != row.txid


def _examined(path: Path, reserve: Reserve | None) -> Journal:
    """Open it and read every row once. Raises JournalDamaged."""
    journal = Journal.open(path, reserve)
    intents = Intents(journal)
    try:
        for read in (journal.pending, journal.uploads, journal.attributes):
            read()
        intents.deletions()
        intents.refusals()
        intents.renames()
    except (apsw.Error, ValueError, KeyError, TypeError, AttributeError, AssertionError) as exc:
        journal.close()
        raise damaged(path) from exc
    return journal


def _move_aside(path: Path) -> Path:
    """Give the journal's files another name, under which SQLite still finds them together."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    with local_disk("moving the damaged journal aside"):
        for suffix in ("-wal", ""):
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
    return aside


def newest(labels: dict[str, Label], boot: str) -> tuple[Label, ...]:
    """Return the labels whose bytes are all there, oldest first; none that another replaced."""
    whole = {
        name: each
        for name, each in labels.items()
        if each.has_all_bytes(boot) and each.seal is not None and each.seal.id == name
    }
    replaced = {old for each in whole.values() for old in each.replaces}
    left = [each for name, each in whole.items() if name not in replaced]
    return tuple(sorted(left, key=lambda each: each.at))


def _sentence(aside: Path | None, count: int) -> str:
    files = "1 closed file was" if count == 1 else f"{count} closed files were"
    found = f"{files} found again by what the spool says"
    if aside is None:
        return f"The journal lacked something: {found}."
    return (
        f"The journal was damaged: {found}; empty files, and renames or deletions that S3 did not"
        f" have, may be forgotten. The damaged one is kept as {aside.name}; check the disk."
    )
