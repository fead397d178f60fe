# SPDX-License-Identifier: Apache-2.0
"""The receiver and the verifier are instruments: these tests calibrate them without the server."""

import base64
import http.client
import socket
import threading
from datetime import datetime, timezone

import pytest
import standardwebhooks
from harness import prometheus, signatures, wait
from harness.receiver import Reply, SilentListener
from harness.wait import net, wait_for

pytestmark = pytest.mark.smoke


def post(receiver, path, body=b"{}", headers=()):
    connection = http.client.HTTPConnection(receiver.host, receiver.port, timeout=10)
    connection.request("POST", path, body, dict(headers))
    return connection, connection.getresponse()


def test_records_bytes_and_header_order(receiver, path):
    body = b'{ "b": 1,\t"a" : "\xc3\xa9" }\n'
    connection, response = post(receiver, path, body, [("X-One", "1"), ("x-two", "2")])
    assert response.status == 204
    request = receiver.wait(path)[0]
    assert request.body == body
    names = [name for name, _ in request.headers]
    assert names.index("X-One") < names.index("x-two")
    connection.close()


def test_script_is_used_in_order_and_repeats(receiver, path):
    receiver.script(path, Reply(503, [("Retry-After", "7")]), Reply(200, body=b"ok"))
    seen = []
    for _ in range(3):
        connection, response = post(receiver, path)
        seen.append((response.status, response.getheader("Retry-After"), response.read()))
        connection.close()
    assert seen == [(503, "7", b""), (200, None, b"ok"), (200, None, b"ok")]


def test_keep_alive_is_one_connection(receiver, path):
    connection, response = post(receiver, path)
    response.read()
    connection.request("POST", path, b"{}")
    connection.getresponse().read()
    first, second = receiver.wait(path, 2)
    assert first.connection == second.connection
    connection.close()


@pytest.mark.parametrize("reply", [Reply(close=True), Reply(reset=True)])
def test_close_without_an_answer(receiver, path, reply):
    receiver.script(path, reply)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        post(receiver, path)


def test_hold_counts_as_in_flight(receiver, path):
    gate = threading.Event()
    receiver.script(path, Reply(200, hold=gate))
    thread = threading.Thread(target=lambda: post(receiver, path)[0].close())
    thread.start()
    wait_for(lambda: receiver.in_flight(path) == 1, 5, "the request to be in flight")
    gate.set()
    thread.join(net(10))
    wait_for(lambda: receiver.in_flight(path) == 0, 5, "the request to be answered")
    assert receiver.max_in_flight(path) == 1


def test_hang_notices_that_the_peer_left(receiver, path):
    receiver.script(path, Reply(hang=True))
    with socket.create_connection((receiver.host, receiver.port)) as conn:
        conn.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path.encode())
        request = receiver.wait(path)[0]
    wait_for(lambda: request.peer_closed, 5, "the receiver to notice")


def test_drip_has_no_end(receiver, path):
    receiver.script(path, Reply(200, drip=0.01))
    connection, response = post(receiver, path)
    assert response.status == 200
    assert response.read(3) == b"..."
    connection.close()


def test_endless_headers_and_huge_bodies_stop_with_the_peer(receiver, path):
    receiver.script(path, Reply(endless_headers=True), Reply(200, huge=1 << 30))
    for number in (1, 2):
        with socket.create_connection((receiver.host, receiver.port)) as conn:
            conn.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path.encode())
            assert len(conn.recv(65536)) > 0
            request = receiver.wait(path, number)[number - 1]
        wait_for(lambda: request.peer_closed, 5, "the receiver to notice")
        assert request.sent_bytes < 1 << 28


def test_silent_listener_counts():
    listener = SilentListener()
    assert listener.connections() == 0
    socket.create_connection(("127.0.0.1", listener.port)).close()
    wait_for(lambda: listener.connections() == 1, 5, "the connection to be seen")
    listener.close()


def test_a_wait_fails_when_nothing_comes(receiver, path, monkeypatch):
    monkeypatch.setattr(wait, "NET_S", 0)
    with pytest.raises(AssertionError):
        receiver.wait(path, timeout=0.05)
    with pytest.raises(AssertionError, match="the moon"):
        wait_for(lambda: False, 0.02, "the moon")


class _Fixed:
    """A recorded request with given headers, for the published vectors."""

    def __init__(self, headers, body):
        self.headers, self.body = headers, body

    def header(self, name):
        return self.headers.get(name)


VECTORS = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
    (
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    ),
]


@pytest.mark.parametrize("key, message_id, timestamp, body, signature", VECTORS)
def test_verifier_agrees_with_the_published_vectors(key, message_id, timestamp, body, signature):
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v2,xx {signature}"}
    assert signatures.position_of(key, _Fixed(headers, body)) == 1
    assert not signatures.verifies(key, _Fixed(headers, body + b" "))
    headers["webhook-timestamp"] = str(timestamp + 1)
    assert not signatures.verifies(key, _Fixed(headers, body))


def test_verifier_agrees_with_the_official_library():
    secret = signatures.new_symmetric()
    now = datetime.now(timezone.utc)
    signed = standardwebhooks.Webhook(secret).sign("msg_1", now, '{"a":1}')
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signed}
    assert signatures.verifies(secret, _Fixed(headers, b'{"a":1}'))


def test_asymmetric_keys_have_the_wire_form():
    secret, public = signatures.new_asymmetric()
    raw = base64.b64decode(secret.removeprefix("whsk_"))
    assert len(raw) == 64 and raw[32:] == base64.b64decode(public.removeprefix("whpk_"))


def test_prometheus_parser_accepts_and_refuses():
    good = (
        "# HELP a_total Things\n# TYPE a_total counter\na_total 3\n"
        '# HELP h_seconds Time\n# TYPE h_seconds histogram\nh_seconds_bucket{le="0.1"} 1\n'
        'h_seconds_bucket{le="+Inf"} 2\nh_seconds_sum 0.3\nh_seconds_count 2\n'
    )
    metrics = prometheus.parse(good)
    assert metrics.value("a_total") == 3
    for bad in (
        "a_total 3\n",  # no TYPE
        "# TYPE a_total counter\na_total x\n",
        "# TYPE a_total counter\na_total -1\n",
        "# TYPE a counter\n# TYPE a counter\na 1\n",
        '# TYPE h histogram\nh_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n',
        "# TYPE a_total counter\na_total 3",  # no newline at the end
    ):
        with pytest.raises(ValueError):
            prometheus.parse(bad)
