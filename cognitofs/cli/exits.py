"""Exit codes: one table, by class of error.

INVARIANT: scripts may rely on these numbers; they are only ever added to.
"""

from enum import IntEnum

from cognitofs.errors import (
    CognitoFSError,
    ConfigError,
    LoginRequired,
    MountpointBusy,
    MountpointUnusable,
    Stalled,
    UnsentFiles,
    WrongCredentials,
    WrongIdentity,
)


class Exit(IntEnum):
    """What the exit code of every command means."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    DATA_PENDING = 4
    BUSY = 5
    ANOTHER_IDENTITY = 6
    # 128 + SIGINT, as shells report it.
    INTERRUPTED = 130


_BY_CLASS: tuple[tuple[type[CognitoFSError], Exit], ...] = (
    (ConfigError, Exit.USAGE),
    (MountpointUnusable, Exit.USAGE),
    (LoginRequired, Exit.NOT_SIGNED_IN),
    (WrongCredentials, Exit.NOT_SIGNED_IN),
    # What stalls goes on behind the command: the bytes are kept and still to be sent.
    (Stalled, Exit.DATA_PENDING),
    (UnsentFiles, Exit.DATA_PENDING),
    (MountpointBusy, Exit.BUSY),
    (WrongIdentity, Exit.ANOTHER_IDENTITY),
)


def exit_code(error: CognitoFSError) -> Exit:
    """Return the exit code that stands for *error*."""
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), Exit.FAILURE)
