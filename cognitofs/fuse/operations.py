"""FuseOperations: the kernel's questions, handed to the Filesystem; a protocol adapter only.

Decides nothing. pyfuse3's types stop here: names become text, `Stat` becomes EntryAttributes.
The Filesystem raises lookup counts where the kernel takes a reference, but for readdir: only here
it is known which entries the kernel took.
"""

import errno
import stat as stat_bits
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import pyfuse3

from cognitofs.errors import NoSuchEntry
from cognitofs.fs.filesystem import FREE_BLOCKS, Changes, Filesystem, Stat
from cognitofs.fs.handles import position
from cognitofs.fuse.errnos import replies
from cognitofs.fuse.waiting import once_signed_in
from cognitofs.tree.attributes import may_be_symlink
from cognitofs.tree.inodes import Inode
from cognitofs.tree.names import NAME_MAXIMUM, decode_name, decode_target, encode_name

_T = TypeVar("_T")

BRIEF = 60.0
"""Seconds for handlers that change a name or two; looks have `--net-wait`."""
LOCAL = 300.0
"""Seconds for handlers that may copy a large spool file."""
ANSWERED_IN_FULL = 10_000
"""Entries of a listing whose attributes the kernel gets; beyond them only names: memory."""
BLOCK_SIZE = 128 * 1024
"""st_blksize: programs read and write this much at a time."""


