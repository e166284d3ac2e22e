"""`cognitofs configure` writes profiles: from --set, or by asking."""

import os
import subprocess
import sys

import pytest

from cognitofs.configfile import read_profiles
from tests.unit.terminal import dialogue

POOLS = (
    "--set=user_pool_id=eu-west-1_AbC",
    "--set=client_id=client",
    "--set=identity_pool_id=eu-west-1:01234567",
)


@pytest.fixture
def environ(tmp_path):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COGNITOFS")}
    return kept | {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config" / "cognitofs" / "config.toml"


@pytest.fixture
def run(environ):
    def run(*arguments, stdin=""):
        return subprocess.run(
            [sys.executable, "-m", "cognitofs", *arguments],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_profile_is_written_from_the_command_line(run, file):
    done = run("configure", *POOLS, "--set=bucket=files", "--set=endpoints.s3=https://s.example")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cognitofs login" in done.stdout
    assert read_profiles(file)["default"]["endpoints"] == {"s3": "https://s.example"}


def test_what_is_missing_is_named_and_nothing_is_written(run, file):
    done = run("configure", *POOLS)
    assert done.returncode == 2
    assert "lacks bucket" in done.stderr
    assert not file.exists()


def test_a_wrong_key_or_value_is_named_and_nothing_is_written(run, file):
    for change, words in (("buket=x", "`bucket`"), ("part_size=1", "5MiB"), ("bucket", "KEY=")):
        done = run("configure", *POOLS, "--set=bucket=files", f"--set={change}")
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert not file.exists()


def test_a_secret_goes_in_by_standard_input_only(run, file):
    done = run("configure", *POOLS, "--set=bucket=files", "--set=client_secret=hush")
    assert done.returncode == 2
    assert "hush" not in done.stderr
    assert not file.exists()
    done = run("configure", *POOLS, "--set=bucket=files", "--client-secret-stdin", stdin="hush\n")
    assert done.returncode == 0
    assert "hush" not in done.stdout + done.stderr
    assert read_profiles(file)["default"]["client_secret"] == "hush"


def test_another_profile_is_added_and_the_first_one_kept(run, file):
    run("configure", *POOLS, "--set=bucket=files")
    process = ("--set=credential_process=keys --all", "--set=region=us-east-1")
    done = run("configure", "--profile=store", *process, "--set=bucket=more")
    assert done.returncode == 0
    assert "login" not in done.stdout
    assert sorted(read_profiles(file)) == ["default", "store"]


def test_an_empty_value_removes_a_key(run, file):
    run("configure", *POOLS, "--set=bucket=files", "--set=root=mine/")
    assert run("configure", "--set=root=").returncode == 0
    assert "root" not in read_profiles(file)["default"]


def test_a_person_is_asked_for_what_is_needed(environ, file):
    answers = [
        ("User pool id", "eu-west-1_AbC"),
        ("App client id", "client"),
        ("Identity pool id", "eu-west-1:01234567"),
        ("Bucket", "files"),
        ("Region of the bucket [eu-west-1]", ""),
    ]
    session = dialogue(["configure"], answers, environ)
    assert session.code == 0
    assert read_profiles(file)["default"] == {
        "user_pool_id": "eu-west-1_AbC",
        "client_id": "client",
        "identity_pool_id": "eu-west-1:01234567",
        "bucket": "files",
        "bucket_region": "eu-west-1",
    }


def test_what_is_known_is_the_default_of_each_question(environ, run, file):
    run("configure", *POOLS, "--set=bucket=files", "--set=root=mine/")
    answers = [("[eu-west-1_AbC]", ""), ("[client]", ""), ("[eu-west-1:01234567]", "")]
    session = dialogue(["configure"], [*answers, ("[files]", "others"), ("[", "")], environ)
    assert session.code == 0
    assert read_profiles(file)["default"]["bucket"] == "others"
    assert read_profiles(file)["default"]["root"] == "mine/"
