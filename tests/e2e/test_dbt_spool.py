# SPDX-License-Identifier: Apache-2.0
"""The spool of `posthorn dbt`: what is reported while the server is away, or does not want it."""

import itertools
import json
import os
import shutil
import subprocess
import threading
import time

import pytest
from harness.dbt import Dbt, make_token
from harness.receiver import SilentListener
from harness.server import BIN, Server
from harness.wait import SLOWNESS, net, wait_for
from harness.wrapper import TOKEN, Reports, Wrapper, private, wait_file

_accounts = itertools.count(40000)
WHOLE = ["3", "10", "manifest.json", "run_results.json", "ingested"]


@pytest.fixture
def reports():
    with Reports() as running:
        yield running


@pytest.fixture
def wrapper(tmp_path, reports):
    made = Wrapper(tmp_path, reports.url)
    made.dbt(made.WRITES)
    return made


def away(wrapper, reports, count=1):
    """So many runs while the server is away; gives what they said last."""
    reports.stop()
    for _ in range(count):
        done = wrapper.run()
    reports.start()
    return done


# ---- the server is away ----


def test_a_run_without_a_server_is_neither_stopped_nor_delayed(wrapper, reports):
    wrapper.dbt(wrapper.WRITES + "echo out; echo err >&2; exit 5")
    reports.stop()
    before = time.monotonic()
    done = wrapper.run(code=5)
    assert time.monotonic() - before < 8 * SLOWNESS, "it would try for ten seconds"
    assert done.out == "out\n"
    first, second = done.err.splitlines()
    assert first == "err" and second.startswith("posthorn: the run is not reported yet: ")
    assert str(wrapper.spool) in second and "--flush" in second
    (run,) = wrapper.spooled()
    assert {path.name for path in run.iterdir()} == {
        "lock", "target.json", "report-1.json", "report-2.json", "artifact.manifest.json", "artifact.run_results.json",
        "complete"}
    assert private(wrapper.spool) and private(run) and all(private(path) for path in run.iterdir())


def test_the_next_run_sends_what_lies_there_first(wrapper, reports):
    away(wrapper, reports, 3)
    names = [int(run.name.split("-")[1]) for run in wrapper.spooled()]
    done = wrapper.run()
    assert done.err == ""
    assert reports.runs()[:3] == names and len(reports.runs()) == 4
    assert reports.whats() == WHOLE * 4
    assert not wrapper.spooled()


def test_flush(wrapper, reports):
    away(wrapper, reports, 2)
    names = [int(run.name.split("-")[1]) for run in wrapper.spooled()]
    done = wrapper.flush()
    assert done.stdout == "sent 2, refused 0, left 0\n" and done.stderr == ""
    assert reports.runs() == names and reports.whats() == WHOLE * 2
    done = wrapper.flush()
    assert done.stdout == "sent 0, refused 0, left 0\n"
    assert len(reports.calls) == 10


def test_flush_without_a_server(wrapper, reports):
    away(wrapper, reports, 2)
    reports.stop()
    done = wrapper.flush(code=1)
    assert done.stdout == "sent 0, refused 0, left 2\n" and done.stderr.startswith("posthorn: no answer")
    assert len(wrapper.spooled()) == 2


def test_a_later_run_does_not_change_what_lies_there(wrapper, reports):
    reports.stop()
    for number in (1, 2):
        (wrapper.root / "manifest.json").write_text(json.dumps({"metadata": {"dbt_version": f"1.9.{number}"}}))
        wrapper.run()
    reports.start()
    wrapper.flush()
    manifests = [call.body for call in reports.taken() if call.what == "manifest.json"]
    assert [json.loads(body)["metadata"]["dbt_version"] for body in manifests] == ["1.9.1", "1.9.2"]


def test_the_server_comes_back_while_dbt_runs(wrapper, reports):
    wrapper.dbt("echo x >$ROOT/up; read line; exit 0")
    reports.stop()
    process = wrapper.start(stdin=subprocess.PIPE)
    wait_for(wrapper.spooled, 10, "the run is in the spool")
    reports.start()
    reports.wait("3")
    _, err = process.communicate("go\n", timeout=net(20))
    assert err == "" and reports.whats() == ["3", "10", "ingested"]


