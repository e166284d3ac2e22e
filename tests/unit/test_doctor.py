"""What `cognitofs doctor` finds: each failure is provoked, each finding has its remedy."""

import os
from dataclasses import replace

import pytest

from cognitofs.auth.clock import ServerClock
from cognitofs.doctor import account, names
from cognitofs.doctor.findings import Check, Level
from cognitofs.doctor.machine import Machine
from cognitofs.doctor.neighbours import Neighbours
from cognitofs.doctor.rights import Probe
from cognitofs.errors import AccessDenied, NoSuchBucket, NotFound
from cognitofs.store.interface import ObjectHeaders
from cognitofs.testing import MemoryStore

IDENTITY = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def machine(tmp_path):
    """Build a machine that lacks nothing."""
    (tmp_path / "fuse").touch()
    (tmp_path / "fuse.conf").write_text("# mount_max = 1000\nuser_allow_other\n")
    (tmp_path / "updatedb.conf").write_text('PRUNEFS = "NFS fuse.cognitofs afs"\n')
    program = tmp_path / "fusermount3"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o4755)
    return Machine(
        tmp_path / "state",
        device=tmp_path / "fuse",
        fuse_conf=tmp_path / "fuse.conf",
        updatedb_conf=tmp_path / "updatedb.conf",
        search_path=str(tmp_path),
        root_uid=os.geteuid(),
    )


def judged(machine):
    """Return the findings by their checks; each with a remedy unless it is ok."""
    found = list(machine.examine(fix=False))
    assert all(bool(each.remedy) == (each.level is not Level.OK) for each in found)
    return {each.check: each.level for each in found}


def test_a_machine_that_lacks_nothing_has_no_problem(machine):
    found = judged(machine)
    assert Level.PROBLEM not in {level for check, level in found.items()}
    for check in (Check.FUSE, Check.FUSERMOUNT, Check.ALLOW_OTHER, Check.UPDATEDB, Check.STATE):
        assert found[check] is Level.OK, check


def test_each_thing_that_is_missing_is_found(machine, tmp_path):
    for check, change in (
        (Check.FUSE, {"device": tmp_path / "none"}),
        (Check.FUSERMOUNT, {"search_path": "/nonexistent"}),
        (Check.ALLOW_OTHER, {"fuse_conf": tmp_path / "none", "wants_others": True}),
    ):
        found = judged(replace(machine, **change))
        assert [each for each in found if found[each] is Level.PROBLEM] == [check]


def test_a_fusermount_without_its_setuid_bit_is_found_for_all_but_root(machine, tmp_path):
    (tmp_path / "fusermount3").chmod(0o755)
    assert judged(machine)[Check.FUSERMOUNT] is Level.PROBLEM
    assert judged(replace(machine, is_root=True))[Check.FUSERMOUNT] is Level.OK


@pytest.mark.parametrize("text", ["", "#user_allow_other\n", "user_allow_others\n"])
def test_sharing_that_is_not_allowed_is_a_hint_until_it_is_wanted(machine, tmp_path, text):
    (tmp_path / "fuse.conf").write_text(text)
    assert judged(machine)[Check.ALLOW_OTHER] is Level.HINT
    assert judged(replace(machine, wants_others=True))[Check.ALLOW_OTHER] is Level.PROBLEM


@pytest.mark.parametrize("text", ["", 'PRUNEFS = "NFS"\n', '# PRUNEFS="fuse.cognitofs"\n'])
def test_a_nightly_index_that_would_list_the_bucket_is_a_hint(machine, tmp_path, text):
    (tmp_path / "updatedb.conf").write_text(text)
    assert judged(machine)[Check.UPDATEDB] is Level.HINT
    (tmp_path / "updatedb.conf").unlink()
    assert Check.UPDATEDB not in judged(machine)


class Denying(MemoryStore):
    """A store whose role lacks the methods in *denied*."""

    def __init__(self, *denied, said="AccessDenied"):
        super().__init__(part_minimum=1)
        self.denied, self.said = denied, said

    def __getattribute__(self, name):
        if name in object.__getattribute__(self, "__dict__").get("denied", ()):
            return self.refuse
        return super().__getattribute__(name)

    async def refuse(self, *_arguments, **_options):
        raise AccessDenied(f"S3 refused it ({self.said}). Ask.")


async def probed(store):
    found = [each async for each in Probe(store, "s3://b/p/").examine()]
    assert all(bool(each.remedy) == (each.level is not Level.OK) for each in found)
    return {each.check: each for each in found}


async def test_a_role_that_may_everything_is_tried_in_all_and_nothing_is_left():
    store = MemoryStore(part_minimum=1)
    found = await probed(store)
    assert {each.level for each in found.values()} == {Level.OK}
    assert set(found) == {
        Check.LIST,
        Check.DELETE,
        Check.ABORT,
        Check.LIST_PARTS,
        Check.WRITE,
        Check.READ,
        Check.CONDITIONS,
        Check.COPY,
        Check.MULTIPART,
        Check.LEFTOVERS,
    }
    assert store.keys == ()


