"""Directories on a real mount: renamed as a whole, and emptied by plain programs."""

import os
import subprocess

import pytest

from tests.mount.mounted import is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


@pytest.mark.parametrize("level", ["close", "fsync"])
def test_a_directory_is_renamed_with_open_files_and_removed(machine, gated, weed_gate, level):
    for number in range(150):
        gated.put(f"d/{number}", b"%d" % number)
    gated.put("d/deep/er/x", b"x")
    with machine.mounted("--sync", level) as mount:
        top = mount.path
        with (top / "d/7").open("rb") as reader, (top / "d/log").open("w") as writer:
            writer.write("one ")
            writer.flush()
            assert len(os.listdir(top / "d")) == 152
            weed_gate.forget()
            os.rename(top / "d", top / "e")
            assert reader.read() == b"7"
            writer.write("two")
        copies = len(weed_gate.requests("CopyObject"))
        assert not (top / "d").exists()
        assert len(os.listdir(top / "e")) == 152
        assert (top / "e/deep/er/x").read_text() == "x"
        assert (top / "e/log").read_text() == "one two"
        subprocess.run(["find", top / "e/deep", "-delete"], check=True, timeout=60)
        subprocess.run(["mv", "-T", top / "e", top / "f"], check=True, timeout=60)
    expected = {f"f/{number}" for number in range(150)} | {"f/log"}
    assert gated.paths() == expected
    assert copies == 151
    with machine.mounted("--sync", level) as mount:
        subprocess.run(["rm", "-rf", mount.path / "f"], check=True, timeout=60)
        assert "f" not in os.listdir(mount.path)  # SeaweedFS goes on listing what is empty
    assert gated.paths(markers=True) == set()
