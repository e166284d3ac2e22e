"""Session: one mount from start to end: build, examine, recover, serve, drain, leave.

Owns lifetimes and their order; knows no per-file logic. What runs beside the file system lives in
one nursery, opened here: reader, describer, uploader, header writer, keys, control socket.

A normal end (fusermount3 -u) seals what is open and drains. SIGTERM and SIGINT unmount and drain
what was sealed, up to `drain_timeout`; a second one ends it at once (`ending.py`). SIGKILL is the
same as far as correctness goes: what is left is in the journal, and recovery is the hand-over.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import pyfuse3
import trio

from cognitofs import controlserver, idling, lastword, reach, runtime, where
from cognitofs.assembly import assembled
from cognitofs.auth.account import Account, open_account
from cognitofs.config import MountOptions, Profile
from cognitofs.control import MountReport
from cognitofs.ending import Ending
from cognitofs.errors import CognitoFSError, MountError
from cognitofs.fs.filesystem import Filesystem
from cognitofs.fs.recovery import Recovered, recover
from cognitofs.fuse import invalidation
from cognitofs.fuse.operations import FuseOperations
from cognitofs.mountface import Identity, RunningMount
from cognitofs.mountpoint import unmount
from cognitofs.mounts import open_state
from cognitofs.reach import Plan
from cognitofs.signinwatch import SignInWatch
from cognitofs.spool.journal import Journal
from cognitofs.state import Binding, Note, StateDirectory
from cognitofs.store.s3 import S3Store

TASKS = 1000
"""Handlers at a time. pyfuse3's default of 99 blocks `ls` behind 99 waiting closes (measured)."""
METADATA_AT_ONCE = 32
READ_AHEAD_KIB = 1024
"""Of the kernel: 1.7 times as fast on sequential reads as its 128 KiB (measured). Root only."""
CACHE_SECONDS = 5.0
"""For which the end waits until the index of the cache has what was read last."""
PENDING_LEFT = 4
"""Exit code: something stays in the journal."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Mount:
    """Everything that was decided before the first request."""

    plan: Plan
    options: MountOptions
    mountpoint: Path
    state: StateDirectory
    binding: Binding
    ready: Callable[[MountReport], None]

    @property
    def account(self) -> Account:
        """Who is signed in."""
        return self.plan.account

    @property
    def profile(self) -> Profile:
        """The configured profile."""
        return self.account.profile


def run_mount(
    profile: Profile,
    options: MountOptions,
    mountpoint: Path,
    *,
    ready: Callable[[MountReport], None],
) -> int:
    """Mount, call *ready* once the mount answers, serve and drain; return the exit code.

    Raises CognitoFSError before *ready* when the mount cannot start.
    """
    account = open_account(profile, where.profile_state(options, profile.name))
    plan = reach.planned(account)
    binding = Binding(profile.endpoint("s3"), profile.bucket, plan.prefix, account.identity_id)
    note = Note(mountpoint=str(mountpoint), profile=profile.name, username=account.username)
    base = where.state_home(options)
    socket = runtime.socket_path(binding.mount_id, base, os.environ)
    with open_state(base, binding, note, socket, is_risked=options.unsafe_spool) as state:
        mount = _Mount(plan, options, mountpoint, state, binding, ready)
        try:
            return trio.run(_serve, mount)
        except BaseExceptionGroup as group:  # not except*: what it raises comes in a group again
            named, others = group.split(CognitoFSError)
            if named is None or others is not None:
                raise
            raise _first_leaf(named) from group


def _first_leaf(group: BaseExceptionGroup[CognitoFSError]) -> CognitoFSError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, CognitoFSError)
    return found


# -- the mount ------------------------------------------------------------------------------------


async def _serve(mount: _Mount) -> int:
    """Build, serve and drain; return the exit code."""
    own = reach.open_store(mount.account, mount.options, metadata_at_once=METADATA_AT_ONCE)
    lastword.forget(mount.state.files)
    async with trio.open_nursery() as nursery:
        found = await reach.examined(mount.plan, mount.options, own)
        rig, said = assembled(mount.plan, mount.options, mount.binding, mount.state, found)
        rig.namespace.away.when_back = rig.uploader.nudge
        filesystem = Filesystem(rig)
        for service in (
            rig.reader,
            rig.cache,
            rig.namespace.describer,
            rig.namespace.away,
            rig.uploader,
            rig.deletions,
            filesystem.files.headers,
        ):
            await nursery.start(service.run)
        watch = SignInWatch(mount.account, where.profile_state(mount.options, mount.profile.name))
        nursery.start_soon(watch.run, rig.uploader.nudge)
        recovered = await recover(rig, filesystem.files)
        notices = (*found.notices, *mount.state.notices, *said, *recovered.sentences())
        face = _face(mount, filesystem, recovered, watch, notices, own=own)
        socket = _socket_path(mount)
        nursery.start_soon(controlserver.serve, controlserver.listen(socket), socket, face)
        ending = Ending(face.last_drain, mount.options.drain_timeout)
        cut_off = partial(_cut_off, mount, face)
        await nursery.start(ending.obey_signals, pyfuse3.terminate, cut_off)
        await _mounted(mount, filesystem, face, ending)
        code = await _drained(filesystem, face)
        if code == PENDING_LEFT:
            _leave_word(mount, face)
            _end_at_once(socket, code)
        nursery.cancel_scope.cancel()
    _close_journal(mount, rig.journal)
    with trio.move_on_after(CACHE_SECONDS):
        await rig.cache.save()
    rig.cache.close()
    own.close()
    return code


def _leave_word(mount: _Mount, face: RunningMount) -> None:
    """Let `cognitofs status` tell, without a process, what is left and why."""
    try:
        lastword.write(mount.state.files, face.status())
    except OSError as exc:
        _log.warning("The last status could not be kept: %s", exc.strerror)


def _cut_off(mount: _Mount, face: RunningMount) -> NoReturn:
    """Unmount and end though requests of the kernel wait: their callers hear an error."""
    pyfuse3.close(unmount=True)
    face.is_mounted = False
    _log.warning("The mount ends while programs still wait for S3; what they closed is kept.")
    _leave_word(mount, face)
    _end_at_once(_socket_path(mount), PENDING_LEFT)


def _end_at_once(socket: Path, code: int) -> NoReturn:
    """End without waiting for requests under way: a silent server would hold us for a minute.

    The next mount may wait for our lock. What such a request still brings about is for its
    recovery the same as an answer that was lost.
    """
    socket.unlink(missing_ok=True)
    logging.shutdown()
    os._exit(code)


def _close_journal(mount: _Mount, journal: Journal) -> None:
    """Close the journal; an empty one goes, so that `status` sees at once that nothing is left."""
    is_empty = journal.is_empty()
    journal.close()
    if is_empty:
        mount.state.files.journal.unlink(missing_ok=True)


def _face(
    mount: _Mount,
    filesystem: Filesystem,
    recovered: Recovered,
    watch: SignInWatch,
    notices: tuple[str, ...],
    *,
    own: S3Store,
) -> RunningMount:
    identity = Identity(
        mountpoint=str(mount.mountpoint),
        pid=os.getpid(),
        profile=mount.profile.name,
        username=mount.account.username,
        identity_id=mount.account.identity_id,
        s3_uri=mount.plan.s3_uri,
        state_directory=str(mount.state.files.path),
    )
    return RunningMount(
        *(filesystem, identity, recovered, watch, notices),
        pace=own.transfers,
        metadata=own.metadata,
    )


def _socket_path(mount: _Mount) -> Path:
    base = where.state_home(mount.options)
    return runtime.socket_path(mount.binding.mount_id, base, os.environ)


# -- serving --------------------------------------------------------------------------------------


async def _mounted(
    mount: _Mount,
    filesystem: Filesystem,
    face: RunningMount,
    ending: Ending,
) -> None:
    """Serve the kernel until the mount ends, and seal what a normal end seals."""
    _init_fuse(mount, filesystem)  # no wait before it: a signal would end what is not there
    invalidation.connect(filesystem.rig.kernel)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_announce, mount, face)
            if mount.options.idle_exit is not None:
                nursery.start_soon(_leave_when_unused, mount, filesystem, face)
            await pyfuse3.main(min_tasks=1, max_tasks=TASKS)
            ending.served()
            nursery.cancel_scope.cancel()
    finally:
        filesystem.rig.kernel.leave()
        pyfuse3.close(unmount=ending.is_asked)
    face.is_mounted = False
    with contextlib.suppress(CognitoFSError):
        await filesystem.files.seal_deferred()
    if not ending.is_asked:
        for file in filesystem.files.all():
            with contextlib.suppress(CognitoFSError):
                await file.publish(durable=True)


def _init_fuse(mount: _Mount, filesystem: Filesystem) -> None:
    options = set(pyfuse3.default_options)
    name = f"cognitofs:{mount.profile.bucket}/{mount.plan.prefix}"
    options |= {f"fsname={_escaped(name)}", "subtype=cognitofs", "nosuid", "nodev"}
    if mount.options.allow_other:
        options.add("allow_other")
    if filesystem.rig.promises.read_only:
        options.add("ro")
    try:
        pyfuse3.init(FuseOperations(filesystem), str(mount.mountpoint), options)
    except RuntimeError as exc:
        raise MountError(
            f"The kernel refused to mount {mount.mountpoint}; check that fuse3 is installed and"
            " that you own the directory."
        ) from exc


def _escaped(value: str) -> str:
    """Keep a comma in a mount option from ending it."""
    return value.replace("\\", "\\\\").replace(",", "\\,")


async def _announce(mount: _Mount, face: RunningMount) -> None:
    """Report readiness once the mount answers."""
    found = await trio.to_thread.run_sync(os.stat, mount.mountpoint, abandon_on_cancel=True)
    _widen_read_ahead(found.st_dev)
    status = face.status()
    warning = (status.sign_in_warning,) if status.sign_in_warning else ()
    report = MountReport(
        mountpoint=status.mountpoint,
        s3_uri=status.s3_uri,
        username=status.username,
        identity_id=status.identity_id,
        keys_expire=status.keys_expire,
        notices=status.notices + warning,
        pid=status.pid,
    )
    mount.ready(report)
    _log.info("%s is mounted at %s.", mount.plan.s3_uri, mount.mountpoint)


async def _leave_when_unused(mount: _Mount, filesystem: Filesystem, face: RunningMount) -> None:
    assert mount.options.idle_exit is not None
    leave = partial(trio.to_thread.run_sync, unmount, mount.mountpoint, abandon_on_cancel=True)
    await idling.leave_when_unused(filesystem, face.has_unsent, leave, mount.options.idle_exit)


def _widen_read_ahead(device: int) -> None:
    """Let the kernel read ahead further; only root may."""
    path = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
    with contextlib.suppress(OSError):
        Path(path).write_text(f"{READ_AHEAD_KIB}\n")


# -- draining -------------------------------------------------------------------------------------


async def _drained(filesystem: Filesystem, face: RunningMount) -> int:
    """Send what is sealed, until it is sent, the deadline passes or somebody ends it."""
    with face.last_drain:
        filesystem.rig.uploader.nudge()
        await filesystem.rig.uploader.wait_drained()
        await filesystem.files.headers.wait_drained()
        await filesystem.rig.deletions.wait_drained()
    status = face.status()
    if status.pending_files:
        _log.warning(
            "Not on S3 yet: %d. The next mount sends what was closed, and keeps the rest in"
            " lost+found.",
            status.pending_files,
        )
        return PENDING_LEFT
    _log.info("Everything is on S3.")
    return 0
