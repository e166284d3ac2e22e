"""What was written and never closed before a crash: kept, and explained."""

import os
import socket
import stat

from fsrig import mounted

from cognitofs.errors import Unreachable
from cognitofs.spool.lostfound import UNCLOSED, Note, decode, encode, lost_files
from cognitofs.tree.inodes import ROOT


def kept(state):
    return lost_files(state / "lost+found")


async def test_a_lost_file_has_a_note_with_its_name_and_what_was_written_of_it(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        above = await m.fs.mkdir(ROOT, "d", 0o755)
        handle, _ = await m.create("new", b"written", parent=above.number)
        await m.fs.write(handle, 100_000, b"behind a gap")
    async with mounted(store, tmp_path) as m:
        assert m.recovered.lost_found == 1
    [lost] = kept(tmp_path)
    note = lost.note
    assert (note.why, note.key, note.size, note.base) == (UNCLOSED, "d/new", 100_012, "")
    assert (note.sealed, note.missing, note.host) == ((), (), socket.gethostname())
    assert note.written[0][0] == 0
    assert note.written[-1][1] == 100_012
    assert "" < note.written_at <= note.kept_at
    path = tmp_path / "lost+found" / f"{lost.name}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "lost+found" / lost.name).read_bytes()[:7] == b"written"


async def test_the_note_of_a_change_names_the_version_that_it_was_made_of(bucket, store, tmp_path):
    async with mounted(store, tmp_path) as m:
        await m.store_file("f", b"as it was")
        etag = (await bucket.head("f")).info.etag
        handle = await m.open("f")
        await m.fs.write(handle, 3, b"it is")
    async with mounted(store, tmp_path) as m:
        assert await m.read_file("f") == b"as it was"
    [lost] = kept(tmp_path)
    assert (lost.note.key, lost.note.base) == ("f", etag)


async def test_the_note_has_the_name_that_the_file_had_last(store, tmp_path):
    async with mounted(store, tmp_path) as m:
        above = await m.fs.mkdir(ROOT, "d", 0o755)
        await m.create("f.tmp", b"data")
        await m.fs.rename(ROOT, "f.tmp", above.number, "f", replace=True)
        await m.fs.rename(ROOT, "d", ROOT, "e", replace=True)
    async with mounted(store, tmp_path):
        [lost] = kept(tmp_path)
    assert lost.note.key == "e/f"


async def test_a_change_of_what_is_sealed_and_not_sent_is_lost_under_its_own_name(
    bucket, store, tmp_path
):
    store.fail("put", Unreachable("There is no network."), times=-1)
    async with mounted(store, tmp_path, sync="fsync") as m:
        handle, _ = await m.create("f", b"closed")
        await m.fs.flush(handle)
        await m.fs.write(handle, 0, b"CL")
    store.heal()
    async with mounted(store, tmp_path, sync="fsync") as m:
        await m.drain()
        assert bucket.data("f") == b"closed"
    [lost] = kept(tmp_path)
    assert lost.note.key == "f"


def test_what_older_versions_noted_and_what_is_no_note_are_read_as_far_as_they_go(tmp_path):
    old = '{"why": "the file was not closed before the end", "missing": [[0, 5]]}'
    for name, text in (("a", old), ("b", "{"), ("c", "[]")):
        (tmp_path / name).write_bytes(b"bytes")
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "d").write_bytes(b"")
    found = {lost.name: lost.note for lost in lost_files(tmp_path)}
    assert found == {"a": Note(missing=((0, 5),)), "b": Note(), "c": Note(), "d": Note()}
    assert lost_files(tmp_path / "nowhere") == []


def test_a_note_reads_as_it_was_written():
    note = Note(UNCLOSED, "a\nb", 3, "t", "u", ((0, 1),), ((0, 2),), ((0, 3),), '"e"', os.name)
    assert decode(encode(note)) == note
