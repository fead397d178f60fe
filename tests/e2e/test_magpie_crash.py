# SPDX-License-Identifier: Apache-2.0
"""Users made by many clients while the server is killed: who was answered is there, and both hooks hear of it."""

import json
import threading

import httpx
from harness.ledger import SEED
from harness.magpie import Magpie, fresh, make_token
from harness.magpie_hooks import hook, write
from harness.server import Server
from harness.wait import wait_for

CLIENTS = 12
KILLS = 3


def test_kill_while_users_are_made(tmp_path, receiver, path):
    payload = {"name": "{{user.name}}", "id": "{{user.id}}"}
    config = write(tmp_path / "hooks.json", hook("one", receiver.url(path + "/one"), payload=payload),
                   hook("two", receiver.url(path + "/two"), payload=payload))
    with Server({"magpie.config_path": config}) as server:
        token = make_token(server, "root")
        answered, stop = {}, threading.Event()

        def create():
            client = Magpie(server, token)
            while not stop.is_set():
                name = fresh("k")
                try:
                    answer = client.request("POST", "/users", {"user_name": name, "email": f"{name}@example.org"})
                except httpx.HTTPError:
                    stop.wait(0.01)
                    continue
                if answer.status_code == 201:
                    answered[name] = answer.json()["user"]["user_id"]

        threads = [threading.Thread(target=create) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for kill in range(KILLS):
            wanted = len(answered) + 100 + (SEED + kill) % 37
            wait_for(lambda: len(answered) >= wanted, 30, lambda: f"{len(answered)} of {wanted} users")
            server.kill()
            server.start()
        wanted = len(answered) + 50
        wait_for(lambda: len(answered) >= wanted, 30)
        stop.set()
        for thread in threads:
            thread.join()

        magpie = Magpie(server, token)
        users = magpie.ok("GET", "/users", params={"detail": "1"})["users"]
        there = {user["user_name"]: user["user_id"] for user in users if user["user_name"].startswith("k")}
        assert answered.items() <= there.items()
        assert len(set(there.values())) == len(there)
        for end in ("/one", "/two"):

            def heard():
                bodies = [json.loads(request.body) for request in receiver.requests(path + end)]
                return {body["name"]: body["id"] for body in bodies}

            # Nobody is missing, and nobody was told of who is not there.
            wait_for(lambda: heard().keys() >= there.keys(), 30, lambda: f"missing {there.keys() - heard().keys()}")
            assert heard() == there
