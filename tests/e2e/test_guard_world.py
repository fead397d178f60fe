# SPDX-License-Identifier: Apache-2.0
"""The address guard in a network where every address leads to one listener: whatever the guard lets
through is seen there. Without root these are skipped; then the rules are held by
tests/unit/test_address.c, the spellings by tests/unit/test_url_host.c, names and changed rules by
tests/unit/test_sink_http_names.c, and test_guard.py sees what reaches loopback."""

import ipaddress
import re

import pytest
from harness import network
from harness.api import FAIL, SUCCESS
from harness.server import Server


pytestmark = [
    pytest.mark.smoke,
    pytest.mark.skipif(not network.is_possible(), reason="needs root and ip(8)"),
]

RANGES = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip
RANGES_6 = [
    "::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10",
    "ff00::/8",
]  # fmt: skip
# Just outside of the ranges, one address on either side where there is one.
OUTSIDE = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1",
    "191.255.255.255", "192.0.1.1", "192.0.3.1", "192.88.98.255", "192.88.100.1",
    "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "198.51.99.255",
    "198.51.101.1", "203.0.112.255", "203.0.114.1", "223.255.255.254", "93.184.216.34",
    "2001:1::1", "2606:4700::1111", "2003::1", "4000::1", "2a00:1450::5",
]  # fmt: skip


def ends(block):
    network_ = ipaddress.ip_network(block)
    middle = network_[network_.num_addresses // 2]
    return sorted({network_[0], network_[-1], middle})


def spellings(address):
    """All the ways to write an IPv4 address in a URL."""
    number = int(address)
    parts = [number >> shift & 255 for shift in (24, 16, 8, 0)]
    a, b, c, d = parts
    high, low = number >> 16, number & 0xFFFF
    return {
        "plain": str(address),
        "decimal": str(number),
        "hex": f"0x{number:08x}",
        "long hex": f"0X{number:020X}",
        "octal": f"0{number:o}",
        "hex parts": ".".join(f"0x{part:x}" for part in parts),
        "octal parts": ".".join(f"0{part:o}" for part in parts),
        "padded octal": ".".join(f"0000{part:04o}" for part in parts),
        "mixed": f"0x{a:x}.{b}.0{c:o}.{d}",
        "three": f"{a}.{b}.{number & 0xFFFF}",
        "two": f"{a}.{number & 0xFFFFFF}",
        "two in hex": f"0x{a:x}.0x{number & 0xFFFFFF:x}",
        "a dot": f"{address}.",
        "escaped": "".join(f"%{ord(letter):02x}" for letter in str(address)),
        "escaped dots": f"{a}%2e{b}%2E{c}.{d}",
        "mapped": f"[::ffff:{address}]",
        "mapped hex": f"[::FFFF:{high:x}:{low:x}]",
        "mapped long": f"[0:0:0:0:0:ffff:{high:04x}:{low:04x}]",
        "compatible": f"[::{address}]",
        "compatible hex": f"[::{high:x}:{low:x}]",
        "translated": f"[64:ff9b::{address}]",
        "translated here": f"[64:ff9b:1::{address}]",
        "translated before": f"[::ffff:0:{address}]",
        "6to4": f"[2002:{high:x}:{low:x}::1]",
        "with a user": f"93.184.216.34:80@{address}",
    }


WAYS = list(spellings(ipaddress.ip_address("127.0.0.1")))


class World:
    """The parts within the network; made and used there only."""

    def __init__(self):
        self.trap = network.Trap()
        self.names = {}
        self.name_server = network.NameServer(lambda name: self.names.get(name))
        self.server = Server({"allow_subnets": None, "retry_schedule": ""}).start()
        self.api = self.server.api()

    def close(self):
        self.server.close()
        self.name_server.close()
        self.trap.close()

    def send_to(self, hosts, scheme="http"):
        """What one message to each of these hosts comes to: host -> attempt."""
        out = {}
        for start in range(0, len(hosts), 200):
            app = self.api.new_app()
            some = {}
            for host in hosts[start : start + 200]:
                url = f"{scheme}://{host}:{self.trap.port}/"
                some[self.api.new_endpoint(app, url)["id"]] = host
            message = self.api.send(app)
            attempts = self.api.wait_attempts(app, message, len(some), limit=250)
            out.update((some[attempt["endpointId"]], attempt) for attempt in attempts)
        assert len(out) == len(set(hosts))
        return out


@pytest.fixture(scope="module")
def net():
    made = network.Network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(net):
    made = net.run(World)
    yield made
    net.run(made.close)


def is_refused(attempt, host):
    assert (attempt["status"], attempt["responseStatusCode"]) == (FAIL, 0), (host, attempt)
    assert re.match("address .+ is not allowed: .+", attempt["response"]), (host, attempt)


def test_the_world_leads_to_the_trap(net, world):
    """The control: what is not forbidden does arrive, so that silence means something."""
    hosts = [f"[{each}]" if ":" in each else each for each in OUTSIDE]
    out = net.run(world.send_to, hosts)
    for host, attempt in out.items():
        assert attempt["status"] == SUCCESS, (host, attempt)
    reached = set(world.trap.reached())
    assert reached == set(OUTSIDE), reached ^ set(OUTSIDE)


@pytest.mark.parametrize("way", WAYS)
def test_no_spelling_of_a_range_is_reached(net, world, way):
    hosts = [spellings(address)[way] for block in RANGES for address in ends(block)]
    out = net.run(world.send_to, hosts)
    assert world.trap.reached() == []
    for host, attempt in out.items():
        is_refused(attempt, host)


def test_no_range_of_ipv6_is_reached(net, world):
    hosts = [f"[{address}]" for block in RANGES_6 for address in ends(block)]
    hosts += [f"[{ipaddress.ip_address(h[1:-1]).exploded.upper()}]" for h in hosts]
    for scheme in ("http", "https"):
        out = net.run(world.send_to, hosts, scheme)
        assert world.trap.reached() == []
        for host, attempt in out.items():
            is_refused(attempt, host)


def test_no_name_leads_into_a_range(net, world):
    """Names with one address of a range each, IPv4 and IPv6, and the names of this machine."""
    addresses = [str(address) for block in RANGES + RANGES_6 for address in ends(block)]
    addresses += ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]
    hosts = ["localhost", "LocalHost.", "listed.test", "any.localhost"]
    world.names["localhost"] = ["127.0.0.1", "::1"]
    for position, address in enumerate(addresses):
        host = f"n{position}.test"
        world.names[host] = [address]
        hosts.append(host)
    out = net.run(world.send_to, hosts)
    assert world.trap.reached() == []
    for host, attempt in out.items():
        is_refused(attempt, host)


