"""What a role may not: an abort is asked for once, what was refused is tried again on demand."""

import pytest
import trio.testing
from fsrig import mounted, until

from cognitofs.errors import AccessDenied

DATA = bytes(range(100))
DENIED = AccessDenied("The role may not abort.")
NAMES = ("a", "b", "c")


async def leave_uploads_behind(bucket, store, state):
    """Crash while several files are being written."""
    async with mounted(store, state) as m:
        for name in NAMES:
            await m.create(name, DATA)
        await until(lambda: len(m.fs.rig.journal.uploads()) == len(NAMES))
    assert len(bucket.bucket.uploads) == len(NAMES)


async def test_a_role_that_may_not_abort_is_asked_once_though_many_uploads_are_left(
    bucket, store, tmp_path
):
    await leave_uploads_behind(bucket, store, tmp_path)
    store.fail("abort_upload", DENIED, times=-1)
    async with mounted(store, tmp_path) as m:
        await m.drain()
        assert m.fs.rig.journal.uploads() == []
    assert store.requests["abort_upload"] == 1
    async with mounted(store, tmp_path) as m:
        await m.drain()
    assert store.requests["abort_upload"] == 1


async def test_while_one_abort_is_not_answered_no_other_is_asked(bucket, store, tmp_path):
    """Only its answer tells whether the others are allowed."""
    await leave_uploads_behind(bucket, store, tmp_path)
    stall = store.stall("abort_upload")
    async with mounted(store, tmp_path) as m:
        await stall.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert store.requests["abort_upload"] == 1
        stall.release()
        await m.drain()
    assert bucket.bucket.uploads == ()
    assert store.requests["abort_upload"] == len(NAMES)


async def test_who_waits_for_a_drain_hears_of_a_new_try_of_what_was_refused(
    bucket, store, tmp_path
):
    store.fail("put", AccessDenied("The role may not write."), times=2)
    async with mounted(store, tmp_path) as m:
        with pytest.raises(AccessDenied):
            await m.store_file("f", b"kept")
        for state, objects in (("failed", {}), (None, {"f": b"kept"})):
            m.fs.rig.uploader.nudge()
            await m.drain()
            assert [u.state for u in m.fs.rig.uploader.uploads()] == ([state] if state else [])
            assert {key: bucket.data(key) for key in bucket.keys} == objects
