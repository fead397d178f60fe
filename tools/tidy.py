#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules that no compiler knows. Prints `file:line: text` for each violation and exits 1.

Each rule is a function that takes the tree and yields (path, line number, text): add one to RULES.
With --root DIR another tree is checked.
"""

import argparse
import pathlib
import re
import sys

# Lowest first; a folder may include itself and what stands before it. jq and the store know nothing
# of each other.
RINGS = ["base", "core", ("jq", "db"), "store", "sinks", "flow", "http", "api", "surfaces", "app"]

# The reason is shown. Functions with a single home are allowed there.
BANNED = {
    "strcpy": "no bound", "strcat": "no bound", "sprintf": "no bound", "vsprintf": "no bound",
    "strncpy": "may leave out the NUL", "strncat": "counts the wrong thing",
    "strtok": "hidden state", "gets": "no bound", "alloca": "unbounded stack",
    "atoi": "no errors", "atol": "no errors", "atoll": "no errors", "atof": "no errors",
    "system": "a shell", "popen": "a shell",
    "rand": "use base/random.h", "srand": "use base/random.h", "random": "use base/random.h",
    "drand48": "use base/random.h", "getrandom": "use base/random.h",
    "time": "use base/clock.h", "gettimeofday": "use base/clock.h",
    "clock_gettime": "use base/clock.h",
    "localtime": "hidden state, local zone", "gmtime": "hidden state", "ctime": "hidden state",
    "asctime": "hidden state",
    "setjmp": "skips cleanup", "longjmp": "skips cleanup", "tmpnam": "a race", "mktemp": "a race",
}
HOMES = {"getrandom": "base/random.c", "clock_gettime": "base/clock.c"}
# In a test these only ever hide that it does not wait for a condition.
SLEEPS = {"sleep", "usleep", "nanosleep", "clock_nanosleep"}
# These give back the error they were given, for `return diag_set(...)`.
MAY_DROP = {"diag_set"}

LINE_LENGTH_MAX = {".c": 100, ".h": 100, ".def": 140, ".sql": 100, ".cmake": 100, ".sh": 100,
                   ".py": 120}
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 40

LICENCE = "SPDX-License-Identifier: Apache-2.0"
SKIPPED_FOLDERS = {".git", "build", "var", "node_modules", "__pycache__", ".pytest_cache", "golden",
                   "corpus", "dist"}
# Spelled apart, so that this file does not find itself.
MARKS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")


def blank_comments(text, keep_strings=False):
    """C with comments (and the insides of strings) turned to spaces; lines and columns stay."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'" and keep_strings:
            return token
        edges = token[0] in "\"'"
        body = re.sub(r"[^\n]", " ", token[1:-1] if edges else token)
        return token[0] + body + token[-1] if edges else body
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.DOTALL)


class File:
    def __init__(self, root, path):
        self.path = path.relative_to(root)
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.splitlines()
        self.is_c = path.suffix in (".c", ".h")
        # Python's comment and string rules differ; the rules that read `code` look at C only.
        self.code = blank_comments(self.text) if self.is_c else ""

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1


class Tree:
    SUFFIXES = {".c", ".h", ".def", ".sql", ".py", ".sh", ".cmake", ".ts", ".tsx"}

    def __init__(self, root):
        self.root = root
        self.files = []
        for top in ("src", "tests", "bench", "tools", "cmake", "sql", "console"):
            if not (root / top).is_dir():
                continue
            for path in sorted((root / top).rglob("*")):
                parts = set(path.relative_to(root).parts)
                if path.is_file() and path.suffix in self.SUFFIXES and not parts & SKIPPED_FOLDERS:
                    self.files.append(File(root, path))

    def c_files(self, *tops):
        return [f for f in self.files if f.is_c and (not tops or f.path.parts[0] in tops)]

    def source_folders(self):
        """The folders that hold a room of the house: src/*, and each surface."""
        source = self.root / "src"
        folders = [p for p in sorted(source.glob("*")) if p.is_dir() and p.name != "surfaces"]
        folders += [p for p in sorted((source / "surfaces").glob("*")) if p.is_dir()]
        # A folder with nothing to compile yet holds no promise yet.
        return [p for p in folders if any(p.glob("*.c"))]


