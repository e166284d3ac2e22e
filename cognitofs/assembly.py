"""Assembly: the parts of one mount, each made of those before it.

Owns which part gets which option, and their order. Starts nothing and asks S3 nothing: what runs
beside the file system is started by `session.py`.
"""

import time

from cognitofs import where
from cognitofs.config import MountOptions
from cognitofs.fs.rig import Promises, Rig
from cognitofs.reach import Plan, Reach
from cognitofs.spool.blockcache import BlockCache, open_cache
from cognitofs.spool.damage import open_journal
from cognitofs.spool.intents import Intents
from cognitofs.spool.reserve import Reserve
from cognitofs.spool.space import Space
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.state import Binding, StateDirectory, StateFiles, cache_directory
from cognitofs.transfer.deletions import Deletions
from cognitofs.transfer.parts import Ladder
from cognitofs.transfer.readahead import Reader
from cognitofs.transfer.uploader import Uploader
from cognitofs.tree.attributes import Attributes, Defaults, Kind
from cognitofs.tree.away import Away
from cognitofs.tree.describer import Describer
from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import InodeTable
from cognitofs.tree.memory import AttributeMemory
from cognitofs.tree.namespace import Namespace
from cognitofs.tree.veil import Veil

FILES_AT_ONCE = 32


def assembled(
    plan: Plan, options: MountOptions, binding: Binding, state: StateDirectory, found: Reach
) -> tuple[Rig, tuple[str, ...]]:
    """Build the parts; returns with them what there is to say of the journal.

    Raises SpoolError, ConfigError when what lies on the disk cannot be used.
    """
    store, files = found.store, state.files
    defaults = Defaults(options.file_mode, options.dir_mode)
    cache_path = cache_directory(where.cache_home(options), binding)
    memory = AttributeMemory(cache_path / "attributes.db")
    away = Away()
    describer = Describer(store, memory, defaults, away, may_ask=options.attributes == "head")
    root = Attributes(Kind.DIRECTORY, options.dir_mode, time.time_ns())
    table = InodeTable(root)
    cache = open_cache(cache_path, options.cache_size)
    space = _space(files, options, cache)
    spools = SpoolDirectory(files.path, space)
    opened = open_journal(files.journal, spools, Reserve(files.reserve))
    journal = opened.journal
    intents = Intents(journal)
    deletions = Deletions(store, intents)
    seen = Veil(store, deletions, away)
    namespace = Namespace(seen, table, describer, ttl=options.metadata_ttl)
    reader = Reader(store, cache, timeout=options.read_timeout)
    ladder = Ladder(options.part_size).within(space.limit)
    uploader = Uploader(store, journal, reader, ladder=ladder, at_once=FILES_AT_ONCE)
    rig = Rig(
        store=store,
        table=table,
        namespace=namespace,
        directories=Directories(seen, namespace),
        spools=spools,
        journal=journal,
        cache=cache,
        reader=reader,
        uploader=uploader,
        intents=intents,
        deletions=deletions,
        promises=_promises(plan, options, may_write=found.may_write),
        rights=found.rights,
    )
    return rig, opened.notices


def _space(files: StateFiles, options: MountOptions, cache: BlockCache) -> Space:
    return Space(files.path, options.spool_size, options.spool_min_free, cache.give_back)


def _promises(plan: Plan, options: MountOptions, *, may_write: bool) -> Promises:
    return Promises(
        sync=options.sync,
        metadata_ttl=options.metadata_ttl,
        open_ttl=options.open_ttl,
        stall_timeout=options.stall_timeout,
        auth_wait=options.auth_wait,
        net_wait=options.net_wait,
        read_only=options.read_only or not may_write,
        xattrs=options.xattrs,
        trash=options.trash,
        rename_limit=options.rename_limit,
        uid=options.uid,
        gid=options.gid,
        prefix_bytes=plan.prefix_bytes,
        conflict=options.conflict,
    )