class FuseOperations(pyfuse3.Operations):
    """The handlers of one mount."""

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = False

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__()
        self._fs = filesystem

    # -- looking ----------------------------------------------------------------------------------

    @replies(within=None)
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Find a name; a missing one is remembered by the kernel too."""
        try:
            found = await self._signed_in(
                lambda: self._fs.lookup(parent_inode, decode_name(name)), self._net_wait
            )
            return _attributes(found)
        except NoSuchEntry:
            missing = pyfuse3.EntryAttributes()
            missing.st_ino = pyfuse3.InodeT(0)
            missing.entry_timeout = self._fs.missing_ttl(parent_inode, decode_name(name))
            return missing

    @replies(within=None)
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """Return attributes."""
        return _attributes(await self._signed_in(lambda: self._fs.getattr(inode), self._net_wait))

    @property
    def _net_wait(self) -> float:
        return self._fs.rig.promises.net_wait

    async def _signed_in(self, call: Callable[[], Awaitable[_T]], within: float) -> _T:
        patience = self._fs.rig.promises.auth_wait
        return await once_signed_in(call, patience=patience, within=within)

    @replies(within=None)
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Change attributes; atime is mtime, so setting it alone changes nothing."""
        changes = Changes(
            mode=stat_bits.S_IMODE(attr.st_mode) if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
        )
        return _attributes(await self._fs.setattr(inode, changes, fh))

    @replies(within=None)
    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        """Return a link's target."""
        return encode_name(await self._signed_in(lambda: self._fs.readlink(inode), self._net_wait))

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Take references back; must not fail."""
        for inode, count in inode_list:
            self._fs.forget(inode, count)

    @replies(within=BRIEF)
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Return sizes that never say "full": S3 has no end we could know."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_blocks = data.f_bfree = data.f_bavail = FREE_BLOCKS
        data.f_files = data.f_ffree = data.f_favail = FREE_BLOCKS
        data.f_namemax = NAME_MAXIMUM
        return data

    # -- extended attributes ----------------------------------------------------------------------

    @replies(within=BRIEF)
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        """Return a value. ENOSYS, once heard, keeps the kernel from asking before every write."""
        self._require_xattrs()
        return await self._fs.xattrs.get(inode, decode_name(name))

    @replies(within=BRIEF)
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        """Return the names."""
        self._require_xattrs()
        return [encode_name(name) for name in await self._fs.xattrs.names(inode)]

    @replies(within=BRIEF)
    async def setxattr(
        self, inode: int, name: bytes, value: bytes, ctx: pyfuse3.RequestContext
    ) -> None:
        """Set a value; pyfuse3 sees to XATTR_CREATE and XATTR_REPLACE."""
        self._require_xattrs()
        await self._fs.xattrs.set(inode, decode_name(name), bytes(value))

    @replies(within=BRIEF)
    async def removexattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove a value."""
        self._require_xattrs()
        await self._fs.xattrs.remove(inode, decode_name(name))

    def _require_xattrs(self) -> None:
        if not self._fs.rig.promises.xattrs:
            raise pyfuse3.FUSEError(errno.ENOSYS)

    # -- open files -------------------------------------------------------------------------------

    @replies(within=None)
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Open; the page cache stays: an inode's content never changes behind the kernel."""
        handle = await self._signed_in(lambda: self._fs.open(inode, flags), LOCAL)
        return pyfuse3.FileInfo(fh=handle, keep_cache=True)

    @replies(within=BRIEF)
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Make and open."""
        handle, stat = await self._fs.create(parent_inode, decode_name(name), mode, flags)
        return pyfuse3.FileInfo(fh=handle, keep_cache=True), _attributes(stat)

    @replies(within=None)
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """Return bytes; the reader has deadlines of its own."""
        return await self._signed_in(lambda: self._fs.read(fh, off, size), LOCAL)

    @replies(within=LOCAL)
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Store bytes in the spool."""
        return await self._fs.write(fh, off, buf)

    @replies(within=None)
    async def flush(self, fh: int) -> None:
        """Keep what close promises; the errors of this handler reach close()."""
        await self._fs.flush(fh)

    @replies(within=None)
    async def fsync(self, fh: int, datasync: bool) -> None:  # pyfuse3's
        """Keep what fsync promises."""
        await self._fs.fsync(fh)

    @replies(within=LOCAL)
    async def release(self, fh: int) -> None:
        """Close."""
        await self._fs.release(fh)

    # -- directories ------------------------------------------------------------------------------

    @replies(within=BRIEF)
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """Open a directory; asks nothing."""
        return self._fs.opendir(inode)

    @replies(within=None)
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Stream entries until the kernel's buffer is full."""
        cookie = start_id
        while True:
            found = await self._signed_in(partial(self._fs.readdir, fh, cookie), self._net_wait)
            if found is None:
                return
            inode, cookie = found
            name = encode_name(inode.name)
            if not pyfuse3.readdir_reply(token, name, self._entry(inode, cookie), cookie):
                return
            inode.lookups += 1

    def _entry(self, inode: Inode, cookie: int) -> pyfuse3.EntryAttributes:
        """Return the attributes of a listed entry, or only its number.

        With st_mode 0 the kernel shows DT_UNKNOWN and forgets the entry at once: for what may
        turn out to be a symlink, and beyond the first entries of a huge directory.
        """
        attributes = _attributes(self._fs.stat(inode))
        remote = inode.remote
        is_doubtful = remote is not None and not inode.is_described and may_be_symlink(remote)
        if is_doubtful or position(cookie) > ANSWERED_IN_FULL:
            attributes.st_mode = pyfuse3.ModeT(0)
        return attributes

    async def releasedir(self, fh: int) -> None:
        """Close a directory."""
        self._fs.releasedir(fh)

    @replies(within=None)
    async def fsyncdir(self, fh: int, datasync: bool) -> None:  # pyfuse3's
        """Keep what fsync promises for everything below."""
        await self._fs.fsyncdir(fh)

    # -- names ------------------------------------------------------------------------------------

    @replies(within=None)
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Make a directory."""
        stat = await self._fs.mkdir(parent_inode, decode_name(name), mode)
        return _attributes(stat)

    @replies(within=None)
    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Make a symlink."""
        stat = await self._fs.symlink(parent_inode, decode_name(name), decode_target(target))
        return _attributes(stat)

    @replies(within=None)
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove a file."""
        await self._fs.unlink(parent_inode, decode_name(name))

    @replies(within=None)
    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Remove a directory."""
        await self._fs.rmdir(parent_inode, decode_name(name))

    @replies(within=None)
    async def rename(  # noqa: PLR0917  # pyfuse3's
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Rename; exchanging two names is not offered."""
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        await self._fs.rename(
            parent_inode_old,
            decode_name(name_old),
            parent_inode_new,
            decode_name(name_new),
            replace=not flags & pyfuse3.RENAME_NOREPLACE,
        )

    async def link(
        self,
        inode: int,
        new_parent_inode: int,
        new_name: bytes,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Refuse: an object has one key."""
        raise pyfuse3.FUSEError(errno.EPERM)

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refuse devices, fifos and sockets."""
        raise pyfuse3.FUSEError(errno.EPERM)


def _attributes(stat: Stat) -> pyfuse3.EntryAttributes:
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = pyfuse3.InodeT(stat.number)
    entry.generation = 0
    entry.entry_timeout = stat.entry_ttl
    entry.attr_timeout = stat.attribute_ttl
    entry.st_mode = pyfuse3.ModeT(stat.mode)
    entry.st_nlink = stat.nlink
    entry.st_uid, entry.st_gid = stat.uid, stat.gid
    entry.st_size = stat.size
    entry.st_blocks = stat.blocks
    entry.st_blksize = BLOCK_SIZE
    entry.st_atime_ns = entry.st_mtime_ns = stat.mtime_ns
    entry.st_ctime_ns = stat.ctime_ns
    return entry
