# SPDX-License-Identifier: Apache-2.0
"""`posthorn dbt` around programs that stand for dbt: what is reported, and that the run is as it would be alone."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.server import BIN
from harness.wait import net, wait_for
from harness.wrapper import RESULTS, SIGNALS, TOKEN, Reports, Wrapper, children, plain_environment, state_of, wait_file

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
FAILED = "2 of 4 nodes failed: model broken, test not_null_orders_id"


@pytest.fixture
def reports():
    with Reports() as running:
        yield running


@pytest.fixture
def wrapper(tmp_path, reports):
    return Wrapper(tmp_path, reports.url)


# ---- what is reported ----


def test_a_run_is_reported_in_order(wrapper, reports):
    wrapper.dbt(wrapper.WRITES + "echo '{}' >target/catalog.json")
    done = wrapper.run("dbt", "build", "--select", "a b")
    assert done.out == "" and done.err == ""
    assert reports.whats() == ["3", "10", "catalog.json", "manifest.json", "run_results.json", "ingested"]
    assert [call.method for call in reports.calls] == ["PUT"] * 5 + ["POST"]
    assert {call.account for call in reports.calls} == {7}
    (run,) = reports.runs()
    assert 0 < run < 2**53
    for call in reports.calls:
        assert call.headers["authorization"] == f"Token {TOKEN}"
    start, end = (call.report for call in reports.calls[:2])
    same = ["job_id", "job_name", "environment_id", "environment_name", "project_id", "project_name", "reason",
            "started_at", "job_type"]
    assert {key: start[key] for key in same} == {key: end[key] for key in same}
    assert start["job_name"] == "dbt build --select a b" and start["environment_name"] == "prod"
    assert start["project_name"] == "shop" and start["job_type"] == "other" and start["reason"]
    for key in ("job_id", "environment_id", "project_id"):
        assert type(start[key]) is int and 0 < start[key] < 2**53
    assert TIME.match(start["started_at"]) and TIME.match(end["finished_at"])
    assert start["started_at"] < end["finished_at"] and "finished_at" not in start
    assert end["dbt_version"] == "1.9.2" and "status_message" not in end and "git_sha" not in end
    (step,) = end["run_steps"]
    assert step["name"] == "Invoke dbt with `dbt build --select a b`" and step["status"] == 10
    assert step["logs"].endswith("PASS=1 WARN=0 ERROR=2 SKIP=1 TOTAL=4")
    bodies = {call.what: call.body for call in reports.calls}
    assert json.loads(bodies["run_results.json"]) == RESULTS
    assert reports.calls[4].headers["content-type"] == "application/json"
    assert not wrapper.spooled() and not wrapper.spooled("rejected")


def test_an_error_names_what_failed(wrapper, reports):
    wrapper.dbt(wrapper.WRITES + "exit 1")
    wrapper.run(code=1)
    end = reports.taken()[1].report
    assert end["status"] == 20 and end["status_message"] == FAILED
    assert "model broken: error: Catalog Error: no such table\n" in end["run_steps"][0]["logs"]
    assert "test not_null_orders_id: fail: Got 2 results\n" in end["run_steps"][0]["logs"]


def test_an_error_without_results(wrapper, reports):
    wrapper.dbt("exit 2")
    wrapper.run(code=2)
    assert reports.taken()[1].report["status_message"] == "dbt command failed"
    assert reports.whats() == ["3", "20", "ingested"]


def test_the_start_is_reported_while_dbt_runs(wrapper, reports):
    wrapper.dbt("read line; exit 0")
    process = wrapper.start(stdin=subprocess.PIPE)
    reports.wait("3")
    assert process.poll() is None
    process.communicate("go\n", timeout=net(20))
    assert reports.whats() == ["3", "10", "ingested"]


def test_artifacts_of_another_run_are_not_this_ones(wrapper, reports):
    wrapper.dbt(wrapper.WRITES)
    wrapper.run()
    reports.clear()
    wrapper.dbt("cp $ROOT/manifest.json target/manifest.json; exit 1")
    wrapper.run(code=1)
    assert reports.whats() == ["3", "20", "manifest.json", "ingested"]
    assert reports.taken()[1].report["status_message"] == "dbt command failed"


def test_results_that_say_they_are_older_are_not_this_ones(wrapper, reports):
    old = {**RESULTS, "metadata": {**RESULTS["metadata"], "generated_at": "2020-01-01T00:00:00Z"}}
    (wrapper.root / "results.json").write_text(json.dumps(old))
    wrapper.dbt(wrapper.WRITES + "exit 1")
    wrapper.run(code=1)
    assert reports.whats() == ["3", "20", "manifest.json", "ingested"]
    assert reports.taken()[1].report["status_message"] == "dbt command failed"


PLACES = {
    "flag": (["--target-path", "out"], {}),
    "flag-equals": (["--target-path=out"], {}),
    "variable": ([], {"DBT_TARGET_PATH": "out"}),
    "new-variable": ([], {"DBT_ENGINE_TARGET_PATH": "out"}),
    "flag-before-variable": (["--target-path", "out"], {"DBT_TARGET_PATH": "nowhere"}),
}


def test_results_that_nobody_writes_keep_nobody_waiting(wrapper, reports):
    wrapper.dbt("mkdir -p target && mkfifo target/run_results.json && exit 7")
    done = wrapper.run(code=7)
    assert "run_results.json is not reported" in done.err and "not a plain file" in done.err
    assert reports.whats() == ["3", "20", "ingested"]


@pytest.mark.parametrize("place", PLACES)
def test_the_target_path_is_followed(wrapper, reports, place):
    words, env = PLACES[place]
    wrapper.dbt(wrapper.WRITES.replace("target", "out"))
    wrapper.run("dbt", "build", *words, env=env)
    assert reports.whats() == ["3", "10", "manifest.json", "run_results.json", "ingested"]


def test_the_target_path_of_the_project_file(wrapper, reports):
    with (wrapper.project / "dbt_project.yml").open("a") as file:
        file.write('target-path: "out"\n')
    wrapper.dbt(wrapper.WRITES.replace("target", "out"))
    wrapper.run()
    assert "run_results.json" in reports.whats()


@pytest.mark.parametrize("how", ["flag", "variable", "below"])
def test_the_project_folder_is_found(wrapper, reports, how):
    wrapper.dbt(f"cd {wrapper.project}\n" + wrapper.WRITES)
    words = ["--project-dir", "shop"] if how == "flag" else []
    env = {"DBT_PROJECT_DIR": str(wrapper.project)} if how == "variable" else {}
    folder = wrapper.root
    if how == "below":
        folder = wrapper.project / "models" / "marts"
        folder.mkdir(parents=True)
    wrapper.run("dbt", "build", *words, env=env, cwd=folder)
    assert "run_results.json" in reports.whats()
    assert reports.taken()[0].report["project_name"] == "shop"


def test_the_target_is_dbts(wrapper, reports):
    assert [report["environment_name"] for report in (
        dry(wrapper), dry(wrapper, "dbt", "build", "-t", "dev"), dry(wrapper, "dbt", "build", "--target=qa"),
        dry(wrapper, env={"DBT_TARGET": "ci"}), dry(wrapper, "dbt", "build", "--profile", "none"),
        dry(wrapper, env={"DBT_PROFILES_DIR": "/nowhere"}),
    )] == ["prod", "dev", "qa", "ci", "default", "default"]


def dry(wrapper, *words, flags=(), env=None):
    done = wrapper.run(*words, flags=["--dry-run", *flags], env=env)
    assert done.err == "" and done.out.count("\n") == 1
    return json.loads(done.out)


def test_names_and_ids(wrapper, reports):
    given = dry(wrapper, flags=["--job", "41", "--name", "Nightly", "--environment", "72", "--project", "6"])
    assert [given[f"{key}_id"] for key in ("job", "environment", "project")] == [41, 72, 6]
    assert (given["job_name"], given["environment_name"], given["project_name"]) == ("Nightly", "prod", "shop")
    flags = ["--job", "nightly", "--environment=production", "--project", "Shöp", "--reason", "why"]
    named = dry(wrapper, flags=flags)
    assert (named["job_name"], named["environment_name"]) == ("nightly", "production")
    assert (named["project_name"], named["reason"]) == ("Shöp", "why")
    # Ids of names are the same everywhere: filters and other systems hold them.
    assert named["job_id"] == dry(wrapper, "dbt", "run", flags=["--job", "nightly", "--name", "x"])["job_id"]
    assert named["job_id"] == 5492812979458777
    assert named["job_id"] != named["environment_id"] != named["project_id"]
    usual = dry(wrapper)
    assert usual["job_name"] == "dbt build" and usual["job_id"] == dry(wrapper)["job_id"]
    assert usual["job_id"] != dry(wrapper, flags=["--project", "other"])["job_id"]
    assert not reports.calls


def test_values_of_variables_are_no_part_of_the_job(wrapper):
    one = dry(wrapper, "/some/where/dbt", "run", "--vars", "{password: x}", "--args={y: z}", "--full-refresh")
    assert one["job_name"] == "dbt run --full-refresh"
    assert "password" not in json.dumps(one)


def test_git_says_branch_and_commit(wrapper):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(wrapper.root)]
    for words in (["init", "-q", "-b", "trunk"], ["add", "shop"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, env=plain_environment())
    sha = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, env=plain_environment()).stdout
    report = dry(wrapper)
    assert (report["git_branch"], report["git_sha"]) == ("trunk", sha.strip())
    subprocess.run([*git, "checkout", "-q", "--detach"], check=True, env=plain_environment())
    report = dry(wrapper)
    assert report["git_sha"] == sha.strip() and "git_branch" not in report


def test_a_ci_system_says_more(wrapper):
    env = {"GITHUB_ACTIONS": "true", "GITHUB_WORKFLOW": "Nightly build", "GITHUB_EVENT_NAME": "schedule",
           "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "12",
           "GITHUB_REF_NAME": "main", "GITHUB_SHA": "5" * 40}
    report = dry(wrapper, env=env)
    assert report["href"] == "https://github.example/acme/shop/actions/runs/12"
    assert (report["git_branch"], report["git_sha"], report["job_type"]) == ("main", "5" * 40, "scheduled")
    assert report["reason"] == "GitHub Actions: Nightly build (schedule)"


def test_the_version_is_that_of_the_program(wrapper):
    (wrapper.root / "lib/python3.11/site-packages/dbt_core-1.10.3.dist-info").mkdir(parents=True)
    assert dry(wrapper)["dbt_version"] == "1.10.3"
    # uv and pipx link it elsewhere.
    elsewhere = wrapper.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "dbt").symlink_to(wrapper.bin / "dbt")
    assert dry(wrapper, str(elsewhere / "dbt"), "build")["dbt_version"] == "1.10.3"


# ---- the run is as it would be alone ----

LOOK = """
echo "$#" "$@"
cat
echo to stderr >&2
grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status
ls -l /proc/self/fd | sed -E 's/.* ([0-9]+ ->)/\\1/; s/pipe:.*|.dev.null|.proc.*/x/' | grep -- '->'
ps -o pgid= -p $$ | tr -d ' ' | grep -cx "$EXPECTED_GROUP"
env | grep -vE '^(_|EXPECTED_GROUP|SHLVL)=' | sort
exit 3
"""


def test_what_the_program_sees_and_says(wrapper):
    """With and without the wrapper: arguments, input, output, signals, open files, environment, exit code."""
    path = wrapper.dbt(LOOK)
    seen = []
    for command in ([path, "a b", "", "--flag", "*"], [BIN, "dbt", "--", path, "a b", "", "--flag", "*"]):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=wrapper.project, env=wrapper.environment(EXPECTED_GROUP=str(os.getpgid(0))))
        seen.append((*process.communicate("line 1\nline 2", timeout=net(20)), process.returncode))
    assert seen[0] == seen[1]
    out, err, code = seen[0]
    assert out.startswith("4 a b  --flag *\nline 1\nline 2") and err == "to stderr\n" and code == 3
    assert f"\nPOSTHORN_TOKEN={TOKEN}\n" in out and "\n1\n" in out


def ignore_some():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def test_signals_that_are_ignored_stay_ignored(wrapper, reports):
    """As by nohup, or in the background of a script."""
    done = wrapper.run("grep", "SigIgn", "/proc/self/status", preexec_fn=ignore_some)
    mask = int(done.out.split()[1], 16)
    ignored = {number for number in signal.Signals if mask & 1 << number - 1}
    assert {signal.SIGHUP, signal.SIGINT, signal.SIGCHLD} <= ignored and signal.SIGPIPE not in ignored
    wrapper.dbt("kill -HUP $PPID; kill -INT $PPID; exit 1")
    wrapper.run(code=1, preexec_fn=ignore_some)
    assert [call.report["status"] for call in reports.taken() if call.what in ("10", "20", "30")] == [10, 20]


@pytest.mark.parametrize("how", ["missing", "no-permission", "folder", "no-interpreter"])
def test_a_program_that_cannot_be_run(wrapper, reports, how):
    path = wrapper.dbt("exit 0", "tool")
    if how == "no-permission":
        path.chmod(0o644)
    elif how == "no-interpreter":
        path.write_text("#!/no/such/interpreter\n")
    word = {"missing": "no-such-program", "folder": str(wrapper.bin)}.get(how, str(path))
    done = wrapper.run(word, "build", code=127 if how in ("missing", "no-interpreter") else 126)
    assert done.out == "" and done.err.startswith(f"posthorn: could not run {word}: ")
    assert done.err.count("\n") == 1
    # Who waits for the job hears of it.
    assert reports.whats() == ["3", "20", "ingested"]
    assert "could not be started" in reports.taken()[1].report["status_message"]


def test_a_program_that_is_killed(wrapper, reports):
    wrapper.dbt("kill -KILL $$")
    wrapper.run(code=137)
    end = reports.taken()[1].report
    assert (end["status"], end["status_message"]) == (20, "dbt was killed by SIGKILL")


COUNTING = """
n=0
trap 'n=$((n + 1))' {name}
echo $$ >$ROOT/pid
while [ ! -e $ROOT/go ]; do sleep 0.02; [ $n -gt 0 ] && [ ! -e $ROOT/seen ] && echo $n >$ROOT/seen; done
echo $n >$ROOT/count
exit {code}
"""


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_to_the_wrapper_reaches_dbt(wrapper, reports, name):
    wrapper.dbt(COUNTING.format(name=name, code=1))
    process = wrapper.start()
    wait_file(wrapper.root / "pid")
    process.send_signal(SIGNALS[name])
    wait_file(wrapper.root / "seen")
    (wrapper.root / "go").touch()
    assert process.wait(net(20)) == 1
    assert wait_file(wrapper.root / "count") == "1\n"
    end = reports.taken()[1].report
    if name.startswith("USR"):
        assert end["status"] == 20
    else:
        assert (end["status"], end["status_message"]) == (30, f"cancelled by SIG{name}")
    process.communicate()


TAKING = """
import os, signal, sys
names = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"]
wanted = {getattr(signal, "SIG" + name): name for name in names}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
file = open(sys.argv[1], "w")
print("ready", file=file, flush=True)
while (came := wanted[signal.sigwait(wanted)]) != sys.argv[2]:
    print(came, file=file, flush=True)
