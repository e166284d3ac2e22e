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
from typing import Annotated

import typer

from cognitofs import daemon, logs, mountpoint, where
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
    directory: Annotated[
        Path,
        typer.Argument(metavar="MOUNTPOINT", help="An empty directory, or a new one below home."),
    ],
    *,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    foreground: Annotated[
        bool,
        typer.Option("--foreground", "-f", help="Stay, and log to the terminal (for systemd)."),
    ] = False,
    sync: Annotated[
        str | None,
        typer.Option(
            metavar="close|fsync|local",
            help="When a file is safe: 'close' waits for S3 at each close (default), 'fsync' only "
            "at fsync, 'local' never; what is not sent yet is kept on the local disk.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="amplify|TEMPLATES",
            help="Show several prefixes as top directories: Amplify's levels, or templates with "
            "spaces between.",
        ),
    ] = None,
    follow_outside: Annotated[
        bool | None,
        typer.Option(
            "--follow-outside", help="Follow links out of directories that others write to."
        ),
    ] = None,
    read_only: Annotated[bool | None, typer.Option("--read-only", help="Change nothing.")] = None,
    allow_other: Annotated[
        bool | None, typer.Option("--allow-other", help="Let other users of this machine in.")
    ] = None,
    trash: Annotated[
        bool | None, typer.Option("--trash", help="Let desktops make .Trash directories.")
    ] = None,
    rename_limit: Annotated[
        str | None,
        typer.Option(metavar="N", help="Objects that one rename of a directory moves: 100000."),
    ] = None,
    uid: Annotated[str | None, typer.Option(metavar="N", help="Owner of all files.")] = None,
    gid: Annotated[str | None, typer.Option(metavar="N", help="Group of all files.")] = None,
    file_mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="Permissions of files that have none: 0644.")
    ] = None,
    dir_mode: Annotated[
        str | None, typer.Option(metavar="MODE", help="Permissions of directories: 0755.")
    ] = None,
    part_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Size of the first upload parts: 8MiB.")
    ] = None,
    max_transfers: Annotated[
        str | None, typer.Option(metavar="N", help="Uploads and downloads at a time: 8.")
    ] = None,
    idle_exit: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Unmount when unused for so long, such as 30m."),
    ] = None,
    bandwidth_limit: Annotated[
        str | None,
        typer.Option(metavar="UP:DOWN", help="Bytes a second, such as 5M:20M; 0 does not limit."),
    ] = None,
    metadata_ttl: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="How long names and sizes are trusted: 5."),
    ] = None,
    open_ttl: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="How old an open file's version may be: 1; 0 asks."),
    ] = None,
    conflict: Annotated[
        str | None,
        typer.Option(
            metavar="copy|fail|overwrite",
            help="When somebody else changed the file too: keep yours as a second file (copy), "
            "let close fail and keep yours here (fail), or replace theirs (overwrite).",
        ),
    ] = None,
    conditional_writes: Annotated[
        str | None,
        typer.Option(
            metavar="auto|require|off",
            help="Servers off AWS that ignore conditions: look before each commit (auto), or "
            "refuse to mount (require). 'off' sends no conditions to any server.",
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            metavar="head|list",
            help="'list' skips one request per file in 'ls -l' and shows default modes.",
        ),
    ] = None,
    xattrs: Annotated[
        bool | None,
        typer.Option("--xattrs", help="Keep extended attributes (user.*); slows small writes."),
    ] = None,
    cache_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Disk for what was read: 1GiB.")
    ] = None,
    spool_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Disk for unsent bytes: 20GiB, at most half the free."),
    ] = None,
    spool_min_free: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Disk that unsent bytes leave free: 1GiB.")
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where what was read is kept.")
    ] = None,
    state_dir: StateDirOption = None,
    drain_timeout: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Longest wait for uploads when it is ended."),
    ] = None,
    net_wait: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="How long looks wait for a silent S3: 20."),
    ] = None,
    auth_wait: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="How long programs wait for a new sign-in: 60."),
    ] = None,
    stall_timeout: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="Longest wait of a close without progress: 120."),
    ] = None,
    read_timeout: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Longest wait of a read: 60.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="error, warning, info (default) or debug.")
    ] = None,
    sse: Annotated[
        str | None,
        typer.Option(metavar="AES256|aws:kms|aws:kms:dsse", help="Encryption of what is written."),
    ] = None,
    sse_kms_key_id: Annotated[
        str | None, typer.Option(metavar="KEY", help="The KMS key to encrypt with.")
    ] = None,
    bucket_key: Annotated[
        bool | None, typer.Option("--bucket-key", help="Use a bucket key: fewer calls of KMS.")
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Of what is written, such as STANDARD_IA.")
    ] = None,
    requester_pays: Annotated[
        bool | None, typer.Option("--requester-pays", help="Pay for requests and transfer.")
    ] = None,
    expected_bucket_owner: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="Refuse a bucket of another AWS account."),
    ] = None,
    ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
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
