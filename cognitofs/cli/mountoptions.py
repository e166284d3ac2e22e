"""The options of `cognitofs mount`, a type each: what Typer shows, and what `--help` says.

Owns the words. What the values mean and their defaults are `config.MountOptions`'.
"""

from pathlib import Path
from typing import Annotated

import typer

Mountpoint = Annotated[
    Path,
    typer.Argument(metavar="MOUNTPOINT", help="An empty directory, or a new one below home."),
]
Foreground = Annotated[
    bool,
    typer.Option("--foreground", "-f", help="Stay, and log to the terminal (for systemd)."),
]
Sync = Annotated[
    str | None,
    typer.Option(
        metavar="close|fsync|local",
        help="When a file is safe: 'close' waits for S3 at each close (default), 'fsync' only "
        "at fsync, 'local' never; what is not sent yet is kept on the local disk.",
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        metavar="amplify|TEMPLATES",
        help="Show several prefixes as top directories: Amplify's levels, or templates with "
        "spaces between.",
    ),
]
FollowOutside = Annotated[
    bool | None,
    typer.Option("--follow-outside", help="Follow links out of directories that others write to."),
]
ReadOnly = Annotated[bool | None, typer.Option("--read-only", help="Change nothing.")]
AllowOther = Annotated[
    bool | None, typer.Option("--allow-other", help="Let other users of this machine in.")
]
UnsafeSpool = Annotated[
    bool | None,
    typer.Option("--unsafe-spool", help="Keep unsent files on a network or FUSE disk, too."),
]
Trash = Annotated[
    bool | None, typer.Option("--trash", help="Let desktops make .Trash directories.")
]
RenameLimit = Annotated[
    str | None,
    typer.Option(metavar="N", help="Objects that one rename of a directory moves: 100000."),
]
Uid = Annotated[str | None, typer.Option(metavar="N", help="Owner of all files.")]
Gid = Annotated[str | None, typer.Option(metavar="N", help="Group of all files.")]
FileMode = Annotated[
    str | None, typer.Option(metavar="MODE", help="Permissions of files that have none: 0644.")
]
DirMode = Annotated[
    str | None, typer.Option(metavar="MODE", help="Permissions of directories: 0755.")
]
PartSize = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Size of the first upload parts: 8MiB.")
]
MaxTransfers = Annotated[
    str | None, typer.Option(metavar="N", help="Uploads and downloads at a time: 8.")
]
IdleExit = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="Unmount when unused for so long, such as 30m."),
]
BandwidthLimit = Annotated[
    str | None,
    typer.Option(metavar="UP:DOWN", help="Bytes a second, such as 5M:20M; 0 does not limit."),
]
MetadataTtl = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="How long names and sizes are trusted: 5."),
]
OpenTtl = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="How old an open file's version may be: 1; 0 asks."),
]
Conflict = Annotated[
    str | None,
    typer.Option(
        metavar="copy|fail|overwrite",
        help="When somebody else changed the file too: keep yours as a second file (copy), "
        "let close fail and keep yours here (fail), or replace theirs (overwrite).",
    ),
]
ConditionalWrites = Annotated[
    str | None,
    typer.Option(
        metavar="auto|require|off",
        help="Servers off AWS that ignore conditions: look before each commit (auto), or "
        "refuse to mount (require). 'off' sends no conditions to any server.",
    ),
]
Attributes = Annotated[
    str | None,
    typer.Option(
        metavar="head|list",
        help="'list' skips one request per file in 'ls -l' and shows default modes.",
    ),
]
Xattrs = Annotated[
    bool | None,
    typer.Option("--xattrs", help="Keep extended attributes (user.*); slows small writes."),
]
CacheSize = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Disk for what was read: 1GiB.")
]
SpoolSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Disk for unsent bytes: 20GiB, at most half the free."),
]
SpoolMinFree = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Disk that unsent bytes leave free: 1GiB.")
]
CacheDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Where what was read is kept.")]
DrainTimeout = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="Longest wait for uploads when it is ended."),
]
NetWait = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="How long looks wait for a silent S3: 20."),
]
AuthWait = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="How long programs wait for a new sign-in: 60."),
]
StallTimeout = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help="Longest wait of a close without progress: 120."),
]
ReadTimeout = Annotated[
    str | None, typer.Option(metavar="SECONDS", help="Longest wait of a read: 60.")
]
LogLevel = Annotated[
    str | None, typer.Option(metavar="LEVEL", help="error, warning, info (default) or debug.")
]
Sse = Annotated[
    str | None,
    typer.Option(metavar="AES256|aws:kms|aws:kms:dsse", help="Encryption of what is written."),
]
SseKmsKeyId = Annotated[
    str | None, typer.Option(metavar="KEY", help="The KMS key to encrypt with.")
]
BucketKey = Annotated[
    bool | None, typer.Option("--bucket-key", help="Use a bucket key: fewer calls of KMS.")
]
StorageClass = Annotated[
    str | None, typer.Option(metavar="CLASS", help="Of what is written, such as STANDARD_IA.")
]
RequesterPays = Annotated[
    bool | None, typer.Option("--requester-pays", help="Pay for requests and transfer.")
]
ExpectedBucketOwner = Annotated[
    str | None,
    typer.Option(metavar="ACCOUNT", help="Refuse a bucket of another AWS account."),
]
ReadyFd = Annotated[int | None, typer.Option("--ready-fd", hidden=True)]
