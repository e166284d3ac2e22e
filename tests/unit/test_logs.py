"""No secret reaches a log, whatever was logged and at whatever level."""

import base64
import logging
import os
import stat
import sys

import pytest

from cognitofs import logs

# Made up, in the shapes that Cognito, STS and SigV4 use.
JWT = "eyJraWQiOiJhYmMifQ.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
JWE = "eyJjdHkiOiJKV1QifQ.a2V5a2V5.aXZpdg.Y2lwaGVydGV4dA.dGFndGFn"
KEY_ID = "ASIA" + "QWERTYUIOP123456"
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYzEXAMPLE"
SESSION = "IQoJb3JpZ2luX2VjE" + "A" * 60
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"

SAYINGS = [
    (f"token is {JWT}", "eyJ"),
    (f"refresh {JWE} rotated", "eyJ"),
    (f"using key {KEY_ID} now", KEY_ID),
    (f"Credential={KEY_ID}/20260101/eu-west-1/s3/aws4_request, Signature={SIGNATURE}", SIGNATURE),
    (f"Authorization: AWS4-HMAC-SHA256 Credential={KEY_ID}/x, Signature={SIGNATURE}", KEY_ID),
    (f"Authorization: Bearer {SECRET}", SECRET),
    (f"{{'X-Amz-Security-Token': b'{SESSION}'}}", SESSION),
    (f"x-amz-security-token:{SESSION}\nhost:s3", SESSION),
    (f"a bare {SESSION} token", SESSION),
    (f'{{"SecretKey": "{SECRET}", "Expiration": 1}}', SECRET),
    (f"aws_secret_access_key = {SECRET}", SECRET),
    (f"?X-Amz-Signature={SIGNATURE}&X-Amz-Date=1", SIGNATURE),
    (f"'RefreshToken': '{SECRET}'", SECRET),
    (f"id_token={SECRET}&x=1", SECRET),
    (f"access-token {{'AccessToken': '{SECRET}'}}", SECRET),
    (f'"Session": "{SECRET}"', SECRET),
    (f'"PASSWORD_CLAIM_SIGNATURE": "{SECRET}"', SECRET),
    (f"{{'PASSWORD': 'pass \\' word {SECRET}'}}", SECRET),
    (f"client_secret={SECRET}", SECRET),
    (f"SECRET_HASH: {SECRET}", SECRET),
]


@pytest.mark.parametrize(("saying", "secret"), SAYINGS)
def test_secrets_are_redacted(saying, secret):
    assert secret in saying
    assert secret not in logs.redact(saying)
    assert "[redacted]" in logs.redact(saying)


@pytest.mark.parametrize(
    "saying",
    [
        "PUT photos/2026/a.jpg: 200 in 12 ms",
        "the identity eu-west-1:01234567-89ab-cdef-0123-456789abcdef keeps its prefix",
        "part 3 of 12, ETag 9b2cf535f27731c974343645a3985328, upload id 2~abc",
        base64.b64encode(b"an ordinary checksum").decode(),
    ],
)
def test_what_is_no_secret_stays_readable(saying):
    assert logs.redact(saying) == saying


@pytest.fixture
def fresh_logging():
    """Give the test the root logger; put everything back afterwards."""
    root = logging.getLogger()
    names = [*logs.CLAMPED]
    before = root.handlers[:], root.level, [logging.getLogger(each).level for each in names]
    raising = logging.raiseExceptions
    for handler in before[0]:
        root.removeHandler(handler)
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)
    logging.raiseExceptions = raising
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("fresh_logging")
def test_arguments_and_tracebacks_are_redacted_too(tmp_path):
    logs.set_up("debug", logs.PrivateFileHandler(tmp_path / "logs" / "log"))
    logger = logging.getLogger("cognitofs.x")
    logger.debug("answer %s", {"RefreshToken": SECRET})
    try:
        int(f"token={SECRET}")
    except ValueError:
        logger.exception("failed with %r", JWT)
    text = (tmp_path / "logs" / "log").read_text()
    assert "answer" in text
    assert "Traceback" in text
    assert SECRET not in text
    assert JWT not in text


@pytest.mark.usefixtures("fresh_logging")
def test_the_libraries_cannot_be_made_to_print_their_requests(tmp_path):
    logs.set_up("debug", logs.PrivateFileHandler(tmp_path / "log"))
    for name in logs.CLAMPED:
        logging.getLogger(f"{name}.deep.inside").debug("headers of %s", name)
        logging.getLogger(f"{name}.deep.inside").info("said by %s", name)
    text = (tmp_path / "log").read_text()
    assert "headers of" not in text
    assert text.count("said by") == len(logs.CLAMPED)


@pytest.mark.usefixtures("fresh_logging")
def test_the_log_is_private_and_not_written_through_a_symlink(tmp_path):
    logs.set_up("info", logs.PrivateFileHandler(tmp_path / "log"))
    logging.info("one")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    logs.set_up("info", logs.PrivateFileHandler(tmp_path / "link"))
    logging.info("two")
    assert (tmp_path / "target").read_text() == ""


@pytest.mark.usefixtures("fresh_logging")
def test_a_newline_in_a_file_name_cannot_forge_a_line(tmp_path):
    logs.set_up("info", logs.PrivateFileHandler(tmp_path / "log"))
    logging.getLogger("x").info("sent %s", "a\n2026-01-01 ERROR forged\x1b[2J")
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert "\x1b" not in (tmp_path / "log").read_text()


@pytest.mark.usefixtures("fresh_logging")
def test_the_log_rotates_and_the_stderr_of_the_process_goes_along(tmp_path):
    before = os.dup(2)
    try:
        handler = logs.PrivateFileHandler(tmp_path / "log", takes_stderr=True)
        handler.maxBytes = 200
        logs.set_up("info", handler)
        for each in range(5):
            logging.getLogger("x").info("line %d %s", each, "." * 100)
        os.write(2, b"from below\n")
    finally:
        os.dup2(before, 2)
        os.close(before)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["log", "log.1", "log.2", "log.3"]
    assert "from below" in (tmp_path / "log").read_text()


def test_the_last_lines_of_a_log_are_redacted(tmp_path):
    (tmp_path / "log").write_text(f"first\n\ntoken={SECRET}\nlast\n\n")
    assert logs.last_lines(tmp_path / "log", 2) == ("token=[redacted]", "last")
    assert logs.last_lines(tmp_path / "none") == ()


def test_stderr_is_the_log_of_the_foreground():
    assert logs.terminal().stream is sys.stderr