def test_the_server_goes_away_while_dbt_runs(wrapper, reports):
    wrapper.dbt(wrapper.WRITES + "read line; exit 0")
    process = wrapper.start(stdin=subprocess.PIPE)
    reports.wait("3")
    reports.stop()
    process.communicate("go\n", timeout=net(20))
    assert process.returncode == 0
    (run,) = wrapper.spooled()
    assert (run / "report-1.sent").exists()
    reports.start()
    wrapper.flush()
    assert reports.whats() == WHOLE and len(reports.runs()) == 1


@pytest.mark.parametrize("at", WHOLE)
def test_a_lost_answer_is_sent_again(wrapper, reports, at):
    """The connection breaks behind each call once: the server has it, and we do not know."""
    lost = []

    def answer(call):
        if call.what == at and not lost:
            lost.append(call)
            raise ConnectionError

    reports.answer = answer
    wrapper.run()
    wrapper.flush()
    assert lost and reports.whats() == WHOLE
    assert not wrapper.spooled()


def test_times_at_the_end_are_bounded(wrapper, reports):
    """A server that takes everything and answers nothing more: ten seconds at most."""
    held = threading.Event()
    reports.answer = lambda call: held.wait(60) and None if call.what != "3" else None
    before = time.monotonic()
    done = wrapper.run()
    took = time.monotonic() - before
    held.set()
    assert 8 < took < 25 * SLOWNESS
    assert "no answer in time" in done.err and len(wrapper.spooled()) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_tries_at_the_end_are_bounded(wrapper, reports, status):
    """A server that is there and never able: the last try is made in time, and what it answered is said."""
    reports.answer = lambda call: status if call.what != "3" else None
    before = time.monotonic()
    done = wrapper.run()
    assert time.monotonic() - before < 25 * SLOWNESS
    assert len(reports.calls) > 3
    assert f"not reported yet: the server answered {status}" in done.err and len(wrapper.spooled()) == 1


def test_a_signal_ends_the_waiting_at_the_end(wrapper, reports):
    held = threading.Event()
    seen = threading.Event()

    def answer(call):
        if call.what == "10":
            seen.set()
            held.wait(60)

    reports.answer = answer
    process = wrapper.start()
    assert seen.wait(net(20))
    before = time.monotonic()
    process.terminate()
    assert process.wait(net(20)) == 0
    assert time.monotonic() - before < 8 * SLOWNESS, "it would wait for ten seconds"
    held.set()
    assert "not reported yet" in process.communicate()[1] and len(wrapper.spooled()) == 1


def test_a_busy_server_is_tried_again(wrapper, reports):
    busy = [503, 429, 500]
    reports.answer = lambda call: busy.pop() if call.what == "10" and busy else None
    done = wrapper.run()
    assert done.err == "" and reports.whats() == WHOLE and not busy


def test_one_run_that_fails_does_not_hold_up_the_others(wrapper, reports):
    away(wrapper, reports, 3)
    second = int(wrapper.spooled()[1].name.split("-")[1])
    reports.answer = lambda call: 500 if call.run == second else None
    done = wrapper.flush(code=1)
    assert done.stdout == "sent 2, refused 0, left 1\n" and "answered 500" in done.stderr
    assert [run.name.split("-")[1] for run in wrapper.spooled()] == [str(second)]


# ---- the server does not want it ----


def test_a_refused_report_is_set_aside(wrapper, reports):
    reports.answer = lambda call: 400
    done = wrapper.run()
    assert done.err.count("\n") == 1 and "refused: the server answered 400: The request was invalid." in done.err
    assert '{"job_id": "is wrong"}' in done.err and "rejected" in done.err
    (run,) = wrapper.spooled("rejected")
    assert "answered 400" in (run / "reason.txt").read_text() and not wrapper.spooled()
    # Once: the report of the end was not tried, and neither does the next run.
    assert len(reports.calls) == 1
    reports.answer = lambda call: None
    wrapper.run()
    assert reports.whats() == WHOLE and len(wrapper.spooled("rejected")) == 1
    done = wrapper.flush()
    assert done.stdout == "sent 1, refused 0, left 0\n"
    assert reports.whats() == WHOLE * 2 and not wrapper.spooled("rejected")


