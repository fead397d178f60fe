# SPDX-License-Identifier: Apache-2.0
"""The real dbt, with duckdb, in an environment of its own, and a project for it."""

import os
import shutil
import subprocess
from pathlib import Path

from .server import BIN, TOP
from .wait import net
from .wrapper import plain_environment

MODELS = {
    "good.sql": "select 1 as id union all select 2",
    "orders.sql": "select 1 as id union all select null",
    "broken.sql": "select * from {{ ref('good') }} join there_is_no_such_table using (id)",
    "schema.yml": """
models:
  - name: orders
    columns:
      - name: id
        data_tests: [not_null]
""",
}
# It takes until somebody ends it.
ENDLESS = "select sum(a.range * b.range) as id from range(100000000) a, range(100000000) b"


def environment():
    """The folder of the programs; installed on the first call."""
    done = subprocess.run([TOP / "tests/e2e/venv", "venv-dbt", "dbt-requirements.txt", "--only-binary", ":all:"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()) / "bin"


class Project:
    def __init__(self, bin, folder, url, token, account, **models):
        self.bin = bin
        self.folder = folder
        (folder / "models").mkdir(parents=True)
        (folder / "dbt_project.yml").write_text(
            "name: shop\nversion: '1.0'\nprofile: shop\nflags:\n  send_anonymous_usage_stats: false\n")
        (folder / "profiles.yml").write_text(
            f"shop:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: {folder}/shop.duckdb\n"
            "      threads: 1\n")
        for name, text in (models or MODELS).items():
            self.write(name, text)
        self._env = plain_environment({
            "PATH": f"{bin}:{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "POSTHORN_URL": url,
            "POSTHORN_TOKEN": token,
            "POSTHORN_ACCOUNT": str(account),
            "POSTHORN_SPOOL": str(folder.parent / "spool"),
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
            "DO_NOT_TRACK": "1",
        })

    def write(self, name, text):
        (self.folder / "models" / name).write_text(text)

    def environment(self, **more):
        return {**self._env, **more}

    def plain(self, *words):
        return self._run(["dbt", *words])

    def wrapped(self, *words, flags=(), **env):
        return self._run([BIN, "dbt", *flags, "--", "dbt", *words], env)

    def other(self, *words):
        """Wrapped as well, but not dbt."""
        return self._run([BIN, "dbt", "--", *words])

    def forget(self):
        """As if dbt had not been here."""
        shutil.rmtree(self.folder / "target")
        (self.folder / "shop.duckdb").unlink()

    def flush(self):
        return self._run([BIN, "dbt", "--flush"])

    def _run(self, command, env=None):
        return subprocess.run(command, cwd=self.folder, env=self.environment(**(env or {})), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=net(120))
