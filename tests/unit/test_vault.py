"""The desktop's keyring keeps what outlives an hour; without one, a sentence says what to do."""

import json

import keyring
import keyring.backend
import keyring.errors
import pytest

from cognitofs.auth.tokens import TokenStore
from cognitofs.auth.vault import Keyring
from cognitofs.errors import ConfigError
from tests.unit.test_tokens import TOKENS


class Desktop(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self):
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


@pytest.fixture
def desktop():
    before = keyring.get_keyring()
    keyring.set_keyring(Desktop())
    yield keyring.get_keyring()
    keyring.set_keyring(before)


def test_the_file_has_no_secret_that_outlives_an_hour(desktop, tmp_path):
    store = TokenStore(tmp_path, vault=Keyring("default"))
    store.save(TOKENS)
    written = json.loads((tmp_path / "tokens.json").read_text())
    assert written["refresh_token"] == written["device_password"] == ""
    assert "refresh-secret" in desktop.kept["cognitofs", "default"]
    assert TokenStore(tmp_path, vault=Keyring("default")).load() == TOKENS
    store.remove()
    assert desktop.kept == {}
    store.remove()


def test_profiles_do_not_share_secrets(desktop, tmp_path):
    TokenStore(tmp_path / "a", vault=Keyring("a")).save(TOKENS)
    assert Keyring("b").load() == {}


def test_no_desktop_is_said_with_the_way_out(tmp_path):
    from keyring.backends import fail  # noqa: PLC0415 - what a machine without a desktop has

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        with pytest.raises(ConfigError, match="keyring = false"):
            TokenStore(tmp_path, vault=Keyring("default")).save(TOKENS)
    finally:
        keyring.set_keyring(before)
    assert not (tmp_path / "tokens.json").exists()


def test_a_locked_keyring_is_said(desktop, tmp_path, monkeypatch):
    def locked(*_):
        raise keyring.errors.KeyringLocked

    monkeypatch.setattr(desktop, "get_password", locked, raising=False)
    with pytest.raises(ConfigError, match="unlock it"):
        Keyring("default").load()


def test_a_missing_library_names_the_extra(monkeypatch):
    import sys  # noqa: PLC0415 - only here

    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match=r"cognitofs\[keyring\]"):
        Keyring("default")
