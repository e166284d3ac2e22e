"""Secrets through every flow at debug level: they are nowhere but in the token file and in memory.

A gate before the emulator writes down every token, key and session that is handed out; then every
file, word and process is searched for them. So the canaries are the secrets that were really used.
"""

import json
import os
import signal
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.mount.gate import Gate, gate, read_body, read_head
from tests.mount.mounted import MIB, Machine, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

CANARY = "Canary-Passw0rd-7391!"
SECRETS = {
    "AccessToken": "token",
    "IdToken": "token",
    "RefreshToken": "token",
    "SecretKey": "key",
    "SecretAccessKey": "key",
    "SessionToken": "token",
    "Session": "session",
    "SECRET_BLOCK": "session",
}


class Listener(Gate):
    """A gate that keeps the secrets in the answers."""

    def __init__(self, endpoint: str) -> None:
        self.heard: dict[str, str] = {}
        super().__init__(endpoint)

    def _serve(self, request, head, client, server, asking, answering) -> bool:
        server.sendall(head + b"".join(read_body(asking, head)))
        answer = read_head(answering)
        if answer is None:
            return False
        body = b"".join(read_body(answering, answer))
        with suppress(ValueError):
            self._listen(json.loads(body or b"{}"))
        client.sendall(answer + body)
        return True

    def _listen(self, said: object) -> None:
        for name, value in said.items() if isinstance(said, dict) else ():
            if name in SECRETS and isinstance(value, str):
                self.heard[value] = SECRETS[name]
            self._listen(value)


class Suspect(Machine):
    """A machine that remembers all that its commands said."""

    said = ""

    def run(self, *arguments, **more):
        done = super().run(*arguments, **more)
        self.said += done.stdout + done.stderr
        return done

    def mount(self, *arguments, **more):
        mount = super().mount(*arguments, **more)
        self.said += mount.said
        return mount

    def sign_in(self) -> None:
        done = self.run("login", "--username", "canary", "--password-stdin", stdin=CANARY + "\n")
        assert done.returncode == 0, done.stderr

    def socket_answers(self) -> str:
        """Return the bytes that the mount's control socket gives, not their interpretation."""
        answers = []
        for path in (self.directory / "run").rglob("*.sock"):
            with socket.socket(socket.AF_UNIX) as asking, opened(path.parent) as directory:
                # A name below the open directory: a path of a socket has 107 bytes at most.
                asking.connect(f"/proc/self/fd/{directory}/{path.name}")
                asking.sendall(b'{"v": 1, "request": "status"}\n')
                asking.settimeout(30)
                answers += list(iter(lambda: asking.recv(1 << 16), b""))
        assert answers
        return b"".join(answers).decode()


@contextmanager
def opened(directory: Path):
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def of_process(pid: int) -> str:
    return "".join(
        Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
        for name in ("cmdline", "environ")
    )


def files_below(top: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_no_secret_is_anywhere_but_in_the_token_file(cloud, tmp_path, effort):
    app = cloud.new_application()
    app.add_user("canary", CANARY)
    listener = Listener(cloud.endpoint)
    machine = Suspect(tmp_path)
    machine.config.parent.mkdir(parents=True)
    own = {"cognito_idp": listener.endpoint, "cognito_identity": listener.endpoint}
    try:
        with gate(cloud.endpoint) as s3:
            options = {"log_level": "debug", "auth_wait": 5, "stall_timeout": 5}
            app.write_profile(machine.config, endpoints=own | {"s3": s3.endpoint}, **options)
            seen = use_everything(cloud, app, machine, s3)
    finally:
        machine.close()
        listener.close()
    search(machine, seen, listener.heard | {CANARY: "password"}, effort)


def use_everything(cloud, app, machine, s3) -> str:
    """Sign in, upload, renew, lose the sign-in, sign in again, crash, leave; return what showed."""
    wrong = machine.run("login", "--username", "canary", "--password-stdin", stdin="wrong\n")
    assert wrong.returncode == 3
    seen = ""
    with cloud.lifetime(8):
        machine.sign_in()
        mount = machine.mount("--part-size", "5M", "--sync", "fsync")
        seen += of_process(mount.pid)
        (mount.path / "big").write_bytes(noise(12 * MIB))
        expires = mount.status()["keys_expire"]
        until(lambda: mount.status()["keys_expire"] > expires, "new keys", 60)
        cloud.expire()
        app.admin("admin_user_global_sign_out", "canary")
        (mount.path / "directory").mkdir()
        (mount.path / "directory" / "f").write_bytes(b"")
        with pytest.raises(OSError, match="not empty"):
            (mount.path / "directory").rmdir()
        (mount.path / "after").write_bytes(b"the sign-in has ended")
        machine.run("status", "--json")
        machine.run("logout")
        machine.sign_in()
        assert machine.run("sync", mount.path, seconds=90).returncode == 0
        seen += machine.socket_answers() + of_process(mount.pid)
        limits = Path(f"/proc/{mount.pid}/limits").read_text()
        assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
        s3.hold(lambda request: request.method == "PUT")
        (mount.path / "unsent").write_bytes(b"sealed, not sent")
        mount.signal(signal.SIGSEGV)
        mount.wait_gone()
        s3.release()
        mount = machine.mount()
        mount.leave()
        mount.wait_gone()
    machine.run("whoami", "--json")
    return seen


def search(machine, seen, secrets, effort) -> None:
    kinds = set(secrets.values())
    assert kinds == {"token", "key", "session", "password"}, kinds
    texts = {Path("(commands)"): machine.said.encode(), Path("(processes)"): seen.encode()}
    texts |= files_below(machine.directory)
    found = [
        (kind, path)
        for secret, kind in secrets.items()
        for path, text in texts.items()
        if secret.encode() in text and path.name != "tokens.json"
    ]
    effort.counts["secrets"] += len(secrets)
    effort.counts["files searched"] += len(texts) - 2
    effort.counts["bytes of logs"] += len(machine.log())
    assert found == []
    assert not [path for path in texts if path.name.startswith("core")], "a core was dumped"
    assert " DEBUG " in machine.log()
    effort.demand(10, "secrets")
    effort.demand(5, "files searched")


def test_the_token_file_does_hold_what_is_searched_for(cloud, tmp_path):
    """The search finds a secret where one is: else it would prove nothing."""
    app = cloud.new_application()
    app.add_user("canary", CANARY)
    listener, machine = Listener(cloud.endpoint), Suspect(tmp_path)
    machine.config.parent.mkdir(parents=True)
    own = {"cognito_idp": listener.endpoint, "cognito_identity": listener.endpoint}
    app.write_profile(machine.config, endpoints=own)
    machine.sign_in()
    listener.close()
    (tokens,) = machine.state.rglob("tokens.json")
    assert any(secret in tokens.read_text() for secret in listener.heard)
    assert os.stat(tokens).st_mode & 0o777 == 0o600