def test_a_web_page_is_no_answer(wrapper, reports):
    """A wrong address where something else answers 200 to everything: nothing is lost."""
    reports.text = "<html>Sign in</html>"
    done = wrapper.run()
    assert "refused: what answered 200 is not Posthorn: is the address right?" in done.err
    assert len(wrapper.spooled("rejected")) == 1 and len(reports.calls) == 1
    reports.text = None
    reports.clear()
    wrapper.flush()
    assert reports.whats() == WHOLE


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_token_is_said(wrapper, reports, status):
    reports.answer = lambda call: status
    done = wrapper.run()
    assert f"the server answered {status}" in done.err and TOKEN not in done.err
    assert len(wrapper.spooled("rejected")) == 1
    done = wrapper.flush(code=1)
    assert f"answered {status}" in done.stderr


def test_a_wrong_token_leaves_older_runs_where_they_are(wrapper, reports):
    away(wrapper, reports, 2)
    reports.answer = lambda call: 401
    wrapper.run()
    assert len(reports.calls) == 2 and len(wrapper.spooled()) == 2 and len(wrapper.spooled("rejected")) == 1


@pytest.mark.parametrize("status", [413, 409, 422])
def test_an_unwanted_artifact_is_left_out(wrapper, reports, status):
    reports.answer = lambda call: status if call.what == "manifest.json" else None
    done = wrapper.run()
    assert done.err.startswith("posthorn: not all artifacts were taken: manifest.json: the server answered")
    assert reports.whats() == ["3", "10", "run_results.json", "ingested"] and not wrapper.spooled()


def test_a_conflict_at_the_start_is_a_lost_answer(wrapper, reports):
    reports.answer = lambda call: 409 if call.what == "3" else None
    done = wrapper.run()
    assert done.err == "" and reports.whats() == WHOLE[1:]


# ---- several processes, and what dies ----


def test_two_runs_at_once_share_a_spool(wrapper, reports):
    away(wrapper, reports, 6)
    both = [wrapper.start() for _ in range(3)]
    for process in both:
        _, err = process.communicate(timeout=net(60))
        assert process.returncode == 0 and err == ""
    assert len(reports.runs()) == 9 and not wrapper.spooled()
    for run in reports.runs():
        assert reports.whats(run) == WHOLE


def test_a_run_that_is_on_is_left_alone(wrapper, reports):
    wrapper.dbt("read line; exit 0")
    reports.stop()
    process = wrapper.start(stdin=subprocess.PIPE)
    wait_for(wrapper.spooled, 10, "the run is in the spool")
    reports.answer = lambda call: 503  # the process itself gets nothing through
    reports.start()
    assert wrapper.flush().stdout == "sent 0, refused 0, left 0\n"
    reports.answer = lambda call: None
    process.communicate("go\n", timeout=net(20))
    assert reports.whats()[-2:] == ["10", "ingested"]


def test_a_killed_wrapper_leaves_a_run_that_ends_as_an_error(wrapper, reports):
    wrapper.dbt("echo $$ >$ROOT/pid; read line; echo x >$ROOT/done")
    process = wrapper.start(stdin=subprocess.PIPE)
    wait_file(wrapper.root / "pid")
    wait_for(lambda: [*wrapper.spool.glob("*/report-1.sent")], 10, "it is noted that the start was told")
    process.kill()
    process.stdin.write("go\n")  # dbt goes on without it
    process.communicate()
    wait_file(wrapper.root / "done")
    # The run is locked until the witness has seen that the wrapper is gone.
    wait_for(lambda: wrapper.flush().stdout == "sent 1, refused 0, left 0\n", 10, "the run is sent", step=0.2)
    assert reports.whats() == ["3", "20", "ingested"]
    start, end = (call.report for call in reports.taken()[:2])
    assert "cut off" in end["status_message"] and end["job_id"] == start["job_id"]
    assert end["finished_at"] > end["started_at"] == start["started_at"]


