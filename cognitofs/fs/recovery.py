"""Recovery: puts what an earlier mount did not send back into the tree, and on its way to S3.

Runs before the mount serves. INVARIANT: what was sealed is sent; what was never sealed goes to
lost+found and never to S3; nothing of either is deleted. Running it twice changes nothing more.
"""

import logging
from dataclasses import dataclass

from cognitofs.errors import CognitoFSError, SpoolDamaged
from cognitofs.fs.files import Files
from cognitofs.fs.renamerecovery import clear_away, end_renames
from cognitofs.fs.rig import Rig
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.journal import OpenUpload, PendingFile
from cognitofs.spool.seal import Seal
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.multipart import Multipart
from cognitofs.tree.attributes import Attributes, Kind, read_attributes
from cognitofs.tree.inodes import Inode

_NO_HEADERS = ObjectHeaders()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an earlier mount left: files on their way again, and what is kept for a person."""

    files: int = 0
    bytes: int = 0
    lost_found: int = 0
    missing: tuple[PendingFile, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """Return what the person should know of it."""
        said = []
        if self.files:
            size = f"({self.bytes:,} bytes) of an earlier mount"
            said.append(
                f"1 file {size} is being sent."
                if self.files == 1
                else f"{self.files} files {size} are being sent."
            )
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
    await end_renames(rig)
    await clear_away(rig)
    uploads = rig.journal.uploads()
    known: set[str] = set()
    missing: list[PendingFile] = []
    count = size = 0
    for pending in rig.journal.pending():
        seal = pending.seal
        if seal.has_spool:
            known.add(seal.id)
        spool = _open_spool(rig, seal)
        if seal.has_spool and spool is None:
            if not await _is_on_s3(rig, seal):
                missing.append(pending)
            continue
        multipart = _resumed(rig, seal, uploads)
        _restore(rig, files, seal, spool, multipart)
        count, size = count + 1, size + seal.size
    for upload in uploads:
        _abort(rig, upload)
    for key, etag, headers in rig.journal.attributes():
        files.headers.resume(key, etag, headers)
    return Recovered(count, size, _keep_unsealed(rig, known), tuple(missing))


def _open_spool(rig: Rig, seal: Seal) -> SpoolFile | None:
    if not seal.has_spool:
        return None
    try:
        return rig.spools.open(seal.id, ExtentMap(seal.touched))
    except SpoolDamaged:
        return None


async def _is_on_s3(rig: Rig, seal: Seal) -> bool:
    """Settle a row whose spool file is gone: after a power cut S3 may have had it already."""
    try:
        found = await rig.store.head(seal.key)
        if found.headers.metadata.get(TXID) == seal.txid:
            await rig.journal.finish(seal.id)
            return True
        await rig.journal.park(seal.id, "failed", "The local bytes are missing.")
    except CognitoFSError as exc:
        _log.warning("%r could not be settled now: %s", seal.key, exc)
    return False


def _resumed(rig: Rig, seal: Seal, uploads: list[OpenUpload]) -> Multipart | None:
    """Return the multipart upload to go on with, taken out of *uploads*."""
    for upload in uploads:
        if upload.id == seal.id and upload.key == seal.key:
            uploads.remove(upload)
            multipart = rig.uploader.multipart(seal.id, seal.key, seal.headers)
            multipart.resume(upload.upload_id, upload.parts)
            return multipart
    return None


def _abort(rig: Rig, upload: OpenUpload) -> None:
    """Drop a multipart upload that no seal goes on with."""
    multipart = rig.uploader.multipart(upload.id, upload.key, _NO_HEADERS)
    multipart.resume(upload.upload_id, ())
    rig.uploader.abort(multipart)


def _restore(
    rig: Rig, files: Files, seal: Seal, spool: SpoolFile | None, multipart: Multipart | None
) -> None:
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
    return inode


def _directory(rig: Rig) -> Attributes:
    root = rig.table.root.attributes
    return Attributes(Kind.DIRECTORY, root.mode, root.mtime_ns)


def _keep_unsealed(rig: Rig, known: set[str]) -> int:
    """Move spool files that no row names to lost+found; return how many held bytes."""
    kept = 0
    for name in rig.spools.names():
        if name not in known:
            kept += rig.spools.give_up(name, {"why": "the file was not closed before the end"})
    return kept
