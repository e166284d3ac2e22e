"""The real command, daemon, socket and kernel around a scripted session, as a person meets them."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no usable /dev/fuse"),
]
SCRIPTED = Path(__file__).parent / "scripted_session"
COMMAND = (sys.executable, "-P", "-m", "cognitofs")


class Person:
    """A home directory, a profile that needs no sign-in, and the cognitofs command."""

    def __init__(self, home, wrapper=()):
        self.home = home
        self.mountpoint = home / "cloud"
        self.wrapper = wrapper
        self.environ = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SCRIPTED),
        }
        (home / ".config" / "cognitofs").mkdir(parents=True)
        (home / ".config" / "cognitofs" / "config.toml").write_text(
            "[profiles.default]\n"
            'bucket = "photos"\nbucket_region = "eu-west-1"\ncredential_process = "true"\n'
        )

    def run(self, *arguments, script=None, cwd=None):
        script = {} if script is None else {"SCRIPTED_SESSION": json.dumps(script)}
        return subprocess.run(
            [*self.wrapper, *COMMAND, *map(str, arguments)],
            env=self.environ | script,
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self):
        return json.loads(self.run("status", "--json").stdout)["mounts"]


def is_mounted(path):
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def person(tmp_path):
    someone = Person(tmp_path)
    yield someone
    if is_mounted(someone.mountpoint):
        subprocess.run(["umount", "-l", someone.mountpoint], check=False)


def wait_until_dead(path):
    """Return once the kernel knows that the mount's process is gone; each question asks it."""
    while True:
        try:
            os.statvfs(path)
        except OSError as exc:
            if exc.errno == errno.ENOTCONN:
                return


