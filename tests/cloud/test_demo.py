"""The demo's own cloud and directories: started, found again, mended, ended, kept apart."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cognitofs.demo import cloud, commands, tour
from cognitofs.demo.commands import wait_ended
from cognitofs.demo.place import Place, console_script
from cognitofs.errors import MountpointBusy
from cognitofs.settings import load_settings
from tests.mount.mounted import until

pytestmark = pytest.mark.cloud


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "demo")
    place.make()
    yield place
    cloud.stop(place)


class TestCloud:
    """One moto process per place, alive exactly while it holds the place's lock."""

    def test_a_started_cloud_has_the_bucket_the_user_and_a_matching_profile(self, place):
        account = cloud.start(place)
        buckets = cloud.client("s3", account.endpoint).list_buckets()["Buckets"]
        assert [b["Name"] for b in buckets] == [account.bucket]
        users = cloud.client("cognito-idp", account.endpoint)
        found = users.list_users(UserPoolId=account.user_pool_id)["Users"]
        assert [(u["Username"], u["UserStatus"]) for u in found] == [("demo", "CONFIRMED")]
        profile = load_settings(config=place.config, environ={}).profile
        assert (profile.user_pool_id, profile.endpoint_url) == (
            account.user_pool_id,
            account.endpoint,
        )

    def test_it_listens_on_the_loopback_device_only(self, place):
        port = int(cloud.start(place).endpoint.rpartition(":")[2])
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        sockets = [line.split()[1] for line in listening.splitlines() if f":{port:04X} " in line]
        assert set(sockets) & {f"0100007F:{port:04X}"}
        assert not set(sockets) & {f"00000000:{port:04X}", f"{'0' * 32}:{port:04X}"}

    def test_it_is_found_while_it_runs_and_not_after_it_was_stopped(self, place):
        account = cloud.start(place)
        assert cloud.running(place) == account
        cloud.stop(place)
        assert cloud.running(place) is None
        assert wait_ended(account.pid, 30)

    def test_a_killed_cloud_is_not_taken_for_a_running_one_and_the_next_run_starts_anew(
        self, place
    ):
        with tour.only_one(place):
            killed = tour.ensure_cloud(place)
            _leave_state(place)
            os.kill(killed.pid, signal.SIGKILL)
            assert wait_ended(killed.pid, 30)
            # The lock goes with the last of its threads, a moment after the first.
            until(lambda: cloud.running(place) is None, "the lock is free")
            started = tour.ensure_cloud(place)
        assert started.pid != killed.pid
        assert not (place.base / "state" / "cognitofs").exists()

    def test_a_second_run_uses_the_cloud_that_runs(self, place):
        with tour.only_one(place):
            assert tour.ensure_cloud(place) == tour.ensure_cloud(place)

    def test_two_runs_do_not_change_one_place_at_a_time(self, place):
        with (
            tour.only_one(place),
            pytest.raises(MountpointBusy, match="wait until it ends"),
            tour.only_one(place),
        ):
            pass


def _leave_state(place: Place) -> None:
    (place.base / "state" / "cognitofs").mkdir()


class TestApart:
    """Nothing of the person's own cognitofs takes part in the demo."""

    def test_the_wrapper_replaces_every_setting_of_the_person(self, place, tmp_path):
        own = {
            "COGNITOFS_PROFILE": "work",
            "COGNITOFS_CONFIG": "/elsewhere",
            "AWS_PROFILE": "work",
            "XDG_STATE_HOME": "/elsewhere",
            "XDG_RUNTIME_DIR": "/elsewhere",
            "HTTPS_PROXY": "http://proxy.example",
        }
        script = tmp_path / "show"
        script.write_text(place.command.read_text().replace(str(console_script()), "/usr/bin/env"))
        done = subprocess.run(
            ["sh", script], env=os.environ | own, capture_output=True, text=True, check=True
        )
        shown = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        assert not {k for k in shown if k.startswith(("AWS_", "COGNITOFS_"))} - {"COGNITOFS_CONFIG"}
        assert shown["COGNITOFS_CONFIG"] == str(place.config)
        assert Path(shown["XDG_STATE_HOME"]).parent == place.base
        assert Path(shown["XDG_RUNTIME_DIR"]).parent == place.base
        assert shown["NO_PROXY"] == "127.0.0.1"

    def test_the_places_are_for_this_user_alone(self, place):
        assert place.base.stat().st_mode & 0o077 == 0

    def test_stopping_what_was_never_started_says_so_and_leaves_nothing(self, tmp_path, capsys):
        tour.stop(Place(tmp_path / "never"))
        assert "not there" in capsys.readouterr().out
        assert not (tmp_path / "never").exists()


@pytest.mark.mount
@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no usable /dev/fuse")
class TestWhole:
    """`scripts/demo` as a person runs it, but for the set-up."""

    @pytest.fixture
    def demo(self, tmp_path):
        environ = os.environ | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}

        def run(*arguments):
            return subprocess.run(
                [sys.executable, "-P", "-m", "cognitofs.demo", *map(str, arguments)],
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )

        yield run
        assert run("--stop").returncode == 0

    def test_check_goes_the_whole_way_and_leaves_nothing(self, demo, tmp_path):
        done = demo("--check")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ok: the objects, as boto3 fetches them: 4 equal" in done.stdout
        assert "ok: the files, as a second mount reads them: 4 equal" in done.stdout
        assert "ok: unmounted" in done.stdout
        assert not (tmp_path / "state" / "cognitofs-demo").exists()

    def test_a_second_run_mends_what_was_killed_and_keeps_what_lives(self, demo, tmp_path):
        directory = tmp_path / "cloud"
        first = demo(directory)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "checks neither passwords nor policies" in first.stdout
        (directory / "mine").write_bytes(b"kept")
        (mounted,) = commands.mounts(Place(tmp_path / "state" / "cognitofs-demo"))
        os.kill(mounted.pid, signal.SIGKILL)
        assert wait_ended(mounted.pid, 30)
        second = demo(directory)
        assert second.returncode == 0, second.stdout + second.stderr
        assert (directory / "mine").read_bytes() == b"kept"
        stopped = demo("--stop")
        assert stopped.returncode == 0, stopped.stderr
        assert list(directory.iterdir()) == []
