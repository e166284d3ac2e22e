"""What a person configures is read, merged and checked; each complaint says what to do."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognitofs import quantities
from cognitofs.config import Endpoints, MountOptions, Profile, require_mount, require_sign_in
from cognitofs.configfile import read_profiles, write_profile
from cognitofs.errors import ConfigError
from cognitofs.rootprefix import resolve_root
from cognitofs.settings import load_settings

IDENTITY = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"
COMPLETE = """
[profiles.default]
user_pool_id = "eu-west-1_AbCdEf"
client_id = "client"
identity_pool_id = "eu-west-1:01234567-89ab-cdef-0123-456789abcdef"
bucket = "files"
part_size = "5M"
[profiles.default.endpoints]
s3 = "https://s3.example.org"
[profiles.work]
bucket = "work-files"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(COMPLETE)
    path.chmod(0o600)
    return path


def test_a_profile_is_read_from_its_table(file):
    settings = load_settings(config=file, environ={})
    assert settings.profile.bucket == "files"
    assert settings.profile.endpoint("s3") == "https://s3.example.org"
    assert settings.options.part_size == 5 * 1024 * 1024
    assert settings.profile.name == "default"


def test_a_region_comes_from_the_ids_of_the_pools(file):
    profile = load_settings(config=file, environ={}).profile
    assert profile.user_pool_region == profile.identity_pool_region == "eu-west-1"
    assert profile.s3_region == "eu-west-1"


COGNITO = {
    "COGNITO_USER_POOL_ID": "us-east-1_AbC",
    "COGNITO_CLIENT_ID": "other",
    "COGNITO_IDENTITY_POOL_ID": "us-east-1:01234567",
    "AWS_REGION": "us-west-2",
}


def test_the_variables_of_other_tools_come_last_and_all_or_none(file):
    """Ids of two applications never mix, and AWS_REGION never contradicts a pool's id."""
    profile = load_settings("work", file, environ=COGNITO).profile
    assert (profile.client_id, profile.bucket) == ("other", "work-files")
    assert profile.user_pool_region == "us-east-1"
    assert load_settings(config=file, environ=COGNITO).profile.client_id == "client"
    given = COGNITO | {"COGNITOFS_CLIENT_ID": "mine"}
    profile = load_settings("work", file, environ=given).profile
    assert (profile.client_id, profile.user_pool_id, profile.region) == ("mine", "", "us-west-2")


def test_a_region_of_the_environment_serves_a_credential_process(file):
    process = {"COGNITOFS_CREDENTIAL_PROCESS": "keys"} | COGNITO
    profile = load_settings("work", file, environ=process).profile
    assert (profile.client_id, profile.s3_region) == ("", "us-west-2")


def test_flags_win_over_the_environment_and_that_over_the_file(file):
    environ = {
        "COGNITOFS_BUCKET": "from-environment",
        "COGNITOFS_PART_SIZE": "16MiB",
        "COGNITOFS_ENDPOINTS_S3": "http://127.0.0.1:9000",
    }
    flags = {"bucket": "from-flag", "root": None, "read_only": True}
    settings = load_settings(config=file, flags=flags, environ=environ)
    assert settings.profile.bucket == "from-flag"
    assert settings.options.part_size == 16 * 1024 * 1024
    assert settings.profile.endpoint("s3") == "http://127.0.0.1:9000"
    assert settings.options.read_only is True
    assert settings.profile.client_id == "client"


def test_the_profile_and_the_file_may_come_from_the_environment(file):
    environ = {"COGNITOFS_PROFILE": "work", "COGNITOFS_CONFIG": str(file)}
    assert load_settings(environ=environ).profile.bucket == "work-files"


