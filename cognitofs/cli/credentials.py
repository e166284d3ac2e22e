"""`cognitofs credentials`: the keys of the sign-in, for other tools. They are never logged."""

import json
import shlex
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from cognitofs.auth.account import Account, open_account
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, absolute
from cognitofs.cli.output import say
from cognitofs.settings import load_settings
from cognitofs.store.keys import Keys


class Format(StrEnum):
    """How the keys are written."""

    PROCESS = "process"
    ENV = "env"
    JSON = "json"


def credentials(
    *,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="'process': for credential_process of ~/.aws/config. 'env': export lines for a "
            "shell. 'json': with the bucket and the prefix.",
        ),
    ] = Format.PROCESS,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    r"""Print temporary AWS keys of your sign-in. They are secrets, good for up to an hour.

    For example, in ~/.aws/config:

      [profile my-files]

      credential_process = cognitofs credentials --format process

      region = eu-west-1

    In a shell, for a command of a few minutes:

      eval "$(cognitofs credentials --format env)"

    For one command, with keys that are renewed: `cognitofs exec`. Exit code 3: not signed in.
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    account = open_account(settings.profile, settings.state)
    keys = account.credentials.current()
    writers = {Format.PROCESS: _process, Format.ENV: _exports, Format.JSON: _document}
    say(writers[form](account, keys))


def _process(account: Account, keys: Keys) -> str:
    """Return the JSON of AWS's credential_process, version 1."""
    return json.dumps(_printed(account, keys))


def _document(account: Account, keys: Keys) -> str:
    place = {
        "IdentityId": account.identity_id,
        "Region": account.profile.s3_region,
        "Bucket": account.profile.bucket,
        "Prefix": account.root,
    }
    return json.dumps(_printed(account, keys) | place, indent=2)


def _printed(account: Account, keys: Keys) -> dict[str, object]:
    printed: dict[str, object] = {
        "Version": 1,
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
    }
    if keys.token:
        printed["SessionToken"] = keys.token
    if account.expires_at is not None:
        # RFC 3339 with "Z": botocore and the Go SDK read nothing else alike.
        moment = datetime.fromtimestamp(account.expires_at, UTC)
        printed["Expiration"] = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    return printed


def _exports(account: Account, keys: Keys) -> str:
    region = account.profile.s3_region
    variables = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL_S3": account.profile.endpoint("s3"),
    }
    return "\n".join(
        f"export {name}={shlex.quote(value)}" if value else f"unset {name}"
        for name, value in variables.items()
    )
