"""What names and directories do, on a mount and on a tmpfs; S3 is looked at with another client."""

import os
import unicodedata
from pathlib import Path

import pytest

from tests.mount.semantics import calls
from tests.mount.semantics.calls import opened
from tests.mount.semantics.scene import Place, furnish, marks

pytestmark = marks("names")

ZOO = {
    "a space": "a b  c",
    "a space at both ends": " x ",
    "Latin letters": "zażółć",
    "composed": unicodedata.normalize("NFC", "é"),
    "decomposed": unicodedata.normalize("NFD", "é"),
    "Japanese": "日本語",
    "an emoji of several": "👩‍💻",
    "right to left": "שלום",
    "percent": "100%",
    "percent encoded": "%2F%41%",
    "plus": "a+b",
    "quotes": "\"double\" 'single' `back`",
    "newline": "line\nbreak",
    "backslash": "back\\slash",
    "tab and bell": "tab\tbell\x07",
    "carriage return": "a\rb",
    "escape": "\x1b[31m",
    "delete": "a\x7fb",
    "leading dash": "-rf",
    "leading dot": ".hidden",
    "trailing dot": "ends.",
    "trailing dots": "three...",
    "query": "a?b=c&d#e;f",
    "brackets": "[a]{b}|^<c>,@$:!*()~",
    "XML": "&amp;&lt;]]>",
    "colon": "us-east-1:0a",
    "only spaces": "   ",
    "DOS device": "nul",
    "255 bytes": "n" * 255,
    "255 bytes of three each": "日" * 85,
    "a tilde": "~",
    "a word of ours": ".cognitofs",
}
ODD_ON_WEED = {"backslash"}
"""Letters of which SeaweedFS makes others (tests/contract/conftest.py)."""


def odd(place: Place, which: str) -> None:
    """Leave out what a server cannot hold."""
    if which in ODD_ON_WEED and place.bucket and place.bucket.server.name == "seaweedfs":
        pytest.skip("SeaweedFS takes a backslash for a slash")


@pytest.mark.parametrize("which", ZOO)
def test_any_name_is_kept_as_it_is(place, which):
    odd(place, which)
    name = ZOO[which]
    directory = place.top / "in"
    directory.mkdir()
    path = directory / name
    path.write_bytes(name.encode())
    assert os.listdir(directory) == [name]
    place.check_object(path, name.encode())
    os.rename(path, directory / "plain")
    os.rename(directory / "plain", path)
    place.check_object(path, name.encode())
    with opened(path, os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b"more")
    place.check_object(path, name.encode() + b"more")
    os.unlink(path)
    assert os.listdir(directory) == []
    assert not place.has_object(path)


@pytest.mark.parametrize("which", ZOO)
def test_any_name_is_a_directory_s_too(place, which):
    odd(place, which)
    path = place.top / ZOO[which]
    path.mkdir()
    assert list(path.iterdir()) == []
    (path / "x").write_bytes(b"below")
    place.check_object(path / "x", b"below")
    os.rename(path, place.top / "moved")
    os.rename(place.top / "moved", path)
    place.check_object(path / "x", b"below")
    os.unlink(path / "x")
    os.rmdir(path)
    assert place.names() == []


def test_two_spellings_of_a_letter_are_two_names(place):
    for form in ("NFC", "NFD"):
        (place.top / unicodedata.normalize(form, "é")).write_text(form)
    assert len(os.listdir(place.top)) == 2
    place.check_object(place.top / "\u00e9", b"NFC")
    place.check_object(place.top / "e\u0301", b"NFD")


def test_letters_of_either_case_are_two_names(place):
    for name in ("name", "NAME"):
        (place.top / name).write_text(name)
    assert sorted(os.listdir(place.top)) == ["NAME", "name"]


def _at_key_length(place: Place, size: int) -> Path:
    """Return a path, its directories made, whose key with the prefix has *size* bytes."""
    used = len(f"{place.bucket.root}{place.top.relative_to(place.mount.path)}/".encode())
    path = place.top
    while size - used > 251:
        path = path / ("k" * 250)
        used += 251
    path.mkdir(parents=True, exist_ok=True)
    return path / ("n" * (size - used))


def test_a_key_of_1024_bytes_is_one(here):
    path = _at_key_length(here, 1024)
    path.write_bytes(b"longest")
    here.check_object(path, b"longest")
    os.unlink(path)
    assert not here.has_object(path)