def test_the_file_is_found_below_xdg_config_home(file, monkeypatch, tmp_path):
    home = tmp_path / "cognitofs"
    home.mkdir()
    file.rename(home / "config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings(environ={}).profile.bucket == "files"


def test_no_file_at_all_is_an_empty_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings(environ={"COGNITOFS_BUCKET": "b42"}).profile == Profile(bucket="b42")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[profiles.default]\nbuket = 'x'", "did you mean `bucket`"),
        ("[profiles.default]\npart-size = '8M'", "did you mean `part_size`"),
        ("[profiles.default.endpoints]\ns4 = 'https://x'", "did you mean `endpoints.s3`"),
        ("[profiles.default]\nqqqqqqqq = 1", "the options are"),
        ("bucket = 'x'", r"write it below \[profiles.default\]"),
        ("[profiles]\ndefault = 3", "must be a table"),
        ("profiles = 3", "must be tables"),
        ("[profiles.default]\npart_size = '4M'", "a size from 5MiB to 5GiB"),
        ("[profiles.default]\nsync = 'never'", "one of close, fsync, local"),
        ("[profiles.default]\nfile_mode = '999'", "permission bits"),
        ("[profiles.default]\nread_only = 'perhaps'", "true or false"),
        ("[profiles.default]\nstate_dir = 'relative'", "an absolute path"),
        ("[profiles.default]\nmax_transfers = 0", "at least 1"),
        ("[profiles.default]\nauth_wait = -1", "a time in seconds"),
        ("[profiles.default]\nbucket = 's3://files/x'", "the bucket's name alone"),
        ("[profiles.default]\nroot = 'private'", 'must end in "/"'),
        ("[profiles.default]\nregion = 'us-east-1'\nuser_pool_id='eu-west-1_a'", "eu-west-1"),
        ("[profiles.default]\nbucket.name = 'x'", "not a table"),
        ("[profiles.default", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_what_to_do(tmp_path, text, complaint):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_settings(config=path, environ={})


def test_a_profile_that_is_not_there_names_those_that_are(file):
    with pytest.raises(ConfigError, match="default, work"):
        load_settings("wrok", config=file, environ={})


def test_a_named_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match="There is no configuration"):
        load_settings(config=tmp_path / "none.toml", environ={})


def test_a_secret_readable_by_others_is_refused_with_the_chmod(file):
    file.write_text("[profiles.default]\nclient_secret = 'hush'\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load_settings(config=file, environ={})
    assert "hush" not in str(caught.value)


def test_a_secret_in_the_environment_is_refused(file):
    with pytest.raises(ConfigError, match="COGNITOFS_CLIENT_SECRET") as caught:
        load_settings(config=file, environ={"COGNITOFS_CLIENT_SECRET": "hush"})
    assert "hush" not in str(caught.value)


def test_a_secret_is_not_in_the_repr():
    assert "hush" not in repr(Profile(client_secret="hush"))


@pytest.mark.parametrize(
    "url",
    ["https://s3.example.org", "http://127.0.0.1:5000", "http://[::1]:5000", "http://localhost:1"],
)
def test_endpoints_are_https_or_on_this_machine(url):
    assert Profile(endpoint_url=url).endpoint("s3") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://127.0.0.1@example.org",
        "http://user:pw@127.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:5000",
        "https://",
        "http://[::1",
        "http://127.0.0.1:notaport",
        "https://example.org/?x",
    ],
)
def test_any_other_endpoint_is_refused(url):
    with pytest.raises(ConfigError):
        Endpoints(cognito_idp=url)
    with pytest.raises(ConfigError):
        Profile(endpoint_url=url)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "x" * 65])
def test_a_profile_name_cannot_leave_its_directory(name):
    with pytest.raises(ConfigError):
        Profile(name=name)


def test_what_a_sign_in_or_a_mount_lacks_is_listed(file):
    require_sign_in(load_settings(config=file, environ={}).profile)
    require_mount(load_settings(config=file, environ={}).profile)
    with pytest.raises(ConfigError, match="user_pool_id, client_id and identity_pool_id"):
        require_sign_in(Profile(region="us-east-1"))
    with pytest.raises(ConfigError, match="lacks bucket"):
        require_mount(Profile(credential_process="keys", region="us-east-1"))
    with pytest.raises(ConfigError, match="AWS region"):
        require_mount(Profile(credential_process="keys", bucket="files"))
    with pytest.raises(ConfigError, match="nothing to sign in to"):
        require_sign_in(Profile(credential_process="keys"))