print(came, file=file, flush=True)
sys.exit(1)
"""


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_to_the_whole_group_reaches_dbt_once(wrapper, reports, name):
    """As CI runners send it: passed on it would come twice, and dbt would stop hard at the second."""
    (wrapper.root / "taking.py").write_text(TAKING)
    came = wrapper.root / "came"
    last = "USR1" if name != "USR1" else "USR2"
    process = wrapper.start(sys.executable, str(wrapper.root / "taking.py"), str(came), last, process_group=0)
    wait_file(came)
    wait_for(lambda: len(children(process.pid)) == 2, 10, "the witness")
    for count in (1, 2, 3):
        os.killpg(process.pid, SIGNALS[name])
        wait_for(lambda: came.read_text().count(name) >= count, 10, "dbt has it")
        process.send_signal(SIGNALS["TERM" if name != "TERM" else "INT"])  # to the wrapper alone; passed on behind it
        wait_for(lambda: len(came.read_text().split()) >= 1 + 2 * count, 10, "and this one")
    process.send_signal(SIGNALS[last])
    assert process.wait(net(20)) == 1
    other = "TERM" if name != "TERM" else "INT"
    assert came.read_text().split() == ["ready", *[name, other] * 3, last]
    assert reports.taken()[1].report["status"] == 30
    process.communicate()


def test_a_signal_to_the_wrapper_and_its_group_is_one(wrapper, reports):
    """timeout(1) sends it so, the second at once behind the first; a busy machine may put more between them."""
    (wrapper.root / "taking.py").write_text(TAKING)
    seen = []
    while len(seen) < 5 and ["ready", "INT", "USR1"] not in seen:
        came = wrapper.root / f"came{len(seen)}"
        process = wrapper.start(sys.executable, str(wrapper.root / "taking.py"), str(came), "USR1", process_group=0)
        wait_file(came)
        wait_for(lambda: len(children(process.pid)) == 2, 10, "the witness")
        os.kill(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        wait_for(lambda: "INT" in came.read_text(), 10, "dbt has it")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(net(20)) == 1
        process.communicate()
        seen.append(came.read_text().split())
    assert seen[-1] == ["ready", "INT", "USR1"], seen


def test_signals_to_each_process_of_a_job_reach_dbt_once(wrapper, reports):
    """As service managers send them, one process after the other."""
    wrapper.dbt(COUNTING.format(name="TERM", code=1))
    process = wrapper.start()
    dbt = int(wait_file(wrapper.root / "pid"))
    others = wait_for(lambda: set(children(process.pid)) - {dbt}, 10, "the witness")
    for pid in (process.pid, dbt, *others):
        os.kill(pid, signal.SIGTERM)
    wait_file(wrapper.root / "seen")
    (wrapper.root / "go").touch()
    assert process.wait(net(20)) == 1
    assert wait_file(wrapper.root / "count") == "1\n"
    process.communicate()


def test_the_witness_goes_by_the_name_of_dbt(wrapper, reports):
    """Who picks processes by name gets it with dbt, and not with the wrapper; it keeps nothing open and does not
    outlive the wrapper."""
    wrapper.dbt("echo $$ >$ROOT/pid; read line; exit 0")
    process = wrapper.start(stdin=subprocess.PIPE)
    dbt = int(wait_file(wrapper.root / "pid"))
    (witness,) = wait_for(lambda: set(children(process.pid)) - {dbt}, 10, "the witness")
    proc = Path(f"/proc/{witness}")
    wait_for(lambda: (proc / "cmdline").read_bytes().rstrip(b"\0") == b"dbt\0build", 10, "its name")
    assert (proc / "comm").read_text() == "dbt\n" == Path(f"/proc/{dbt}/comm").read_text()
    assert [name.name for name in (proc / "fd").iterdir()] == ["0"]
    process.kill()
    wait_for(lambda: not proc.exists() or state_of(witness) == "Z", 10, "the witness is gone")
    process.communicate("go\n")


def test_without_a_witness_signals_reach_dbt(wrapper, reports):
    wrapper.dbt(COUNTING.format(name="INT", code=1))
    process = wrapper.start()
    dbt = int(wait_file(wrapper.root / "pid"))
    (witness,) = wait_for(lambda: set(children(process.pid)) - {dbt}, 10, "the witness")
    os.kill(witness, signal.SIGKILL)
    wait_for(lambda: state_of(witness) == "Z", 10, "the witness is gone")
    process.send_signal(signal.SIGINT)
    wait_file(wrapper.root / "seen")
    (wrapper.root / "go").touch()
    assert process.wait(net(20)) == 1
    assert wait_file(wrapper.root / "count") == "1\n"
    process.communicate()


def test_a_signal_that_dbt_survives_is_no_cancellation(wrapper, reports):
    wrapper.dbt(COUNTING.format(name="TERM", code=0))
    process = wrapper.start()
    wait_file(wrapper.root / "pid")
    process.send_signal(signal.SIGTERM)
    wait_file(wrapper.root / "seen")
    (wrapper.root / "go").touch()
    assert process.wait(net(20)) == 0
    assert reports.whats() == ["3", "10", "ingested"]
    process.communicate()


def test_a_signal_that_ends_dbt(wrapper, reports):
    wrapper.dbt("echo $$ >$ROOT/pid; exec sleep 60")
    process = wrapper.start()
    wait_file(wrapper.root / "pid")
    process.terminate()
    assert process.wait(net(20)) == 128 + signal.SIGTERM
    assert reports.taken()[1].report["status"] == 30
    process.communicate()


class OnTerminal:
    """The wrapper, or a shell, with a terminal of its own as its controlling one."""

    def __init__(self, command, **kwargs):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(kwargs["cwd"])
            os.execve(command[0], command, kwargs["env"])
        self.code = None
        self.text = b""

    def type(self, text):
        os.write(self.terminal, text)

    def end(self):
        try:
            while piece := os.read(self.terminal, 4096):
                self.text += piece
        except OSError:
            pass  # the other side is closed
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.terminal)
        return self.code


@pytest.mark.parametrize("key, name, code", [(b"\x03", "INT", 1), (b"\x1c", "QUIT", 0)])
def test_a_key_of_the_terminal_reaches_dbt_once(wrapper, reports, key, name, code):
    """Ctrl-C goes to the whole group by itself: passed on it would come twice."""
    wrapper.dbt("test -t 0 && test -t 1 && test -t 2 || exit 9\n" + COUNTING.format(name=name, code=1))
    shell = OnTerminal([BIN, "dbt", "--", "dbt", "build"], cwd=wrapper.project, env=wrapper.environment())
    wait_file(wrapper.root / "pid")
    shell.type(key)
    wait_file(wrapper.root / "seen")
    (wrapper.root / "go").touch()
    assert shell.end() == 1, shell.text
    assert wait_file(wrapper.root / "count") == "1\n"
    end = reports.taken()[1].report
    assert (end["status"], end["status_message"]) == (30, f"cancelled by SIG{name}")


def test_hanging_up_ends_as_cancelled(wrapper, reports):
    wrapper.dbt("echo $$ >$ROOT/pid; exec sleep 60")
    shell = OnTerminal([BIN, "dbt", "--", "dbt", "build"], cwd=wrapper.project, env=wrapper.environment())
    wait_file(wrapper.root / "pid")
    os.close(shell.terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(shell.pid, 0)[1]) == 128 + signal.SIGHUP
    assert reports.taken()[1].report["status"] == 30


def test_job_control(wrapper, reports):
    """Ctrl-Z stops both, fg lets both go on, and the run is a success."""
    # It starts nothing: a shell whose child is stopped between vfork and exec does not stop itself.
    os.mkfifo(wrapper.root / "go")
    wrapper.dbt("echo $$ >$ROOT/pid; read line <$ROOT/go; exit 0")
    shell = OnTerminal(["/bin/bash", "--norc", "-i"], cwd=wrapper.project, env=wrapper.environment())
    shell.type(f"{BIN} dbt -- dbt build; echo code=$?\n".encode())
    dbt = int(wait_file(wrapper.root / "pid"))
    ours = int(open(f"/proc/{dbt}/stat").read().rsplit(")", 1)[1].split()[1])
    assert ours in children(shell.pid)
    reports.wait("3")
    shell.type(b"\x1a")
    wait_for(lambda: state_of(dbt) == "T" and state_of(ours) == "T", 10, "both are stopped")
    shell.type(b"fg\n")
    wait_for(lambda: state_of(dbt) != "T" and state_of(ours) != "T", 10, "both go on")
    (wrapper.root / "go").write_text("go\n")
    reports.wait("ingested")
    shell.type(b"exit\n")
    shell.end()
    assert reports.whats() == ["3", "10", "ingested"], shell.text


# ---- usage ----


@pytest.mark.parametrize("flags, words", [
    (["--select", "x"], ["--select"]),
    (["--account", "acme"], ["--account", "acme"]),
    (["--url", "ftp://x"], ["--url"]),
    (["--url", "http://x/?a=b"], ["--url", "query"]),
    (["--spool-max", "much"], ["--spool-max", "much"]),
    (["--flush"], ["usage"]),
])
def test_wrong_usage_runs_nothing(wrapper, flags, words):
    wrapper.dbt("touch $ROOT/ran")
    done = wrapper.run(flags=flags, code=2)
    assert done.out == "" and done.err.startswith("posthorn: ") and all(word in done.err for word in words)
    assert not (wrapper.root / "ran").exists()


def test_no_command_is_wrong_usage():
    done = subprocess.run([BIN, "dbt"], capture_output=True, text=True, env=plain_environment())
    assert done.returncode == 2 and "usage: posthorn dbt" in done.stderr and "-- COMMAND" in done.stderr


@pytest.mark.parametrize("missing", ["POSTHORN_URL", "POSTHORN_TOKEN", "POSTHORN_ACCOUNT"])
def test_what_the_environment_lacks_keeps_no_run_from_running(wrapper, reports, missing):
    wrapper.dbt("echo ran; exit 4")
    done = wrapper.run(code=4, env={missing: None})
    assert done.out == "ran\n" and done.err.count("\n") == 1
    assert done.err.startswith("posthorn: the run is not reported: ") and missing in done.err
    assert not reports.calls


def test_a_wrong_variable_keeps_no_run_from_running(wrapper, reports):
    for name, value in [("ACCOUNT", "x"), ("URL", "nonsense"), ("TOKEN", "a b"), ("LISTEN", "nonsense")]:
        done = wrapper.run(env={f"POSTHORN_{name}": value})
        assert name == "LISTEN" or "the run is not reported" in done.err, (name, done.err)
    assert reports.whats() == ["3", "10", "ingested"]


def test_without_dashes_the_first_word_begins_the_command(wrapper, reports):
    wrapper.dbt('echo "$@"')
    done = subprocess.run([BIN, "dbt", "--job", "7", "dbt", "build", "--help", "--job", "8"], cwd=wrapper.project,
                          env=wrapper.environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "build --help --job 8\n", "")
    assert reports.taken()[0].report["job_id"] == 7


def test_an_empty_flag_is_as_good_as_none(wrapper):
    assert dry(wrapper, flags=["--job", "", "--environment="])["environment_name"] == "prod"


@pytest.mark.parametrize("url", ["{}/", "{}/dbt", "{}/dbt/"])
def test_ends_of_the_address(wrapper, reports, url):
    wrapper.run(env={"POSTHORN_URL": url.format(reports.url)})
    assert reports.whats() == ["3", "10", "ingested"]


def test_the_token_is_seen_nowhere(wrapper, reports):
    reports.stop()
    (wrapper.root / "token").write_text(TOKEN + "\n")
    wrapper.dbt("cat /proc/$PPID/cmdline | tr '\\0' ' '; echo")
    done = wrapper.run(flags=["--token-file", str(wrapper.root / "token")], env={"POSTHORN_TOKEN": None})
    assert "--token-file" in done.out and TOKEN not in done.out + done.err
    for run in wrapper.spooled():
        assert not any(TOKEN in path.read_text() for path in run.iterdir())
    reports.start()
    wrapper.run(flags=["--token-file", str(wrapper.root / "token")], env={"POSTHORN_TOKEN": None})
    assert {call.headers["authorization"] for call in reports.taken()} == {f"Token {TOKEN}"}
    assert len(reports.runs()) == 2


@pytest.mark.parametrize("how", ["pipe", "slow", "held-open", "named"])
def test_a_token_from_a_pipe(wrapper, reports, how):
    """As a shell's <(command) gives it; dbt does not wait for it."""
    wrapper.dbt("echo ran >$ROOT/ran; exit 3")
    if how == "named":
        path = wrapper.root / "token"
        os.mkfifo(path)
        process = wrapper.start(flags=["--token-file", str(path)], env={"POSTHORN_TOKEN": None})
        wait_file(wrapper.root / "ran")
        path.write_text(TOKEN)
    else:
        out, into = os.pipe()
        if how == "pipe":
            os.write(into, TOKEN.encode() + b"\n")
            os.close(into)
        process = wrapper.start(flags=["--token-file", f"/dev/fd/{out}"], env={"POSTHORN_TOKEN": None}, pass_fds=[out])
        wait_file(wrapper.root / "ran")
        if how != "pipe":
            for piece in (TOKEN[:5].encode(), TOKEN[5:].encode() + (b"\n" if how == "held-open" else b"")):
                os.write(into, piece)
        if how == "slow":
            os.close(into)
        os.close(out)
    out, err = process.communicate(timeout=net(20))
    assert (process.returncode, out, err) == (3, "", "")
    assert reports.whats() == ["3", "20", "ingested"]
    assert {call.headers["authorization"] for call in reports.taken()} == {f"Token {TOKEN}"}
    if how == "held-open":
        os.close(into)


