"""`--layout amplify` with the roles of Amplify Gen 1: two users, real mounts, 403s counted."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.emulator import Application, Cloud
from tests.mount.gate import Gate, gate
from tests.mount.mounted import PATIENCE, Machine, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

SUB = "${cognito-identity.amazonaws.com:sub}"


def gen_1(bucket: str, *, writes_public: bool = True) -> str:
    """Return the policy of Gen 1 for signed-in users (aws-amplify/amplify-cli#5794)."""
    arn = f"arn:aws:s3:::{bucket}"
    own = [f"{arn}/protected/{SUB}/*", f"{arn}/private/{SUB}/*"]
    levels = [f"{arn}/public/*"] if writes_public else []
    prefixes = ["public/", "public/*", "protected/", "protected/*"]
    statements = [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
            "Resource": [*levels, *own],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": [f"{arn}/protected/*", f"{arn}/public/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [arn],
            "Condition": {
                "StringLike": {
                    "s3:prefix": [*prefixes, f"private/{SUB}/", f"private/{SUB}/*"],
                }
            },
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Person(Machine):
    """A machine with one of the users signed in."""

    def __init__(self, directory: Path, app: Application, name: str, **options: object) -> None:
        directory.mkdir()
        super().__init__(directory)
        self.config.parent.mkdir(parents=True)
        app.write_profile(self.config, layout="amplify", **options)
        self.identity = app.sign_in(self.state / "default", name).identity_id


@pytest.fixture
def app(cloud: Cloud) -> Application:
    found = cloud.new_application()
    grant(cloud, found, gen_1(found.bucket))
    return found


def grant(cloud: Cloud, app: Application, policy: str) -> None:
    cloud.root("iam").put_role_policy(
        RoleName=app.bucket, PolicyName="files", PolicyDocument=policy
    )


@pytest.fixture
def watched(cloud: Cloud) -> Iterator[Gate]:
    with gate(cloud.endpoint) as running:
        yield running


@pytest.fixture
def people(tmp_path: Path, app: Application, watched: Gate) -> Iterator[tuple[Person, Person]]:
    endpoints = {"s3": watched.endpoint}
    made = tuple(
        Person(tmp_path / name, app, name, endpoints=endpoints) for name in ("alice", "bob")
    )
    yield made
    for each in made:
        each.close()


def test_each_level_has_the_rights_of_the_role_and_nothing_is_denied(people, app, cloud, watched):
    alice, bob = people
    with alice.mounted() as hers, bob.mounted() as his:
        a, b = hers.path, his.path
        assert sorted(os.listdir(a)) == ["private", "protected", "public"]
        (a / "private" / "diary").write_bytes(b"secret")
        (a / "protected" / alice.identity / "photo").write_bytes(b"look")
        (a / "public" / "notice").write_bytes(b"all")
        assert os.listdir(b / "private") == []
        assert (b / "protected" / alice.identity / "photo").read_bytes() == b"look"
        assert (b / "public" / "notice").read_bytes() == b"all"
        (b / "public" / "notice").write_bytes(b"changed")
        with pytest.raises(OSError, match="Read-only"):
            (b / "protected" / alice.identity / "photo").write_bytes(b"no")
        with pytest.raises(PermissionError):
            (b / "mine").write_bytes(b"")
        with pytest.raises(PermissionError):
            (b / "public").rmdir()
        with pytest.raises(OSError, match="cross-device"):
            os.rename(a / "private" / "diary", a / "public" / "diary")
        alice.cloud_said = alice.run("status", a).stdout
    assert f"{{private/{alice.identity}/,protected/,public/}}" in alice.cloud_said
    assert [each.what for each in watched.requests() if each.status == 403] == []
    s3 = cloud.root("s3")
    assert sorted(each["Key"] for each in s3.list_objects_v2(Bucket=app.bucket)["Contents"]) == [
        f"private/{alice.identity}/diary",
        f"protected/{alice.identity}/photo",
        "public/notice",
    ]


def test_a_link_that_somebody_else_made_does_not_lead_out(people):
    alice, bob = people
    with alice.mounted() as hers:
        (hers.path / "public" / "trap").symlink_to("/etc/hostname")
        (hers.path / "private" / "link").symlink_to("/etc/hostname")
        assert os.readlink(hers.path / "private" / "link") == "/etc/hostname"
    with bob.mounted() as his, pytest.raises(OSError, match="symbolic links"):
        os.readlink(his.path / "public" / "trap")
    with bob.mounted("--follow-outside") as his:
        assert os.readlink(his.path / "public" / "trap") == "/etc/hostname"


def test_levels_that_the_role_may_not_write_or_not_see_are_said(people, app, cloud):
    alice, _ = people
    grant(cloud, app, gen_1(app.bucket, writes_public=False))
    with alice.mounted() as mount:
        assert "may not write s3://" in mount.said
        with pytest.raises(OSError, match="Read-only"):
            (mount.path / "public" / "f").write_bytes(b"")
        assert (mount.path / "public").stat().st_mode & 0o222 == 0
        (mount.path / "private" / "f").write_bytes(b"mine")
    printed = alice.run("policy", "role").stdout
    grant(cloud, app, printed.replace("protected/", "elsewhere/"))
    with alice.mounted() as mount:
        assert "protected is left out" in mount.said
        assert sorted(os.listdir(mount.path)) == ["private", "public"]
        (mount.path / "public" / "f").write_bytes(b"everybody's")


def test_doctor_examines_each_part_of_the_layout(people, app, cloud):
    alice, _ = people
    grant(cloud, app, alice.run("policy", "role").stdout)
    done = alice.run("doctor", "--json", seconds=2 * PATIENCE)
    findings = json.loads(done.stdout)["findings"]
    assert [each for each in findings if each["level"] == "problem"] == []
    written = [each["text"] for each in findings if each["check"] == "write"]
    assert len(written) == 3
    assert any(f"/protected/{alice.identity}/" in each for each in written)
    assert "Contents" not in cloud.root("s3").list_objects_v2(Bucket=app.bucket)
