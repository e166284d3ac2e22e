"""The whole story on one machine: sign in, mount, copy, lose the sign-in, sign in again, go on.

The cloud's fixture has proved before that an owner gets 200 and somebody else 403.
"""

import errno
import subprocess
import threading

import pytest

from cognitofs.auth.tokens import TokenStore
from tests.cloud.emulator import PASSWORD
from tests.cloud.test_cloud_mount import User
from tests.cloud.test_cloud_signin import age_id_token
from tests.mount.gate import gate
from tests.mount.mounted import MIB, PATIENCE, assert_refused, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


class Person(User):
    """A user whose sign-in can be taken away."""

    @property
    def tokens(self):
        """The directory of the sign-in."""
        return self.state / "default"

    def lose_the_sign_in(self):
        """Revoke it at Cognito, when the id token is already old; keys live on for a moment."""
        refresh_token = TokenStore(self.tokens).load().refresh_token
        client = self.app.profile.client_id
        cognito = self.app.cloud.root("cognito-idp")
        cognito.revoke_token(Token=refresh_token, ClientId=client)
        age_id_token(self.tokens)

    def cp(self, source, target):
        """Run the program cp, as anybody does."""
        return subprocess.run(
            ["cp", source, target],
            env=self.environ | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )

    def independent(self, name):
        """Return a file as plain boto3 reads it with fresh keys of this user's."""
        account = self.app.sign_in(self.directory / "independent", self.name)
        s3 = self.app.s3(account.credentials.current())
        answer = s3.get_object(Bucket=self.app.bucket, Key=f"{account.root}{name}")
        return answer["Body"].read()


@pytest.fixture
def watched(cloud):
    """Return a gate before S3 that sees every answer."""
    with gate(cloud.endpoint) as running:
        yield running


@pytest.fixture
def people(app, tmp_path, watched):
    """Make people with machines of their own, cleaned up afterwards."""
    made = []

    def make(name, place=None):
        endpoints = {"s3": watched.endpoint}
        person = Person(tmp_path / (place or name), app, name, endpoints=endpoints)
        made.append(person)
        person.sign_in()
        return person

    yield make
    for person in made:
        person.close()


def test_a_sign_in_that_is_lost_in_the_middle_of_a_copy_is_taken_up_again(cloud, people, watched):
    """Sessions live 6 seconds; one process serves from the first copy to the last."""
    with cloud.lifetime(6):
        alice, bob = people("alice"), people("bob")
        mount = alice.mount("--part-size", "5M", "--auth-wait", "2s")
        data = noise(24 * MIB)
        (alice.home / "film").write_bytes(data)
        assert alice.cp(alice.home / "film", mount.path / "film").returncode == 0
        assert len(watched.requests("UploadPart")) > 3
        assert alice.independent("film") == data

        with bob.mounted() as his:
            assert list(his.path.iterdir()) == []
            assert not (his.path / "film").exists()

        # Half of another film is written and on its way when the sign-in ends.
        watched.forget()
        file = (mount.path / "half").open("wb", buffering=0)
        file.write(data[: 12 * MIB])
        watched.wait_answered("UploadPart", 2)
        alice.lose_the_sign_in()
        until(lambda: "could not be renewed" in alice.log(), "the end of the sign-in")
        cloud.expire()
        file.write(data[12 * MIB :])
        with pytest.raises(OSError, match="Key has expired") as caught:
            file.close()
        assert caught.value.errno == errno.EKEYEXPIRED
        done = alice.cp(alice.home / "film", mount.path / "film2")
        assert done.returncode == 1
        assert "Key has expired" in done.stderr
        status = mount.status()
        assert (status["state"], status["waiting_for"]) == ("waiting", "auth")
        assert status["pending_files"] >= 1
        # What is known here is still there.
        assert (mount.path / "half").read_bytes() == data

        # Somebody else's sign-in is refused, and takes nothing over.
        done = alice.run("login", "-u", "bob", "--password-stdin", stdin=f"{PASSWORD}\n")
        assert_refused(done, 6, "by alice", "--profile")
        assert TokenStore(alice.tokens).load().username == "alice"
        assert bob.objects() == {}
        assert mount.status()["pending_files"] >= 1

        alice.sign_in()
        until(lambda: mount.status()["pending_files"] == 0, "the rest of the upload")
        assert alice.independent("half") == data
        creates = [each for each in watched.requests("Create") if each.path.endswith("/half")]
        assert len(creates) == 1, "the half-done upload was not taken up again"
        assert alice.cp(alice.home / "film", mount.path / "film2").returncode == 0
        assert mount.status()["pid"] == mount.pid
        mount.leave()
        mount.wait_gone()
    assert set(alice.objects()) >= {"film", "half", "film2"}
    # Keys are renewed before they end. Only a request that is on its way just then is refused.
    requests = watched.requests()
    assert sum(each.status == 403 for each in requests) <= len(requests) // 10


@pytest.mark.reliability
def test_two_mounts_and_a_login_share_one_sign_in(cloud, people, app):
    """Two profiles' worth of work on one token store: nobody logs another one out."""
    with cloud.lifetime(4):
        alice = people("alice")
        second = alice.home / "second"
        app.write_profile(alice.config, endpoints={})
        mounts = [alice.mount()]
        app.write_profile(alice.config, root="private/{identity_id}/sub/")
        mounts.append(alice.mount(path=second))
        stop = threading.Event()
        failures = []

        def work(mount):
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    (mount.path / f"f{number % 5}").write_bytes(b"%d" % number)
                except OSError as exc:
                    failures.append(exc)

        workers = [threading.Thread(target=work, args=(each,)) for each in mounts]
        for worker in workers:
            worker.start()
        try:
            for _ in range(3):
                expires = [mount.status()["keys_expire"] for mount in mounts]
                age_id_token(alice.tokens)
                alice.sign_in()
                age_id_token(alice.tokens)
                until(
                    lambda: all(
                        mount.status()["keys_expire"] > before
                        for mount, before in zip(mounts, expires, strict=True)  # noqa: B023 - runs now
                    ),
                    "new keys in both mounts",
                )
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        assert failures == []
        for mount in mounts:
            mount.leave()
            mount.wait_gone()


def test_purging_removes_the_cache_and_never_what_is_unsent(cloud, people, watched):
    alice = people("alice")
    mount = alice.mount("--sync", "local")
    (mount.path / "sent").write_bytes(b"sent")
    assert alice.run("sync", mount.path).returncode == 0
    done = alice.run("logout", "--purge")
    assert done.returncode == 5
    assert "umount" in done.stderr
    with (mount.path / "sent").open("wb") as file:
        watched.shut()
        file.write(b"unsent")
    mount.kill()
    alice.run("umount", mount.path)
    done = alice.run("logout", "--purge")
    assert done.returncode == 4, done.stderr
    assert "could not be sent yet" in done.stderr
    assert alice.run("whoami", "--json").returncode == 0
    watched.open()
    with alice.mounted():
        pass
    assert alice.objects() == {"sent": b"unsent"}
    caches = alice.home / ".cache" / "cognitofs"
    assert list(caches.iterdir())
    done = alice.run("logout", "--purge")
    assert done.returncode == 0, done.stderr
    # What is known of servers belongs to nobody.
    assert {each.name for each in caches.glob("*")} <= {"servers.json"}
    assert alice.run("whoami").returncode == 3
