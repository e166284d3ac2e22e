"""Rig: the parts of one mount that the file system works with, and the promises it keeps.

Owns nothing; it is how `session.py` hands its parts to this layer, in one value.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import time_ns
from typing import Literal

from cognitofs.fs.conflictcopies import RecentConflicts, this_host
from cognitofs.fs.relief import Relief
from cognitofs.levels import Rights
from cognitofs.spool.blockcache import BlockCache
from cognitofs.spool.intents import Intents
from cognitofs.spool.journal import Journal
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.store.interface import ObjectStore
from cognitofs.transfer.deletions import Deletions
from cognitofs.transfer.readahead import Reader
from cognitofs.transfer.uploader import Uploader
from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import InodeTable
from cognitofs.tree.kernel import Kernel
from cognitofs.tree.namespace import Namespace

SyncLevel = Literal["close", "fsync", "local"]
"""When close() and fsync() return: see docs/SEMANTICS.md."""

ConflictPolicy = Literal["copy", "fail", "overwrite"]
"""What becomes of a version whose name was changed elsewhere: see docs/SEMANTICS.md."""


@dataclass(frozen=True, slots=True)
class Promises:
    """What the mount was asked to promise. Times in seconds."""

    sync: SyncLevel = "close"
    metadata_ttl: float = 5.0
    open_ttl: float = 1.0
    stall_timeout: float = 120.0
    auth_wait: float = 60.0
    net_wait: float = 20.0
    read_only: bool = False
    xattrs: bool = False
    trash: bool = False
    uid: int = 0
    gid: int = 0
    prefix_bytes: int = 0
    rename_limit: int = 100_000
    conflict: ConflictPolicy = "copy"
    host: str = field(default_factory=this_host)


@dataclass(frozen=True, slots=True)
class Rig:
    """The parts of one mount."""

    store: ObjectStore
    table: InodeTable
    namespace: Namespace
    directories: Directories
    spools: SpoolDirectory
    journal: Journal
    cache: BlockCache
    reader: Reader
    uploader: Uploader
    intents: Intents
    deletions: Deletions
    promises: Promises = field(default_factory=Promises)
    rights: Rights = field(default_factory=Rights)
    now_ns: Callable[[], int] = time_ns
    conflicts: RecentConflicts = field(default_factory=RecentConflicts)
    relief: Relief = field(default_factory=Relief)

    @property
    def kernel(self) -> Kernel:
        """What we tell the kernel by ourselves."""
        return self.namespace.kernel
