"""Every failure has an errno, and nothing but an errno leaves a handler."""

import errno

import pyfuse3
import pytest
import trio

from cognitofs import errors
from cognitofs.fuse.errnos import ERRNOS, errno_of, replies


def _all_errors(root=errors.CognitoFSError):
    yield root
    for child in root.__subclasses__():
        yield from _all_errors(child)


def test_every_error_has_a_row():
    assert [cls.__name__ for cls in _all_errors() if cls not in ERRNOS] == []


def test_the_nearest_named_class_decides():
    class Nearer(errors.NotFound):
        pass

    assert errno_of(Nearer("x")) == errno.ENOENT
    assert errno_of(OSError(errno.ENOENT, "a spool file")) == errno.EIO


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (errors.NoSuchEntry("x"), errno.ENOENT),
        (errors.LoginRequired("x"), errno.EKEYEXPIRED),
        (errors.SpoolFull("x"), errno.ENOSPC),
        (ExceptionGroup("g", [ExceptionGroup("h", [errors.Stale("x")])]), errno.ESTALE),
        (ExceptionGroup("g", [pyfuse3.FUSEError(errno.EPERM)]), errno.EIO),
        (ZeroDivisionError("a fault of ours"), errno.EIO),
    ],
)
async def test_whatever_fails_becomes_one_fuse_error(failure, expected, caplog):
    @replies(within=5)
    async def handler():
        await trio.lowlevel.checkpoint()
        raise failure

    with pytest.raises(pyfuse3.FUSEError) as caught:
        await handler()
    assert caught.value.errno == expected


async def test_a_handler_that_takes_too_long_is_ended(autojump_clock):
    @replies(within=60)
    async def handler():
        await trio.sleep_forever()

    with pytest.raises(pyfuse3.FUSEError) as caught:
        await handler()
    assert caught.value.errno == errno.ETIMEDOUT


async def test_cancellation_passes_through():
    @replies(within=None)
    async def handler():
        await trio.sleep_forever()

    with trio.move_on_after(0) as scope:
        await handler()
    assert scope.cancelled_caught
