# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end suites. `server` is shared by a whole module; tests stay apart by applications and
organisations of their own. With `-n` whole modules run side by side, each in one worker."""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.api import unique  # noqa: E402
from harness.ledger import SEED  # noqa: E402
from harness.receiver import Receiver  # noqa: E402
from harness.server import Server, run  # noqa: E402

os.environ["POSTHORN_CRASH_SEED"] = str(SEED)  # the workers' too

# Whoever started the tests in the background may have had these ignored, and what the tests start would inherit that.
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# The modules that take long begin first, so that no worker is left alone with one at the end.
LONGEST_FIRST = [
    f"test_{name}.py"
    for name in """properties dbt_core cli stream faults crash disk_full metrics hostile store_care clock magpie_sign_in
    dbt_spool delivery restart power errors guard_world payload_check""".split()
]


def pytest_report_header():
    return f"seed of the crash tests: {SEED} (POSTHORN_CRASH_SEED)"


def pytest_collection_modifyitems(items):
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="module")
def server():
    """A server with the defaults of the suites. It must still run, and end with 0, when the module is done."""
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def api(server):
    """A client of the default organisation."""
    return server.api()


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def app(api):
    """A new application."""
    return api.new_app()


@pytest.fixture
def data(tmp_path):
    """A data directory with an up-to-date, empty store, on which no server runs."""
    run("migrate", data=tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def path():
    """A receiver path that no other test uses."""
    return "/" + unique("hook")


@pytest.fixture
def org(server):
    """A client of a new, empty organisation."""
    letters = unique("o").replace("-", "")
    return server.api(server.jwt("org_" + letters.rjust(27, "0")))


@pytest.fixture
def tell(record_property):
    """Says something that the end of the run repeats, whichever worker the test was in."""

    def say(text):
        print(text)
        record_property("told", text)

    return say


def pytest_terminal_summary(terminalreporter):
    for reports in list(terminalreporter.stats.values()):
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, text in report.user_properties:
                    if name == "told":
                        terminalreporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every server among its fixtures."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server):
                report.sections.append((f"log of {name}", value.log()[-4000:]))
    return report
