"""The documents say what the code does, where that can be checked: names, tables, links."""

import errno
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from cognitofs.cli.exits import Exit
from cognitofs.cli.main import app
from cognitofs.config import Endpoints, MountOptions, Profile
from cognitofs.control import FileStatus, MountStatus, State, status_document
from cognitofs.fuse.errnos import ERRNOS
from cognitofs.rootprefix import CLAIMS
from cognitofs.transfer.conflicts import Verdict

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
README, SEMANTICS, DESIGN, PERMISSIONS = (
    (ROOT / name).read_text()
    for name in ("README.md", "docs/SEMANTICS.md", "docs/DESIGN.md", "docs/PERMISSIONS.md")
)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def section(text: str, title: str) -> str:
    """Return what stands below the heading *title*, up to the next one of its rank."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables of *text*, without their heads."""
    tables = re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", text, re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for table in tables
        for line in table.splitlines()
    ]


def names(text: str) -> set[str]:
    """Return everything that stands in `backquotes` in *text*."""
    return set(re.findall(r"`([^`\n]+)`", text))


def first_names(text: str) -> set[str]:
    """Return what stands in backquotes in the first columns of the tables of *text*."""
    return {name for row in rows(text) for name in names(row[0])}


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def all_commands(group) -> list:
    """Return the commands of *group*, those of its groups too."""
    below = [all_commands(each) for each in group.commands.values() if hasattr(each, "commands")]
    return [*group.commands.values(), *(command for each in below for command in each)]


def json_blocks(text: str) -> list[dict]:
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.S | re.M)]


def test_the_errno_table_is_the_code_s_table():
    """Each failure stands there once, in any order, with the errno that programs get."""
    spelled = {code: name for code, name in errno.errorcode.items()} | {
        errno.EOPNOTSUPP: "EOPNOTSUPP"
    }
    expected = sorted((cls.__name__, spelled[code]) for cls, code in ERRNOS.items())
    assert sorted((row[0], row[1]) for row in rows(section(SEMANTICS, "Errnos"))) == expected


def test_every_key_and_option_stands_in_the_readme_and_nothing_else_does():
    known = {each.name for each in fields(Profile)} - {"name", "endpoints"}
    known |= {f"endpoints.{each.name}" for each in fields(Endpoints)}
    known |= {each.name for each in fields(MountOptions)}
    assert first_names(section(README, "Options")) == known


def test_the_defaults_of_the_readme_are_the_defaults():
    """Read as a person would write them; where there is no value, a word stands."""
    told = {}
    for row in rows(section(README, "Options")):
        if len(row) == 3:
            keys, values = (re.split(r",\s*", cell.replace("`", "")) for cell in row[:2])
            told |= dict(zip(keys, values * len(keys), strict=False))
    for option in fields(MountOptions):
        written = told[option.name]
        if option.name in ("uid", "gid"):
            assert written == "yours"
        elif option.default is None:
            assert written in ("none", "XDG")
        else:
            assert option.metadata["reading"](written) == option.default, option.name


def test_every_field_of_root_is_named():
    assert {f"{{{claim}}}" for claim in CLAIMS} <= names(section(README, "Options"))


def test_every_command_stands_in_the_readme_and_nothing_else_does():
    commands = typer.main.get_command(app).commands
    shown = {name.split()[1] for name in first_names(section(README, "Watch it, leave it"))}
    assert shown == set(commands)


def test_every_flag_that_the_documents_name_exists():
    commands = all_commands(typer.main.get_command(app))
    known = {
        flag
        for command in commands
        for option in command.params
        for flag in (*option.opts, *option.secondary_opts)
    }
    scripts = {"--check", "--objects", "--stop", "--minutes", "--list", "--quick"}
    scripts |= {"--seed", "--rounds", "--install-completion"}
    for path in DOCUMENTS:
        lines = [line for line in path.read_text().splitlines() if "aws s3api" not in line]
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines)))
        assert used <= known | scripts, path.name


def test_every_flag_that_the_help_names_exists():
    group = typer.main.get_command(app)
    known = {
        flag
        for each in all_commands(group)
        for option in each.params
        for flag in (*option.opts, *option.secondary_opts)
    }
    for each in (group, *all_commands(group)):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", each.help or "")) <= known | {"--help"}


def test_every_exit_code_has_its_meaning_in_the_readme():
    codes = {int(row[0]) for row in rows(section(README, "Watch it, leave it")) if row[0].isdigit()}
    assert codes == {int(code) for code in Exit}


def test_every_field_and_state_of_the_status_document_is_explained():
    text = section(SEMANTICS, "The status document")
    (mount,) = status_document((MountStatus(files=(FileStatus(),)),))["mounts"]
    assert first_names(text) == set(mount)
    assert {each.name for each in fields(FileStatus)} <= names(text)
    assert {state.value for state in State} <= names(text)


def test_every_table_of_the_journal_and_every_verdict_is_explained():
    source = (ROOT / "cognitofs/spool/schema.py").read_text()
    tables = set(re.findall(r"CREATE TABLE (\w+)", source))
    assert tables
    assert first_names(section(DESIGN, "The journal")) == tables
    told = section(DESIGN, "Lost answers: the verdict")
    assert {verdict.name for verdict in Verdict} <= set(re.findall(r"\b[A-Z]{4,}\b", told))


def test_the_policies_parse_and_grant_what_the_table_of_requests_names():
    """The least policy has every action that a request needs but those with a substitute."""
    least, stock, trust, lifecycle, kms = json_blocks(PERMISSIONS)
    for policy in (least, stock):
        own, listing = policy["Statement"]
        assert own["Resource"].endswith("/private/${cognito-identity.amazonaws.com:sub}/*")
        assert listing["Condition"]["StringLike"]["s3:prefix"]
    needed = {
        name
        for row in rows(section(PERMISSIONS, "Which request needs what"))
        for name in names(row[2])
        if name.startswith("s3:")
    } - {"s3:prefix"}
    granted = [_actions(policy) for policy in (least, stock)]
    assert needed <= granted[0]
    assert granted[0] - granted[1] == {"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
    assert trust["Statement"][0]["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert lifecycle["Rules"][0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 0
    assert set(kms["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}


def _actions(policy: dict) -> set[str]:
    found: set[str] = set()
    for statement in policy["Statement"]:
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def test_every_kind_of_request_stands_in_the_permissions():
    source = (ROOT / "cognitofs/store/requests.py").read_text()
    sent = set(re.findall(r'Request\(\s*"(\w+)"', source))
    assert sent
    table = "".join(row[0] for row in rows(section(PERMISSIONS, "Which request needs what")))
    assert {name for name in sent if name not in table} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_the_documents_resolve(path):
    for link in _LINK.findall(_CODE.sub("", path.read_text())):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_script_that_the_readme_names_exists_and_every_one_is_named():
    named = set(re.findall(r"\./scripts/([a-z-]+)", README))
    own = {path.name for path in (ROOT / "scripts").iterdir()} - {"setup"}
    assert named == own


def test_each_threat_names_tests_that_exist():
    text = (ROOT / "docs/SECURITY.md").read_text()
    shown = [each for row in rows(text) for each in names(row[2])]
    assert len(shown) > 25
    for each in shown:
        path, _, name = each.partition("::")
        assert (ROOT / path).is_file(), each
        assert not name or f"def {name}(" in (ROOT / path).read_text(), each
