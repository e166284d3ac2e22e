"""A `cognitofs.session` that follows a script: a real mount of an empty directory, no cloud.

On PYTHONPATH of a command under test it takes the place of the real session, so that the command,
the daemon, the control socket and the kernel are all real, and what the mount meets is chosen by
the JSON in SCRIPTED_SESSION:

    {"fail": ["LoginRequired", "A sentence."]}   raise before the mount is ready
    {"crash": true}                              die of a defect before the mount is ready
    {"unsent": N}                                N files that the drain sends, one at a time
    {"stuck": N}                                 N files that can not be sent
    {"wait": true}                               a drain that makes no progress
"""

import dataclasses
import json
import os
import sys
import types
from functools import partial

import pyfuse3
import trio

from cognitofs import control, controlserver, errors, mounts, runtime, state, where


def run_mount(profile, options, mountpoint, *, ready):
    script = json.loads(os.environ.get("SCRIPTED_SESSION", "{}"))
    if "fail" in script:
        kind, sentence = script["fail"]
        raise getattr(errors, kind)(sentence)
    if script.get("crash"):
        raise ZeroDivisionError("the scripted defect")
    return _serve(profile, options, mountpoint, ready, script)


class Empty(pyfuse3.Operations):
    """A directory with nothing in it."""

    async def getattr(self, inode, ctx=None):
        entry = pyfuse3.EntryAttributes()
        entry.st_ino, entry.st_mode, entry.st_nlink = inode, 0o040755, 2
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        return entry

    async def opendir(self, inode, ctx):
        return inode

    async def readdir(self, handle, start_id, token):
        return


class Face:
    """What the scripted mount says of itself."""

    def __init__(self, script, status):
        self.unsent, self.stuck = script.get("unsent", 0), script.get("stuck", 0)
        self._waits, self._status = script.get("wait"), status

    def status(self):
        return dataclasses.replace(
            self._status,
            state="failed" if self.stuck else "sealed" if self.unsent else "clean",
            pending_files=self.unsent + self.stuck,
            failed_files=self.stuck,
            files=tuple(control.FileStatus("a\x1bb", "failed", 5) for _ in range(self.stuck)),
        )

    async def drain(self, progress):
        while self.unsent or self._waits:
            await progress(control.DrainProgress(self.unsent, 1000 * self.unsent))
            if self._waits:
                await trio.sleep_forever()
            self.unsent -= 1
        await progress(control.DrainProgress(self.stuck, failed_files=self.stuck))

    def stop(self):
        raise errors.MountError("This is not in the script.")


def _serve(profile, options, mountpoint, ready, script):
    base = where.state_home(options)
    binding = state.Binding("", profile.bucket, "private/x/", "")
    socket = runtime.socket_path(binding.mount_id, base, os.environ)
    with mounts.open_state(base, binding, state.Note(str(mountpoint)), socket) as held:
        held.files.journal.touch()
        for number in range(script.get("stuck", 0)):
            (held.files.spool / str(number)).write_bytes(b"12345")
        flags = set(pyfuse3.default_options) | {"fsname=scripted", "subtype=cognitofs"}
        pyfuse3.init(Empty(), str(mountpoint), flags)
        status = control.MountStatus(
            mountpoint=str(mountpoint),
            pid=os.getpid(),
            profile=profile.name,
            s3_uri=binding.s3_uri,
            state_directory=str(held.files.path),
        )
        report = control.MountReport(str(mountpoint), binding.s3_uri, pid=os.getpid())
        trio.run(_main, socket, Face(script, status), partial(ready, report))
        pyfuse3.close()
    return 0


async def _main(socket, face, ready):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(controlserver.serve, controlserver.listen(socket), socket, face)
        nursery.start_soon(_announce, face, ready)
        await pyfuse3.main()
        nursery.cancel_scope.cancel()


async def _announce(face, ready):
    await trio.to_thread.run_sync(os.listdir, face.status().mountpoint)
    ready()


module = types.ModuleType("cognitofs.session")
module.run_mount = run_mount
sys.modules["cognitofs.session"] = module
