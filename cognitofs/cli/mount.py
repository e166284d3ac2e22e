"""`cognitofs mount`: from a command line to a mount that answers.

Owns the flags, the choice between this process and one of its own, the offer to sign in, and the
words at the end. Building and serving the mount is `session.py`'s.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import typer

from cognitofs import daemon, logs, mountpoint, where
from cognitofs.cli import mountoptions as options
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, absolute
from cognitofs.cli.output import complain, plain, say
from cognitofs.config import MountOptions, require_mount
from cognitofs.control import MountReport
from cognitofs.errors import CognitoFSError, LoginRequired
from cognitofs.safefiles import private_directory
from cognitofs.settings import Settings, load_settings

_COMMAND = ("mount", "--foreground")


@dataclass(frozen=True, slots=True)
class _Plan:
    """One mount as it was asked for."""

    settings: Settings
    config: Path | None
    mountpoint: Path
    log: Path


def mount(
    context: typer.Context,
    directory: options.Mountpoint,
    *,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    foreground: options.Foreground = False,
    sync: options.Sync = None,
    layout: options.Layout = None,
    follow_outside: options.FollowOutside = None,
    read_only: options.ReadOnly = None,
    allow_other: options.AllowOther = None,
    trash: options.Trash = None,
    unsafe_spool: options.UnsafeSpool = None,
    rename_limit: options.RenameLimit = None,
    uid: options.Uid = None,
    gid: options.Gid = None,
    file_mode: options.FileMode = None,
    dir_mode: options.DirMode = None,
    part_size: options.PartSize = None,
    max_transfers: options.MaxTransfers = None,
    idle_exit: options.IdleExit = None,
    bandwidth_limit: options.BandwidthLimit = None,
    metadata_ttl: options.MetadataTtl = None,
    open_ttl: options.OpenTtl = None,
    conflict: options.Conflict = None,
    conditional_writes: options.ConditionalWrites = None,
    attributes: options.Attributes = None,
    xattrs: options.Xattrs = None,
    cache_size: options.CacheSize = None,
    spool_size: options.SpoolSize = None,
    spool_min_free: options.SpoolMinFree = None,
    cache_dir: options.CacheDir = None,
    state_dir: StateDirOption = None,
    drain_timeout: options.DrainTimeout = None,
    net_wait: options.NetWait = None,
    auth_wait: options.AuthWait = None,
    stall_timeout: options.StallTimeout = None,
    read_timeout: options.ReadTimeout = None,
    log_level: options.LogLevel = None,
    sse: options.Sse = None,
    sse_kms_key_id: options.SseKmsKeyId = None,
    bucket_key: options.BucketKey = None,
    storage_class: options.StorageClass = None,
    requester_pays: options.RequesterPays = None,
    expected_bucket_owner: options.ExpectedBucketOwner = None,
    ready_fd: options.ReadyFd = None,
) -> None:
    """Mount your files as a directory; returns when it answers.

    For example:

      cognitofs mount ~/cloud

      cognitofs mount ~/cloud --sync fsync

      cognitofs mount /srv/data --profile camera --foreground

    Leave it with `cognitofs umount ~/cloud` or `fusermount3 -u ~/cloud`.
    """
    readiness = None if ready_fd is None else daemon.Readiness(ready_fd)
    try:
        plan = _planned(context, directory, profile, config)
        code = _run(plan, context.obj, foreground=foreground, readiness=readiness)
    except CognitoFSError as exc:
        if readiness is not None:
            readiness.failed(exc)
        raise
    raise typer.Exit(code)


def _planned(
    context: typer.Context, directory: Path, profile: str | None, config: Path | None
) -> _Plan:
    names = {each.name for each in fields(MountOptions)} | {"layout"}
    flags = {
        key: absolute(value) if isinstance(value, Path) else value
        for key, value in context.params.items()
        if key in names and value is not None
    }
    config = absolute(config)
    settings = load_settings(profile, config, flags)
    require_mount(settings.profile)
    path = mountpoint.prepare(directory.expanduser(), home=Path.home())
    return _Plan(settings, config, path, log_path(where.state_home(settings.options), path))


def log_path(base: Path, path: Path) -> Path:
    """Return the log of the mount at *path*, its directory made; one log per mountpoint.

    The identity, and with it the mount's own state directory, is known only after signing in; the
    log must be able to say why that failed. Raises ConfigError, SpoolDamaged.
    """
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    private_directory(base)
    return private_directory(base / "logs") / f"{path.name or 'root'}-{digest}.log"


def _run(
    plan: _Plan,
    arguments: list[str],
    *,
    foreground: bool,
    readiness: daemon.Readiness | None,
) -> int:
    if readiness is not None:
        return _serve_as_child(plan, readiness)
    attempt = _serve_here if foreground else _start_child
    try:
        return attempt(plan, arguments)
    except LoginRequired:
        if not _signed_in_after_offer(plan):
            raise
        return attempt(plan, arguments)


def _serve_as_child(plan: _Plan, readiness: daemon.Readiness) -> int:
    options = plan.settings.options
    logs.set_up(options.log_level, logs.PrivateFileHandler(plan.log, takes_stderr=True))
    os.chdir("/")  # keep no directory of the person's busy
    daemon.harden()
    return _session_run(plan, readiness.ready)


def _serve_here(plan: _Plan, _arguments: list[str]) -> int:
    logs.set_up(plan.settings.options.log_level, logs.terminal())
    daemon.harden()
    return _session_run(plan, show_report)


def _session_run(plan: _Plan, ready: Callable[[MountReport], None]) -> int:
    # pyfuse3, trio and the signers cost 0.3 s: only the process that serves pays.
    from cognitofs.session import run_mount  # noqa: PLC0415 -- see above

    return run_mount(plan.settings.profile, plan.settings.options, plan.mountpoint, ready=ready)


def _start_child(plan: _Plan, arguments: list[str]) -> int:
    # The child reads the same words, in the same directory, right after its own options.
    words = arguments[arguments.index("mount") + 1 :]
    show_report(daemon.start(_COMMAND, words, plan.log))
    return 0


def _signed_in_after_offer(plan: _Plan) -> bool:
    """Offer to sign in; return whether that was wanted and went well."""
    name = plan.settings.profile.name
    if plan.settings.profile.credential_process or not _is_dialogue():
        return False
    if not typer.confirm(f"You are not signed in with profile {name}. Sign in now?", default=True):
        return False
    config = [] if plan.config is None else [f"--config={plan.config}"]
    # -P: a module of the working directory must not take a library's place.
    command = [sys.executable, "-P", "-m", "cognitofs", "login", f"--profile={name}", *config]
    return subprocess.run(command, check=False).returncode == 0


def _is_dialogue() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def show_report(report: MountReport) -> None:
    """Print what is mounted, as whom, and how to leave."""
    for notice in report.notices:
        complain(notice)
    for line in report_lines(report):
        say(line)


def report_lines(report: MountReport) -> tuple[str, ...]:
    """Return the three facts a person needs after mounting, a line each."""
    who = report.username or "the keys of the credential process"
    identity = f" ({report.identity_id})" if report.identity_id else ""
    expiry = f", keys until {report.keys_expire}, renewed by themselves"
    return tuple(
        plain(line)
        for line in (
            f"{report.s3_uri} is mounted at {report.mountpoint}",
            f"as {who}{identity}{expiry if report.keys_expire else ''}",
            f"leave with: cognitofs umount {report.mountpoint}  "
            f"(or fusermount3 -u {report.mountpoint})",
        )
    )
