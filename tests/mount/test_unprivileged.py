"""The whole way as a person without rights: fusermount3 mounts, and nothing needs root.

Root plays that person: in a mount namespace of its own, with a /dev/fuse that everybody may use, as
the user nobody. The installed packages are shown to that user by bind mounts, since a checkout may
lie where only its owner can look.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

import cognitofs
from tests.mount.mounted import PATIENCE, Machine, is_fuse_usable, noise

NOBODY = 65534
TOOLS = ("unshare", "setpriv", "mount", "fusermount3", "mknod")

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(
        not all(shutil.which(tool) for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"
    ),
]

# Arguments: the directory of bind mounts, the package's parent, site-packages, then a command.
NAMESPACE = """
set -e
top=$1 package=$2 site=$3; shift 3
mknod -m 0666 "$top/fuse" c 10 229
mount --bind "$top/fuse" /dev/fuse
mkdir "$top/package" "$top/package/cognitofs" "$top/site"
mount --bind "$package" "$top/package/cognitofs"
mount --bind "$site" "$top/site"
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""

PERSON = """
set -e
"$@" mount cloud
grep -q "user_id=65534" /proc/self/mountinfo
pid=$("$@" status --json | sed -n 's/.*"pid": \\([0-9]*\\),.*/\\1/p')
mkdir cloud/directory
cp source cloud/directory/copy
cmp source cloud/directory/copy
stat -c "%U %a" cloud/directory/copy
fusermount3 -u cloud
timeout 60 tail --pid="$pid" -f /dev/null
ls -A cloud
"""


@pytest.fixture
def person():
    """Give nobody a home; pytest's own directories are root's alone."""
    with tempfile.TemporaryDirectory(prefix="cognitofs-test-") as directory:
        os.chmod(directory, 0o755)
        machine = Machine(Path(directory))
        yield machine
        machine.close()


# What a process of the same person can read of another one; the shell itself is the counterpart.
PRYING = """
set -e
"$@" mount cloud
pid=$("$@" status --json | sed -n 's/.*"pid": \\([0-9]*\\),.*/\\1/p')
for what in environ mem maps auxv; do
  if head -c 0 "/proc/$$/$what" 2>/dev/null; then echo "shell: $what"; fi
  if head -c 0 "/proc/$pid/$what" 2>/dev/null; then echo "daemon: $what"; fi
done
fusermount3 -u cloud
timeout 60 tail --pid="$pid" -f /dev/null
"""


def test_an_ordinary_user_mounts_copies_and_leaves(person, seaweedfs):
    bucket = seaweedfs.make_bucket()
    person.configure(seaweedfs, bucket)
    (person.home / "source").write_bytes(noise(10_000_000))
    (person.home / "source").chmod(0o640)
    done = as_nobody(person, PERSON)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{person.log()}"
    assert "nobody 640" in done.stdout
    client = seaweedfs.client()
    key = "home/ada/directory/copy"
    assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == noise(10_000_000)


def test_other_programs_of_the_same_person_cannot_look_into_the_daemon(person, seaweedfs):
    person.configure(seaweedfs, seaweedfs.make_bucket())
    done = as_nobody(person, PRYING)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{person.log()}"
    seen = [line for line in done.stdout.splitlines() if line.startswith(("shell:", "daemon:"))]
    assert seen == [f"shell: {what}" for what in ("environ", "mem", "maps", "auxv")]


def as_nobody(person: Machine, script: str) -> "subprocess.CompletedProcess[str]":
    """Run *script* as the user nobody, who owns all that *person* has."""
    for path in (person.directory, *person.directory.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    top = person.directory / "binds"
    top.mkdir(mode=0o755)
    command = [os.path.realpath(sys.executable), "-m", "cognitofs"]
    places = [top, Path(cognitofs.__file__).parent, sysconfig.get_path("purelib")]
    namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", NAMESPACE, "-"]
    return subprocess.run(
        [*namespace, *places, "sh", "-c", script, "-", *command],
        env=person.environ | {"PYTHONPATH": f"{top}/package:{top}/site"},
        cwd=person.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
