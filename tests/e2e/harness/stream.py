# SPDX-License-Identifier: Apache-2.0
"""A follower of an application: reads server-sent events in a thread of its own. Written without a
library, so that it is strict: a field that the API does not use, or a stream that is not one, fails
the test."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from typing import Optional

import httpx

from .wait import net, wait_for


@dataclass
class Event:
    name: str
    id: Optional[str]
    data: dict


class Follower:
    """Connects at once; `last` resumes behind that event. Leave it with close(), or as a context manager."""

    def __init__(self, server, token, app_id, last=None, verify=False, **params):
        headers = {"Authorization": f"Bearer {token}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        self.events = []
        self.last_id = last  # as a browser keeps it: also of what is no event
        self.comments = 0
        self.is_over = False
        self.is_broken = False  # the connection ended without the answer's end
        self.problem = None
        self._client = httpx.Client(timeout=httpx.Timeout(net(30)), trust_env=False, verify=verify)
        url = f"{server.url}/api/v1/app/{app_id}/stream"
        request = self._client.build_request("GET", url, headers=headers, params=params)
        self.response = self._client.send(request, stream=True)
        if self.response.status_code != 200:
            self.response.read()
            self.is_over = True
            return
        assert self.response.headers["content-type"] == "text/event-stream"
        self._socket = self.response.extensions["network_stream"].get_extra_info("socket")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            fields = {}
            for line in self.response.iter_lines():
                if line == "":
                    self._end_block(fields)
                    fields = {}
                elif line.startswith(":"):
                    self.comments += 1
                else:
                    name, value = line.split(": ", 1)
                    assert name in ("id", "event", "data", "retry") and name not in fields, line
                    fields[name] = value
            assert not fields, f"the stream ended within an event: {fields}"
        except httpx.TransportError:
            self.is_broken = True
        except Exception as problem:  # shown by the test that waits
            self.problem = problem
        self.is_over = True

    def _end_block(self, fields):
        if "data" in fields:
            self.events.append(Event(fields["event"], fields.get("id"), json.loads(fields["data"])))
        else:
            assert set(fields) <= {"retry", "id"}, fields
        self.last_id = fields.get("id", self.last_id)

    def ids(self, name=None):
        return [event.id for event in list(self.events) if name in (None, event.name)]

    def wait(self, condition, timeout=15.0, what=None):
        def holds():
            assert self.problem is None, repr(self.problem)
            return condition(self)

        def words():
            return f"{what or condition}; there are {len(self.events)} events, the last {self.events[-3:]}"

        return wait_for(holds, timeout, words)

    def wait_count(self, count, name=None, timeout=15.0):
        """The events, as soon as there are at least `count`."""
        self.wait(lambda f: len(f.ids(name)) >= count, timeout, f"{count} events")
        return [event for event in list(self.events) if name in (None, event.name)]

    def wait_over(self, timeout=15.0):
        self.wait(lambda f: f.is_over, timeout, "the end of the stream")

    def close(self):
        """Hang up, although a thread reads."""
        if not self.is_over:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(net(10))
        self.response.close()
        self._client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