def test_halves_of_runs_are_no_runs(wrapper, reports):
    """What killed processes leave: a run without a name, one half removed, one without its target."""
    away(wrapper, reports)
    (run,) = wrapper.spooled()
    for name in (".new-5", ".removed-x", "00000000000000000001-5"):
        (wrapper.spool / name).mkdir(mode=0o700)
        (wrapper.spool / name / "lock").touch()
    done = wrapper.flush(code=1)
    assert done.stdout == f"sent 1, refused 0, left 0\ndamaged, now in {wrapper.spool}/damaged: 1\n"
    assert "lacks its target" in done.stderr
    assert os.listdir(wrapper.spool) == ["damaged"]
    assert os.listdir(wrapper.spool / "damaged") == ["00000000000000000001-5"]
    assert wrapper.flush().stdout == "sent 0, refused 0, left 0\n"


def break_target(run):
    (run / "target.json").write_text('{"url": "http')


def break_target_type(run):
    (run / "target.json").unlink()
    os.mkfifo(run / "target.json")


def lose_reports(run):
    for name in ("report-1.json", "report-2.json"):
        (run / name).unlink()


def break_first_report(run):
    (run / "report-1.json").unlink()
    (run / "report-1.json").mkdir()


def be_a_file(run):
    shutil.rmtree(run)
    run.touch()


DAMAGES = [break_target, break_target_type, lose_reports, break_first_report, be_a_file]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("how", ["run", "flush"])
def test_damage_is_told_once_and_hinders_nobody(wrapper, reports, damage, how):
    away(wrapper, reports, 3)
    first, *_, third = wrapper.spooled()
    wanted = WHOLE * (2 if how == "flush" else 3)
    damage(first)
    done = wrapper.run() if how == "run" else wrapper.flush(code=1)
    said = done.err if how == "run" else done.stdout + done.stderr
    assert "damaged" in said and str(wrapper.spool / "damaged") in said and said.count(first.name) <= 1
    assert reports.whats() == wanted and third.name.endswith(f"-{reports.runs()[1]}")
    assert not wrapper.spooled() and wrapper.spooled("damaged") == [wrapper.spool / "damaged" / first.name]
    assert wrapper.run().err == "" and wrapper.flush().stderr == ""


def test_an_artifact_that_is_none_is_left_out(wrapper, reports):
    away(wrapper, reports, 2)
    first, _ = wrapper.spooled()
    (first / "artifact.manifest.json").unlink()
    os.mkfifo(first / "artifact.manifest.json")
    done = wrapper.flush()
    assert done.stdout == "sent 2, refused 0, left 0\n" and "manifest.json: " in done.stderr
    assert reports.whats() == [what for what in WHOLE if what != "manifest.json"] + WHOLE


def test_a_run_that_has_lost_its_lock_is_sent(wrapper, reports):
    away(wrapper, reports)
    (run,) = wrapper.spooled()
    (run / "lock").unlink()
    assert wrapper.flush().stdout == "sent 1, refused 0, left 0\n"


def test_what_is_damaged_counts_and_goes_first(wrapper, reports):
    away(wrapper, reports, 2)
    first, second = wrapper.spooled()
    break_target(first)
    (first / "artifact.manifest.json").write_bytes(b"x" * 300_000)
    wrapper.flush(code=1)
    reports.stop()
    done = wrapper.run(flags=["--spool-max", "100KiB"])
    assert f"dropped the oldest in it, {first.name}\n" in done.err
    assert not wrapper.spooled("damaged") and len(wrapper.spooled()) == 1


