"""Every command ends in words a person understands and a code a script can rely on."""

import json
import os
import subprocess
import sys

import pytest

from cognitofs import __version__, errors
from cognitofs.cli.exits import Exit, exit_code
from cognitofs.cli.mount import report_lines
from cognitofs.cli.output import DrainDisplay, plain
from cognitofs.control import DrainProgress, MountReport
from cognitofs.quantities import about


def command(*arguments, home, **environ):
    return subprocess.run(
        [sys.executable, "-P", "-m", "cognitofs", *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.CognitoFSError, 1),
        (errors.ConfigError, 2),
        (errors.MountpointUnusable, 2),
        (errors.LoginRequired, 3),
        (errors.WrongCredentials, 3),
        (errors.SignInRefused, 1),
        (errors.Stalled, 4),
        (errors.MountpointBusy, 5),
        (errors.WrongIdentity, 6),
        (errors.AccessDenied, 1),
        (errors.NotMounted, 1),
    ],
)
def test_exit_codes_stand_for_classes_of_errors(kind, code):
    assert exit_code(kind("Why.")) == code


def test_the_numbers_are_the_promised_ones():
    assert [each.value for each in Exit] == [0, 1, 2, 3, 4, 5, 6, 130]


NAMES = ("mount", "umount", "status", "sync", "version", "login", "logout", "whoami", "configure")


def test_help_names_all_commands_and_the_exit_codes(tmp_path):
    done = command("--help", home=tmp_path)
    assert done.returncode == 0
    for name in NAMES:
        assert f"\n  {name} " in done.stdout
    assert "6 another identity" in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mount", "umount", "status", "sync"])
def test_help_of_a_command_shows_how_it_is_typed(tmp_path, name):
    done = command(name, "--help", home=tmp_path)
    assert done.returncode == 0
    assert f"\n    cognitofs {name}" in done.stdout
    assert "--ready-fd" not in done.stdout


def test_heavy_libraries_are_not_loaded_for_help(tmp_path):
    program = (
        "import sys; from cognitofs.cli.main import run; run(['--help']);"
        "heavy = {'pyfuse3', 'trio', 'botocore', 'awscrt', 'rich'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_said_in_three_ways(tmp_path):
    assert command("--version", home=tmp_path).stdout == f"cognitofs {__version__}\n"
    assert f"cognitofs {__version__}\n" in command("version", home=tmp_path).stdout
    found = json.loads(command("version", "--json", home=tmp_path).stdout)
    assert found["cognitofs"] == __version__
    assert {"python", "kernel", "pyfuse3", "trio", "boto3"} <= set(found)


@pytest.mark.parametrize(
    "arguments",
    [("mount",), ("mount", "--no-such-option", "x"), ("dance",), ("umount", "--timeout", "x", "y")],
)
def test_wrong_usage_is_code_two_without_a_traceback(tmp_path, arguments):
    done = command(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_value_that_means_nothing_is_code_two(tmp_path):
    done = command("mount", str(tmp_path / "m"), "--part-size", "huge", home=tmp_path)
    assert done.returncode == 2
    assert "part_size" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_status_of_nothing_is_empty_and_makes_nothing(tmp_path):
    done = command("status", "--json", home=tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"mounts": []})
    assert list(tmp_path.iterdir()) == []


def test_a_broken_configuration_hides_no_mount(tmp_path):
    (tmp_path / ".config" / "cognitofs").mkdir(parents=True)
    (tmp_path / ".config" / "cognitofs" / "config.toml").write_text("[")
    assert command("status", home=tmp_path).returncode == 0
    assert command("status", "--profile", "x", home=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**16, "10000.0 TB")],
)
def test_sizes_are_written_for_people(number, text):
    assert about(number) == text


def test_a_file_name_cannot_steer_the_terminal():
    assert plain("a\x1b[2Jb\rc\x9bd\ud800") == "a\\x1b[2Jb\\rc\\x9bd\\ud800"
    assert plain("Grüße 日本") == "Grüße 日本"


def test_the_report_has_what_and_whom_and_how_to_leave():
    what, whom, leave = report_lines(
        MountReport("/m", "s3://b/p/", "ada", "eu-west-1:x", "2026-01-01T00:00:00+00:00")
    )
    assert what == "s3://b/p/ is mounted at /m"
    assert "ada (eu-west-1:x), keys until 2026-01-01" in whom
    assert "cognitofs umount /m" in leave


def test_a_drain_with_nothing_to_send_shows_nothing(capsys):
    with DrainDisplay() as display:
        display.show(DrainProgress())
    assert capsys.readouterr().err == ""


def test_a_drain_into_a_pipe_is_a_line(capsys):
    with DrainDisplay() as display:
        display.show(DrainProgress(2, 3000, waiting_for="network"))
        display.show(DrainProgress(1, 1000))  # too soon for another line
    assert capsys.readouterr().err == (
        "cognitofs: 2 files (3.0 kB) to send, waiting for the network\n"
    )
