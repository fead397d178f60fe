# SPDX-License-Identifier: Apache-2.0
"""What is made of the tables of commands and options: help, man pages, shell completion."""

import functools
import os
import pty
import re
import shutil
import subprocess

import pytest
from harness.cli import is_usage_error, try_run
from harness.server import clean_environment, run
from harness.wait import net, wait_for

COMMANDS = run("help", "--names").stdout.split()


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def tool(*words, **kwargs):
    return subprocess.run(words, capture_output=True, text=True, env=clean_environment(), timeout=net(60), **kwargs)


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


# ---- shell completion ----

SHELLS = ["bash", "zsh", "fish"]

BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
_posthorn
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell, tmp_path):
    path = tmp_path / f"completion.{shell}"
    path.write_text(run("completion", shell).stdout)
    return str(path)


def in_bash(tmp_path, *words):
    done = tool("bash", "-c", BASH, "bash", script("bash", tmp_path), "posthorn", *words, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [line for line in done.stdout.splitlines() if line]


def in_fish(tmp_path, *words):
    code = f"source {script('fish', tmp_path)}; complete -C 'posthorn {' '.join(words)}'"
    done = tool("fish", "--no-config", "-c", code, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


# zsh completes on a terminal only. What is found goes to a file instead of the screen.
ZSH = """
autoload -Uz compinit
compinit -u -d "$ZDOTDIR/dump"
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a found
    builtin compadd -A found "$@"
    ((${#found})) && print -rl -- $found >> "$ZDOTDIR/found"
}
capture() {
    zle complete-word
    print -r -- END >> "$ZDOTDIR/found"
}
zle -N capture
bindkey '^I' capture
print -r -- READY >> "$ZDOTDIR/found"
"""


def in_zsh(tmp_path, *words):
    home = tmp_path / "zsh"
    home.mkdir(exist_ok=True)
    (home / "_posthorn").write_text(run("completion", "zsh").stdout)
    (home / ".zshrc").write_text(f"fpath=({home} $fpath)\n{ZSH}")
    found = home / "found"
    found.unlink(missing_ok=True)
    lines = lambda: found.read_text().splitlines() if found.exists() else []  # noqa: E731
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-d", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        env={**clean_environment(), "ZDOTDIR": str(home), "TERM": "dumb"}, start_new_session=True,
    )
    os.close(theirs)
    try:
        wait_for(lambda: "READY" in lines(), 20, "zsh to start")
        os.write(ours, f"posthorn {' '.join(words)}\t".encode())
        wait_for(lambda: "END" in lines(), 20, "zsh to complete")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return [line for line in lines() if line not in ("READY", "END")]


IN_SHELL = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}
every_shell = pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in SHELLS])


@every_shell
def test_a_shell_understands_its_script(shell, tmp_path):
    done = tool(shell, "-n", script(shell, tmp_path))
    assert done.returncode == 0 and done.stderr == "", done.stderr


@every_shell
def test_completion_of_commands(shell, tmp_path):
    complete = functools.partial(IN_SHELL[shell], tmp_path)
    assert set(complete("")) == {"help", *COMMANDS}
    assert set(complete("re")) == {name for name in COMMANDS if name.startswith("re")}
    assert set(complete("help", "ser")) == {"serve"}
    assert {"options", "send"} <= set(complete("help", ""))


@every_shell
def test_completion_of_flags_and_values(shell, tmp_path):
    (tmp_path / "body file.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    complete = functools.partial(IN_SHELL[shell], tmp_path)
    shown = re.findall(r"^  (--[\w-]+)", run("help", "send").stdout, re.MULTILINE)
    assert {*shown, "--help", "--set"} == {word.rstrip("=") for word in complete("send", "--")}
    assert "--type" not in complete("send", "--"), "a former name is in no document"
    assert [word.rstrip("=") for word in complete("send", "--event-t")] == ["--event-type"]
    assert "--retry-schedule" in [word.rstrip("=") for word in complete("serve", "--retry")]
    assert set(complete("token", "")) >= {"create", "list", "revoke"}
    assert set(complete("token", "create", "--plan", "")) == {"team", "enterprise"}
    assert set(complete("serve", "--log-level", "")) == {"debug", "info", "warn", "error"}
    assert "body" in " ".join(complete("send", "--file", "bo"))
    assert {word.rstrip("/") for word in complete("send", "--data", "fo")} == {"folder"}
    assert complete("send", "--app", "") == [], "nothing is known of its value"


@needs("bash")
def test_bash_and_values_behind_an_equals_sign(tmp_path):
    assert in_bash(tmp_path, "serve", "--log-format", "=", "js") == ["json"]
    assert set(in_bash(tmp_path, "serve", "--log-format", "=")) == {"json", "logfmt"}


def test_completion_used_badly():
    for words in ([], ["tcsh"]):
        is_usage_error(try_run("completion", *words), "bash|zsh|fish")