def test_runs_of_other_servers_and_accounts_stay(wrapper, reports):
    away(wrapper, reports)
    done = wrapper.flush(env={"POSTHORN_ACCOUNT": "8"})
    assert done.stdout == "sent 0, refused 0, left 0\nof other servers or accounts: 1\n"
    with Reports() as other:
        wrapper.run(env={"POSTHORN_URL": other.url})
        assert len(other.runs()) == 1
    assert not reports.calls and len(wrapper.spooled()) == 1
    wrapper.flush()
    assert reports.whats() == WHOLE


# ---- limits ----


def run_beside_a_busy_sender(wrapper, reports, **kwargs):
    """A run with a server that says nothing. What is just being sent is not dropped; until dbt has ended that is the
    wrapper's own run, and none of the older ones."""
    older = {run.name for run in wrapper.spooled()}
    is_asked = wrapper.root / "asked"
    is_asked.unlink(missing_ok=True)
    wrapper.dbt(wrapper.WRITES + f"until test -e {is_asked}; do sleep 0.02; done")

    def answer(call):
        (run,) = [run for run in wrapper.spooled() if run.name.endswith(f"-{call.run}")]
        if run.name not in older:
            is_asked.touch()
            wait_for((run / "complete").exists, 30, "the run to be complete")
        raise ConnectionAbortedError

    reports.answer = answer
    return wrapper.run(timeout=60, **kwargs)


def test_the_oldest_are_dropped_above_the_limit(wrapper, reports):
    (wrapper.root / "manifest.json").write_text('{"metadata": {}, "x": "%s"}' % ("x" * 100_000))
    kept = []
    for number in range(4):  # a run is a little above 100 kB
        done = run_beside_a_busy_sender(wrapper, reports, flags=["--spool-max", "250KiB"])
        kept.append(wrapper.spooled()[-1].name)
        if number < 2:
            assert "is full" not in done.err
    first, second = done.err.splitlines()
    assert first.startswith(f"posthorn: the spool {wrapper.spool} is full: dropped the oldest in it, {kept[1]}")
    assert [run.name for run in wrapper.spooled()] == kept[2:]
    assert sum(path.stat().st_size for run in wrapper.spooled() for path in run.iterdir()) < 250 * 1024


def test_the_oldest_are_dropped_above_a_thousand_runs(wrapper, reports):
    for number in range(1, 1001):
        run = wrapper.spool / f"{number:020}-{number}"
        run.mkdir(mode=0o700, parents=True)
        (run / "lock").touch()
        (run / "target.json").write_text(json.dumps({"url": reports.url, "account": 7, "run": number}))
        (run / "report-1.json").write_text("{}")
    done = run_beside_a_busy_sender(wrapper, reports)
    assert f"dropped the oldest in it, {1:020}-1\n" in done.err
    assert len(wrapper.spooled()) == 1000 and wrapper.spooled()[0].name == f"{2:020}-2"


def test_an_artifact_above_the_limit_is_left_out(wrapper, reports):
    reports.stop()
    (wrapper.root / "manifest.json").write_text('{"metadata": {}, "x": "%s"}' % ("x" * 100_000))
    done = wrapper.run(flags=["--spool-max", "64KiB"])
    assert "manifest.json is not reported: the spool has no room for it" in done.err
    reports.start()
    wrapper.flush()
    assert reports.whats() == ["3", "10", "run_results.json", "ingested"]


def test_a_large_artifact(wrapper, reports):
    """It is sent in pieces: the memory does not hold it."""
    text = b'{"metadata": {}, "x": "' + b"x" * 40_000_000 + b'"}'
    (wrapper.root / "manifest.json").write_bytes(text)
    wrapper.run(timeout=60)
    (call,) = [call for call in reports.taken() if call.what == "manifest.json"]
    assert call.body == text and call.headers["content-length"] == str(len(text))


# ---- where it is ----


def test_the_usual_places(wrapper, reports):
    reports.stop()
    env = {"POSTHORN_SPOOL": None}
    wrapper.run(env=env)
    assert len(list((wrapper.root / ".local/state/posthorn/dbt").glob("0*"))) == 1
    wrapper.run(env={**env, "XDG_STATE_HOME": str(wrapper.root / "state")})
    assert len(list((wrapper.root / "state/posthorn/dbt").glob("0*"))) == 1
    wrapper.run(env=env, flags=["--spool", str(wrapper.root / "own")])
    assert len(list((wrapper.root / "own").glob("0*"))) == 1


