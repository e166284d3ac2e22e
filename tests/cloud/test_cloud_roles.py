"""Roles that are poor, and roles that change, as plain programs on a mount meet them."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cognitofs.mounttable import mount_at
from tests.cloud.emulator import PASSWORD, Application, Cloud
from tests.mount.gate import Gate, gate
from tests.mount.mounted import MIB, PATIENCE, Machine, assert_refused, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


class Alice(Machine):
    """Alice's machine, signed in to *app*."""

    def __init__(self, directory: Path, app: Application, **options: object) -> None:
        super().__init__(directory)
        self.app = app
        self.config.parent.mkdir(parents=True)
        app.write_profile(self.config, **options)
        done = self.run("login", "-u", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        assert done.returncode == 0, done.stderr

    def objects(self) -> dict[str, bytes]:
        """Return all objects of the application by the ends of their keys."""
        client = self.app.cloud.root("s3")
        listed = client.list_objects_v2(Bucket=self.app.bucket).get("Contents", ())
        keys = [each["Key"] for each in listed]
        return {
            key.split("/", 2)[2]: client.get_object(Bucket=self.app.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def shell(self, script: str) -> str:
        """Run plain programs beside the mountpoint `cloud`; return what they say."""
        done = subprocess.run(
            ["sh", "-ec", script],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def stock(cloud: Cloud) -> Application:
    """Build an application of the test's own with exactly the role that Amplify makes."""
    return cloud.new_application("stock")


@pytest.fixture
def watched(cloud: Cloud) -> Iterator[Gate]:
    """Return a gate before S3 that sees every answer."""
    with gate(cloud.endpoint) as running:
        yield running


@pytest.fixture
def alice(tmp_path: Path, stock: Application, watched: Gate) -> Iterator[Alice]:
    """Sign alice in; her mounts are gone afterwards."""
    running = Alice(tmp_path, stock, endpoints={"s3": watched.endpoint})
    yield running
    running.close()


def denied(watched: Gate) -> Counter[str]:
    """Count the requests that were answered 403, by their operation."""
    return Counter(each.what for each in watched.requests() if each.status == 403)


PLAIN_USE = """
mkdir -p cloud/docs/old
cp letter cloud/docs/letter
cp big cloud/big
ls -l cloud cloud/docs | sed -n '/letter/s/ .* / /p'
sed -i s/Dear/Hello/ cloud/docs/letter
printf 'P.S.\\n' >> cloud/docs/letter
test ! -e cloud/docs/answer
mv cloud/docs/letter cloud/docs/old/letter
dd if=letter of=cloud/big bs=1 seek=6291456 conv=notrunc status=none
mv cloud/big cloud/docs/bigger
cp letter cloud/gone
rm cloud/gone
cat cloud/docs/old/letter
fusermount3 -u cloud
"""


def test_plain_programs_work_with_the_stock_role_and_nothing_is_denied(alice, watched):
    """What people do all day needs no right that Amplify's role lacks."""
    big = noise(12 * MIB)
    (alice.home / "big").write_bytes(big)
    (alice.home / "letter").write_bytes(b"Dear Bob\n")
    mount = alice.mount("--part-size", "5M")
    said = alice.shell(PLAIN_USE)
    mount.wait_gone()
    assert said == "-rw-r--r-- letter\nHello Bob\nP.S.\n"
    at = 6 * MIB
    assert alice.objects() == {
        "docs/": b"",
        "docs/old/": b"",
        "docs/old/letter": b"Hello Bob\nP.S.\n",
        "docs/bigger": big[:at] + b"Dear Bob\n" + big[at + 9 :],
    }
    assert watched.requests("Complete")
    assert denied(watched) == {}


def test_what_a_crash_left_is_aborted_by_one_denied_call_per_mount(alice, watched):
    """Several uploads are left, and the role may neither abort them nor list their parts."""
    mount = alice.mount("--part-size", "5M")
    files = [(mount.path / name).open("wb", buffering=0) for name in "abc"]
    for file in files:
        file.write(noise(6 * MIB))
    watched.wait_answered("UploadPart", len(files))
    mount.kill()
    for file in files:
        with pytest.raises(OSError, match="not connected"):
            file.close()
    watched.forget()

    with alice.mounted() as mount:
        watched.wait_answered("Abort", 1)
        (mount.path / "f").write_bytes(b"after the crash")
    assert denied(watched) == {"Abort": 1}
    assert alice.objects() == {"f": b"after the crash"}
    watched.forget()
    with alice.mounted():
        pass
    assert denied(watched) == {}


def test_a_right_that_is_taken_away_fails_the_close_and_loses_nothing(alice, cloud, stock):
    """The bytes stay here and are named, and are sent when the right is back."""
    mount = alice.mount()
    (mount.path / "f").write_bytes(b"old")
    cloud.grant(stock.bucket, "no-put")
    with pytest.raises(PermissionError):
        (mount.path / "f").write_bytes(b"new")
    assert (mount.path / "f").read_bytes() == b"new"
    assert alice.objects() == {"f": b"old"}
    assert (mount.status()["state"], mount.status()["failed_files"]) == ("failed", 1)
    done = alice.run("sync", mount.path)
    assert done.returncode == 4
    verdict = done.stderr.splitlines()[-1]
    assert "1 file could not be sent (S3 refused PutObject of 'f' (AccessDenied" in verdict
    assert verdict.endswith("in your role); `cognitofs status` names them.")
    cloud.grant(stock.bucket, "stock")
    done = alice.run("sync", mount.path)
    assert done.returncode == 0, done.stderr
    assert alice.objects() == {"f": b"new"}


def test_a_role_that_may_only_write_is_refused_with_the_right_it_lacks(alice, cloud, stock):
    """Conditional writes need GetObject, and a directory that cannot be read is none."""
    with alice.mounted() as mount:
        (mount.path / "f").write_bytes(b"unreadable soon")
    cloud.grant(stock.bucket, "no-get")
    done = alice.run("mount", alice.cloud)
    assert_refused(done, 1, "may not read", "s3:GetObject", "docs/PERMISSIONS.md")
    assert mount_at(alice.cloud) is None


def test_the_printed_policy_is_all_that_a_mount_needs(tmp_path, cloud, watched):
    """Also an upload that is given up: its Abort is granted, unlike by the stock role."""
    app = cloud.new_application("no-list")
    alice = Alice(tmp_path, app, endpoints={"s3": watched.endpoint})
    printed = alice.run("policy", "role").stdout
    cloud.root("iam").put_role_policy(
        RoleName=app.bucket, PolicyName="files", PolicyDocument=printed
    )
    (alice.home / "big").write_bytes(noise(12 * MIB))
    (alice.home / "letter").write_bytes(b"Dear Bob\n")
    watched.forget()
    try:
        mount = alice.mount("--part-size", "5M")
        alice.shell(PLAIN_USE)
        mount.wait_gone()
        with alice.mounted("--part-size", "5M") as mount:
            with (mount.path / "given-up").open("wb", buffering=0) as file:
                file.write(noise(6 * MIB))
                watched.wait_answered("UploadPart", 1)
                (mount.path / "given-up").unlink()
            watched.wait_answered("Abort", 1)
    finally:
        alice.close()
    assert watched.requests("Complete")
    assert denied(watched) == {}