@pytest.mark.parametrize(
    ("denied", "check", "level"),
    [
        ("put", Check.WRITE, Level.PROBLEM),
        ("read", Check.READ, Level.PROBLEM),
        ("head", Check.READ, Level.PROBLEM),
        ("delete", Check.DELETE, Level.PROBLEM),
        ("copy", Check.COPY, Level.PROBLEM),
        ("list_page", Check.LIST, Level.PROBLEM),
        ("begin_upload", Check.MULTIPART, Level.PROBLEM),
        ("abort_upload", Check.ABORT, Level.HINT),
        ("list_parts", Check.LIST_PARTS, Level.HINT),
    ],
)
async def test_each_right_that_lacks_is_named_and_nothing_is_left(denied, check, level):
    """Without the right to take it away again, nothing is made."""
    store = Denying(denied)
    found = await probed(store)
    assert found[check].level is level
    assert "cognitofs policy" in found[check].remedy
    assert object.__getattribute__(store, "keys") == ()
    if denied == "abort_upload":
        assert "begin_upload" not in store.requests


async def test_a_key_that_the_role_may_not_use_is_told_apart():
    found = await probed(Denying("put", said="not authorized to perform: kms:GenerateDataKey"))
    assert "--kms" in found[Check.WRITE].remedy


async def test_a_bucket_that_cannot_be_asked_ends_the_probes():
    class Gone(MemoryStore):
        async def list_page(self, *_arguments, **_options):
            raise NoSuchBucket("It is in eu-west-1.")

    with pytest.raises(NoSuchBucket):
        await probed(Gone())


async def test_a_server_that_ignores_conditions_is_found():
    class Ignoring(MemoryStore):
        async def put(self, key, body, headers, *, expect):
            return await super().put(key, body, headers, expect="any")

    found = await probed(Ignoring(part_minimum=1))
    assert found[Check.CONDITIONS].level is Level.PROBLEM
    assert "If-None-Match and If-Match" in found[Check.CONDITIONS].text


class Around:
    """The stores of all prefixes; those in *open* let everybody in."""

    def __init__(self, *open_prefixes):
        self.open, self.asked = open_prefixes, []

    def __call__(self, prefix):
        self.asked.append(prefix)
        return MemoryStore() if prefix in self.open else Denying("list_page", "put")


async def around(template, stores, *, conditions_hold=True):
    examined = Neighbours(template, IDENTITY, stores, conditions_hold)
    (found,) = [each async for each in examined.examine()]
    return found


async def test_prefixes_of_others_that_are_closed_are_fine():
    stores = Around()
    found = await around("private/{identity_id}/", stores)
    assert found.level is Level.OK
    stranger, above, whole = stores.asked
    assert stranger.startswith("private/us-east-1:")
    assert stranger != f"private/{IDENTITY}/"
    assert (above, whole) == ("private/", "")


@pytest.mark.parametrize("prefix", ["private/", ""])
async def test_a_role_that_reaches_others_is_a_loud_problem(prefix):
    found = await around("private/{identity_id}/", Around(prefix))
    assert found.level is Level.PROBLEM
    assert "DOES NOT KEEP USERS APART" in found.text
    assert "list" in found.text
    assert "write to" in found.text


async def test_nothing_is_written_where_conditions_do_not_hold():
    store = MemoryStore()
    found = await around("{sub}/", lambda _: store, conditions_hold=False)
    assert found.level is Level.PROBLEM
    assert store.requests["put"] == 0


async def test_a_prefix_of_everybody_is_a_hint():
    stores = Around()
    assert (await around("public/", stores)).level is Level.HINT
    assert stores.asked == []


async def test_keys_that_are_no_names_are_counted():
    store = MemoryStore()
    for key in ("a", "a/b", "x//y", "n" * 300, "d/", "good/name"):
        await store.put(key, b"", ObjectHeaders(), expect="any")
    found = await names.examine(store)
    assert found.level is Level.HINT
    assert found.text.startswith("3 of 6 keys")
    assert names.hidden_keys(["a", "b/c", "d/"]) == []


async def test_the_fake_of_these_tests_denies():
    """What the tests above lean on."""
    with pytest.raises(AccessDenied):
        await Denying("head").head("k")
    with pytest.raises(NotFound):
        await Denying("put").head("k")


def test_a_group_with_a_role_of_its_own_is_a_hint():
    assert account.groups({}).level is Level.OK
    assert account.groups({"cognito:groups": ["admins"]}).level is Level.OK
    role = "arn:aws:iam::123456789012:role/admins"
    found = account.groups({"cognito:groups": ["admins"], "cognito:preferred_role": role})
    assert found.level is Level.HINT
    assert role in found.text


@pytest.mark.parametrize(
    ("off", "level"), [(0, Level.OK), (-300, Level.HINT), (300, Level.HINT), (1000, Level.PROBLEM)]
)
def test_a_clock_that_is_off_is_found_before_signatures_fail(off, level):
    clock = ServerClock(lambda: 1_700_006_400.0 + off)
    clock.observe("Wed, 15 Nov 2023 00:00:00 GMT")
    assert account.clock(clock).level is level
