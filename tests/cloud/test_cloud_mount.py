"""A signed-in user's mount on a cloud that enforces: own prefix only, keys that end, poor roles."""

import json
from pathlib import Path

import pytest

from tests.cloud.emulator import PASSWORD
from tests.mount.gate import gate
from tests.mount.mounted import MIB, Machine, assert_refused, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


class User(Machine):
    """A machine whose person signs in to an application."""

    def __init__(self, directory: Path, app, name: str, **options: object) -> None:
        directory.mkdir()
        super().__init__(directory)
        self.app = app
        self.name = name
        self.config.parent.mkdir(parents=True)
        app.write_profile(self.config, **options)

    def sign_in(self) -> None:
        done = self.run("login", "--username", self.name, "--password-stdin", stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr

    @property
    def prefix(self) -> str:
        """The prefix that is this user's."""
        return str(json.loads(self.run("whoami", "--json").stdout)["root"])

    def objects(self) -> dict[str, bytes]:
        """Return what is on S3 below the prefix, as the account's root sees it."""
        client, prefix = self.app.cloud.root("s3"), self.prefix
        found = client.list_objects_v2(Bucket=self.app.bucket, Prefix=prefix).get("Contents", ())
        return {
            each["Key"].removeprefix(prefix): client.get_object(
                Bucket=self.app.bucket, Key=each["Key"]
            )["Body"].read()
            for each in found
        }


@pytest.fixture
def signed_in(tmp_path):
    """Sign users in, each with a machine of the own, which is cleaned up afterwards."""
    users = []

    def make(app, name, **options):
        user = User(tmp_path / f"{name}-{len(users)}", app, name, **options)
        users.append(user)
        user.sign_in()
        return user

    yield make
    for user in users:
        user.close()


def test_a_user_copies_a_file_of_several_parts_while_sessions_live_six_seconds(
    cloud, app, signed_in
):
    """It is written in three pieces; new keys must have come before the next one follows."""
    with cloud.lifetime(6):
        alice = signed_in(app, "alice")
        data = noise(24 * MIB)
        with alice.mounted("--part-size", "5M") as mount:
            with (mount.path / "big").open("wb", buffering=0) as file:
                for start in range(0, len(data), 8 * MIB):
                    expires = mount.status()["keys_expire"]
                    file.write(data[start : start + 8 * MIB])
                    until(lambda: mount.status()["keys_expire"] > expires, "new keys")  # noqa: B023 - runs now
            (mount.path / "small").write_bytes(b"after all that")
            assert (mount.path / "big").read_bytes() == data
    assert alice.objects() == {"big": data, "small": b"after all that"}
    assert "ERROR" not in alice.log()


def test_a_second_users_mount_sees_nothing_of_the_first(app, signed_in):
    alice, bob = signed_in(app, "alice"), signed_in(app, "bob")
    assert alice.prefix != bob.prefix
    with alice.mounted() as hers, bob.mounted() as his:
        (hers.path / "diary").write_bytes(b"dear diary")
        assert list(his.path.iterdir()) == []
        assert not (his.path / "diary").exists()
        (his.path / "diary").write_bytes(b"another one")
        assert (hers.path / "diary").read_bytes() == b"dear diary"
    assert alice.objects() == {"diary": b"dear diary"}
    assert bob.objects() == {"diary": b"another one"}


def test_whoami_status_and_the_words_of_mount_agree_on_who_and_where(app, signed_in):
    alice = signed_in(app, "alice")
    whoami = json.loads(alice.run("whoami", "--json").stdout)
    with alice.mounted() as mount:
        (status,) = alice.status()
        uri = f"s3://{app.bucket}/private/{whoami['identity_id']}/"
        assert f"{uri} is mounted at {mount.path}" in mount.said
        assert f"as alice ({whoami['identity_id']})" in mount.said
        assert f"fusermount3 -u {mount.path}" in mount.said
    wanted = {
        "mountpoint": str(mount.path),
        "mounted": True,
        "pid": mount.pid,
        "profile": "default",
        "username": "alice",
        "identity_id": whoami["identity_id"],
        "s3_uri": uri,
        "state": "clean",
        "pending_files": 0,
        "pending_bytes": 0,
        "failed_files": 0,
        "conflict_files": 0,
        "files": [],
    }
    assert {key: status[key] for key in wanted} == wanted
    assert status["keys_expire"].endswith("+00:00")


def test_whoever_is_not_signed_in_is_told_to_sign_in(app, tmp_path):
    nobody = User(tmp_path / "nobody", app, "alice")
    assert_refused(nobody.run("mount", nobody.cloud), 3, "cognitofs login")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_id": "missing"}, "cognitofs configure"),
        ({"identity_pool_id": f"us-east-1:{'0' * 8}-0000"}, "cognitofs configure"),
        ({"region": "eu-west-1"}, "region"),
    ],
    ids=["unknown client", "unknown identity pool", "wrong region"],
)
def test_a_profile_that_names_what_is_not_there_is_corrected_by_its_key(
    app, tmp_path, change, words
):
    """A user pool is found by its app client: a wrong user_pool_id looks like a wrong password."""
    user = User(tmp_path / "user", app, "alice", **change)
    done = user.run("login", "--username", "alice", "--password-stdin", stdin=PASSWORD + "\n")
    if done.returncode == 0:
        done = user.run("mount", user.cloud)
    assert_refused(done, 2, words)


