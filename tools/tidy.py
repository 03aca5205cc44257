#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The house lint: reads the sources and says, as file:line: text, where they break CONTRIBUTING.md's rules that can be counted.

Ends with 1 when there is a finding. `--stats` prints sizes instead. It reads text, not C: a function is what stands between a `{`
and a `}` in the first column, which is how the house writes them. People review ideas, this reviews the rest.
"""
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
COLUMNS_MAX = 130

# "file:function" or "file" -> why it may be longer than the rest.
LONG_FUNCTIONS = {}
LONG_FILES = {"tests/unit/test_server.c": "one client and one server rig, shared by all its scenarios"}

# Which folders of src/ a folder may include from, beside itself. main.c may include all.
MAY_INCLUDE = {
    "base": set(),
    "core": {"base"},
    "store": {"base", "core"},
    "http": {"base"},
    "api": {"base", "core", "store", "http"},
    "deliver": {"base", "core", "store", "http"},
    "cli": {"base", "core", "store", "http", "api", "deliver"},
}

# A library's header -> the only files that may include it. The first row that matches counts.
HEADER_OWNERS = [
    (r"sqlite3\.h", r"src/store/(db_sqlite\.c|page_sums\.[ch])"),
    (r"libpq-fe\.h", r"src/store/db_postgres\.c"),
    (r"llhttp\.h", r"src/http/.*"),
    (r"ares\.h", r"src/deliver/resolver\.c"),
    (r"openssl/ssl\.h", r"src/http/.*"),
    (r"openssl/.*", r"src/base/crypto\.c|src/http/tls\.c"),
    (r"yajl/.*", r"src/base/json\.c"),
]

# Files that decide without touching the world, and the system headers that cannot tempt them.
PURE = r"src/core/.*|src/deliver/dispatcher\.[ch]"
# inet_pton and free change nothing but what they are given.
PURE_HEADERS = {"arpa/inet.h", "assert.h", "inttypes.h", "limits.h", "stdbool.h", "stddef.h", "stdint.h",
                "stdio.h", "stdlib.h", "string.h"}

# Calls -> the only files that may make them, and what to use.
CALL_OWNERS = [
    (r"sprintf|vsprintf|strcpy|strcat|strtok|strtok_r|atoi|atol|gets", r"(?!)", "use struct str, struct buf, str_to_i64"),
    (r"malloc|calloc|realloc|strdup|strndup|asprintf", r"src/base/arena\.c", "use an arena, or memory_new"),
    (r"printf|puts|putchar", r"src/cli/.*|src/main\.c", "use log_event"),
    (r"clock_gettime", r"src/base/(clock|mailbox)\.c", "the clock is an argument (base/clock.h)"),
    (r"time|gettimeofday|uv_hrtime", r"src/base/clock\.c", "the clock is an argument (base/clock.h)"),
    (r"getrandom|rand|random|srand|RAND_bytes", r"src/base/clock\.c", "chance is an argument (base/clock.h)"),
]

FAILPOINTS = pathlib.Path("src/base/failpoints.def")

findings = []


def find(path, line, text):
    findings.append((str(path), line, text))


def blank_out(text):
    """The same text with comments and the insides of strings as blanks; lines stay where they are."""
    def blanks(match):
        whole = match.group(0)
        quote = whole[0] if whole[0] in "\"'" else " "
        return quote + re.sub(r"[^\n]", " ", whole[1:-1]) + quote
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blanks, text, flags=re.S)


def read_functions(code):
    """(name, first line, lines, is static, text) of each function in blanked-out C."""
    lines = code.split("\n")
    start = None
    for number, line in enumerate(lines):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start is not None:
            head = start - 1
            while head > 0 and re.match(r"[^}#]*\w[^;]*$", lines[head - 1]):
                head -= 1
            signature = " ".join(lines[head:start]).strip()
            name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", signature))
            yield (name.group(1) if name else "?", head + 1, number - start + 1, signature.startswith("static"),
                   "\n".join(lines[start:number]))
            start = None


def check_lines(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            find(path, number, "trailing blanks")
        if len(line.expandtabs(8)) > COLUMNS_MAX:
            find(path, number, f"{len(line.expandtabs(8))} columns, {COLUMNS_MAX} at most")
        if re.match(r"(<{7}|>{7})( |$)", line):
            find(path, number, "a conflict that was not resolved")
        if re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", line):
            find(path, number, "a note for later: do it now, or leave it out")
    lines_n = text.count("\n")
    if lines_n > FILE_LINES_MAX and str(path) not in LONG_FILES:
        find(path, 1, f"{lines_n} lines, {FILE_LINES_MAX} at most")
    if not text.endswith("\n"):
        find(path, lines_n + 1, "no line end at the end")


def check_head(path, text):
    lines = text.split("\n")
    if path.suffix in (".c", ".h", ".def"):
        if lines[0] != "/* SPDX-License-Identifier: BSD-3-Clause */":
            find(path, 1, "the first line is not the SPDX line")
        if len(lines) < 2 or not lines[1].startswith("/* "):
            find(path, 2, "no head comment behind the SPDX line")
    elif not any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:3]):
        find(path, 1, "no SPDX line in the first three lines")
    if path.suffix == ".h":
        guard = re.search(r"^#ifndef (\w+_H)\n#define (\w+)$", text, re.M)
        wanted = "_".join(path.with_suffix("").parts[1:]).upper() + "_H"
        if not guard or guard.group(1) != guard.group(2):
            find(path, 3, f"no include guard ({wanted})")
        elif path.parts[0] == "src" and guard.group(1) != wanted:
            find(path, 3, f"the include guard is {guard.group(1)}, not {wanted}")


def check_include(path, number, header, is_ours):
    folder = path.parts[1] if len(path.parts) > 2 else "main"
    if is_ours:
        other = header.split("/")[0]
        if folder in MAY_INCLUDE and other != folder and other not in MAY_INCLUDE[folder]:
            find(path, number, f"{folder}/ must not include {header}: wrong direction")
    elif re.fullmatch(PURE, str(path)) and header not in PURE_HEADERS:
        find(path, number, f"this file is pure, <{header}> is not for it")
    for pattern, owner in HEADER_OWNERS:
        if re.fullmatch(pattern, header):
            if not re.fullmatch(owner, str(path)):
                find(path, number, f"<{header}> only in {owner}".replace("\\", ""))
            break


def check_source(path, text):
    """What holds for src/ only."""
    code = blank_out(text)
    for number, line in enumerate(text.split("\n"), 1):
        include = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)", line)
        if include:
            check_include(path, number, include.group(2), include.group(1) == '"' and "/" in include.group(2))
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, owner, instead in CALL_OWNERS:
            call = re.search(rf"(?<![\w.>])({pattern})\s*\(", line)
            if call and not re.fullmatch(owner, str(path)):
                find(path, number, f"{call.group(1)}(): {instead}")
        if path.parts[1] != "base" and re.match(r"static (?!.*\bconst\b)[^()]*(;|= .*)$", line):
            find(path, number, "a global that can change")
    for name, first, lines_n, _, _ in read_functions(code):
        if lines_n > FUNCTION_LINES_MAX and f"{path}:{name}" not in LONG_FUNCTIONS:
            find(path, first, f"{name}() has {lines_n} lines, {FUNCTION_LINES_MAX} at most")


def check_is_built(paths):
    """What no meson.build names is not compiled, or not run."""
    for path in paths:
        folder = path.parent
        builds = [folder / "meson.build", folder.parent / "meson.build", pathlib.Path("src/cli/meson.build")]
        text = "".join((ROOT / build).read_text() for build in builds if (ROOT / build).exists())
        if path.parts[0] == "src" and path.suffix == ".c" and not re.search(rf"['/]{re.escape(path.name)}'", text):
            find(path, 1, "in no meson.build, so it is not compiled")
        if path.parts[0] == "tests" and path.name.startswith("test_") and path.suffix == ".c":
            if f"'{path.stem[5:]}'" not in text and f"'{path.stem}'" not in text and f"'{path.name}'" not in text:
                find(path, 1, "in no meson.build, so it is not run")


def check_failpoints(paths):
    """The list of failpoints and the code name the same places, each once; only failpoint.h compiles them away."""
    listed = re.findall(r'^FAILPOINT_PLACE\("([^"]+)"', (ROOT / FAILPOINTS).read_text(), re.M)
    placed = {}
    for path in paths:
        if path.parts[0] != "src":
            continue
        for number, line in enumerate((ROOT / path).read_text().split("\n"), 1):
            for name in re.findall(r'\bFAILPOINT(?:_ERROR)?\("([^"]+)"\)', line):
                if name in placed:
                    find(path, number, f"the failpoint {name} stands in {placed[name]} as well")
                elif name not in listed:
                    find(path, number, f"the failpoint {name} is not in {FAILPOINTS}")
                placed[name] = path
            if re.match(r"\s*#\s*(if|ifdef|elif)\b", line) and path.name != "failpoint.h":
                find(path, number, "a variant of the program: only failpoint.h has one")
    for name in listed:
        if name not in placed or listed.count(name) > 1:
            find(FAILPOINTS, 1, f"{name} is listed twice or stands nowhere in the code")


def print_stats(paths):
    def spread(values):
        values = sorted(values)
        return f"median {statistics.median(values):g}, p90 {values[len(values) * 9 // 10]}, max {values[-1]}"
    functions = []
    for path in paths:
        if path.parts[0] == "src" and path.suffix == ".c":
            functions += [(path, *function) for function in read_functions(blank_out((ROOT / path).read_text()))]
    lines = {path: (ROOT / path).read_text().count("\n") for path in paths if path.suffix in (".c", ".h")}
    sources = [n for path, n in lines.items() if path.parts[0] == "src" and path.suffix == ".c"]
    tests = sum((ROOT / path).read_text().count("\n") for path in paths if path.parts[0] == "tests")
    total = sum(n for path, n in lines.items() if path.parts[0] == "src")
    print(f"functions       {len(functions)}: lines {spread([f[3] for f in functions])}")
    print(f"static          {100 * sum(f[4] for f in functions) // len(functions)} %")
    print(f".c files        {len(sources)}: lines {spread(sources)}")
    print(f"lines           src {total}, tests {tests} ({tests / total:.2f} times)")
    for folder in sorted({f[0].parts[1] for f in functions if len(f[0].parts) > 2}):
        own = [f for f in functions if f[0].parts[1] == folder]
        asserts = sum(len(re.findall(r"\bassert\s*\(", f[5])) for f in own)
        print(f"  {folder + '/':14}{len(own)} functions, {asserts / len(own):.2f} asserts each, "
              f"lines {spread([f[3] for f in own])}")
    print("longest         " + ", ".join(f"{f[1]} {f[3]}" for f in sorted(functions, key=lambda f: -f[3])[:8]))


def main():
    paths = sorted(path.relative_to(ROOT) for folder in ("src", "tests", "tools", "bench")
                   for path in (ROOT / folder).rglob("*")
                   if path.suffix in (".c", ".h", ".def", ".py", ".sh") and "__pycache__" not in path.parts)
    if "--stats" in sys.argv[1:]:
        print_stats(paths)
        return 0
    for path in paths:
        text = (ROOT / path).read_text(encoding="utf-8")
        check_lines(path, text)
        check_head(path, text)
        if path.parts[0] == "src" and path.suffix in (".c", ".h"):
            check_source(path, text)
    check_is_built(paths)
    check_failpoints(paths)
    for path, number, text in sorted(findings):
        print(f"{path}:{number}: {text}")
    print(f"{len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
