#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of tools/tidy.py finds what it is for, at the right place, and nothing in a clean tree."""

import importlib.util
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("tidy", ROOT / "tools" / "tidy.py")
tidy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tidy)

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GUARD = "#ifndef PH_CORE_ID_H\n#define PH_CORE_ID_H\n{}\n#endif\n"
CLEAN = {
    "src/core/README.md": "# core\nSee `core/id.h`, `application/json` and `/api/v1/app/`.\n",
    "src/core/id.h": LICENCE + GUARD.format(
        "PH_NODISCARD enum ph_error id_parse(int a,\n                                    int b);\n"
        "const char *name(enum ph_error error);"),
    "src/core/id.c": LICENCE + '#include "core/id.h"\n\n/* strcpy(a, b) is no call here */\n'
                               'const char *text = "system(1)"; // gets(x)\n',
}


class Rules(unittest.TestCase):
    def violations(self, rule, changes):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**CLEAN, **changes}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return [f"{path}:{line}" for path, line, _ in rule(tidy.Tree(root))]

    def expect(self, rule, changes, *places):
        self.assertEqual(self.violations(rule, {}), [])
        self.assertEqual(self.violations(rule, changes), list(places))

    def test_include_of_a_higher_ring(self):
        self.expect(tidy.rule_includes, {
            "src/flow/flow.h": LICENCE,
            "src/core/other.c": LICENCE + '#include "flow/flow.h"\n'}, "src/core/other.c:2")

    def test_include_of_a_lower_ring_is_fine(self):
        self.expect(tidy.rule_includes, {"src/flow/flow.c": LICENCE + '#include "core/id.h"\n'})

    def test_include_of_a_surface_by_the_api(self):
        self.expect(tidy.rule_includes, {
            "src/surfaces/surface.h": LICENCE,
            "src/api/api.c": LICENCE + '#include "surfaces/surface.h"\n'},
            "src/api/api.c:2")

    def test_include_between_surfaces(self):
        self.expect(tidy.rule_includes, {
            "src/surfaces/surface.h": LICENCE, "src/surfaces/fides/f.h": LICENCE,
            "src/surfaces/dbt/dbt.c":
                LICENCE + '#include "surfaces/surface.h"\n#include "surfaces/fides/f.h"\n'},
            "src/surfaces/dbt/dbt.c:3")

    def test_include_not_from_the_top(self):
        self.expect(tidy.rule_includes, {"src/core/x.c": LICENCE + '#include "id.h"\n'},
                    "src/core/x.c:2")

    def test_own_header_comes_first(self):
        self.expect(tidy.rule_includes, {
            "src/core/x.h": LICENCE,
            "src/core/x.c": LICENCE + '#include "core/id.h"\n#include "core/x.h"\n'},
            "src/core/x.c:2")

    def test_private_header(self):
        self.expect(tidy.rule_includes, {
            "src/core/x_int.h": LICENCE,
            "src/db/y.c": LICENCE + '#include "core/x_int.h"\n'}, "src/db/y.c:2")

    def test_folder_without_a_ring(self):
        self.expect(tidy.rule_includes, {"src/stray/y.c": LICENCE}, "src/stray/y.c:1")

    def test_banned_function(self):
        self.expect(tidy.rule_banned_functions, {
            "src/core/x.c": LICENCE + "\nint y = atoi(z);\nint a = my_atoi(z) + s->time(0);\n"
                                      "clock_gettime(0, NULL);\n",
            "src/base/clock.c": LICENCE + "clock_gettime(0, NULL);\n"},
            "src/core/x.c:3", "src/core/x.c:5")

    def test_sleep_in_a_test(self):
        self.expect(tidy.rule_no_sleep_in_tests, {
            "tests/unit/test_x.c": LICENCE + "usleep(5);\n", "tests/unit/wait.c": "usleep(5);\n",
            "tests/e2e/test_y.py": "import time\ntime.sleep(1)\n"},
            "tests/e2e/test_y.py:2", "tests/unit/test_x.c:2")

    def test_line_length(self):
        self.expect(tidy.rule_line_length, {
            "src/core/x.c": "x" * 100 + "\n" + "x" * 101 + "\n"}, "src/core/x.c:2")

    def test_file_length(self):
        self.expect(tidy.rule_file_length, {
            "src/core/x.c": "\n" * 801, "src/core/y.c": "\n" * 800}, "src/core/x.c:801")

    def test_function_length(self):
        def function(lines):
            return "int f(void)\n{\n" + "    g();\n" * lines + "}\n"
        self.expect(tidy.rule_function_length, {
            "src/core/x.c": function(70) + function(71)}, "src/core/x.c:75")

    def test_licence_line(self):
        self.expect(tidy.rule_licence_line, {"src/core/x.c": "int x;\n"}, "src/core/x.c:1")

    def test_include_guard(self):
        self.expect(tidy.rule_include_guards, {"src/core/x.h": LICENCE + "#pragma once\n"},
                    "src/core/x.h:1")

    def test_readme_is_missing_or_long(self):
        self.expect(tidy.rule_folder_readmes, {
            "src/db/x.c": "", "src/core/README.md": "x\n" * 41},
            "src/core/README.md:41", "src/db/README.md:1")

    def test_mark(self):
        self.expect(tidy.rule_no_marks, {"src/core/x.c": "\n/* TO" + "DO: later */\n"},
                    "src/core/x.c:2")

    def test_dead_reference(self):
        self.expect(tidy.rule_dead_references, {
            "ARCHITECTURE.md": "`src/core/id.c` `core/gone.c`\n`src/gone/` `build/x/y.c`\n",
            "src/core/README.md": "`id.c` `gone.h` `core/*.c`\n"},
            "ARCHITECTURE.md:1", "ARCHITECTURE.md:2", "src/core/README.md:1")

    def test_nodiscard(self):
        self.expect(tidy.rule_nodiscard, {
            "src/core/x.h": LICENCE + "#define X 1\nPH_NODISCARD static inline enum ph_error a(void);\n"
                                      "/* PH_NODISCARD */\nenum ph_error b(int c);\n"},
            "src/core/x.h:5")


if __name__ == "__main__":
    unittest.main()
