"""A small change of a large object sends what changed; S3 copies the rest. Counted on the wire."""

import hashlib

import pytest

from tests.mount.mounted import MIB, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

PATIENT = ("--stall-timeout", 120)
"""SeaweedFS may take longer for eight copies of 128 MiB at a time than tests wait otherwise."""


def stored(machine, bucket, size):
    """Store an object behind the mount's back; return the file with its bytes."""
    block = noise(MIB)
    source = machine.directory / "source"
    with source.open("w+b") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.seek(0)
        bucket.client.upload_fileobj(file, bucket.name, bucket.root + "big")
    return source


def is_stored(bucket, source):
    with source.open("rb") as file:
        return bucket.sum("big") == hashlib.file_digest(file, "sha256").hexdigest()


def overwrite(machine, bucket, gate, size, *options):
    """Overwrite 4 KiB in the middle of an object; return what that took, by operation."""
    at = size // 2 + 12_345
    source = stored(machine, bucket, size)
    with source.open("r+b") as file:
        file.seek(at)
        file.write(noise(4096, 2))
    with machine.mounted(*options) as mount:
        gate.forget()
        with (mount.path / "big").open("r+b") as file:
            file.seek(at)
            file.write(noise(4096, 2))
        counted = [(each.what, each.sent) for each in gate.requests()]
    assert is_stored(bucket, source)
    return counted


def check(counted, part):
    sent = {what: [n for w, n in counted if w == what] for what, _ in counted}
    assert len(sent["UploadPart"]) == 1
    assert sum(n for _, n in counted) <= part + 64 * 1024  # the part, and the XML of Complete
    assert len(sent["UploadPartCopy"]) >= 2
    assert "PutObject" not in sent


def test_4_kib_in_64_mib_send_one_part_of_5_mib(machine, gated, weed_gate):
    counted = overwrite(machine, gated, weed_gate, 64 * MIB, "--part-size", "5M")
    check(counted, 5 * MIB)
    fetched = sum(r.received for r in weed_gate.requests("GetObject"))
    assert fetched <= 16 * MIB  # to fill that part, and what is read ahead of it


@pytest.mark.reliability
def test_4_kib_in_1_gib_send_one_part(machine, gated, weed_gate):
    check(overwrite(machine, gated, weed_gate, 1024 * MIB, *PATIENT), 8 * MIB)


def test_4_kib_appended_to_64_mib_send_one_part_and_fetch_no_more(machine, gated, weed_gate):
    """The last part is sent anew with what is appended; S3 copies all before it."""
    gated.client.put_object(Bucket=gated.name, Key=gated.root + "log", Body=noise(64 * MIB))
    with machine.mounted("--part-size", "5M") as mount:
        weed_gate.forget()
        with (mount.path / "log").open("ab") as file:
            file.write(noise(4096, 2))
        parts = [request.sent for request in weed_gate.requests("UploadPart", "PutObject")]
        fetched = sum(request.received for request in weed_gate.requests("GetObject"))
    assert 1 <= len(parts) <= 2
    assert sum(parts) <= 2 * 5 * MIB + 4096
    assert fetched <= sum(parts)
    assert gated.get("log") == noise(64 * MIB) + noise(4096, 2)


@pytest.mark.reliability
def test_4_kib_appended_to_1_gib_send_at_most_two_parts(machine, gated, weed_gate):
    source = stored(machine, gated, 1024 * MIB)
    with machine.mounted(*PATIENT) as mount:
        weed_gate.forget()
        for path in (mount.path / "big", source):
            with path.open("ab") as file:
                file.write(noise(4096, 2))
        parts = [request.sent for request in weed_gate.requests("UploadPart", "PutObject")]
        fetched = sum(request.received for request in weed_gate.requests("GetObject"))
    assert 1 <= len(parts) <= 2
    assert fetched <= sum(parts) <= 2 * 8 * MIB + 4096
    assert is_stored(gated, source)
