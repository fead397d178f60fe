# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition. Nothing here sleeps for a fixed time and hopes."""

import os
import threading
import time

SANITIZED = os.environ.get("POSTHORN_SANITIZED") == "1"

# Sanitizer builds are several times slower; every wait is stretched by the same factor.
SLOWNESS = 4.0 if SANITIZED else 1.0

_NEVER_SET = threading.Event()


def wait_for(condition, timeout=10.0, what=None, step=0.01):
    """Return the first true value of condition(); fail after `timeout` seconds (stretched for sanitizers).

    `what` says in words what was awaited; a callable is asked at the end, so that it can show the last state.
    """
    deadline = time.monotonic() + timeout * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"did not happen within {timeout * SLOWNESS:.1f} s: {words or condition}")
        _NEVER_SET.wait(step)
