"""What the kernel is told of a mount: nobody gains rights from what somebody stored."""

from pathlib import Path

import pytest

from tests.mount.mounted import is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


def flags_of(path):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    (line,) = [each for each in lines if each.split()[4] == str(path)]
    before, after = line.split(" - ")
    return set(before.split()[5].split(",")) | set(after.split()[2].split(","))


def test_neither_setuid_bits_nor_devices_count_and_the_kernel_checks_permissions(machine, weed):
    with machine.mounted() as mount:
        assert {"nosuid", "nodev", "default_permissions"} <= flags_of(mount.path)


def test_modes_that_somebody_stored_give_no_rights(machine, weed):
    weed.client.put_object(
        Bucket=weed.name, Key=f"{weed.root}f", Metadata={"file-permissions": "0106777"}
    )
    with machine.mounted() as mount:
        assert (mount.path / "f").stat().st_mode == 0o100777