def has_ended(pid):
    """Whether the process is gone, or a zombie that its new parent has not buried yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return True
    return state == "Z"


def assert_one_sentence(done, code, words):
    """Assert that the command failed with *code* and one line on stderr with *words* in it."""
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_mount_returns_when_the_mount_answers_and_says_how_to_leave(person):
    done = person.run("mount", "cloud")
    assert done.returncode == 0, done.stderr
    assert is_mounted(person.mountpoint)
    assert list(person.mountpoint.iterdir()) == []
    what, whom, leave = done.stdout.splitlines()
    assert what == f"s3://photos/private/x/ is mounted at {person.mountpoint}"
    assert whom.startswith("as ")
    assert f"fusermount3 -u {person.mountpoint}" in leave
    (status,) = person.status()
    assert (status["mountpoint"], status["state"]) == (str(person.mountpoint), "clean")
    done = person.run("umount", "cloud")
    assert done.returncode == 0, done.stderr
    assert not is_mounted(person.mountpoint)
    assert has_ended(status["pid"])


def test_the_daemon_is_a_session_of_its_own_without_secrets_or_the_persons_directory(person):
    person.run("mount", person.mountpoint)
    (status,) = person.status()
    process = Path(f"/proc/{status['pid']}")
    assert os.getsid(status["pid"]) == status["pid"]
    assert os.readlink(process / "cwd") == "/"
    assert os.readlink(process / "fd" / "0") == "/dev/null"
    assert "Umask:\t0077" in (process / "status").read_text()
    assert "Max core file size        0 " in (process / "limits").read_text()
    (log,) = (person.home / ".local/state/cognitofs/logs").iterdir()
    assert log.stat().st_mode & 0o777 == 0o600
    assert person.run("umount", person.mountpoint).returncode == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("LoginRequired", 3),
        ("WrongIdentity", 6),
        ("NoSuchBucket", 1),
        ("ConfigError", 2),
        ("MountpointBusy", 5),
    ],
)
def test_why_there_is_no_mount_comes_out_of_the_daemon_whole(person, kind, code):
    done = person.run("mount", "cloud", script={"fail": [kind, "It is so; do this."]})
    assert_one_sentence(done, code, "It is so; do this.")
    assert not is_mounted(person.mountpoint)


def test_a_daemon_that_dies_says_why_and_keeps_its_traceback_in_the_log(person):
    done = person.run("mount", "cloud", script={"crash": True})
    assert_one_sentence(done, 1, "before it was ready")
    (log,) = (person.home / ".local/state/cognitofs/logs").glob("cloud-*.log")
    assert str(log) in done.stderr
    assert "the scripted defect" in log.read_text()


def test_a_defect_in_the_foreground_leaves_its_traceback_in_a_file_only(person):
    done = person.run("mount", "-f", "cloud", script={"crash": True})
    assert_one_sentence(done, 1, "should not have happened (ZeroDivisionError)")
    log = person.home / ".local/state/cognitofs/logs/commands.log"
    assert str(log.parent) in done.stderr
    assert "the scripted defect" in log.read_text()


def test_the_foreground_mount_says_the_same_and_ends_with_the_mount(person):
    done = person.run("mount", "-f", "cloud", script={"fail": ["LoginRequired", "Sign in."]})
    assert_one_sentence(done, 3, "Sign in.")
    with subprocess.Popen(
        [*COMMAND, "mount", "--foreground", "cloud"],
        env=person.environ,
        cwd=person.home,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert "is mounted at" in process.stdout.readline()
        assert person.run("umount", "cloud").returncode == 0
        assert process.wait(60) == 0


def test_a_second_mount_is_refused_by_place_and_by_prefix(person):
    assert person.run("mount", "cloud").returncode == 0
    assert_one_sentence(person.run("mount", "cloud"), 5, "mounted with cognitofs already")
    assert_one_sentence(person.run("mount", "other"), 5, f"mounted already at {person.mountpoint}")
    assert person.run("umount", "cloud").returncode == 0


def test_umount_waits_for_the_uploads(person):
    assert person.run("mount", "cloud", script={"unsent": 3}).returncode == 0
    assert person.status()[0]["pending_files"] == 3
    done = person.run("umount", "cloud")
    assert done.returncode == 0, done.stderr
    assert "3 files (3.0 kB) to send" in done.stderr
    assert not is_mounted(person.mountpoint)


def test_what_could_not_be_sent_is_said_by_sync_status_and_umount(person):
    assert person.run("mount", "cloud", script={"stuck": 2}).returncode == 0
    done = person.run("status")
    assert done.returncode == 4
    assert "\x1b" not in done.stdout
    assert "a\\x1bb" in done.stdout
    assert_one_sentence(person.run("sync", "cloud/some/where"), 4, "2 files could not be sent")
    assert_one_sentence(person.run("umount", "cloud"), 4, "2 files (10 B) could not be sent")
    (left,) = person.status()
    assert (left["state"], left["pending_files"], left["pending_bytes"]) == ("unmounted", 2, 10)
    assert "mount it again to send them" in person.run("status").stdout


def test_umount_gives_up_waiting_in_time(person):
    assert person.run("mount", "cloud", script={"wait": True, "unsent": 1}).returncode == 0
    (status,) = person.status()
    done = person.run("umount", "cloud", "--timeout", "0.5")
    assert done.returncode == 4
    assert f"process {status['pid']} goes on sending" in done.stderr
    assert not is_mounted(person.mountpoint)


def test_a_mount_in_use_names_who_uses_it(person):
    assert person.run("mount", "cloud").returncode == 0
    with subprocess.Popen(["sleep", "600"], cwd=person.mountpoint) as sleeper:
        done = person.run("umount", "cloud")
        assert_one_sentence(done, 5, f"in use by sleep (process {sleeper.pid})")
        sleeper.kill()
    assert person.run("umount", "cloud").returncode == 0


def test_a_dead_mount_is_healed_by_mount_and_by_umount(person):
    for heal in (("umount", "cloud"), ("mount", "cloud")):
        assert person.run("mount", "cloud").returncode == 0
        pid = person.status()[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(person.mountpoint)
        done = person.run(*heal)
        assert done.returncode == 0, done.stderr
    assert person.run("umount", "cloud").returncode == 0


def test_a_mountpoint_that_is_a_file_is_refused(person):
    (person.home / "file").touch()
    assert_one_sentence(person.run("mount", "file"), 2, "is a file")


def test_what_is_not_mounted_is_said(person):
    assert_one_sentence(person.run("umount", "cloud"), 1, "Nothing is mounted")
    assert_one_sentence(person.run("umount", "/proc"), 1, "not one of cognitofs")
    assert_one_sentence(person.run("status", "cloud"), 1, "is not in a mount of yours")
    assert_one_sentence(person.run("sync", "cloud/a"), 1, "is not in a mount of yours")
    assert person.run("status").stdout == "Nothing is mounted, and nothing is left to send.\n"


def test_options_after_a_double_dash_and_relative_paths_reach_the_daemon(person):
    (person.home / "in").mkdir()
    done = person.run("mount", "--state-dir", "state", "--", "../cloud", cwd=person.home / "in")
    assert done.returncode == 0, done.stderr
    assert (person.home / "in" / "state" / "mounts").is_dir()
    done = person.run("umount", "cloud", "--state-dir", "in/state")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"),
    reason="only root can become an ordinary user with a /dev/fuse of its own",
)
def test_an_ordinary_user_mounts_through_fusermount3_although_the_daemon_is_undumpable():
    """PR_SET_DUMPABLE 0 gives /proc/self to root; libfuse and the socket work all the same."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cognitofs-test-")))
        someone = Person(home)
        for each in (home, *home.rglob("*")):
            os.chown(each, 65534, 65534)
        steps = """
            set -e
            mknod -m 0666 "$1/fuse" c 10 229; mount --bind "$1/fuse" /dev/fuse; shift
            exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -ec '
                "$@" mount cloud
                "$@" status --json
                ls -a cloud
                pid=$("$@" status | sed -n "s/.*process //p")
                stat -c "owner of the daemon: %U" /proc/$pid/fd
                "$@" umount cloud
                ls -A cloud' - "$@"
        """
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", steps, "-", home, *COMMAND],
            env=someone.environ,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert '"state": "clean"' in done.stdout
        assert "owner of the daemon: root" in done.stdout
        assert "is unmounted" in done.stdout
