"""What is around a command and is closed, full, gone or poor in characters breaks nothing."""

import os
import subprocess
import sys

from cognitofs.cli.exits import Exit

CLOSED = 'exec "$@" <&- >&- 2>&-'


def run(*command, home, **more):
    return subprocess.run(
        command, env={"HOME": str(home), "PATH": os.environ["PATH"]} | more, check=False, timeout=60
    )


def python(code, *arguments):
    return sys.executable, "-c", code, *map(str, arguments)


def test_no_file_of_ours_becomes_standard_error(tmp_path):
    opening = "import sys; file = open(sys.argv[1], 'w'); file.write(str(file.fileno()))"
    ours = f"from cognitofs.cli.output import open_streams; open_streams(); {opening}"
    numbers = []
    for code in (opening, ours):
        place = tmp_path / "number"
        run("sh", "-c", CLOSED, "-", *python(code, place), home=tmp_path)
        numbers.append(int(place.read_text()))
    assert numbers[0] <= 2 < numbers[1]


def test_a_command_without_any_stream_does_its_work(tmp_path):
    command = (sys.executable, "-P", "-m", "cognitofs")
    assert run("sh", "-c", CLOSED, "-", *command, "status", home=tmp_path).returncode == Exit.OK
    wrong = run("sh", "-c", CLOSED, "-", *command, "status", "nowhere", home=tmp_path)
    assert wrong.returncode == Exit.FAILURE


def test_output_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cognitofs", "status"],
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == Exit.FAILURE
    assert done.stderr.startswith("cognitofs: Something could not be written (No space left")


def test_a_terminal_that_lacks_a_character_shows_its_number(tmp_path):
    saying = "from cognitofs.cli.output import *; open_streams(); say('日本 f')"
    done = subprocess.run(
        python(saying),
        env={"HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "\\u65e5\\u672c f\n"


def test_a_directory_that_is_gone_is_named(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = (sys.executable, "-P", "-m", "cognitofs", "why", "f")
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../gone; exec "$@"', "-", *command],
        cwd=gone,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == Exit.FAILURE
    assert done.stderr.startswith("cognitofs: The directory that you are in is gone;")