def test_a_token_that_does_not_come_keeps_nobody_waiting(wrapper, reports):
    path = wrapper.root / "token"
    os.mkfifo(path)
    wrapper.dbt("exec sleep 60")
    process = wrapper.start(flags=["--token-file", str(path)], env={"POSTHORN_TOKEN": None})
    wait_for(lambda: len(children(process.pid)) == 2, 10, "dbt runs")
    process.terminate()  # which goes on to dbt, whatever is awaited
    _, err = process.communicate(timeout=net(20))
    assert process.returncode == 128 + signal.SIGTERM
    assert err == f"posthorn: the run is not reported: no token came from {path} within 10 seconds\n"
    assert not reports.calls


def test_a_project_file_that_is_a_pipe_keeps_nobody_waiting(wrapper, reports):
    path = wrapper.project / "dbt_project.yml"
    path.unlink()
    os.mkfifo(path)
    (wrapper.root / "profiles.yml").unlink()
    os.mkfifo(wrapper.root / "profiles.yml")
    wrapper.dbt("exit 3")
    assert wrapper.run(code=3).err == ""
    assert reports.taken()[0].report["project_name"] == "dbt"


def test_dbt_does_not_wait_for_the_server(wrapper, reports):
    """The server answers the first report only when dbt has done its work."""
    reports.answer = lambda call: wait_file(wrapper.root / "ran") and None
    wrapper.dbt("echo ran >$ROOT/ran")
    done = wrapper.run()
    assert done.err == "" and reports.whats() == ["3", "10", "ingested"]
