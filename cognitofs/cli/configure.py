"""`cognitofs configure`: write what a profile needs, from an application's file or by asking."""

import os
import sys
from typing import Annotated

import typer

from cognitofs import where
from cognitofs.cli.options import ConfigOption, ProfileOption
from cognitofs.cli.output import say
from cognitofs.cli.prompters import is_terminal
from cognitofs.config import DEFAULT_PROFILE, Profile, check_profile_name, require_mount
from cognitofs.configfile import write_profile
from cognitofs.errors import ConfigError
from cognitofs.settings import PROFILE_VARIABLE, SECRETS, changed_settings

_QUESTIONS = {
    "user_pool_id": "User pool id (such as eu-west-1_AbCdEfGhI)",
    "client_id": "App client id",
    "identity_pool_id": "Identity pool id (such as eu-west-1:...)",
    "bucket": "Bucket",
    "bucket_region": "Region of the bucket",
}


_SourceFile = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="The application's own configuration: amplify_outputs.json, aws-exports.js, "
        "amplifyconfiguration.json (or .dart), ~/.cognito-cli-config.json; the word 'env' "
        "stands for the COGNITO_* variables.",
    ),
]
_Bucket = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which of the application's buckets, with --from."),
]
_Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set an option; an empty value removes it."),
]
_ClientSecretStdin = Annotated[
    bool,
    typer.Option("--client-secret-stdin", help="Read the app client's secret from standard input."),
]


def configure(
    *,
    source_file: _SourceFile = None,
    bucket: _Bucket = None,
    changes: _Changes = None,
    client_secret_stdin: _ClientSecretStdin = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
) -> None:
    r"""Write a profile: from the application's own configuration, by asking, or from --set.

    For example:

      cognitofs configure --from amplify_outputs.json

      cognitofs configure

      cognitofs configure --set user_pool_id=eu-west-1_AbC --set client_id=... \
        --set identity_pool_id=eu-west-1:... --set bucket=my-files

      cognitofs configure --profile work --set part_size=16MiB
    """
    source = where.config_file(config, os.environ)
    name = check_profile_name(profile or os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE)
    wanted = _parsed(changes or [])
    if source_file is not None:
        from cognitofs.cli.importing import imported  # noqa: PLC0415 -- its parser costs 30 ms

        wanted = imported(source_file, bucket, wanted)
    elif bucket is not None:
        raise ConfigError("--bucket chooses among the buckets of --from FILE; add that.")
    if client_secret_stdin:
        wanted["client_secret"] = _secret()
    current = changed_settings(source, name, wanted)
    if not wanted and is_terminal():
        wanted = _asked(current.profile)
        current = changed_settings(source, name, wanted)
    require_mount(current.profile)
    write_profile(source, name, wanted)
    say(f"Profile {name} is written to {source}")
    if not current.profile.credential_process:
        say("Sign in with: cognitofs login" + ("" if name == "default" else f" --profile {name}"))


def _parsed(changes: list[str]) -> dict[str, str]:
    parsed = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set takes KEY=VALUE, not {change!r}; write for example bucket=B.")
        if key in SECRETS:
            raise ConfigError(
                f"`{key}` on a command line could be seen by other users; give it with "
                "--client-secret-stdin instead."
            )
        parsed[key] = value
    return parsed


def _secret() -> str:
    secret = sys.stdin.readline().strip()
    if not secret:
        raise ConfigError("Standard input has no client secret; write it there as one line.")
    return secret


def _asked(known: Profile) -> dict[str, str]:
    """Ask for each need, what is known being the default."""
    answers = {}
    for key, question in _QUESTIONS.items():
        default = getattr(known, key) or (known.s3_region if key == "bucket_region" else "")
        answer = typer.prompt(question, default=default or None, err=True).strip()
        answers[key] = answer
        if key == "identity_pool_id":
            known = Profile(
                user_pool_id=answers["user_pool_id"],
                identity_pool_id=answer,
                bucket=known.bucket,
                bucket_region=known.bucket_region,
            )
    return answers
