"""What S3 refuses to delete after unlink was acknowledged: kept, told, tried again, given up."""

import pytest
import trio
from fsrig import mounted, until
from test_discards import face_of

from cognitofs.errors import AccessDenied, Unreachable

DENIED = AccessDenied("The role may not delete there.")


def refuse(store, times=-1):
    for operation in ("delete", "delete_many"):
        store.fail(operation, DENIED, times=times)


async def unlink_refused(store, m, name="f"):
    """Unlink a file that S3 does not let go; return what status tells then."""
    refuse(store)
    await m.fs.lookup(1, name)
    await m.fs.unlink(1, name)
    face = face_of(m)
    await until(lambda: [each.state for each in face.files()] == ["refused"])
    return face


@pytest.fixture
def level():
    return {"sync": "fsync", "metadata_ttl": 0}


async def test_a_refused_deletion_is_listed_and_outlives_the_mount(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        [told] = face.files()
        status = face.status()
        assert (status.state, status.failed_files, status.needs_person) == ("refused", 1, True)
        assert [each.path for each in status.refused_deletions] == ["f"]
        assert (status.metadata, status.most_metadata, status.metadata_slowed_at) == (8, 8, "")
        assert str(DENIED) in told.error
    async with mounted(store, tmp_path, **level) as m:
        await m.drain()
        [again] = face_of(m).files()
        assert (again.id, again.path, again.state) == (told.id, "f", "refused")
        assert await m.read_file("f") == b"data"
    store.heal()
    async with mounted(store, tmp_path, **level) as m:
        await m.drain()
        assert face_of(m).files() == []
        assert m.fs.rig.journal.is_empty()
    assert bucket.keys == ()


async def test_it_is_tried_again_now_and_then_without_hiding_the_name(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        await trio.sleep(2000)
        assert await m.listdir() == ["f"]
        assert len(face.files()) == 1
        store.heal()
        store.fail("delete_many", Unreachable("There is no network."), times=1)
        await trio.sleep(2000)
        assert bucket.keys == ()
        assert face.files() == []
        assert m.fs.rig.journal.is_empty()


async def test_sync_tries_it_again_and_waits_for_the_outcome(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        store.heal()
        said = []

        async def progress(each):
            said.append(each)

        await face.drain(progress)
        assert said[-1].is_clean
        assert bucket.keys == ()


async def test_given_up_it_stays_and_is_tried_no_more(bucket, store, tmp_path, quick_clock, level):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        await face.discard([face.files()[0].id])
        assert face.files() == []
        assert m.fs.rig.journal.is_empty()
        store.heal()
        await trio.sleep(2000)
        assert await m.read_file("f") == b"data"


async def test_what_is_stored_under_the_name_meanwhile_stays(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"DATA")
        await m.close(handle)
        await until(lambda: bucket.data("f") == b"DATA")
        assert face.files() == []
        store.heal()
        await trio.sleep(2000)
    async with mounted(store, tmp_path, **level) as m:
        await m.drain()
    assert bucket.data("f") == b"DATA"


async def test_another_version_under_the_name_stays(bucket, store, tmp_path, quick_clock, level):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        await unlink_refused(store, m)
        bucket.outside_put("f", b"by somebody else")
        store.heal()
        await m.drain()
        assert m.fs.rig.deletions.refusals == ()
        assert m.fs.rig.journal.is_empty()
    assert bucket.data("f") == b"by somebody else"


async def test_removed_once_more_it_is_a_deletion_like_any_other(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        store.heal()
        await m.fs.unlink(1, "f")
        assert [each.state for each in face.files()] == ["deleting"]
        assert await m.listdir() == []
        await m.drain()
        assert m.fs.rig.journal.is_empty()
    assert bucket.keys == ()


async def test_a_retry_under_way_does_not_take_the_same_bytes_stored_anew(
    bucket, store, tmp_path, quick_clock, level
):
    """Equal bytes have an equal ETag, so the request's condition would hold."""
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        await unlink_refused(store, m)
        store.heal()
        stall = store.stall("delete_many")
        m.fs.rig.deletions.nudge()
        await stall.reached.wait()
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"data")
        await m.close(handle)
        await trio.sleep(30)
        stall.release()
        await m.drain()
        assert bucket.data("f") == b"data"
        assert await m.listdir() == ["f"]
        assert m.fs.rig.journal.is_empty()


async def test_what_was_refused_once_and_is_gone_now_fails_nothing_later(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    async with mounted(store, tmp_path, **level) as m:
        face = await unlink_refused(store, m)
        store.heal()
        await m.drain()
        assert bucket.keys == ()
        await m.fs.fsyncdir(m.fs.opendir(1))
        await m.store_file("f", b"new")
        await m.drain()
        assert face.files() == []
    assert bucket.data("f") == b"new"


@pytest.mark.parametrize("size", [3, 40], ids=["at once", "in parts"])
async def test_a_new_file_takes_the_place_of_one_that_may_not_be_removed(
    bucket, store, tmp_path, quick_clock, level, size
):
    """A role without s3:DeleteObject: `rm f` and `cp new f` are one overwriting, no conflict."""
    bucket.outside_put("f", b"data")
    refuse(store)
    async with mounted(store, tmp_path, **level) as m:
        await m.fs.lookup(1, "f")
        await m.fs.unlink(1, "f")
        await m.store_file("f", b"n" * size)
        await m.drain()
        assert face_of(m).files() == []
        assert m.fs.rig.journal.is_empty()
        assert await m.listdir() == ["f"]
    assert bucket.keys == ("f",)
    assert bucket.data("f") == b"n" * size


async def test_it_may_be_changed_and_removed_before_s3_has_it(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    refuse(store)
    store.fail("put", Unreachable("There is no network."), times=-1)
    async with mounted(store, tmp_path, **level) as m:
        await m.fs.lookup(1, "f")
        await m.fs.unlink(1, "f")
        await m.store_file("f", b"new")
        await trio.sleep(10)
        handle = await m.open("f")
        await m.fs.write(handle, 0, b"newer")
        await m.close(handle)
        await trio.sleep(10)
        store.heal()
        await m.drain()
        assert (bucket.data("f"), bucket.keys) == (b"newer", ("f",))
        await m.fs.unlink(1, "f")
        refuse(store)
        store.fail("put", Unreachable("There is no network."), times=-1)
        await m.store_file("f", b"newest")
        await trio.sleep(10)
        await m.fs.unlink(1, "f")
        await until(lambda: [each.state for each in face_of(m).files()] == ["refused"])
        assert await m.read_file("f") == b"newer"


async def test_what_somebody_else_stored_there_meanwhile_is_not_overwritten(
    bucket, store, tmp_path, quick_clock, level
):
    bucket.outside_put("f", b"data")
    refuse(store)
    async with mounted(store, tmp_path, **level) as m:
        await m.fs.lookup(1, "f")
        await m.fs.unlink(1, "f")
        handle, _ = await m.create("f", b"new")
        bucket.outside_put("f", b"by somebody else")
        await m.close(handle)
        await m.drain()
    assert bucket.data("f") == b"by somebody else"
    assert [bucket.data(key) for key in bucket.keys if key != "f"] == [b"new"]
