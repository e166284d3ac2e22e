"""Where the control sockets of running mounts lie.

Owns the choice of the directory and the names in it. Opens no socket.

A socket's place must be found by a command that knows nothing but the person: so it is the
runtime directory of the person (XDG), or `run/` below the state directory where there is none.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cognitofs.errors import CognitoFSError
from cognitofs.safefiles import is_private, private_directory

_NAME = "cognitofs"
# Limit of Linux for the path in a sockaddr_un, its final NUL included (unix(7)).
_ADDRESS_LIMIT = 108
_SOCKET = re.compile(r"[0-9a-f]{16}\.sock")


def socket_path(mount_id: str, base: Path, environ: Mapping[str, str]) -> Path:
    """Return where the mount *mount_id* listens, its directory made and checked.

    *base* is the state directory. Raises ConfigError, SpoolDamaged when no place is fit.
    """
    *preferred, last = candidates(base, environ)
    for directory in preferred:
        if not is_private(directory.parent):
            continue  # never make what the login session should have made
        try:
            return private_directory(directory) / f"{mount_id}.sock"
        except CognitoFSError:
            continue
    return private_directory(last) / f"{mount_id}.sock"


def sockets(base: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return every socket of this person's mounts, dead ones too."""
    return tuple(
        each
        for directory in candidates(base, environ)
        if is_private(directory)
        for each in sorted(directory.iterdir())
        if _SOCKET.fullmatch(each.name)
    )


def candidates(base: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories where a socket may lie, the best first."""
    named = environ.get("XDG_RUNTIME_DIR", "")
    # Without the variable (cron, sudo, ssh without a session) it is still where systemd puts it.
    runtime = Path(named) if named.startswith("/") else Path(f"/run/user/{os.geteuid()}")
    return (runtime / _NAME, base / "run")


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give an address for *path* that fits a sockaddr_un, good inside the block.

    A long path is reached through a descriptor of its directory. Raises OSError.
    """
    if len(os.fsencode(path)) < _ADDRESS_LIMIT:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
