#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check_floors.py [--build DIR]: is the house built as src/FLOORS says?

1. every #include "..." in src/ is of a floor that the file's floor may include;
2. no include cycles;
3. every header compiles alone (only those changed since the last good run);
4. no mutable file-scope state in src/ (from the objects under DIR, when given);
5. a report of sources that reach more than 16 headers of ours (not an error).
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SRC = os.path.join(TOP, "src")
LIMIT = 16
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
# Symbols in .data or .bss that may be: rate limits of log lines; a thread's own (TLS) is not listed.
# lib/types.h is every floor's vocabulary, the lowest included.
COMMON = {"lib/types.h"}
STATE_ALLOWED = [re.compile(p) for p in (
    r"^log_limit_here(\.\d+)?$",  # LOG_GUEST's counter, one per line
    r"^level(\.\d+)?$",           # host/log: how much is said
    r"^saved(\.\d+)?$",           # host/tty: the terminal's modes, for every way out
    r"^fault_before$",            # engine/soft: a signal's disposition is the process's
    r"^__(a|t|ub)san|^\.?L?__odr|^__sancov",
)]


def read_floors():
    floors = {}
    with open(os.path.join(SRC, "FLOORS"), encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                name, _, may = line.partition(":")
                floors[name.strip()] = set(may.split()) | {name.strip()}
    return floors


def sources():
    for folder, _, files in os.walk(SRC):
        for name in files:
            if name.endswith((".c", ".h", ".S", ".def")):
                yield os.path.relpath(os.path.join(folder, name), SRC)


def read_includes():
    """path -> [(line, included path)]"""
    out = {}
    for path in sorted(sources()):
        with open(os.path.join(SRC, path), encoding="utf-8") as f:
            text = f.read()
        out[path] = [(text.count("\n", 0, m.start(1)) + 1, m.group(1))
                     for m in INCLUDE.finditer(text)]
    return out


def check_floors(includes, floors, errors):
    for path, found in includes.items():
        floor = path.split("/")[0]
        if "/" not in path or floor not in floors:
            errors.append("src/%s: not on a floor of src/FLOORS" % path)
            continue
        for line, target in found:
            other = target.split("/")[0]
            if "/" not in target:
                # generated headers and a folder's own tables may be named bare
                if os.path.exists(os.path.join(SRC, os.path.dirname(path), target)):
                    errors.append('src/%s:%d: "%s": name the floor: "%s"' % (
                        path, line, target, os.path.join(os.path.dirname(path), target)))
            elif other not in floors:
                errors.append('src/%s:%d: "%s": no such floor' % (path, line, target))
            elif other not in floors[floor] and target not in COMMON:
                errors.append('src/%s:%d: "%s": %s/ may not include %s/' % (
                    path, line, target, floor, other))


def check_cycles(includes, errors):
    state = {}

    def visit(path, trail):
        state[path] = 1
        for _, target in includes.get(path, ()):
            if target == path or state.get(target) == 1:
                if target.endswith(".def") or target == path and path.endswith(".def"):
                    continue
                errors.append("include cycle: " + " -> ".join(trail[trail.index(target):] if
                                                                 target in trail else trail) +
                              " -> " + target)
            elif target in includes and target not in state:
                visit(target, trail + [target])
        state[path] = 2

    for path in includes:
        if path not in state:
            visit(path, [path])


def reached(includes, path):
    seen, todo = set(), [path]
    while todo:
        for _, target in includes.get(todo.pop(), ()):
            if target not in seen and target.endswith(".h"):
                seen.add(target)
                todo.append(target)
    return seen


def check_headers(includes, build, errors):
    gen = os.path.join(build, "gen")
    stamp = os.path.join(build, "headers.checked")
    headers = [p for p in includes if p.endswith(".h")]
    newest = max(os.path.getmtime(os.path.join(SRC, p)) for p in includes)
    if os.path.exists(stamp) and os.path.getmtime(stamp) > newest:
        return len(headers)

    def compile_one(path):
        run = subprocess.run(
            ["gcc", "-fsyntax-only", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra",
             "-Wno-unused-function", "-iquote", SRC, "-iquote", gen, "-x", "c", "-include",
             os.path.join(SRC, path), "/dev/null"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return path, run.returncode, run.stdout.decode(errors="replace")

    good = True
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, code, text in pool.map(compile_one, headers):
            if code:
                good = False
                errors.append("src/%s does not compile alone:\n%s" % (path, text.strip()))
    if good and os.path.isdir(build):
        with open(stamp, "w", encoding="utf-8"):
            pass
    return len(headers)


def check_state(build, errors):
    objects = []
    for folder, _, files in os.walk(os.path.join(build, "src")):
        objects += [os.path.join(folder, f) for f in files if f.endswith((".c.o", ".S.o"))]
    if not objects or not shutil.which("nm"):
        return 0
    out = subprocess.run(["nm", "-A", "--defined-only", *objects], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout.decode()
    for line in out.splitlines():
        match = re.match(r"(.*?):[0-9a-f]+ ([bBdD]) (\S+)$", line)
        if not match:
            continue
        where, kind, name = match.groups()
        if any(p.search(name) for p in STATE_ALLOWED):
            continue
        if constant_or_tls(where, name):
            continue
        errors.append("mutable file-scope state: %s in %s" % (name, os.path.relpath(where, build)))
    return len(objects)


def constant_or_tls(obj, name):
    """Constant tables with pointers lie in .data.rel.ro, a thread's own in .tdata and .tbss."""
    out = subprocess.run(["objdump", "-t", obj], stdout=subprocess.PIPE).stdout.decode()
    found = re.search(r"\s(\.t(data|bss)|\.data\.rel\.ro\S*)\s+\S+\s+(\.hidden\s+)?%s$" % re.escape(name), out,
                    re.M)
    return bool(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build/release"))
    build = os.path.abspath(parser.parse_args().build)
    floors, includes, errors = read_floors(), read_includes(), []
    check_floors(includes, floors, errors)
    check_cycles(includes, errors)
    headers = check_headers(includes, build, errors)
    objects = check_state(build, errors)
    for path in includes:
        count = len(reached(includes, path))
        if path.endswith(".c") and count > LIMIT:
            print("note: src/%s reaches %d headers of ours (aim: %d)" % (path, count, LIMIT))
    for e in errors:
        print("error: " + e)
    print("floors: %d files, %d headers alone, %d objects, %d errors" % (
        len(includes), headers, objects, len(errors)))
    return 1 if errors else 0


sys.exit(main())