def test_a_key_of_1025_bytes_is_too_long_before_s3_is_asked(here):
    path = _at_key_length(here, 1025)
    (here.top / "f").write_bytes(b"short")
    (here.top / "d").mkdir()
    for act in (
        lambda: path.write_bytes(b"x"),
        path.mkdir,
        lambda: path.symlink_to("x"),
        path.stat,
        lambda: os.rename(here.top / "f", path),
        lambda: os.rename(here.top / "d", path),
    ):
        with pytest.raises(OSError, match="too long"):
            act()
    assert sorted(os.listdir(here.top))[:2] == ["d", "f"]


def test_a_directory_s_slash_counts_in_its_key(here):
    path = _at_key_length(here, 1024)
    with pytest.raises(OSError, match="too long"):
        path.mkdir()
    path.write_bytes(b"a file has none")


def test_a_directory_does_not_move_when_a_key_below_would_be_too_long(here):
    deep = _at_key_length(here, 1020)
    deep.write_bytes(b"x")
    top = here.top / deep.relative_to(here.top).parts[0]
    with pytest.raises(OSError, match="too long"):
        os.rename(top, here.top / ("m" * 255))
    here.check_object(deep, b"x")


class TestRename:
    def test_a_file_takes_a_free_name(self, place):
        furnish(place.top)
        number = (place.top / "f").stat().st_ino
        os.rename(place.top / "f", place.top / "g")
        place.check_object(place.top / "g", b"content")
        assert not place.has_object(place.top / "f")
        assert (place.top / "g").stat().st_ino == number

    def test_a_file_replaces_a_file(self, place):
        furnish(place.top)
        os.rename(place.top / "f", place.top / "d/f")
        place.check_object(place.top / "d/f", b"content")
        assert place.names() == ["d", "dangling", "e", "l", "ld", "loop"]

    def test_a_file_renamed_to_itself_stays(self, place):
        furnish(place.top)
        os.rename(place.top / "f", place.top / "f")
        os.rename(place.top / "f", f"{place.top}/d/../f")
        place.check_object(place.top / "f", b"content")

    def test_a_link_is_renamed_and_not_what_it_points_to(self, place):
        furnish(place.top)
        os.rename(place.top / "l", place.top / "d/l")
        assert os.readlink(place.top / "d/l") == "f"
        place.check_object(place.top / "f", b"content")

    def test_a_file_replaces_a_link_and_not_what_it_points_to(self, place):
        furnish(place.top)
        os.rename(place.top / "d/f", place.top / "l")
        assert not (place.top / "l").is_symlink()
        place.check_object(place.top / "l", b"below")
        place.check_object(place.top / "f", b"content")

    def test_noreplace_takes_a_free_name(self, place):
        furnish(place.top)
        calls.renameat2(place.top / "f", place.top / "g", calls.RENAME_NOREPLACE)
        place.check_object(place.top / "g", b"content")

    def test_a_directory_moves_with_all_that_is_below(self, place):
        furnish(place.top)
        os.rename(place.top / "d", place.top / "e/d")
        place.check_object(place.top / "e/d/f", b"below")
        assert "d" not in place.names()
        assert os.listdir(place.top / "e") == ["d"]

    def test_a_directory_replaces_an_empty_one(self, place):
        furnish(place.top)
        os.rename(place.top / "d", place.top / "e")
        place.check_object(place.top / "e/f", b"below")
        assert "d" not in place.names()

    def test_a_dirty_file_replaces_another_and_is_stored_once_closed(self, place):
        furnish(place.top)
        with opened(place.top / "new", os.O_RDWR | os.O_CREAT) as fd:
            os.write(fd, b"dirty")
            os.rename(place.top / "new", place.top / "f")
            assert (place.top / "f").read_bytes() == b"dirty"
            os.write(fd, b" more")
        place.check_object(place.top / "f", b"dirty more")
        assert not place.has_object(place.top / "new")

    def test_the_way_of_editors_leaves_the_new_bytes_and_the_backup(self, place):
        """Write beside, move the old one away, move the new one in."""
        furnish(place.top)
        path = place.top / "f"
        (place.top / "f.tmp").write_bytes(b"edited")
        os.rename(path, place.top / "f~")
        os.rename(place.top / "f.tmp", path)
        place.check_object(path, b"edited")
        place.check_object(place.top / "f~", b"content")


