"""Why there is no mount: one sentence that says what to do, the right exit code, no traceback."""

import pytest

from cognitofs.mounttable import mount_at
from tests.mount.mounted import assert_refused, is_fuse_usable
from tests.scripted_http import reply, scripted_server
from tests.servers import S3Server

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


def test_a_bucket_that_does_not_exist_is_named(machine, weed):
    machine.configure(weed.server, "no-such-bucket")
    assert_refused(machine.run("mount", machine.cloud), 1, "no-such-bucket", "Check the name")


def test_a_wrong_secret_is_told_apart_from_a_missing_right(machine, weed):
    server = S3Server("weed", weed.server.endpoint, weed.server.access_key, "not the secret")
    machine.configure(server, weed.name)
    assert_refused(machine.run("mount", machine.cloud), 1, "cannot be mounted", "Check the keys")


def test_a_bucket_of_another_region_is_named_with_its_region(machine):
    """As AWS answers: 301 PermanentRedirect, or 400 AuthorizationHeaderMalformed."""
    body = b"<Error><Code>PermanentRedirect</Code><Message>Use another endpoint.</Message></Error>"
    answers = [reply(301, body, x_amz_bucket_region="eu-west-1") for _ in range(20)]
    with scripted_server(answers) as server:
        machine.configure(S3Server("elsewhere", server.endpoint, "key", "secret"), "bucket")
        assert_refused(machine.run("mount", machine.cloud), 1, "bucket_region = 'eu-west-1'")


def test_a_mountpoint_that_is_a_file_is_refused(machine, weed):
    machine.cloud.touch()
    assert_refused(machine.run("mount", machine.cloud), 2, "is a file")


def test_a_mountpoint_that_holds_something_is_refused(machine, weed):
    machine.cloud.mkdir()
    (machine.cloud / "precious").touch()
    assert_refused(machine.run("mount", machine.cloud), 5, "is not empty")
    assert (machine.cloud / "precious").exists()


def test_a_missing_mountpoint_is_made_inside_home_only(machine, weed):
    outside = machine.directory / "outside"
    assert_refused(machine.run("mount", outside), 2, f"mkdir -p {outside}")
    assert not outside.exists()
    mount = machine.mount(path=machine.home / "new" / "place")
    assert mount_at(mount.path) is not None


def test_a_second_mount_of_the_same_prefix_is_refused(machine, weed):
    first = machine.mount()
    other = machine.home / "other"
    assert_refused(machine.run("mount", other), 5, "mounted already", str(first.path))
    assert mount_at(other) is None
    assert_refused(machine.run("mount", first.path), 5, "mounted with cognitofs already")
    (first.path / "f").write_bytes(b"still works")
    assert weed.get("f") == b"still works"


def test_an_unknown_key_is_refused_with_the_nearest_right_one(machine, weed):
    machine.configure(weed.server, weed.name, part_sise="8M")
    assert_refused(machine.run("mount", machine.cloud), 2, "part_sise", "did you mean `part_size`?")


def test_a_profile_that_does_not_exist_is_refused(machine, weed):
    done = machine.run("mount", "--profile", "work", machine.cloud)
    assert_refused(done, 2, "'work'", "cognitofs configure --profile work")


def test_a_credential_process_that_fails_is_quoted(machine, weed):
    machine.configure(weed.server, weed.name, credential_process="false")
    assert_refused(
        machine.run("mount", machine.cloud), 1, "The command false failed", "run it by hand"
    )
