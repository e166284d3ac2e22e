"""Objects in archive classes are seen, and not read before they are restored."""

import os

import pytest
from fsrig import mounted

from cognitofs.errors import Archived


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
async def test_an_archived_object_is_listed_and_not_opened(bucket, store, tmp_path, flags):
    bucket.outside_put("old", b"data", storage_class="DEEP_ARCHIVE")
    async with mounted(store, tmp_path) as m:
        assert await m.listdir() == ["old"]
        assert (await m.fs.lookup(1, "old")).size == 4
        with pytest.raises(Archived, match="DEEP_ARCHIVE"):
            await m.open("old", flags)


async def test_an_archived_object_can_be_replaced(bucket, store, tmp_path):
    bucket.outside_put("old", b"data", storage_class="GLACIER")
    async with mounted(store, tmp_path) as m:
        handle = await m.open("old", os.O_WRONLY | os.O_TRUNC)
        await m.fs.write(handle, 0, b"new")
        await m.close(handle)
    assert bucket.data("old") == b"new"
