"""The token file is private, whole, and held by one at a time."""

import json
import os
import stat
import subprocess
import sys
import threading

import pytest

from cognitofs.auth.tokens import TokenSet, TokenStore
from cognitofs.errors import AuthUnavailable, ConfigError, LoginRequired

TOKENS = TokenSet(
    id_token="id-secret",
    access_token="access-secret",
    refresh_token="refresh-secret",
    sub="s",
    username="alice",
    issued_at=1000.0,
    expires_at=4600.0,
    signed_in_at=1000.0,
    user_pool_id="us-east-1_x",
    client_id="c",
)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state" / "default"


@pytest.fixture
def store(directory):
    return TokenStore(directory)


def test_what_was_saved_is_loaded(store):
    store.save(TOKENS)
    assert store.load() == TOKENS


def test_no_file_is_no_sign_in(store):
    assert store.load() is None
    store.remove()


def test_the_file_and_its_directory_are_private(store, directory):
    previous = os.umask(0)
    try:
        store.save(TOKENS)
        with store.locked():
            pass
    finally:
        os.umask(previous)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for file in directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_removed_is_gone(store):
    store.save(TOKENS)
    store.remove()
    assert store.load() is None


def test_no_token_shows_in_a_repr():
    assert "secret" not in repr(TOKENS)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_could_read_or_write_is_refused_with_the_chmod(store, directory, mode):
    store.save(TOKENS)
    (directory / "tokens.json").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        store.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(store, directory):
    store.save(TOKENS)
    os.chown(directory / "tokens.json", 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        store.load()


@pytest.mark.parametrize("cut", [0, 1, 40, 120, 230])
def test_a_torn_file_asks_for_a_login_and_quotes_nothing(store, directory, cut):
    store.save(TOKENS)
    file = directory / "tokens.json"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(LoginRequired, match="damaged; run `cognitofs login`") as caught:
        store.load()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"version": 1}',
        json.dumps({"version": 1, "id_token": 3}),
        "null",
        '"x"',
    ],
)
def test_json_of_another_shape_asks_for_a_login(store, directory, content):
    store.save(TOKENS)
    (directory / "tokens.json").write_text(content)
    with pytest.raises(LoginRequired):
        store.load()


def test_a_value_of_another_type_asks_for_a_login(store, directory):
    store.save(TOKENS)
    file = directory / "tokens.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"expires_at": "soon"}))
    with pytest.raises(LoginRequired, match="damaged"):
        store.load()


def test_a_file_of_another_version_is_not_guessed_at(store, directory):
    store.save(TOKENS)
    file = directory / "tokens.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 2}))
    with pytest.raises(LoginRequired, match="another version"):
        store.load()


def test_a_link_is_not_followed(store, directory, tmp_path):
    store.save(TOKENS)
    file = directory / "tokens.json"
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(Exception, match="cannot be read"):
        store.load()


def test_a_save_that_dies_half_way_leaves_the_old_sign_in(store, directory):
    """The process is killed when it would rename: what was there is still whole."""
    store.save(TOKENS)
    program = (
        "import os, pathlib, dataclasses, sys\n"
        "from cognitofs.auth.tokens import TokenStore\n"
        "store = TokenStore(pathlib.Path(sys.argv[1]))\n"
        "pathlib.Path.replace = lambda *_: os._exit(9)\n"
        "store.save(dataclasses.replace(store.load(), refresh_token='new'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(directory)], check=False)
    assert done.returncode == 9
    assert store.load() == TOKENS
    store.save(TOKENS)


def test_threads_are_in_the_lock_one_at_a_time(store):
    inside, most = 0, 0

    def enter():
        nonlocal inside, most
        with TokenStore(store._directory).locked():
            inside += 1
            most = max(most, inside)
            inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_lock_that_nobody_gives_back_is_waited_for_only_so_long(directory):
    times = iter([0.0, 1000.0])
    with (
        TokenStore(directory).locked(),
        pytest.raises(AuthUnavailable, match="does not finish"),
        TokenStore(directory, clock=lambda: next(times)).locked(),
    ):
        raise AssertionError("two hold the lock")


@pytest.mark.parametrize(
    ("now", "fresh"), [(1000.0, True), (4299.0, True), (4301.0, False), (5000.0, False)]
)
def test_a_token_is_fresh_until_five_minutes_before_its_end(now, fresh):
    assert TOKENS.is_fresh(now) is fresh
