"""`cognitofs doctor` against a cloud that enforces policies, and against stores that have none."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.emulator import Application
from tests.mount.mounted import PATIENCE, Machine, is_fuse_usable
from tests.servers import moto_server


class Patient(Machine):
    """A machine with the command, signed in as alice."""

    def __init__(self, directory: Path, app: Application, **options: object) -> None:
        super().__init__(directory)
        self.config.parent.mkdir(parents=True)
        app.write_profile(self.config, **options)
        self.app = app

    def login(self) -> "Patient":
        self.app.sign_in(self.state / "default")
        return self

    def left(self) -> list[str]:
        """Return the keys of the bucket and the uploads that nobody completed."""
        s3 = self.app.cloud.root("s3")
        uploads = s3.list_multipart_uploads(Bucket=self.app.bucket).get("Uploads", ())
        found = s3.list_objects_v2(Bucket=self.app.bucket).get("Contents", ())
        return [each["Key"] for each in (*found, *uploads)]


def doctor(machine: Machine, *options: str) -> dict[str, dict]:
    """Return the findings by their checks, the worst of each; the exit code must fit them."""
    done = machine.run("doctor", "--json", *options, seconds=2 * PATIENCE)
    assert "Traceback" not in done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert all(bool(each["remedy"]) == (each["level"] != "ok") for each in findings)
    problems = [each for each in findings if each["level"] == "problem"]
    assert done.returncode == (1 if problems else 0)
    order = ("ok", "hint", "problem")
    return {
        each["check"]: each for each in sorted(findings, key=lambda it: order.index(it["level"]))
    }


def problems(found: dict[str, dict]) -> set[str]:
    return {check for check, each in found.items() if each["level"] == "problem"}


@pytest.fixture
def patient(tmp_path: Path, cloud) -> Patient:
    return Patient(tmp_path, cloud.new_application("least")).login()


@pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here")
def test_with_the_least_policy_nothing_is_amiss_and_nothing_is_left(patient):
    found = doctor(patient)
    assert problems(found) == set()
    for check in (
        "sign-in",
        "clock",
        "groups",
        "list",
        "read",
        "write",
        "delete",
        "copy",
        "multipart",
        "abort",
        "neighbours",
    ):
        assert found[check]["level"] == "ok", found[check]
    assert found["conditions"]["level"] == "ok"
    assert patient.left() == []


def test_the_stock_role_has_hints_only(patient, cloud):
    cloud.grant(patient.app.bucket, "stock")
    found = doctor(patient)
    assert problems(found) <= {"fuse"}
    assert {check: found[check]["level"] for check in ("abort", "list-parts")} == {
        "abort": "hint",
        "list-parts": "hint",
    }
    assert "policy lifecycle" in found["abort"]["remedy"]
    assert "multipart" not in found
    assert patient.left() == []


@pytest.mark.parametrize(
    ("policy", "check"), [("no-put", "write"), ("no-list", "list"), ("no-get", "read")]
)
def test_a_right_that_lacks_is_named_with_its_remedy(patient, cloud, policy, check):
    cloud.grant(patient.app.bucket, policy)
    found = doctor(patient)
    assert found[check]["level"] == "problem"
    assert "cognitofs policy role" in found[check]["remedy"]
    assert patient.left() == []


def test_a_role_that_reaches_other_users_is_a_loud_problem(patient, cloud):
    """The classic mistake: everybody may do everything in the bucket."""
    arn = f"arn:aws:s3:::{patient.app.bucket}"
    wide = {"Effect": "Allow", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    cloud.root("iam").put_role_policy(
        RoleName=patient.app.bucket,
        PolicyName="files",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [wide]}),
    )
    found = doctor(patient)["neighbours"]
    assert found["level"] == "problem"
    assert "list the prefix of another user" in found["text"]
    assert "write to the prefix of another user" in found["text"]
    assert patient.left() == []


def test_listing_alone_is_enough_to_be_found(patient, cloud):
    """ListBucket without its condition on s3:prefix, as many tutorials have it."""
    role = json.loads(patient.run("policy", "role").stdout)
    del role["Statement"][1]["Condition"]
    cloud.root("iam").put_role_policy(
        RoleName=patient.app.bucket, PolicyName="files", PolicyDocument=json.dumps(role)
    )
    found = doctor(patient)["neighbours"]
    assert found["level"] == "problem"
    assert "write to" not in found["text"]


def test_nobody_signed_in_and_a_wrong_bucket_are_said(tmp_path, cloud):
    app = cloud.application("least")
    machine = Patient(tmp_path, app)
    found = doctor(machine)
    assert "cognitofs login" in found["sign-in"]["remedy"]
    assert "list" not in found
    machine.login()
    app.write_profile(machine.config, bucket="no-such-bucket-here")
    assert "bucket" in problems(doctor(machine))
    app.write_profile(machine.config, endpoints={"s3": "http://127.0.0.1:1"})
    assert "bucket" in problems(doctor(machine))


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "beside").mkdir()
    machine = Machine(tmp_path / "beside")
    yield machine
    machine.close()


def test_a_store_that_checks_no_rights_is_told_apart(beside):
    with moto_server() as server:
        bucket = server.make_bucket()
        beside.configure(server, bucket, root="home/ada/")
        found = doctor(beside)
        assert problems(found) <= {"fuse"}
        assert found["neighbours"]["level"] == "hint"
        assert server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.mount
@pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here")
def test_a_dead_mount_is_found_and_healed_by_fix(beside):
    with moto_server() as server:
        beside.configure(server, server.make_bucket())
        beside.mount().kill()
        found = doctor(beside)["stale-mounts"]
        assert (found["level"], str(beside.cloud) in found["text"]) == ("problem", True)
        healed = doctor(beside, "--fix")["stale-mounts"]
        assert (healed["level"], "was taken away" in healed["text"]) == ("hint", True)
        assert subprocess.run(["mountpoint", "-q", beside.cloud], check=False).returncode != 0


def test_a_person_reads_a_line_and_a_remedy_for_each_finding(patient):
    done = patient.run("doctor", seconds=2 * PATIENCE)
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok ") and "neighbours" in line for line in lines)
    assert all("->" in lines[n + 1] for n, line in enumerate(lines) if line.startswith("hint"))


def test_the_role_that_the_keys_are_of_is_named(patient):
    assert f"assumed-role/{patient.app.bucket}/" in doctor(patient)["sign-in"]["text"]