def ring_of(folder):
    for position, ring in enumerate(RINGS):
        if folder == ring or (isinstance(ring, tuple) and folder in ring):
            return position
    return None


def rule_includes(tree):
    """Includes go down the rings only, are written from src/, and respect private headers."""
    pattern = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)
    for file in tree.c_files("src"):
        code = blank_comments(file.text, keep_strings=True)
        own_parts = file.path.parts[1:]
        own_ring = ring_of(own_parts[0])
        if own_ring is None:
            yield file.path, 1, f"src/{own_parts[0]} is in no ring (RINGS in tools/tidy.py)"
            continue
        first = True
        for match in pattern.finditer(code):
            target = match.group(1)
            line = file.line_of(match.start())
            parts = target.split("/")
            own_header = file.path.with_suffix(".h")
            if first and file.path.suffix == ".c" and (tree.root / own_header).exists() \
                    and pathlib.Path("src") / target != own_header:
                yield file.path, line, f"the file's own header {own_header.name} comes first"
            first = False
            if not (tree.root / "src" / target).is_file():
                yield file.path, line, f'"{target}" is not a path from src/'
                continue
            yield from include_faults(file.path, line, own_parts, own_ring, parts)


def include_faults(path, line, own_parts, own_ring, parts):
    target_ring = ring_of(parts[0])
    target = "/".join(parts)
    if target_ring is None or target_ring > own_ring:
        yield path, line, f"{own_parts[0]}/ may not include {target}: it stands above"
    elif target_ring == own_ring and parts[0] != own_parts[0]:
        yield path, line, f"{own_parts[0]}/ may not include {target}: it stands beside"
    elif parts[0] == "surfaces" and len(parts) > 2 and len(own_parts) > 2 \
            and own_parts[0] == "surfaces" and parts[1] != own_parts[1]:
        yield path, line, f"one surface may not include another's {target}"
    if parts[-1].endswith("_int.h") and tuple(parts[:-1]) != own_parts[:-1]:
        yield path, line, f"{target} is private to its folder"


