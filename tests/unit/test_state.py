"""A state directory belongs to one binding and one process, in a place nobody else may bend."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cognitofs.errors import ConfigError, MountpointBusy, SpoolDamaged, WrongIdentity
from cognitofs.mounttable import Mount
from cognitofs.runtime import reachable, socket_path, sockets
from cognitofs.safefiles import open_private, private_directory, replace_durably
from cognitofs.state import (
    Binding,
    Note,
    StateDirectory,
    binding_in,
    cache_directory,
    is_locked,
    judge_file_system,
    known_states,
    note_in,
)

ADA = Binding("", "photos", "private/eu-west-1:ada/", "eu-west-1:ada")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_mount_id_is_the_hash_of_what_the_directory_belongs_to():
    # printf '%s' '|photos|private/eu-west-1:ada/|eu-west-1:ada' | sha256sum | cut -c1-16
    assert ADA.mount_id == "d2bc9bffb8d28474"


@pytest.fixture
def loose_umask():
    """Give the process the umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
def test_everything_it_makes_is_private(tmp_path):
    with StateDirectory.open(tmp_path / "state", ADA, Note("/m")) as state:
        found = state.files
        assert found.path == tmp_path / "state" / "mounts" / ADA.mount_id
        for directory in (found.path, found.spool, found.lost_found):
            assert mode(directory) == 0o700
        for file in (found.lock, found.binding):
            assert mode(file) == 0o600
    assert mode(cache_directory(tmp_path / "cache", ADA)) == 0o700


def test_a_second_opening_names_the_mount_that_holds_it(tmp_path):
    with (
        StateDirectory.open(tmp_path, ADA, Note("/home/ada/cloud", pid=4711)),
        pytest.raises(MountpointBusy, match=r"/home/ada/cloud \(process 4711\)"),
    ):
        StateDirectory.open(tmp_path, ADA, Note("/elsewhere"))


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from cognitofs.state import *\n"
        f"state = StateDirectory.open(Path(sys.argv[1]), {ADA!r}, Note('/m'))\n"
        "print('open', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, check=False, timeout=60
    )
    assert (done.stdout, done.returncode) == (b"open\n", -9)
    with StateDirectory.open(tmp_path, ADA, Note("/n")) as state:
        assert is_locked(state.files)
        assert note_in(state.files).mountpoint == "/n"
    assert not is_locked(state.files)


def test_another_identity_is_refused_and_the_binding_stays(tmp_path):
    StateDirectory.open(tmp_path, ADA, Note()).close()
    (files,) = known_states(tmp_path)
    document = json.loads(files.binding.read_text())
    files.binding.write_text(json.dumps(document | {"identity_id": "eu-west-1:eve"}))
    with pytest.raises(WrongIdentity, match="eu-west-1:eve"):
        StateDirectory.open(tmp_path, ADA, Note())
    assert not is_locked(files)
    assert binding_in(files).identity_id == "eu-west-1:eve"


def test_an_unreadable_binding_is_never_guessed(tmp_path):
    StateDirectory.open(tmp_path, ADA, Note()).close()
    (files,) = known_states(tmp_path)
    files.binding.write_text("{")
    with pytest.raises(SpoolDamaged, match=r"binding\.json"):
        StateDirectory.open(tmp_path, ADA, Note())


def test_a_directory_that_others_may_write_to_is_refused(tmp_path):
    base = tmp_path / "state"
    base.mkdir(mode=0o700)
    base.chmod(0o770)
    with pytest.raises(ConfigError, match="Others may write"):
        StateDirectory.open(base, ADA, Note())


def test_a_way_through_a_world_writable_directory_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="Everybody may write"):
        private_directory(tmp_path / "open" / "state")
    (tmp_path / "open").chmod(0o1777)  # sticky, as /tmp is: only the owner can replace our name
    assert private_directory(tmp_path / "open" / "state").is_dir()


@as_root
def test_a_directory_of_another_user_is_refused(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        private_directory(tmp_path / "state")


@as_root
def test_a_symlink_of_another_user_is_refused_even_behind_ours(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "theirs").symlink_to("real")
    os.chown(tmp_path / "theirs", 12345, 12345, follow_symlinks=False)
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="theirs"):
        private_directory(tmp_path / "ours" / "state")


def test_our_own_symlink_leads_to_where_it_points(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert private_directory(tmp_path / "link" / "state") == tmp_path / "real" / "state"


def test_symlinks_in_a_circle_end_in_a_sentence(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ConfigError, match="symbolic links"):
        private_directory(tmp_path / "a" / "state")


def test_a_planted_symlink_is_not_written_through(tmp_path):
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "file").symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "file", os.O_WRONLY)
    replace_durably(tmp_path / "file", b"ours")
    assert (tmp_path / "target").read_text() == "theirs"
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "fuse.cognitofs", "cifs"])
def test_file_systems_that_cannot_keep_a_promise_are_refused(kind):
    with pytest.raises(ConfigError, match="local disk"):
        judge_file_system(Path("/s"), Mount(Path("/s"), kind, "there"))


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "cifs"])
def test_somebody_may_risk_them_and_is_told(kind):
    (notice,) = judge_file_system(Path("/s"), Mount(Path("/s"), kind, "there"), is_risked=True)
    assert "as safe as that is" in notice


def test_unsent_files_are_never_kept_in_a_mount_of_ours():
    with pytest.raises(ConfigError, match="S3 itself"):
        judge_file_system(Path("/s"), Mount(Path("/s"), "fuse.cognitofs", "x"), is_risked=True)


def test_memory_is_allowed_with_a_notice():
    (notice,) = judge_file_system(Path("/s"), Mount(Path("/s"), "tmpfs", "tmpfs"))
    assert "lost when this machine stops" in notice
    assert judge_file_system(Path("/s"), Mount(Path("/s"), "ext4", "/dev/sda")) == ()


def test_the_socket_lies_in_the_runtime_directory_of_the_person(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    path = socket_path("0" * 16, tmp_path / "state", environ)
    assert path == tmp_path / "run" / "cognitofs" / f"{'0' * 16}.sock"
    path.touch()
    (path.parent / "other.sock").touch()
    assert sockets(tmp_path / "state", environ) == (path,)


def test_without_a_usable_runtime_directory_it_lies_in_the_state_directory(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o770)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    path = socket_path("0" * 16, tmp_path / "state", environ)
    assert path.parent == tmp_path / "state" / "run"
    assert mode(path.parent) == 0o700
    path.touch()
    assert sockets(tmp_path / "state", environ) == (path,)


def test_an_address_always_fits(tmp_path):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    (deep / "x.sock").write_text("there")
    with reachable(deep / "x.sock") as address:
        assert len(address) < 108
        assert Path(address).read_text() == "there"
