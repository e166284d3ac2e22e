"""What an upload that a crash cut off is still good for: nothing is sent twice, nothing untrue."""

import pytest
from fsrig import SMALL, mounted, until

from cognitofs.errors import AccessDenied, ConditionalConflict, Unreachable
from cognitofs.spool.journal import SentPart
from cognitofs.store.interface import ETag, PartReceipt
from cognitofs.transfer.parts import Ladder

DATA = bytes(range(100))
PARTS = 7
OFFLINE = Unreachable("There is no network.")


async def _cut_off(store, state):
    """Close a file of seven parts, four of which reach S3, and crash; return the spool file."""
    async with mounted(store, state, sync="fsync") as m:
        handle, _ = await m.create("f", DATA[:65])
        file = m.fs.handles.file(handle).file
        await until(lambda: len(file.content.multipart.sent) == 4)
        store.fail("upload_part", OFFLINE, times=-1)
        await m.fs.write(handle, 65, DATA[65:])
        await m.close(handle)
        spool = file.content.spool.name
    store.heal()
    return spool


async def _finish(store, state, **options):
    before = store.requests.copy()
    async with mounted(store, state, sync="fsync", **options) as m:
        assert m.recovered.files == 1
        await m.drain()
    return store.requests - before


async def test_parts_that_s3_has_are_not_sent_again(bucket, store, tmp_path, quick_clock):
    await _cut_off(store, tmp_path)
    sent = await _finish(store, tmp_path)
    assert bucket.data("f") == DATA
    assert sent["list_parts"] == 1
    assert sent["upload_part"] == PARTS - 4


async def test_where_listing_parts_is_denied_the_journal_s_receipts_do(
    bucket, store, tmp_path, quick_clock, caplog
):
    await _cut_off(store, tmp_path)
    store.fail("list_parts", AccessDenied("The role may not."), times=-1)
    sent = await _finish(store, tmp_path)
    assert bucket.data("f") == DATA
    assert sent["upload_part"] == PARTS - 4
    assert "cannot be listed" in caplog.text


async def test_one_refusal_to_list_parts_is_enough_for_a_mount(
    bucket, store, tmp_path, quick_clock
):
    store.fail("complete_upload", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        for name in "abc":
            await m.store_file(name, DATA)
        await until(lambda: store.requests["complete_upload"] >= 3)
    store.heal()
    store.fail("list_parts", AccessDenied("The role may not."), times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.drain()
    assert store.requests["list_parts"] == 1
    assert bucket.keys == ("a", "b", "c")


async def test_bytes_that_changed_on_the_disk_are_not_vouched_for_by_a_receipt(
    bucket, store, tmp_path, quick_clock
):
    """Whatever the disk holds now is what is published, never a mix of that and older parts."""
    name = await _cut_off(store, tmp_path)
    path = tmp_path / "spool" / name
    rotten = bytearray(path.read_bytes())
    rotten[3] ^= 0xFF
    path.write_bytes(rotten)
    await _finish(store, tmp_path)
    assert bucket.data("f") == bytes(rotten)


async def test_parts_that_the_journal_never_heard_of_are_taken_over(
    bucket, store, tmp_path, quick_clock
):
    store.fail("complete_upload", OFFLINE, times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", DATA)
        await until(lambda: store.requests["complete_upload"])
        m.fs.rig.journal._db.execute("DELETE FROM part WHERE number IN (2, 3)")
    store.heal()
    sent = await _finish(store, tmp_path)
    assert bucket.data("f") == DATA
    assert sent["upload_part"] == 0


async def test_another_part_size_does_not_send_again_what_was_sent(
    bucket, store, tmp_path, quick_clock
):
    await _cut_off(store, tmp_path)
    sent = await _finish(store, tmp_path, ladder=Ladder(first=32, minimum=16, copy_range=64))
    assert bucket.data("f") == DATA
    assert sent["upload_part"] == PARTS - 4


@pytest.mark.parametrize("size", [17, 100, 1000])
def test_a_ladder_is_known_by_the_parts_that_it_cut(size):
    cut = SMALL.cut(size)
    sent = [
        SentPart(p.start, p.stop, p.source, PartReceipt(p.number, ETag("e"), p.size, ""))
        for p in cut[:-1]
    ]
    assert Ladder(first=99, minimum=16).as_sent(sent, size).cut(size) == cut


async def test_after_a_second_409_the_parts_are_sent_again(bucket, store, tmp_path, quick_clock):
    """S3 wants a new upload after a conflict; the first one is completed once more before that."""
    conflict = ConditionalConflict("Somebody else was at it at the same moment.")
    store.fail("complete_upload", conflict, times=2)
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", DATA)
        await m.drain()
        assert bucket.data("f") == DATA
    assert store.requests["complete_upload"] == 3
    assert store.requests["begin_upload"] == 2
    assert store.requests["upload_part"] == 2 * PARTS
    assert not bucket.bucket.uploads


async def test_one_409_costs_no_part(bucket, store, tmp_path, quick_clock):
    store.fail("complete_upload", ConditionalConflict("Somebody else was at it."))
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.store_file("f", DATA)
        await m.drain()
        assert bucket.data("f") == DATA
    assert store.requests["upload_part"] == PARTS