def test_without_a_place_for_it(wrapper, reports, tmp_path):
    """A container without a home that can be written to: reports go out all the same, and are lost with the server."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"POSTHORN_SPOOL": "/dev/null/spool", "TMPDIR": str(temporary)}
    done = wrapper.run(env=env)
    assert reports.whats() == WHOLE and done.err.count("\n") == 1
    assert done.err.startswith("posthorn: no spool, so that reports are lost while the server is away: ")
    reports.stop()
    done = wrapper.run(env=env)
    assert "posthorn: the report of the run is lost: no answer" in done.err
    assert not list(temporary.iterdir())
    assert wrapper.flush(code=1, env=env).stderr.startswith("posthorn: no spool")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting takes root")
def test_a_full_disk(wrapper, reports):
    """What does not fit is left out; dbt's exit code is the wrapper's, and the end of the run is reported."""
    mount = 'mkdir -p "$1" && mount -t tmpfs -o size=256k none "$1" && shift && exec "$@"'
    (wrapper.root / "manifest.json").write_text('{"x": "%s"}' % ("x" * 5_000_000))
    wrapper.dbt(wrapper.WRITES + "exit 6")
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", wrapper.spool, BIN, "dbt", "--", "dbt", "build"]
    done = subprocess.run(command, cwd=wrapper.project, env=wrapper.environment(), text=True, capture_output=True,
                          timeout=net(30))
    assert done.returncode == 6
    assert done.stderr.startswith("posthorn: manifest.json is not reported: could not write ")
    assert done.stderr.count("\n") == 1
    assert reports.whats() == ["3", "20", "run_results.json", "ingested"]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting takes root")
def test_a_spool_that_takes_nothing(wrapper, reports):
    """As without a place for it: the report goes out all the same. What lies in the spool goes out too."""
    away(wrapper, reports)
    mount = ('mkdir -p "$1" && mount -t tmpfs -o size=128k none "$1" && cp -r "$2"/. "$1" && '
             '{ cat /dev/zero >"$1/fill" 2>/dev/null; shift 2; exec "$@"; }')
    place = wrapper.root / "place"
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", place, wrapper.spool, BIN, "dbt", "--", "dbt", "build"]
    done = subprocess.run(command, cwd=wrapper.project, env=wrapper.environment(POSTHORN_SPOOL=str(place)), text=True,
                          capture_output=True, timeout=net(30))
    assert done.returncode == 0
    assert done.stderr.startswith("posthorn: no spool, so that reports are lost while the server is away: ")
    assert "No space left on device" in done.stderr and done.stderr.count("\n") == 1
    assert [reports.whats(run) for run in reports.runs()] == [WHOLE, WHOLE]


# ---- against the real server ----


class Account:
    """An account of a server, and a wrapper that reports to it."""

    def __init__(self, server, folder, permission="job_runner"):
        number = next(_accounts)
        self.dbt = Dbt(server, number, make_token(server, number))
        env = {"POSTHORN_TOKEN": make_token(server, number, permission), "POSTHORN_ACCOUNT": str(number)}
        self.wrapper = Wrapper(folder, server.url, env)
        self.wrapper.dbt(self.wrapper.WRITES)

    def get(self, path):
        return self.dbt.request("GET", f"/api/v2/accounts/{self.dbt.account}/{path}").json()

    def runs(self):
        return self.get("runs/")["data"]


def test_what_the_server_keeps(server, tmp_path):
    """Each member of the report arrives as it was meant, and the artifacts byte for byte."""
    account = Account(server, tmp_path)
    env = {"GITHUB_ACTIONS": "true", "GITHUB_WORKFLOW": "Nightly", "GITHUB_EVENT_NAME": "schedule",
           "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "12",
           "GITHUB_REF_NAME": "main", "GITHUB_SHA": "5" * 40}
    account.wrapper.dbt(account.wrapper.WRITES + "exit 1")
    done = account.wrapper.run(flags=["--job", "41", "--name", "x" * 3000, "--environment", "ö"], env=env, code=1)
    assert done.err == ""
    (run,) = account.runs()
    run = account.get(f"runs/{run['id']}/?include_related=[\"run_steps\",\"trigger\",\"job\",\"environment\"]")["data"]
    assert (run["job_definition_id"], run["status"], run["job"]["name"]) == (41, 20, "x" * 1000)
    assert run["status_message"] == "2 of 4 nodes failed: model broken, test not_null_orders_id"
    assert run["href"] == "https://github.example/acme/shop/actions/runs/12"
    assert (run["git_branch"], run["git_sha"], run["dbt_version"]) == ("main", "5" * 40, "1.9.2")
    assert run["environment"]["name"] == "ö" and run["trigger"]["cause"] == "GitHub Actions: Nightly (schedule)"
    (step,) = run["run_steps"]
    assert step["status"] == 20 and "PASS=1 WARN=0 ERROR=2 SKIP=1 TOTAL=4" in step["logs"]
    assert account.get(f"runs/{run['id']}/artifacts/")["data"] == ["manifest.json", "run_results.json"]
    for name in ("manifest.json", "run_results.json"):
        path = f"/api/v2/accounts/{account.dbt.account}/runs/{run['id']}/artifacts/{name}"
        assert account.dbt.request("GET", path).content == (account.wrapper.project / "target" / name).read_bytes()


@pytest.mark.parametrize("env, words", [
    ({"POSTHORN_TOKEN": "wrong"}, "the server answered 401: Invalid token."),
    ({"POSTHORN_ACCOUNT": "999999"}, "the server answered 404: "),
])
def test_what_the_server_refuses(server, tmp_path, env, words):
    account = Account(server, tmp_path)
    done = account.wrapper.run(env=env)
    assert words in done.err and ".." not in done.err and len(account.wrapper.spooled("rejected")) == 1
    assert not account.runs()


def test_a_token_that_may_not_report(server, tmp_path):
    account = Account(server, tmp_path, "job_viewer")
    assert "the server answered 403: " in account.wrapper.run().err


def test_an_artifact_that_is_too_large_for_the_server(tmp_path):
    with Server({"dbt.max_artifact": "1MiB"}) as server:
        account = Account(server, tmp_path)
        (account.wrapper.root / "manifest.json").write_text('{"x": "%s"}' % ("x" * 30_000_000))
        done = account.wrapper.run()
        assert done.err.count("\n") == 1
        assert "not all artifacts were taken: manifest.json: the server answered 413" in done.err
        (run,) = account.runs()
        assert account.get(f"runs/{run['id']}/artifacts/")["data"] == ["run_results.json"]
        assert not account.wrapper.spooled()


def test_every_report_twice_changes_nothing(server, receiver, path, tmp_path):
    """A copy of the spool, as after a crash in front of the last answer, is sent once more: no event comes twice."""
    account = Account(server, tmp_path)
    types = ["job.run.started", "job.run.completed", "job.run.errored"]
    account.dbt.create(receiver.url(path), event_types=types)
    wrapper = account.wrapper
    copy = tmp_path / "copy"
    closed = SilentListener()
    env = {"POSTHORN_URL": f"http://127.0.0.1:{closed.port}"}
    closed.close()
    wrapper.run(env=env)
    (run,) = wrapper.spooled()
    target = run / "target.json"
    target.write_text(target.read_text().replace(env["POSTHORN_URL"], server.url))
    shutil.copytree(run, copy)
    for _ in range(2):
        assert wrapper.flush().stdout == "sent 1, refused 0, left 0\n"
        shutil.copytree(copy, run)
    wrapper.dbt("exit 1")  # what follows comes behind
    shutil.rmtree(run)
    wrapper.run(code=1)
    found = [json.loads(request.body)["eventType"] for request in receiver.wait(path, 5)]
    assert sorted(found) == sorted(types[:2] + types)
