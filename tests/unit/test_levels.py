"""Layouts: which prefixes become which top directories, and what may be done in each."""

import pytest

from cognitofs.config import Profile
from cognitofs.errors import ConfigError, NotPermitted, ReadOnly, SymlinkLoop
from cognitofs.levels import Level, Rights, levels_of, shown

ME = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"
CLAIMS = {"identity_id": ME, "sub": "s", "username": "ada"}
AMPLIFY = levels_of("amplify", CLAIMS)
RIGHTS = Rights(AMPLIFY)


def test_amplify_s_levels_are_private_protected_and_public():
    assert (
        Level("private/", f"private/{ME}/", "private/", is_shared=False),
        Level("protected/", "protected/", f"protected/{ME}/", is_shared=True),
        Level("public/", "public/", "public/", is_shared=True),
    ) == AMPLIFY
    assert shown(AMPLIFY) == f"{{private/{ME}/,protected/,public/}}"


def test_templates_become_directories_without_the_identity():
    found = levels_of("full/{identity_id}/ media/{identity_id}/thumb/ {username}/", CLAIMS)
    assert [(each.path, each.prefix) for each in found] == [
        ("full/", f"full/{ME}/"),
        ("media/thumb/", f"media/{ME}/thumb/"),
        ("files/", "ada/"),
    ]
    assert not any(each.is_shared for each in found)
    assert levels_of("", CLAIMS) == ()


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("a/ a/b/", "in one place"),
        ("x/{identity_id}/ x/", "in one place"),
        ("{username}/ {sub}/", "in one place in the mount"),
        ("public", "must end in"),
        ("../", "segment"),
        ("{tenant}/", "knows only"),
        ("Amplify", "must end in"),
    ],
)
def test_layouts_that_cannot_be_are_refused_when_they_are_configured(layout, words):
    with pytest.raises(ConfigError, match=words):
        Profile(layout=layout)


def test_without_levels_everything_may_be_done():
    Rights().check_write("anything")
    Rights().check_link("a", "/etc/passwd")
    assert Rights().may_write("")
    assert not Rights().are_apart("private/a", "public/a")


@pytest.mark.parametrize("key", ["", "new", "new/", "private/", "protected/", "public/"])
def test_the_top_belongs_to_nobody(key):
    with pytest.raises(NotPermitted):
        RIGHTS.check_write(key)


@pytest.mark.parametrize("key", ["private/a", "public/a/b", f"protected/{ME}/a", "private/d/"])
def test_one_s_own_may_be_written(key):
    RIGHTS.check_write(key)
    assert RIGHTS.may_write(key)


@pytest.mark.parametrize("key", ["protected/a", "protected/us-east-1:other/a", f"protected/{ME}x"])
def test_what_is_others_may_only_be_read(key):
    with pytest.raises(ReadOnly):
        RIGHTS.check_write(key)
    assert not RIGHTS.may_write(key)


def test_a_level_without_the_right_to_write_may_only_be_read():
    found = RIGHTS.granted("public/", may_write=False)
    with pytest.raises(ReadOnly):
        found.check_write("public/a")
    found.check_write("private/a")
    assert [each.path for each in RIGHTS.without("public/").levels] == ["private/", "protected/"]


def test_files_of_two_levels_are_apart():
    assert RIGHTS.are_apart("private/a", "public/a")
    assert not RIGHTS.are_apart("private/a", "private/d/b")


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../private/secret", "../../x", "d/../../../x", "../publication/x"]
)
def test_links_that_others_made_do_not_lead_outside(target):
    with pytest.raises(SymlinkLoop, match="--follow-outside"):
        RIGHTS.check_link("public/link", target)
    Rights(AMPLIFY, follow_outside=True).check_link("public/link", target)
    RIGHTS.check_link("private/link", target)


@pytest.mark.parametrize("target", ["file", "d/file", "./d/../file", "../public/file"])
def test_links_inside_a_shared_level_are_followed(target):
    RIGHTS.check_link("public/link", target)
