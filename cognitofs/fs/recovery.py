"""Recovery: puts what an earlier mount did not send back into the tree, and on its way to S3.

Runs before the mount serves. INVARIANT: what was sealed is sent; what was never sealed goes to
lost+found and never to S3; nothing of either is deleted. Running it twice changes nothing more.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from cognitofs.errors import CognitoFSError, NotFound, SignInError, SpoolError, Transient
from cognitofs.fs.files import Files
from cognitofs.fs.renamerecovery import clear_away, end_renames
from cognitofs.fs.rig import Rig
from cognitofs.parallel import run_all
from cognitofs.quantities import about
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.journal import OpenUpload, PendingFile
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.parts import UPLOAD
from cognitofs.tree.attributes import Attributes, Kind, read_attributes
from cognitofs.tree.inodes import Inode

ASKED_AT_ONCE = 32
"""HEADs at a time for rows whose spool files are gone."""

_NO_HEADERS = ObjectHeaders()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an earlier mount left: files on their way again, and what is kept for a person."""

    files: int = 0
    bytes: int = 0
    lost_found: int = 0
    missing: tuple[PendingFile, ...] = ()
    renames: int = 0
    deletions: int = 0

    def sentences(self) -> tuple[str, ...]:
        """Return what the person should know of it."""
        said = []
        if self.files:
            files, are = ("file", "is") if self.files == 1 else ("files", "are")
            said.append(
                f"{self.files:,} {files} ({about(self.bytes)}) of the last session"
                f" {are} still being uploaded."
            )
        if self.renames:
            were = "rename was" if self.renames == 1 else "renames were"
            said.append(f"{self.renames:,} {were} begun in the last session and brought to an end.")
        if self.deletions:
            are = "object is" if self.deletions == 1 else "objects are"
            said.append(f"{self.deletions:,} {are} still to be deleted on S3 for the last session.")
        if self.lost_found:
            said.append(
                f"{_files(self.lost_found)} never closed before the last mount ended;"
                " `cognitofs recover list` names what was kept of that."
            )
        if self.missing:
            said.append(
                f"Local bytes are missing ({len(self.missing)} of the files that were to be sent);"
                " `cognitofs status` names what was lost."
            )
        return tuple(said)


def _files(count: int) -> str:
    """Return "1 file was" or "2 files were"."""
    return "1 file was" if count == 1 else f"{count} files were"


async def recover(rig: Rig, files: Files) -> Recovered:
    """Bring back everything the journal names. The uploader must be running."""
    renames = await end_renames(rig)
    await clear_away(rig)
    with _without_collection():
        found = await _take_back(rig, files)
    return replace(found, renames=renames, deletions=len(rig.deletions.pending))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the collector from looking at what all stays: three quarters of the time (measured)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def _take_back(rig: Rig, files: Files) -> Recovered:
    names = set(rig.spools.names())
    everything = rig.journal.pending()
    here = [each for each in everything if not each.seal.has_spool or each.seal.id in names]
    gone = [each for each in everything if each.seal.has_spool and each.seal.id not in names]
    missing = await _not_on_s3(rig, gone)
    uploads = {upload.upload_id: upload for upload in rig.journal.uploads()}
    holes = {upload.id: _given_up(upload) for upload in uploads.values()}
    owned = {(upload.id, upload.key): upload for upload in uploads.values() if upload.id}
    for pending in here:
        upload = owned.get((pending.seal.id, pending.seal.key))
        if upload is not None:
            del uploads[upload.upload_id]
        _restore(rig, files, pending.seal, upload)
    for left in uploads.values():
        _abort(rig, left)
    for key, etag, headers in rig.journal.attributes():
        files.headers.resume(key, etag, headers)
    lost = _keep_unsealed(rig, {each.seal.id for each in everything if each.seal.has_spool}, holes)
    return Recovered(len(here), sum(each.seal.size for each in here), lost, missing)


async def _not_on_s3(rig: Rig, missing: list[PendingFile]) -> tuple[PendingFile, ...]:
    """Settle rows whose spool files are gone; return those that S3 does not have either.

    After a power cut S3 may have had them already. Once S3 cannot be asked, no more are asked:
    the next mount does it.
    """
    left: dict[str, PendingFile] = {each.seal.id: each for each in missing}

    async def settle(pending: PendingFile) -> None:
        try:
            if await _is_on_s3(rig, pending.seal):
                del left[pending.seal.id]
        except (Transient, SignInError):
            raise
        except CognitoFSError as exc:
            _log.warning("%r could not be settled now: %s", pending.seal.key, exc)

    try:
        await run_all((partial(settle, each) for each in missing), limit=ASKED_AT_ONCE)
    except CognitoFSError as exc:
        _log.warning("Files without local bytes could not be settled now: %s", exc)
    return tuple(left.values())


