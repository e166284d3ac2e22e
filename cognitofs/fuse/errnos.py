"""The one table from failures to errnos, and the decorator around every handler.

A handler that raises anything but FUSEError ends the mount, also a FUSEError inside an
ExceptionGroup (both pinned by tests/mount/test_kernel_facts.py): `replies` lets neither out.
Local disk errors have classes of their own, so that a missing spool file is not a missing file.
"""

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pyfuse3
import trio

from cognitofs import errors

ERRNOS: dict[type[BaseException], int] = {
    errors.CognitoFSError: errno.EIO,
    errors.ConfigError: errno.EINVAL,
    errors.SignInError: errno.EACCES,
    errors.WrongCredentials: errno.EACCES,
    errors.LoginRequired: errno.EKEYEXPIRED,
    errors.SignInRefused: errno.EACCES,
    errors.AuthUnavailable: errno.EHOSTUNREACH,
    errors.ClockSkew: errno.EACCES,
    errors.WrongIdentity: errno.EACCES,
    errors.StoreError: errno.EIO,
    errors.NotFound: errno.ENOENT,
    errors.NoSuchBucket: errno.EIO,
    errors.NoSuchUpload: errno.EIO,
    errors.AccessDenied: errno.EACCES,
    errors.KeysRefused: errno.EACCES,
    errors.PreconditionFailed: errno.ESTALE,
    errors.ConditionalConflict: errno.EIO,
    errors.Changed: errno.ESTALE,
    errors.Rejected: errno.EIO,
    errors.TooLarge: errno.EFBIG,
    errors.Corrupted: errno.EIO,
    errors.Archived: errno.EACCES,
    errors.Unsupported: errno.EOPNOTSUPP,
    errors.Transient: errno.EIO,
    errors.Unreachable: errno.EHOSTUNREACH,
    errors.ServerTrouble: errno.EIO,
    errors.Throttled: errno.EIO,
    errors.FileSystemError: errno.EIO,
    errors.NoSuchEntry: errno.ENOENT,
    errors.EntryExists: errno.EEXIST,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.NameNotAllowed: errno.EILSEQ,
    errors.BadHandle: errno.EBADF,
    errors.Stale: errno.ESTALE,
    errors.NotPermitted: errno.EPERM,
    errors.InvalidArgument: errno.EINVAL,
    errors.ReadOnly: errno.EROFS,
    errors.NoSuchAttribute: errno.ENODATA,
    errors.AttributesFull: errno.ENOSPC,
    errors.SymlinkLoop: errno.ELOOP,
    errors.OtherFileSystem: errno.EXDEV,
    errors.NotOffered: errno.EOPNOTSUPP,
    errors.SpoolError: errno.EIO,
    errors.SpoolFull: errno.ENOSPC,
    errors.TooManyOpen: errno.ENFILE,
    errors.SpoolDamaged: errno.EIO,
    errors.OnlyInUpload: errno.EIO,
    errors.BytesLost: errno.EIO,
    errors.JournalDamaged: errno.EIO,
    errors.JournalTooNew: errno.EIO,
    errors.UnsentFiles: errno.EBUSY,
    errors.Stalled: errno.EIO,
    errors.MountError: errno.EIO,
    errors.MountpointBusy: errno.EBUSY,
    errors.MountpointUnusable: errno.EIO,
    errors.NotMounted: errno.EIO,
    trio.TooSlowError: errno.ETIMEDOUT,
}
"""A test walks every subclass of CognitoFSError and fails if one has no row."""

_QUIET = (errors.FileSystemError, errors.NotFound)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_Handler = Callable[_P, Coroutine[Any, Any, _T]]
_log = logging.getLogger(__name__)


def errno_of(failure: BaseException) -> int:
    """Return the errno of *failure*: that of its nearest named class."""
    for cls in type(failure).__mro__:
        if cls in ERRNOS:
            return ERRNOS[cls]
    return errno.EIO


def replies(*, within: float | None) -> Callable[[_Handler[_P, _T]], _Handler[_P, _T]]:
    """Wrap a handler: its failures become errnos, and it ends *within* so many seconds.

    None is for handlers with a stall deadline of their own (flush, fsync, rename and what
    publishes without a handle).
    """

    def decorate(handler: _Handler[_P, _T]) -> _Handler[_P, _T]:
        @functools.wraps(handler)
        async def reply(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                with trio.fail_after(within if within is not None else float("inf")):
                    return await handler(*args, **kwargs)
            except pyfuse3.FUSEError:
                raise
            except Exception as exc:  # noqa: BLE001  # the boundary: nothing else may leave
                raise pyfuse3.FUSEError(_report(handler.__name__, exc)) from None

        return reply

    return decorate


def _report(operation: str, failure: Exception) -> int:
    """Log *failure* as it deserves and return its errno."""
    leaf = first_leaf(failure)
    number = errno_of(leaf)
    name = errno.errorcode.get(number, str(number))
    if isinstance(leaf, _QUIET):
        _log.debug("%s: %s (%s)", operation, leaf, name)
    elif isinstance(leaf, errors.CognitoFSError):
        _log.warning("%s answered %s: %s", operation, name, leaf)
    elif isinstance(leaf, trio.TooSlowError):
        _log.warning("%s answered %s: it took too long.", operation, name)
    else:
        _log.error("%s answered %s after a fault of cognitofs", operation, name, exc_info=leaf)
    return number


def first_leaf(failure: BaseException) -> BaseException:
    """Return *failure*, or the first one in the groups that nurseries make of failures."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
