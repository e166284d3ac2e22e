"""Directories are renamed as a whole, on a store that keeps directories in a way of its own."""

import os

import pytest


@pytest.mark.parametrize("level", ["close", "fsync"])
def test_a_directory_moves_with_everything_below_it(machine, bucket, level):
    with machine.mounted("--sync", level) as mount:
        old = mount.path / "old"
        for directory in (old, old / "inner", old / "empty"):
            directory.mkdir()
        (old / "a").write_bytes(b"1")
        (old / "inner" / "b").write_bytes(b"2")
        os.rename(old, mount.path / "new")
        new = mount.path / "new"
        assert not old.exists()
        found = {str(each.relative_to(new)) for each in new.rglob("*")}
        assert found == {"a", "inner", "inner/b", "empty"}
        assert (new / "inner" / "b").read_bytes() == b"2"
    assert bucket.paths() == {"new/a", "new/inner/b"}
    assert {path for path in bucket.paths(markers=True) if path.startswith("old")} == set()
