"""Mounting by systemd and by /etc/fstab: what is written, and what is called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cognitofs.cli.fstab import arguments_of
from cognitofs.cli.service import unit_text
from cognitofs.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["default", "/srv/f", "-o", "rw"], ["mount", "/srv/f", "--profile=default"]),
        (["none", "/f", "-n", "-v"], ["mount", "/f"]),
        (
            ["cognitofs#work", "/f", "-o", "rw,_netdev,nofail,x-systemd.automount,user=ada"],
            ["mount", "/f", "--profile=work"],
        ),
        (
            ["none", "/f", "-t", "fuse.cognitofs", "-o", "ro,allow_other,uid=7,part-size=16MiB"],
            ["mount", "/f", "--read-only", "--allow-other", "--uid=7", "--part-size=16MiB"],
        ),
        (["none", "/f", "-o", "allow_other=false,sync=fsync"], ["mount", "/f", "--sync=fsync"]),
        (["none", "/f", "-o", "config=/etc/c"], ["mount", "/f", "--config=/etc/c"]),
    ],
)
def test_mount_8_is_understood(words, expected):
    assert arguments_of(words) == expected


@pytest.mark.parametrize("option", ["sinc=fsync", "sync", "uid", "allow_others", "bucket=b"])
def test_an_unknown_option_is_named(option):
    with pytest.raises(ConfigError, match=f"no mount option '{option}'"):
        arguments_of(["none", "/f", "-o", f"rw,{option}"])


def test_the_helper_ends_with_codes_of_mount_8(tmp_path):
    command = [sys.executable, "-c", "from cognitofs.cli.fstab import main; main()"]
    environ = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    for words, code in ((["none"], 1), (["none", "/f", "-o", "x=1"], 1)):
        done = subprocess.run(
            [*command, *words], env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("name", ["cloud", "my files", "100%", 'a"b', "$HOME", "it's"])
def test_systemd_reads_the_unit_whatever_the_directory_is_called(tmp_path, name):
    unit = tmp_path / "cognitofs-test.service"
    unit.write_bytes(unit_text(tmp_path / name, ["--profile=work"]))
    environ = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(unit)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(unit.name) not in done.stderr, done.stderr


@pytest.fixture
def run(tmp_path):
    """Run the command beside a systemctl that only writes down how it was called."""
    calls, programs = tmp_path / "calls", tmp_path / "bin"
    programs.mkdir()
    fake = programs / "systemctl"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {calls}\ntest ! -e {tmp_path}/broken\n')
    fake.chmod(0o755)
    config = tmp_path / "config.toml"
    config.write_text(
        '[profiles.default]\nbucket = "files"\nregion = "us-east-1"\ncredential_process = "keys"\n'
    )

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "cognitofs", "service", *arguments],
            env=os.environ
            | {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "XDG_CONFIG_HOME": str(tmp_path / "config"),
                "COGNITOFS_CONFIG": str(config),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_a_mount_is_enabled_and_disabled_by_its_directory(run, tmp_path):
    place = str(tmp_path / "my-cloud")
    name = "cognitofs-" + place.strip("/").replace("-", "\\x2d").replace("/", "-") + ".service"
    unit = tmp_path / "config" / "systemd" / "user" / name
    done, calls = run("enable", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert calls == ["--user daemon-reload", f"--user enable --now {name}"]
    text = unit.read_text()
    assert f'"mount" "--" "{place}"' in text
    assert f'"umount" "--" "{place}"' in text
    assert "TimeoutStopSec=infinity" in text
    done, calls = run("disable", place)
    assert (done.returncode, unit.exists()) == (0, False)
    assert calls[2:] == [f"--user disable --now {name}", "--user daemon-reload"]
    assert run("disable", place)[0].returncode == 2


def test_a_systemd_that_refuses_is_quoted(run, tmp_path):
    (tmp_path / "broken").touch()
    done, _ = run("enable", str(tmp_path / "cloud"))
    assert done.returncode == 1
    assert "daemon-reload` failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_of_the_unit_is_this_one():
    assert Path(unit_text(Path("/c"), []).decode().split('ExecStart="')[1].split('"')[0]).exists()
