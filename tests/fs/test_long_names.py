"""What cannot be a name or a target on S3 is refused by its own error, before S3 is asked."""

import pytest
from fsrig import mounted

from cognitofs.errors import NameNotAllowed, NameTooLong
from cognitofs.tree.names import decode_target


async def test_a_path_too_long_for_a_key_is_refused_where_the_kernel_asks_first(store, tmp_path):
    """LOOKUP comes before CREATE and MKDIR, so its answer is what the program sees."""
    async with mounted(store, tmp_path) as m:
        parent = 1
        for _ in range(4):
            parent = (await m.fs.mkdir(parent, "d" * 250, 0o755)).number
        asked = store.requests.copy()
        with pytest.raises(NameTooLong):
            await m.fs.lookup(parent, "d" * 250)
        assert store.requests == asked


def test_a_target_is_text_or_refused():
    assert decode_target("ü/b".encode()) == "ü/b"
    with pytest.raises(NameNotAllowed):
        decode_target(b"\xff")
