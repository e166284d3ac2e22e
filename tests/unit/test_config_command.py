"""`cognitofs configure` writes profiles: from --set, or by asking."""

import json
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


def outputs(path, **storage):
    """Write an amplify_outputs.json with what matters; return its path."""
    auth = {
        "user_pool_id": "eu-west-1_AbC",
        "aws_region": "eu-west-1",
        "user_pool_client_id": "client",
        "identity_pool_id": "eu-west-1:01234567",
    }
    named = {"aws_region": "eu-west-1", "bucket_name": "files"} | storage
    path.write_text(json.dumps({"auth": auth, "storage": named, "version": "1.4"}))
    return path


def entry(name, *templates):
    rights = {"entityidentity": ["get", "list", "write", "delete"]}
    paths = {template: rights for template in templates}
    return {"name": f"{name}-label", "bucket_name": name, "aws_region": "us-east-1", "paths": paths}


def test_an_application_s_file_leaves_no_question(run, file, tmp_path):
    done = run("configure", "--from", outputs(tmp_path / "amplify_outputs.json"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "client_id = client  (auth.user_pool_client_id)" in done.stdout
    assert "root = private/{identity_id}/" in done.stdout
    assert read_profiles(file)["default"] == {
        "user_pool_id": "eu-west-1_AbC",
        "client_id": "client",
        "identity_pool_id": "eu-west-1:01234567",
        "bucket": "files",
        "bucket_region": "eu-west-1",
    }


def test_what_another_application_left_in_the_profile_goes(run, file, tmp_path):
    own = "media/${cognito-identity.amazonaws.com:sub}/*"
    first = outputs(tmp_path / "a", bucket_name="more", buckets=[entry("more", own)])
    assert run("configure", "--from", first).returncode == 0
    assert read_profiles(file)["default"]["root"] == "media/{identity_id}/"
    assert read_profiles(file)["default"]["bucket_region"] == "us-east-1"
    assert run("configure", "--from", outputs(tmp_path / "b")).returncode == 0
    assert "root" not in read_profiles(file)["default"]


def test_set_stands_above_the_file(run, file, tmp_path):
    source = outputs(tmp_path / "a")
    done = run("configure", "--from", source, "--set=bucket=mine", "--set=root=x/")
    assert done.returncode == 0
    assert "files" not in done.stdout
    assert (read_profiles(file)["default"]["bucket"], "root = x" in done.stdout) == ("mine", False)


def test_one_of_several_buckets_is_chosen_by_its_name(run, file, tmp_path):
    buckets = [entry("logs", "{entity_id}/*"), entry("files", "private/{entity_id}/*")]
    source = outputs(tmp_path / "a", buckets=buckets)
    done = run("configure", "--from", source)
    assert done.returncode == 0
    assert "default files-label (files) is taken" in done.stderr
    assert run("configure", "--from", source, "--bucket", "logs-label").returncode == 0
    assert read_profiles(file)["default"]["bucket"] == "logs"
    assert read_profiles(file)["default"]["root"] == "{identity_id}/"
    done = run("configure", "--from", source, "--bucket=nope")
    assert done.returncode == 2
    assert "logs-label (logs)" in done.stderr
    assert run("configure", "--bucket=logs").returncode == 2


def test_several_prefixes_become_a_layout_without_a_question(environ, run, file, tmp_path):
    two = entry("files", "full/{entity_id}/*", "thumb/{entity_id}/*")
    source = outputs(tmp_path / "a", buckets=[two, entry("logs", "{entity_id}/*")])
    assert run("configure", "--from", source).returncode == 0
    written = read_profiles(file)["default"]
    assert (written["layout"], "root" in written) == (
        "full/{identity_id}/ thumb/{identity_id}/",
        False,
    )
    done = run("configure", "--from", source, "--set=root=full/{identity_id}/", "--set=layout=")
    assert done.returncode == 0
    assert read_profiles(file)["default"]["root"] == "full/{identity_id}/"
    session = dialogue(
        ["configure", "--from", str(source)], [("Which bucket [files]", "logs-label")], environ
    )
    assert session.code == 0
    assert read_profiles(file)["default"]["root"] == "{identity_id}/"


def test_variables_of_another_tool_are_a_source_of_last_resort(run, environ, file):
    environ |= {
        "COGNITO_USER_POOL_ID": "eu-west-1_AbC",
        "COGNITO_CLIENT_ID": "client",
        "COGNITO_IDENTITY_POOL_ID": "eu-west-1:01234567",
    }
    done = run("configure", "--from", "env", "--set=bucket=files")
    assert (done.returncode, done.stderr) == (0, "")
    assert "(COGNITO_CLIENT_ID)" in done.stdout
    assert read_profiles(file)["default"]["client_id"] == "client"
