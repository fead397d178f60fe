# SPDX-License-Identifier: Apache-2.0
"""What is made of the tables of commands and options: help, man pages, shell completion."""

import re
import shutil
import subprocess

import pytest
from harness.cli import is_usage_error, try_run
from harness.server import clean_environment, run

COMMANDS = run("help", "--names").stdout.split()


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def tool(*words, **kwargs):
    return subprocess.run(words, capture_output=True, text=True, env=clean_environment(), timeout=60, **kwargs)


# ---- help ----


@pytest.mark.smoke
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    wanted = run("help", command).stdout
    assert wanted.startswith(f"posthorn {command}")
    assert run(command, "--help").stdout == run(command, "-h").stdout == wanted
    # Wherever it stands, and whatever else is wrong.
    assert run(command, "--nope", "--help").stdout == wanted


@pytest.mark.smoke
def test_help_of_nothing():
    is_usage_error(try_run("help", "jq-worker"), '"jq-worker"')
    is_usage_error(try_run("help", "--man", "nope"), '"nope"')


# ---- man pages ----


def pages(tmp_path):
    for name, words in [("posthorn", []), *((f"posthorn-{name}", [name]) for name in COMMANDS)]:
        path = tmp_path / f"{name}.1"
        path.write_text(run("help", "--man", *words).stdout)
        yield path


@needs("man")
def test_man_has_no_warnings(tmp_path):
    for path in pages(tmp_path):
        done = tool("man", "--warnings", "-E", "UTF-8", "-l", str(path))
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert "EXIT STATUS" in done.stdout and "POSTHORN" in done.stdout


@needs("mandoc")
def test_mandoc_has_no_complaints(tmp_path):
    """But for the date: a page without one is the same whenever it is built."""
    for path in pages(tmp_path):
        done = tool("mandoc", "-T", "lint", "-W", "warning", str(path))
        said = [line for line in done.stdout.splitlines() if "missing date" not in line]
        assert said == [], said


def test_man_page_and_help_say_the_same(tmp_path):
    for path in pages(tmp_path):
        text = path.read_text().replace("\\-", "-").replace("\\e", "\\")
        if path.stem != "posthorn":
            shown = run("help", path.stem.removeprefix("posthorn-")).stdout
            flags = re.findall(r"^  (--[\w-]+)", shown, re.MULTILINE)
            assert re.findall(r"^\.B (--[\w-]+)", text, re.MULTILINE) == flags