def test_the_root_defaults_to_the_identity_or_to_the_whole_bucket():
    assert Profile().root_template(has_identity=True) == "private/{identity_id}/"
    assert Profile().root_template(has_identity=False) == ""
    assert Profile(root="a/").root_template(has_identity=False) == "a/"


def test_a_root_is_filled_in():
    claims = {"identity_id": IDENTITY, "sub": "s-1", "username": "alice@example.org"}
    assert resolve_root("private/{identity_id}/", claims) == f"private/{IDENTITY}/"
    assert resolve_root("u/{username}/{sub}/", claims) == "u/alice@example.org/s-1/"
    assert resolve_root("", claims) == ""


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("private", ""),
        ("/private/", ""),
        ("a//b/", ""),
        ("../", ""),
        ("{email}/", ""),
        ("{username/", ""),
        ("{username}/", ""),
        ("{username}/", "../bob"),
        ("{username}/", ".."),
        ("{username}/", "a/b"),
        ("{username}/", "a\n"),
        ("{username}/", "{sub}"),
    ],
)
def test_a_root_that_could_escape_is_refused(template, value):
    with pytest.raises(ConfigError):
        resolve_root(template, {"username": value, "sub": "s"})


@given(st.text(), st.text())
def test_no_template_and_no_value_ever_escapes(template, value):
    """Whatever is given, the result is refused or a prefix without odd segments."""
    for tried in (template, f"users/{{username}}/{template}", f"{template}{{sub}}/"):
        try:
            root = resolve_root(tried, {"username": value, "sub": value, "identity_id": value})
        except ConfigError:
            continue
        assert root == "" or root.endswith("/")
        assert not {"", ".", ".."} & set(root[:-1].split("/")) or root == ""


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_is_read_as_it_is_written(number):
    assert quantities.size(quantities.size_text(number)) == number
    assert quantities.size(number) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5M", 5 << 20), ("8MiB", 8 << 20), ("8 mib", 8 << 20), ("1.5G", 3 << 29), ("2kB", 2000)],
)
def test_sizes_have_units(text, expected):
    assert quantities.size(text) == expected


@pytest.mark.parametrize("value", ["", "M", "-1", -1, True, "8 parsecs", None, 1.5])
def test_what_is_not_a_size_is_refused(value):
    with pytest.raises(ValueError, match="a size"):
        quantities.size(value)


def test_times_and_modes_are_read():
    assert quantities.seconds("2m") == 120
    assert quantities.seconds(0.5) == 0.5
    assert quantities.mode("0640") == quantities.mode(0o640) == 0o640
    assert quantities.switch("on") is True
    assert quantities.path("~/x") == Path("~/x").expanduser()


def test_the_defaults_are_those_of_the_documents():
    options = MountOptions()
    assert (options.sync, options.part_size, options.drain_timeout) == ("close", 8 << 20, None)
    assert (options.metadata_ttl, options.open_ttl, options.auth_wait) == (5.0, 1.0, 60.0)


def test_writing_a_profile_keeps_the_others_and_the_comments(file):
    file.write_text("# mine\n" + COMPLETE)
    write_profile(file, "work", {"region": "us-east-1", "endpoints.s3": "https://s.example.org"})
    write_profile(file, "new", {"bucket": "third"})
    write_profile(file, "default", {"client_id": ""})
    assert file.read_text().startswith("# mine\n")
    profiles = read_profiles(file)
    assert profiles["work"] == {
        "bucket": "work-files",
        "region": "us-east-1",
        "endpoints": {"s3": "https://s.example.org"},
    }
    assert profiles["new"] == {"bucket": "third"}
    assert "client_id" not in profiles["default"]
    assert profiles["default"]["user_pool_id"] == "eu-west-1_AbCdEf"


def test_a_written_file_is_private_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "deep" / "config.toml"
    write_profile(path, "default", {"client_secret": "hush"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]
    assert read_profiles(path) == {"default": {"client_secret": "hush"}}


def test_a_linked_configuration_stays_a_link(tmp_path, file):
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    write_profile(link, "work", {"bucket": "other"})
    assert link.is_symlink()
    assert read_profiles(file)["work"] == {"bucket": "other"}
