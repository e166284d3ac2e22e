"""`cognitofs doctor`: examine the machine, the sign-in, the bucket and the role."""

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer

from cognitofs.cli.exits import Exit
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    absolute,
)
from cognitofs.cli.output import say
from cognitofs.doctor.findings import Finding, Level
from cognitofs.settings import load_settings

_MARKS = {Level.OK: "ok      ", Level.HINT: "hint    ", Level.PROBLEM: "PROBLEM "}


def doctor(
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Take away mounts whose process is gone.")
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Examine this machine, the sign-in, the bucket and the role, with a remedy for each finding.

    It tries what a mount does (list, write, read, copy, upload in parts, delete) with one object
    of its own and removes that again, and tries that other users' prefixes are closed to you.

    Exit code 1: there is a problem.

    For example:

      cognitofs doctor

      cognitofs doctor --fix --json
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    # trio and the wire cost 0.2 s: only the command that asks S3 pays.
    from cognitofs.doctor.examination import Examination, gathered  # noqa: PLC0415 -- see above

    examination = Examination(settings, os.environ, fix=fix)
    found = gathered(examination, tell=(lambda _: None) if as_json else _show)
    if as_json:
        say(json.dumps({"version": 1, "findings": [asdict(each) for each in found]}, indent=2))
    problems = sum(each.level is Level.PROBLEM for each in found)
    if not as_json:
        say(_summary(problems, sum(each.level is Level.HINT for each in found)))
    raise typer.Exit(Exit.FAILURE if problems else Exit.OK)


def _show(finding: Finding) -> None:
    say(f"{_MARKS[finding.level]} {finding.check:16} {finding.text}")
    if finding.remedy:
        say(f"{'':26}-> {finding.remedy}")


def _summary(problems: int, hints: int) -> str:
    if problems:
        return f"{problems} {'problem' if problems == 1 else 'problems'}; begin with the first."
    return "No problem." + (" The hints are worth a look." if hints else "")
