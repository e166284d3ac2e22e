"""A tiny pyfuse3 file system that tells what the kernel asks, one JSON line per request.

`python kernel_rig.py MOUNTPOINT MAX_TASKS` mounts one flat directory held in memory. Every request
is written to standard output before it is answered; commands come as JSON lines on standard input:

    {"put": NAME, "size": N, "fill": "x"}      make or overwrite a file, the inode stays
    {"replace": NAME, "size": N, "fill": "y"}  give the name a new inode; the old one is outdated
    {"set": KEY, "to": VALUE}                  change one of `Behaviour`
    {"gate": NAME, "open": true|false}         let requests of that kind pass, or hold them
    {"mark": N}                                answer {"event": "mark", "mark": N}

It shares no code with cognitofs on purpose: it pins what the kernel and pyfuse3 do, not what we do.
"""

import dataclasses
import errno
import json
import os
import stat
import sys
from collections import defaultdict

import pyfuse3
import trio


@dataclasses.dataclass(slots=True)
class Behaviour:
    """How the rig answers; each field can be set by a command."""

    timeout: float = 0.0  # of entries and attributes, seconds
    keep_cache: bool = False
    xattr_errno: int = errno.ENODATA
    flush_errno: int = 0
    stale: bool = False  # OPEN of an outdated inode answers ESTALE
    mode_zero: str = ""  # the name that readdir gives with st_mode=0
    failure: str = ""  # what OPEN raises: "plain" or "group"


@dataclasses.dataclass(slots=True)
class File:
    """A file of the rig."""

    number: int
    content: bytearray
    outdated: bool = False


def tell(event: str, **facts: object) -> None:
    """Write one line that the test can wait for."""
    os.write(1, json.dumps({"event": event, **facts}).encode() + b"\n")