class TestLinks:
    def test_a_link_is_an_object_whose_bytes_are_the_target(self, here):
        link = here.top / "link"
        link.symlink_to("over/there")
        key = str(link.relative_to(here.mount.path))
        assert here.bucket.get(key) == b"over/there"
        assert here.bucket.head(key)["Metadata"]["file-permissions"] == "0120777"

    @pytest.mark.parametrize(
        "target", ["x", "/absolute", "../up", "zażółć", "t" * 4095, "a//b/", "with\nnewline"]
    )
    def test_any_target_of_up_to_4095_bytes_is_kept(self, place, target):
        (place.top / "link").symlink_to(target)
        assert os.readlink(place.top / "link") == target
        assert (place.top / "link").lstat().st_size == len(target.encode())

    def test_links_are_followed_and_removed_alone(self, place):
        furnish(place.top)
        assert (place.top / "l").read_bytes() == b"content"
        assert (place.top / "ld/f").read_bytes() == b"below"
        os.unlink(place.top / "l")
        os.unlink(place.top / "ld")
        place.check_object(place.top / "f", b"content")
        place.check_object(place.top / "d/f", b"below")


class TestDirectories:
    def test_a_new_directory_is_empty_and_has_a_marker(self, here):
        (here.top / "new").mkdir(mode=0o750)
        assert os.listdir(here.top / "new") == []
        name = f"{(here.top / 'new').relative_to(here.mount.path)}/"
        assert here.bucket.head(name)["ContentType"] == "application/x-directory"
        os.rmdir(here.top / "new")
        assert name not in here.bucket.paths(markers=True)

    def test_a_directory_stays_when_its_last_file_goes(self, place):
        (place.top / "d").mkdir()
        (place.top / "d/f").write_bytes(b"x")
        os.unlink(place.top / "d/f")
        assert os.listdir(place.top) == ["d"]
        os.rmdir(place.top / "d")
        assert place.names() == []

    def test_a_name_can_be_a_file_and_a_directory_by_turns(self, place):
        path = place.top / "x"
        for _ in range(3):
            path.write_bytes(b"file")
            os.unlink(path)
            path.mkdir()
            os.rmdir(path)
        assert place.names() == []

    def test_directories_are_told_from_files_and_links_in_a_listing(self, place):
        furnish(place.top)
        kinds = {
            each.name: (each.is_dir(follow_symlinks=False), each.is_symlink())
            for each in os.scandir(place.top)
        }
        assert kinds == {
            "d": (True, False),
            "e": (True, False),
            "f": (False, False),
            **dict.fromkeys(("l", "ld", "loop", "dangling"), (False, True)),
        }

    def test_directories_without_a_marker_are_there_and_stay(self, here):
        here = here.unseen({"implicit/deep/file": b"x"})
        path = here.top / "implicit"
        assert os.listdir(path) == ["deep"]
        os.unlink(path / "deep/file")
        assert os.listdir(path / "deep") == []
        os.rmdir(path / "deep")
        os.rmdir(path)
        assert here.names() == []

    def test_a_directory_hides_the_object_of_its_name_and_leaves_it_alone(self, here):
        if here.bucket.server.name == "seaweedfs":
            pytest.skip("SeaweedFS cannot have both")
        here = here.unseen({"a": b"hidden", "a/b": b"below"})
        assert os.listdir(here.top) == ["a"]
        assert (here.top / "a/b").read_bytes() == b"below"
        with pytest.raises(IsADirectoryError):
            (here.top / "a").write_bytes(b"x")
        os.unlink(here.top / "a/b")
        assert here.bucket.get(here.key("a")) == b"hidden"

    def test_keys_that_no_path_can_be_are_hidden_and_keep_their_directory(self, here):
        if here.bucket.server.name == "seaweedfs":
            pytest.skip("SeaweedFS takes keys for paths and cleans them")
        here = here.unseen({"d//double": b"hidden", f"d/{'n' * 256}": b"too long a name"})
        assert os.listdir(here.top / "d") == []
        with pytest.raises(OSError, match="not empty"):
            os.rmdir(here.top / "d")
        os.rename(here.top / "d", here.top / "e")
        assert here.bucket.get(here.key("e//double")) == b"hidden"
        assert here.bucket.get(here.key(f"e/{'n' * 256}")) == b"too long a name"


@pytest.mark.parametrize("name", [".Trash", ".Trash-0", ".Trash-1000"])
def test_desktops_make_no_trash_at_the_top(mounted, name):
    with pytest.raises(PermissionError):
        (mounted.top / name).mkdir()
    assert name not in os.listdir(mounted.top)
    below = mounted.fresh().top / name
    below.mkdir()
    below.rmdir()
