# SPDX-License-Identifier: Apache-2.0
"""Runs js/sdk.test.mjs once against a server and reports each of its cases."""

import re
import subprocess
from pathlib import Path

import pytest
from harness.server import clean_environment
from harness.wait import net

pytestmark = pytest.mark.smoke

FOLDER = Path(__file__).parent / "js"
CASES = re.findall(r'^test\("([^"]+)"', (FOLDER / "sdk.test.mjs").read_text(), re.MULTILINE)

# A line of the TAP report, and the indented block of details that may follow it.
RESULT = re.compile(r"^(not )?ok \d+ - (.*?)(?: # (\w+).*)?$\n((?:^  .*\n)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def results(server):
    """{case: (passed, details)} of one run."""
    env = clean_environment(
        {
            "POSTHORN_TEST_URL": server.url,
            "POSTHORN_TEST_TOKEN": server.org_token,
            "POSTHORN_TEST_EMPTY_ORG_TOKEN": server.jwt("org_" + "0" * 25 + "JS"),
        }
    )
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "sdk.test.mjs"],
        cwd=FOLDER,
        env=env,
        capture_output=True,
        text=True,
        timeout=net(120),
    )
    found = {}
    for failed, name, directive, details in RESULT.findall(done.stdout):
        assert not directive, f"{name} was not run: {directive}"
        found[name] = (not failed, details)
    assert found, f"node reported nothing:\n{done.stdout}\n{done.stderr}"
    assert (done.returncode == 0) == all(passed for passed, _ in found.values()), done.stdout
    return found


@pytest.mark.parametrize("case", CASES)
def test_case(results, case):
    assert case in results, f"node did not report {case!r}"
    passed, details = results[case]
    assert passed, details