def rule_banned_functions(tree):
    """Functions without bounds, with hidden state, or with a single home elsewhere."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")[ \t]*\(")
    for file in tree.c_files("src", "tests", "bench"):
        home = "/".join(file.path.parts[1:])
        # The programs of bench/ stand outside the house and have a clock of their own.
        is_guest = file.path.parts[0] != "src"
        for match in pattern.finditer(file.code):
            name = match.group(1)
            if HOMES.get(name) == home or (is_guest and name in HOMES):
                continue
            yield file.path, file.line_of(match.start()), f"{name}() is banned: {BANNED[name]}"


def rule_no_sleep_in_tests(tree):
    """A test waits for a condition; only the helper that waits may sleep."""
    c_call = re.compile(r"(?<![\w.>])(" + "|".join(sorted(SLEEPS)) + r")[ \t]*\(")
    python_call = re.compile(r"\b(?:time|asyncio)\.sleep\(")
    for file in tree.files:
        if file.path.parts[0] != "tests" or not file.path.name.startswith("test_"):
            continue
        text = file.code if file.is_c else file.text
        for match in (c_call if file.is_c else python_call).finditer(text):
            line = file.line_of(match.start())
            yield file.path, line, "a test waits for a condition, it does not sleep"


def rule_line_length(tree):
    """At most 100 columns; Python may have 120, and a table of one row a line 140."""
    for file in tree.files:
        limit = LINE_LENGTH_MAX.get(file.path.suffix)
        for number, line in enumerate(file.lines, 1):
            if limit is not None and len(line.expandtabs(8)) > limit:
                yield file.path, number, f"{len(line)} columns, at most {limit}"


def rule_file_length(tree):
    """At most 800 lines a file."""
    for file in tree.files:
        if len(file.lines) > FILE_LINES_MAX:
            yield file.path, len(file.lines), f"{len(file.lines)} lines, at most {FILE_LINES_MAX}"


def rule_function_length(tree):
    """At most 70 lines between the braces of a function, which stand in column 0."""
    for file in tree.c_files():
        start = None
        for number, line in enumerate(file.code.splitlines(), 1):
            if line.rstrip() == "{":
                start = number
            elif line.startswith("}") and start is not None:
                length = number - start - 1
                if length > FUNCTION_LINES_MAX:
                    limit = FUNCTION_LINES_MAX
                    yield file.path, start, f"function of {length} lines, at most {limit}"
                start = None


def rule_licence_line(tree):
    """The licence stands on the first line of every C file."""
    for file in tree.c_files():
        if not file.lines or file.lines[0] != f"/* {LICENCE} */":
            yield file.path, 1, f"the first line is not /* {LICENCE} */"


def rule_include_guards(tree):
    """PH_<DIR>_<FILE>_H, from the path below src/."""
    for file in tree.c_files("src"):
        if file.path.suffix == ".h":
            words = "_".join(file.path.with_suffix("").parts[1:])
            guard = "PH_" + re.sub(r"\W", "_", words).upper() + "_H"
            if f"#ifndef {guard}\n#define {guard}\n" not in file.text:
                yield file.path, 1, f"the include guard is not {guard}"


def rule_folder_readmes(tree):
    """Each folder of src/ explains itself in at most 40 lines."""
    for folder in tree.source_folders():
        readme = folder / "README.md"
        path = readme.relative_to(tree.root)
        if not readme.is_file():
            yield path, 1, "missing: job, owner thread, invariants, how to add one more"
            continue
        count = len(readme.read_text(encoding="utf-8").splitlines())
        if count > README_LINES_MAX:
            yield path, count, f"{count} lines, at most {README_LINES_MAX}"


def rule_no_marks(tree):
    """Work that is left over is an issue, not a comment."""
    for file in tree.files:
        for number, line in enumerate(file.lines, 1):
            match = MARKS.search(line)
            if match:
                yield file.path, number, f"{match.group(0)}: finish it or file an issue"


def looks_like_path(tree, word):
    if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word) or word.split("/")[0] in ("build", "var"):
        return False
    if re.search(r"\w\.(c|h|def|sql|py|md|sh|cmake|def|ts|tsx)$", word):
        return True
    first = word.split("/")[0]
    return "/" in word and ((tree.root / first).is_dir() or (tree.root / "src" / first).is_dir())


def rule_dead_references(tree):
    """What a page names in backticks and looks like a file exists."""
    pages = [tree.root / name for name in
             ("ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "GLOSSARY.md")]
    pages += sorted((tree.root / "src").rglob("README.md"))
    for page in pages:
        if not page.is_file():
            continue
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for word in re.findall(r"`([^`\s]+)`", line):
                homes = (tree.root, tree.root / "src", page.parent, tree.root / "tests")
                if looks_like_path(tree, word) and \
                        not any(any(home.glob(word.rstrip("/"))) for home in homes):
                    yield page.relative_to(tree.root), number, f"`{word}` does not exist"


def rule_nodiscard(tree):
    """Nobody may drop an error: each prototype that returns enum ph_error is PH_NODISCARD."""
    pattern = re.compile(r"\benum\s+ph_error\s+(\w+)\s*\(")
    for file in tree.c_files("src"):
        if file.path.suffix != ".h":
            continue
        # Directives end a declaration too, but hold no semicolon.
        code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", ";", m.group(0)),
                      file.code, flags=re.MULTILINE)
        for match in pattern.finditer(code):
            start = max(code.rfind(mark, 0, match.start()) for mark in ";{}")
            name = match.group(1)
            if name not in MAY_DROP and "PH_NODISCARD" not in code[start + 1:match.start()]:
                yield file.path, file.line_of(match.start()), f"{name}() lacks PH_NODISCARD"


RULES = [rule_includes, rule_banned_functions, rule_no_sleep_in_tests, rule_line_length,
         rule_file_length, rule_function_length, rule_licence_line, rule_include_guards,
         rule_folder_readmes, rule_no_marks, rule_dead_references, rule_nodiscard]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    tree = Tree(arguments.root)
    failed = 0
    for rule in RULES:
        violations = list(rule(tree))
        for path, line, text in violations:
            print(f"{path}:{line}: {text}")
        failed += bool(violations)
    print(f"{len(RULES) - failed} checks passed, {failed} failed ({len(tree.files)} files)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
