"""`configure --from`: an application's configuration as changes of a profile.

Owns what is said about it, and whom the open choices are put to. What files say is `application/`.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import typer

from cognitofs.application import choice
from cognitofs.application.application import Application, Bucket, Fact
from cognitofs.application.forms import from_environment
from cognitofs.application.reading import read_application
from cognitofs.cli.output import complain, say
from cognitofs.cli.prompters import is_terminal
from cognitofs.config import Profile
from cognitofs.rootprefix import STANDARD_ROOT

_ENVIRONMENT = "env"
_KEYS = frozenset(each.name for each in fields(Profile))


def imported(source: str, bucket: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return the changes that *source* asks for, with *given* (of --set) above them.

    Says where each value was found. Raises ConfigError.
    """
    application = _read(source)
    facts = {key: fact for key, fact in application.facts.items() if key in _KEYS}
    changes = {key: fact.value for key, fact in facts.items()}
    chosen = None if "bucket" in given else _chosen_bucket(application, bucket)
    if chosen is not None:
        facts |= _bucket_facts(chosen)
        changes |= {key: fact.value for key, fact in _bucket_facts(chosen).items()}
        changes.setdefault("bucket_region", "")
        if not {"root", "layout"} & set(given):
            changes["root"], changes["layout"] = choice.root_and_layout(chosen)
    _tell(source, application, facts, changes, given)
    return changes | dict(given)


def _read(source: str) -> Application:
    if source == _ENVIRONMENT:
        return from_environment(os.environ)
    return read_application(Path(source).expanduser())


def _chosen_bucket(application: Application, name: str | None) -> Bucket | None:
    """Return the bucket that is wanted; None when the file names none."""
    buckets = application.buckets
    if name is not None:
        return choice.named_bucket(buckets, name)
    if len(buckets) < 2:
        return buckets[0] if buckets else None
    if not is_terminal():
        complain(
            f"The application has {len(buckets)} buckets; its default {choice.shown(buckets[0])} "
            "is taken, another one with --bucket NAME."
        )
        return buckets[0]
    for each in buckets:
        say(f"  {choice.shown(each)}")
    answer = typer.prompt("Which bucket", default=buckets[0].name.value, err=True)
    return choice.named_bucket(buckets, answer.strip())


def _bucket_facts(bucket: Bucket) -> dict[str, Fact]:
    region = {} if bucket.region is None else {"bucket_region": bucket.region}
    return {"bucket": bucket.name, **region}


def _tell(
    source: str,
    application: Application,
    facts: Mapping[str, Fact],
    changes: Mapping[str, str],
    given: Mapping[str, str],
) -> None:
    for notice in application.notices:
        complain(notice)
    say(f"From {source} ({application.form}):")
    for key, fact in facts.items():
        if key not in given:
            shown = "(secret)" if key == "client_secret" else fact.value
            say(f"  {key} = {shown}  ({fact.place})")
    if changes.get("layout"):
        say(f"  layout = {changes['layout']}  (every path that is yours alone)")
    elif "root" in changes:
        say(f"  root = {changes['root'] or STANDARD_ROOT}")
