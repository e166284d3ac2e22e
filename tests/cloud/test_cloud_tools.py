"""Keys and policies for others: `credentials`, `exec` and `policy`, against an enforcing cloud."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

# An independent tool: boto3's own credential chain in a process of its own.
LIST = textwrap.dedent("""
    import os, boto3, botocore.config
    bucket, prefix = os.environ["COGNITOFS_S3_URI"].removeprefix("s3://").split("/", 1)
    s3 = boto3.client("s3", config=botocore.config.Config(s3={"addressing_style": "path"}))
    s3.put_object(Bucket=bucket, Key=prefix + "from-boto3", Body=b"1")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    print(s3.meta.region_name, [each["Key"].removeprefix(prefix) for each in found])
""")
# Signs a request after its first keys have ended.
SLOW = LIST + textwrap.dedent("""
    import time
    first = boto3.DEFAULT_SESSION.get_credentials().get_frozen_credentials().access_key
    time.sleep(3.5)
    s3.head_object(Bucket=bucket, Key=prefix + "from-boto3")
    then = boto3.DEFAULT_SESSION.get_credentials().get_frozen_credentials().access_key
    print("renewed" if then != first else "the same")
""")


@pytest.fixture
def environ(app, tmp_path):
    config = app.write_profile(tmp_path / "config.toml")
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH") if key in os.environ}
    return kept | {
        "HOME": str(tmp_path),
        "COGNITOFS_CONFIG": str(config),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        # Somebody else's keys, which must not be used.
        "AWS_ACCESS_KEY_ID": "AKIAFOREIGNFOREIGN",
        "AWS_SECRET_ACCESS_KEY": "foreign",
        "AWS_PROFILE": "foreign",
    }


@pytest.fixture
def run(environ, app, tmp_path):
    def run(*arguments, stdin="", **more):
        return subprocess.run(
            [sys.executable, "-m", "cognitofs", *arguments],
            env=environ | more,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    app.sign_in(tmp_path / "state" / "cognitofs" / "default")
    return run


def test_boto3_takes_the_keys_as_a_credential_process(run, app, environ, tmp_path):
    config = tmp_path / "aws-config"
    command = f"{sys.executable} -m cognitofs credentials --format process"
    config.write_text(f"[default]\ncredential_process = {command}\nregion = us-east-1\n")
    root = json.loads(run("whoami", "--json").stdout)["root"]
    kept = {key: value for key, value in environ.items() if not key.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", LIST],
        env=kept
        | {
            "AWS_CONFIG_FILE": str(config),
            "AWS_ENDPOINT_URL_S3": app.cloud.endpoint,
            "COGNITOFS_S3_URI": f"s3://{app.bucket}/{root}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "us-east-1 ['from-boto3']\n"), done.stderr


def test_the_forms_hold_the_same_keys_and_their_end(run, app):
    process = json.loads(run("credentials").stdout)
    assert (process["Version"], process["SessionToken"] != "") == (1, True)
    ends = datetime.fromisoformat(process["Expiration"])
    assert 3000 < ends.timestamp() - time.time() <= 3600
    document = json.loads(run("credentials", "--format", "json").stdout)
    assert (document["Bucket"], document["Region"]) == (app.bucket, "us-east-1")
    assert document["Prefix"] == f"private/{document['IdentityId']}/"


def test_a_shell_takes_the_export_lines(run, environ):
    lines = run("credentials", "--format", "env").stdout
    script = f'{lines}\nprintf "%s" "$AWS_ACCESS_KEY_ID $AWS_REGION"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("ASIA")
    assert shown.endswith(" us-east-1")
    assert "AKIAFOREIGN" not in lines


def test_keys_reach_no_log(run, tmp_path):
    printed = json.loads(run("credentials", COGNITOFS_LOG_LEVEL="debug").stdout)
    for file in (tmp_path / "state").rglob("*.log"):
        assert printed["SecretAccessKey"] not in file.read_text()


def test_exec_runs_an_aws_program_as_the_signed_in_user(run):
    done = run("exec", "--", sys.executable, "-c", LIST)
    assert (done.returncode, done.stdout) == (0, "us-east-1 ['from-boto3']\n"), done.stderr


def test_exec_puts_no_key_into_the_environment_and_cleans_up(run):
    code = (
        "import os, sys; c = os.environ['AWS_CONFIG_FILE']; d = os.path.dirname(c);"
        "print(oct(os.stat(c).st_mode & 0o777), oct(os.stat(d).st_mode & 0o777), c);"
        "print(sorted(k for k in os.environ if 'KEY' in k or 'TOKEN' in k or 'PROFILE' in k))"
    )
    first, second = run("exec", sys.executable, "-c", code).stdout.splitlines()
    file, directory, path = first.split()
    assert (file, directory, second) == ("0o600", "0o700", "[]")
    assert not os.path.exists(path)


@pytest.mark.reliability
def test_a_program_that_outlives_its_keys_gets_new_ones(run, app):
    with app.cloud.lifetime(3):
        done = run("exec", "--", sys.executable, "-c", SLOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("renewed\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-program"], 127),
        (["/etc/passwd"], 126),
        (["ls", "--version"], 0),
    ],
)
def test_exec_passes_the_exit_code_on(run, command, code):
    done = run("exec", *command)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_exec_passes_a_signal_on(run, environ):
    script = 'trap "echo ended; exit 3" TERM; echo ready; while :; do sleep 0.05; done'
    with subprocess.Popen(
        [sys.executable, "-m", "cognitofs", "exec", "--", "sh", "-c", script],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "ended\n"
    assert process.returncode == 3


def test_nobody_signed_in_runs_nothing(run):
    assert run("logout").returncode == 0
    for command in (("credentials",), ("exec", "--", "echo", "ran")):
        done = run(*command)
        assert (done.returncode, done.stdout) == (3, "")
        assert "cognitofs login" in done.stderr


def test_the_printed_policy_lets_the_owner_in_and_nobody_else(run, cloud, tmp_path):
    """Attached as printed; what is asserted is what the cloud's own evaluator decides."""
    app = cloud.new_application("no-put")
    config = app.write_profile(tmp_path / "printed.toml")
    printed = run("policy", "role", f"--config={config}").stdout
    cloud.root("iam").put_role_policy(
        RoleName=app.bucket, PolicyName="files", PolicyDocument=printed
    )
    alice, bob = app.sign_in(tmp_path / "alice"), app.sign_in(tmp_path / "bob", "bob")
    mine, theirs = app.s3(alice.credentials.current()), app.s3(bob.credentials.current())
    mine.put_object(Bucket=app.bucket, Key=f"{alice.root}f", Body=b"1")
    assert mine.list_objects_v2(Bucket=app.bucket, Prefix=alice.root)["KeyCount"] == 1
    for call in (
        lambda: theirs.get_object(Bucket=app.bucket, Key=f"{alice.root}f"),
        lambda: theirs.list_objects_v2(Bucket=app.bucket, Prefix=alice.root),
        lambda: mine.list_objects_v2(Bucket=app.bucket, Prefix="private/"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


def test_the_printed_trust_policy_is_taken(run, cloud, app):
    """And lets the identity pool's users in: a sign-in gets keys after it was attached."""
    printed = run("policy", "trust").stdout
    cloud.root("iam").update_assume_role_policy(RoleName=app.bucket, PolicyDocument=printed)
    assert json.loads(run("credentials").stdout)["AccessKeyId"].startswith("ASIA")


def test_the_printed_lifecycle_rule_is_taken(run, cloud, app):
    rule = json.loads(run("policy", "lifecycle").stdout)
    s3 = cloud.root("s3")
    s3.put_bucket_lifecycle_configuration(Bucket=app.bucket, LifecycleConfiguration=rule)
    kept = s3.get_bucket_lifecycle_configuration(Bucket=app.bucket)["Rules"]
    assert kept[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