class Rig(pyfuse3.Operations):
    """One directory of files, and a log of all requests."""

    enable_writeback_cache = False

    def __init__(self) -> None:
        super().__init__()
        self.behaviour = Behaviour()
        self.files: dict[int, File] = {}
        self.names: dict[str, int] = {}
        self.gates: dict[str, trio.Event] = defaultdict(_open_gate)
        self._next = pyfuse3.ROOT_INODE + 1

    # Commands

    def put(self, name: str, size: int, fill: str) -> None:
        file = self.files.get(self.names.get(name, 0)) or self._new(name)
        file.content[:] = fill.encode() * size

    def replace(self, name: str, size: int, fill: str) -> None:
        self.files[self.names[name]].outdated = True
        self._new(name).content[:] = fill.encode() * size

    def obey(self, command: dict[str, object]) -> None:
        match command:
            case {"put": str(name), "size": int(size), "fill": str(fill)}:
                self.put(name, size, fill)
            case {"replace": str(name), "size": int(size), "fill": str(fill)}:
                self.replace(name, size, fill)
            case {"set": str(key), "to": value}:
                setattr(self.behaviour, key, value)
            case {"gate": str(name), "open": True}:
                self.gates[name].set()
            case {"gate": str(name), "open": False}:
                self.gates[name] = trio.Event()
            case {"mark": int(number)}:
                tell("mark", mark=number)
            case _:
                raise ValueError(f"unknown command {command}")

    def _new(self, name: str) -> File:
        number, self._next = self._next, self._next + 1
        self.files[number] = File(number, bytearray())
        self.names[name] = number
        return self.files[number]

    def _attributes(self, number: int) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = number
        entry.entry_timeout = entry.attr_timeout = self.behaviour.timeout
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        if number == pyfuse3.ROOT_INODE:
            entry.st_mode = stat.S_IFDIR | 0o755
        else:
            entry.st_mode = stat.S_IFREG | 0o644
            entry.st_size = len(self.files[number].content)
        return entry

    # Requests about names

    async def lookup(self, parent_inode, name, ctx):
        tell("lookup", name=os.fsdecode(name))
        number = self.names.get(os.fsdecode(name))
        if number is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes(number)

    async def forget(self, inode_list):
        for number, count in inode_list:
            tell("forget", inode=number, count=count)

    async def getattr(self, inode, ctx):
        tell("getattr", inode=inode)
        return self._attributes(inode)

    async def setattr(self, inode, attr, fields, fh, ctx):
        changed = [f for f in ("size", "mode", "mtime") if getattr(fields, f"update_{f}")]
        tell("setattr", inode=inode, fh=fh, changed=changed)
        if fields.update_size:
            content = self.files[inode].content
            content[attr.st_size :] = bytes(max(0, attr.st_size - len(content)))
        return self._attributes(inode)

    async def getxattr(self, inode, name, ctx):
        tell("getxattr", inode=inode, name=os.fsdecode(name))
        raise pyfuse3.FUSEError(self.behaviour.xattr_errno)

    async def unlink(self, parent_inode, name, ctx):
        tell("unlink", name=os.fsdecode(name))
        del self.names[os.fsdecode(name)]

    async def opendir(self, inode, ctx):
        return inode

    async def readdir(self, fh, start_id, token):
        for position, (name, number) in enumerate(sorted(self.names.items()), start=1):
            if position <= start_id:
                continue
            entry = self._attributes(number)
            if name == self.behaviour.mode_zero:
                entry.st_mode = 0
            if not pyfuse3.readdir_reply(token, os.fsencode(name), entry, position):
                return

    # Requests about content

    async def open(self, inode, flags, ctx):
        tell("open", inode=inode, flags=flags, truncates=bool(flags & os.O_TRUNC))
        if self.behaviour.failure == "plain":
            raise ValueError("a handler that fails")
        if self.behaviour.failure == "group":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_fail_with_eio)
        if self.behaviour.stale and self.files[inode].outdated:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return pyfuse3.FileInfo(fh=inode, keep_cache=self.behaviour.keep_cache)

    async def create(self, parent_inode, name, mode, flags, ctx):
        file = self._new(os.fsdecode(name))
        tell("create", inode=file.number, name=os.fsdecode(name))
        return pyfuse3.FileInfo(fh=file.number), self._attributes(file.number)

    async def read(self, fh, off, size):
        tell("read", inode=fh, offset=off, size=size)
        await self.gates["read"].wait()
        return bytes(self.files[fh].content[off : off + size])

    async def write(self, fh, off, buf):
        tell("write", inode=fh, offset=off, size=len(buf))
        content = self.files[fh].content
        content[len(content) :] = bytes(max(0, off + len(buf) - len(content)))
        content[off : off + len(buf)] = buf
        return len(buf)

    async def flush(self, fh):
        tell("flush", inode=fh)
        await self.gates["flush"].wait()
        if self.behaviour.flush_errno:
            raise pyfuse3.FUSEError(self.behaviour.flush_errno)

    async def fsync(self, fh, datasync):
        tell("fsync", inode=fh, datasync=datasync)

    async def release(self, fh):
        tell("release", inode=fh)
        await self.gates["release"].wait()
        tell("released", inode=fh)


def _open_gate() -> trio.Event:
    gate = trio.Event()
    gate.set()
    return gate


async def _fail_with_eio() -> None:
    raise pyfuse3.FUSEError(errno.EIO)


async def _obey_commands(rig: Rig) -> None:
    pending = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        async for chunk in stream:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                rig.obey(json.loads(line))
                tell("done")


async def _serve(rig: Rig, max_tasks: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_commands, rig)
        tell("ready")
        await pyfuse3.main(min_tasks=1, max_tasks=max_tasks)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Mount, serve until unmounted, tell that the main loop ended."""
    mountpoint, max_tasks = sys.argv[1], int(sys.argv[2])
    rig = Rig()
    pyfuse3.init(rig, mountpoint, {*pyfuse3.default_options, "fsname=kernel-rig"})
    try:
        trio.run(_serve, rig, max_tasks)
        tell("ended")
    finally:
        pyfuse3.close(unmount=False)


if __name__ == "__main__":
    main()