async def _is_on_s3(rig: Rig, seal: Seal) -> bool:
    try:
        found = await rig.store.head(seal.key)
    except NotFound:
        is_ours = False
    else:
        is_ours = found.headers.metadata.get(TXID) == seal.txid
    if is_ours:
        await rig.journal.finish(seal.id)
    else:
        await rig.journal.park(seal.id, "failed", "The local bytes are missing.")
    return is_ours


def _resumed(rig: Rig, seal: Seal, upload: OpenUpload) -> Multipart:
    """Return the multipart upload that the seal goes on with."""
    multipart = rig.uploader.multipart(seal.id, seal.key, seal.headers)
    multipart.resume(upload.upload_id, upload.parts)
    return multipart


def _abort(rig: Rig, upload: OpenUpload) -> None:
    """Drop a multipart upload that no seal goes on with."""
    multipart = rig.uploader.multipart(upload.id, upload.key, _NO_HEADERS)
    multipart.resume(upload.upload_id, ())
    rig.uploader.abort(multipart)


def _restore(rig: Rig, files: Files, seal: Seal, upload: OpenUpload | None) -> None:
    _cut_what_was_not_closed(rig, seal)
    touched = ExtentMap(seal.touched)
    spool = rig.spools.open(seal.id, touched, seal.given_up) if seal.has_spool else None
    if spool is not None:
        spool.damaged = ExtentMap(seal.damaged)
    multipart = None if upload is None else _resumed(rig, seal, upload)
    inode = _place(rig, files, seal)
    file = files.of(inode)
    content = file.content
    content.spool = spool
    content.touched = ExtentMap(seal.touched)
    content.base_limit = seal.base_limit
    content.low_water = seal.size
    if seal.base is None and seal.expect not in ("absent", "any"):
        file.replaces = ObjectInfo(seal.key, 0, ETag(seal.expect), 0)
    file.forerunners.leaves = seal.leaves
    content.upload = rig.uploader.submit(seal, spool, multipart, file)
    content.upload.commit_was_sent = True  # for all we know


def _cut_what_was_not_closed(rig: Rig, seal: Seal) -> None:
    if not seal.has_spool:
        return
    try:
        rig.spools.cut(seal.id, seal.size)
    except SpoolError as exc:  # whoever needs its bytes hears the same
        _log.warning("%r may not be readable: %s", seal.key, exc)


def _place(rig: Rig, files: Files, seal: Seal) -> Inode:
    """Return the inode of a sealed file, its directories made where they are not known yet.

    Of two files with one key the newer has the name; the other is kept without one.
    """
    is_marker = seal.key.endswith("/")
    *above, name = seal.key.removesuffix("/").split("/")
    parent = rig.table.root
    for segment in above:
        parent = parent.children.get(segment) or rig.table.add(parent, segment, _directory(rig))
    info = ObjectInfo(seal.key, seal.size, ETag(""), 0)
    defaults = rig.namespace.describer.defaults
    attributes = read_attributes(seal.headers, info, defaults, is_marker=is_marker)
    found = parent.children.get(name)
    if found is not None and found.kind is attributes.kind and files.find(found) is None:
        inode = found
        inode.attributes = attributes
    else:
        inode = rig.table.add(parent, name, attributes)
    inode.size = seal.size
    inode.headers = seal.headers
    inode.remote = None if is_marker else seal.base
    inode.unsent = True
    inode.changed_ns = rig.now_ns()
    return inode


def _directory(rig: Rig) -> Attributes:
    root = rig.table.root.attributes
    return Attributes(Kind.DIRECTORY, root.mode, root.mtime_ns)


def _given_up(upload: OpenUpload) -> list[tuple[int, int]]:
    """Return the ranges that are only in *upload*."""
    return [(part.start, part.stop) for part in upload.parts if part.source == UPLOAD]


def _keep_unsealed(rig: Rig, known: set[str], holes: dict[str, list[tuple[int, int]]]) -> int:
    """Move spool files that no row names to lost+found; return how many held bytes."""
    kept = 0
    for name in rig.spools.names():
        if name not in known:
            kept += rig.spools.give_up(name, tuple(holes.get(name, ())))
    return kept
