# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition. Nothing here sleeps for a fixed time and hopes."""

import os
import threading
import time

SANITIZED = os.environ.get("POSTHORN_SANITIZED") == "1"

# Sanitizer builds are several times slower; every wait is stretched by the same factor.
SLOWNESS = 4.0 if SANITIZED else 1.0

# No wait gives up before: its end is a safety net for a server that does not come to it, never a measurement.
NET_S = 60.0

_NEVER_SET = threading.Event()


def net(seconds):
    """How long to wait for what is usually there within so many seconds."""
    return max(seconds, NET_S) * SLOWNESS


def happens_within(condition, seconds, step=0.01):
    """Whether condition() becomes true within so many seconds (stretched for sanitizers)."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while not condition():
        if time.monotonic() >= deadline:
            return False
        _NEVER_SET.wait(step)
    return True


def quickest(measure, enough, tries=5):
    """The least of several measurements in seconds (stretched for sanitizers); when one is short enough no more are
    made. What a busy machine adds does not come every time."""
    least = float("inf")
    for _ in range(tries):
        least = min(least, measure() / SLOWNESS)
        if least < enough:
            break
    return least


def wait_for(condition, timeout=10.0, what=None, step=0.01):
    """Return the first true value of condition(); fail after net(timeout) seconds.

    `what` says in words what was awaited; a callable is asked at the end, so that it can show the last state.
    """
    deadline = time.monotonic() + net(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"did not happen within {net(timeout):.1f} s: {words or condition}")
        _NEVER_SET.wait(step)