def test_a_name_with_good_and_bad_addresses(net, world):
    """Only the good ones are tried, wherever they stand."""
    good = ["93.184.216.34", "2606:4700::1111"]
    for address in good:
        for bad in ("127.0.0.1", "10.0.0.1", "::1", "fd00::1"):
            for order in ([address, bad], [bad, address]):
                world.names[f"m{len(world.names)}.test"] = order
    hosts = [name for name in world.names if name.startswith("m")]
    out = net.run(world.send_to, hosts)
    assert all(attempt["status"] == SUCCESS for attempt in out.values()), out
    assert set(world.trap.reached()) == set(good)


def test_a_name_that_is_bound_again(net, world):
    """A name server that gives a good address first and a bad one to each later question: there is
    one look-up for a check and its connection. Answers are kept for 30 s; that an old one is looked
    up and judged anew is shown by tests/unit/test_resolver.c and test_sink_http_names.c."""
    good, bad = "93.184.216.34", "127.0.0.1"
    hosts = [f"r{number}.test" for number in range(30)]
    for number, host in enumerate(hosts):
        order = [good, bad] if number % 2 else [bad, good]
        world.names[host] = lambda asked, order=order: [order[min(asked, 1)]]
    first = net.run(world.send_to, hosts)
    second = net.run(world.send_to, hosts)
    for number, host in enumerate(hosts):
        for out in (first, second):
            assert (out[host]["status"] == SUCCESS) == bool(number % 2), (host, out[host])
    assert set(world.trap.reached()) == {good}
    assert all(world.name_server.asked[host, 1] == 1 for host in hosts)


def test_rules_hold_for_what_was_reached_before(net):
    """An endpoint that was open, with its connection and its waiting retry; then the server starts
    with other rules. A change without a restart is in tests/unit/test_sink_http_names.c."""

    def story():
        trap = network.Trap()
        server = Server({"allow_subnets": "10.0.0.0/8", "retry_schedule": "0.05,600"}).start()
        try:
            api = server.api()
            app = api.new_app()
            endpoint = api.new_endpoint(app, f"http://10.1.2.3:{trap.port}/")
            assert api.wait_final(app, api.send(app), endpoint)[0]["status"] == SUCCESS
            assert trap.reached() == ["10.1.2.3"]
            server.stop()
            server.settings["allow_subnets"] = "10.9.0.0/16"
            server.start()
            message = api.send(app)
            for attempt in api.wait_attempts(app, message, 2):
                is_refused(attempt, "10.1.2.3")
            assert trap.reached() == []
        finally:
            server.close()
            trap.close()

    net.run(story)


def test_no_proxy_leads_around(net):
    """Proxies of the environment on allowed addresses: neither do they see anything, nor does a
    forbidden address become reachable through them."""

    def story():
        trap = network.Trap()
        names = ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"]
        for scheme in ("http", "socks5h"):
            env = {name: f"{scheme}://93.184.216.34:{trap.port}" for name in names}
            with Server({"allow_subnets": None, "retry_schedule": ""}, env=env) as server:
                api = server.api()
                app = api.new_app()
                private = api.new_endpoint(app, f"http://10.1.2.3:{trap.port}/")
                tls = api.new_endpoint(app, f"https://10.1.2.3:{trap.port}/")
                public = api.new_endpoint(app, f"http://93.184.216.35:{trap.port}/")
                message = api.send(app)
                is_refused(api.wait_final(app, message, private)[0], private)
                is_refused(api.wait_final(app, message, tls)[0], tls)
                assert api.wait_final(app, message, public)[0]["status"] == SUCCESS
                assert trap.reached() == ["93.184.216.35"]
        trap.close()

    net.run(story)


HIDDEN = [
    "http://93.184.216.34\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@93.184.216.34/",
    "http://93.184.216.34#@127.0.0.1:{port}/",
    "http://93.184.216.34?@127.0.0.1:{port}/",
    "http://127.0.\t0.1:{port}/",
    "http://127.0.0.1\n:{port}/",
    "http://127。0。0。1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://127.0.0.1%00.test:{port}/",
    "http://[::1]%00.test:{port}/",
    "http://0x7f.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "file://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
]


def test_a_hidden_address_is_found(net, world):
    """Either no URL, or it goes where its host says; never to a forbidden address."""

    def story():
        app = world.api.new_app()
        made = []
        for url in HIDDEN:
            body = {"url": url.format(port=world.trap.port)}
            response = world.api.post(f"/app/{app['id']}/endpoint", body)
            assert response.status_code in (201, 422), (url, response.text)
            if response.status_code == 201:
                made.append(response.json())
        assert 0 < len(made) < len(HIDDEN)
        message = world.api.send(app)
        world.api.wait_attempts(app, message, len(made), timeout=40)

    net.run(story)
    assert [each for each in world.trap.reached() if each != "93.184.216.34"] == []