def test_a_wrong_password_is_one_sentence(app, tmp_path):
    user = User(tmp_path / "user", app, "alice")
    done = user.run("login", "--username", "alice", "--password-stdin", stdin="guess\n")
    assert_refused(done, 3, "password is wrong")


def test_a_role_without_listbucket_cannot_mount_and_is_told_what_it_needs(cloud, signed_in):
    alice = signed_in(cloud.application("no-list"), "alice")
    assert_refused(alice.run("mount", alice.cloud), 1, "s3:ListBucket", "docs/PERMISSIONS.md")


def test_a_role_without_put_mounts_read_only_and_says_so(cloud, signed_in):
    app = cloud.application("no-put")
    alice = signed_in(app, "alice")
    cloud.root("s3").put_object(Bucket=app.bucket, Key=f"{alice.prefix}f", Body=b"read me")
    mount = alice.mount()
    assert "s3:PutObject" in mount.said
    assert "read-only" in mount.said
    assert (mount.path / "f").read_bytes() == b"read me"
    for change in (
        lambda: (mount.path / "new").write_bytes(b"x"),
        lambda: (mount.path / "f").write_bytes(b"x"),
        (mount.path / "f").unlink,
        (mount.path / "d").mkdir,
        lambda: (mount.path / "f").rename(mount.path / "g"),
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            change()
    assert alice.objects() == {"f": b"read me"}


def test_normal_use_with_the_stock_role_is_never_denied_but_for_one_abort(cloud, signed_in):
    """Amplify's stock roles may Get, Put, Delete and list the own prefix: nothing else."""
    app = cloud.new_application("stock")
    with gate(cloud.endpoint) as watched:
        alice = signed_in(app, "alice", endpoints={"s3": watched.endpoint})
        with alice.mounted("--part-size", "5M") as mount:
            use(mount.path)
        denied = [each.what for each in watched.requests() if each.status == 403]
        assert watched.requests("Complete")
        assert len(watched.requests("Abort")) <= 1
        assert denied.count("Abort") <= 1
        assert denied.count("ListParts") <= 1
        assert set(denied) <= {"Abort", "ListParts"}


def use(top: Path) -> None:
    """Do what people do: write, read, change, list, rename, remove."""
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "small").write_bytes(b"small")
    (top / "d" / "big").write_bytes(noise(12 * MIB))
    with (top / "d" / "big").open("r+b") as file:
        file.write(b"changed")
    with (top / "d" / "small").open("ab") as file:
        file.write(b" and more")
    (top / "d" / "small").chmod(0o600)
    (top / "d" / "link").symlink_to("small")
    assert (top / "d" / "link").read_bytes() == b"small and more"
    assert not (top / "missing").exists()
    (top / "d" / "small").rename(top / "d" / "renamed")
    (top / "d" / "big").rename(top / "big")
    assert sorted(path.name for path in (top / "d").iterdir()) == ["e", "link", "renamed"]
    assert (top / "big").read_bytes()[:10] == b"changed" + noise(10)[7:]
    (top / "d" / "e").rmdir()
    for name in ("link", "renamed"):
        (top / "d" / name).unlink()
    (top / "d").rmdir()
    for _ in range(2):  # written, and thought better of while parts were on their way
        with (top / "dropped").open("wb") as file:
            file.write(noise(12 * MIB))
            (top / "dropped").unlink()
