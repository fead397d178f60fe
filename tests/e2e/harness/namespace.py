# SPDX-License-Identifier: Apache-2.0
"""A thread with namespaces of its own: its mounts, its network and what it starts are seen by
nobody else, and end with it. Needs root."""

import concurrent.futures
import ctypes
import os

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


class Namespace:
    """run(function) calls it within the namespaces; what it starts stays there."""

    def __init__(self, flags=CLONE_NEWNS):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self.run(self._enter, flags)

    def run(self, function, *args):
        return self._thread.submit(function, *args).result()

    def close(self):
        self._thread.shutdown()

    def mount(self, source, target, kind=None, flags=0, data=None):
        """Call it within."""
        words = [os.fsencode(word) if word is not None else None for word in (source, target, kind, data)]
        self._check(self._libc.mount(*words[:3], flags, words[3]))

    def _enter(self, flags):
        self._check(self._libc.unshare(flags))
        self.mount("none", "/", flags=MS_REC | MS_PRIVATE)

    def _check(self, outcome):
        if outcome != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
