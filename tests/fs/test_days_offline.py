"""Days without a network, or without a sign-in: nothing is lost, and it goes on by itself.

Names are answered from what was last known of them meanwhile (`test_away.py`).
"""

import pytest
import trio
from fsrig import mounted

from cognitofs.errors import LoginRequired, Unreachable

DAY = 24 * 3600.0
DATA = bytes(range(100))
OFFLINE = Unreachable("There is no network.")
CHANGES = ("put", "begin_upload", "upload_part", "complete_upload", "copy", "delete")


def cut_off(store, error):
    for operation in (*CHANGES, "head", "list_page", "read", "read_into"):
        store.fail(operation, error, times=-1)


@pytest.mark.reliability
@pytest.mark.parametrize(
    ("level", "error"),
    [("fsync", OFFLINE), ("local", LoginRequired("Sign in again."))],
    ids=["net", "login"],
)
async def test_what_was_closed_in_days_offline_arrives_when_s3_is_back(
    bucket, store, tmp_path, quick_clock, level, error
):
    async with mounted(store, tmp_path, sync=level) as m:
        assert await m.listdir() == []
        handle, _ = await m.create("open", b"begun ")
        for day in range(3):
            cut_off(store, error)
            await m.store_file(f"small-{day}", b"small")
            await m.store_file(f"parts-{day}", DATA)
            await m.fs.write(handle, 6 + day, b"%d" % day)
            await trio.sleep(DAY)
            assert await m.read_file(f"parts-{day}") == DATA
        tries = store.requests.total()
        store.heal()
        m.fs.rig.uploader.nudge()
        await m.close(handle)
        await m.drain()
    days = range(3)
    assert {name: bucket.data(name) for name in bucket.keys} == {
        "open": b"begun 012",
        **{f"small-{day}": b"small" for day in days},
        **{f"parts-{day}": DATA for day in days},
    }
    most_pauses = 3 * DAY / 15  # a file that waits is tried again after half a minute, on average
    assert tries < 6 * most_pauses


async def test_a_machine_that_was_switched_off_for_days_goes_on_where_it_was(
    bucket, store, tmp_path, quick_clock
):
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", DATA)
        cut_off(store, OFFLINE)
        await m.close(handle)
    await trio.sleep(3 * DAY)
    store.heal()
    async with mounted(store, tmp_path, sync="fsync") as m:
        assert m.recovered.files == 1
        await m.drain()
    assert bucket.data("f") == DATA
