"""The questions of a sign-in as a person at a terminal sees them, and as a script answers them."""

import io
import os
import sys

import pytest

from cognitofs.cli.prompters import LinesPrompter
from cognitofs.errors import ConfigError
from tests.unit.terminal import dialogue

ENVIRON = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": os.getcwd()}
URI = "otpauth://totp/files:alice?secret=JBSWY3DPEHPK3PXP&issuer=files"


def asked(question, answers):
    """Return what is seen while `TerminalPrompter().QUESTION` is answered."""
    code = (
        "from cognitofs.cli.prompters import TerminalPrompter\n"
        f"print('got', repr(TerminalPrompter().{question}))"
    )
    session = dialogue([], answers, ENVIRON, program=[sys.executable, "-c", code])
    assert session.code == 0, session.screen
    return session.screen


def test_a_new_authenticator_app_sees_a_qr_code_and_the_key_below_it():
    screen = asked(
        f"authenticator({URI!r}, 'JBSWY3DPEHPK3PXP')", [("authenticator app: ", "123456")]
    )
    assert screen.count("▀") + screen.count("▄") + screen.count("█") > 100
    assert "key: JBSWY3DPEHPK3PXP" in screen
    assert "got '123456'" in screen


def test_a_choice_is_a_number_and_is_asked_for_until_it_is_one():
    screen = asked(
        "choice('SELECT_MFA_TYPE', ['SMS_MFA', 'SOFTWARE_TOKEN_MFA'])",
        [("1 to 2: ", "sms"), ("1 to 2: ", "3"), ("1 to 2: ", "2")],
    )
    assert "1  a code by text message" in screen
    assert "2  a code of your authenticator app" in screen
    assert "got 'SOFTWARE_TOKEN_MFA'" in screen


def test_a_code_says_where_it_was_sent():
    assert "e-mail (sent to a***@e***): " in asked(
        "code('EMAIL_OTP', 'a***@e***')", [("sent to", "1234")]
    )


def test_a_script_answers_a_choice_by_its_name_and_a_wrong_one_is_told_the_right_ones():
    lines = LinesPrompter(io.StringIO("SMS_MFA\nPIGEON\n"))
    assert lines.choice("SELECT_MFA_TYPE", ["SMS_MFA", "EMAIL_OTP"]) == "SMS_MFA"
    with pytest.raises(ConfigError, match="SMS_MFA or EMAIL_OTP"):
        lines.choice("SELECT_MFA_TYPE", ["SMS_MFA", "EMAIL_OTP"])


def test_a_script_cannot_set_an_app_up():
    with pytest.raises(ConfigError, match="in a terminal once"):
        LinesPrompter(io.StringIO("123456\n")).authenticator(URI, "KEY")
