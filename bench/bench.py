#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py [--quick] [--rounds N] [--programs]: Holm beside QEMU TCG and native.

The same kernel, initramfs and programs on all of them. Rounds are interleaved; what is printed are
medians, and ratios of medians. QEMU runs with two of its CPU models, and for each row the better
one counts. docs/benchmarks.md says what the rows are.
"""
import argparse
import base64
import contextlib
import io
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
sys.dont_write_bytecode = True
import holmvm  # noqa: E402

SOURCES = os.path.join(TOP, "guests/mini/tools/bench")
QEMU = ["max", "Nehalem"]
AVX_MODEL = "v3-1"  # Holm's, for rows that its default model lacks
SECONDS = "s"       # a row in this unit is a time, all others are rates

# (name, title, unit), by family; each family has a geometric mean but those where SINGLE says no.
FAMILIES = [
    ("boot", "start", [
        ("boot", "kernel start to init", SECONDS),
        ("vm", "start of the VM to init", SECONDS)]),
    ("integer", "integer", [
        ("alu", "registers only, xorshift", "rounds/s"),
        ("mem", "dense in memory, 16 KiB", "rounds/s"),
        ("calls", "calls and recursion, fib", "calls/s"),
        ("interp", "interpreter, computed gotos", "ops/s"),
        ("virtual", "virtual calls", "calls/s"),
        ("hash", "hash table, 256 KiB", "finds/s"),
        ("sort", "qsort with a comparator", "items/s"),
        ("format", "snprintf", "calls/s"),
        ("chase", "pointer chasing, 16 KiB", "steps/s"),
        ("chase_far", "pointer chasing, 4 MiB", "steps/s"),
        ("crc", "CRC-32 by table", "B/s"),
        ("sha256", "sha256, plain C", "B/s"),
        ("chacha20", "chacha20, plain C", "B/s"),
        ("aes", "aes-128 by tables, plain C", "B/s")]),
    ("float", "scalar FP", [
        ("daxpy", "daxpy, double", "items/s"),
        ("matmul", "matrix product, double", "muls/s"),
        ("nbody", "n bodies, square root, divide", "steps/s")]),
    ("x87", "x87", [
        ("x87_matmul", "matrix product, long double", "muls/s"),
        ("x87_series", "polynomial, root, quotient", "steps/s")]),
    ("vector", "SSE/AVX", [
        ("sse_daxpy", "SSE2 daxpy, double", "items/s"),
        ("sse_matmul", "SSE2 matrix product, float", "muls/s"),
        ("sse_bytes", "SSE2 bytes", "B/s"),
        ("avx_daxpy", "AVX2+FMA daxpy, double", "items/s"),
        ("avx_matmul", "AVX2+FMA matrix product, float", "muls/s"),
        ("avx_bytes", "AVX2 bytes", "B/s")]),
    ("memcpy", "memcpy", [
        ("rep_64k", "rep movsb, 64 KiB", "B/s"),
        ("rep_4m", "rep movsb, 4 MiB", "B/s"),
        ("memcpy_64k", "glibc, 64 KiB", "B/s"),
        ("memcpy_4m", "glibc, 4 MiB", "B/s")]),
    ("kernel", "kernel", [
        ("getppid", "getppid", "calls/s"),
        ("read1", "read of 1 byte", "calls/s"),
        ("open", "open and close, tmpfs", "calls/s"),
        ("stat", "stat, tmpfs", "calls/s"),
        ("file_read", "read of 1 KiB, tmpfs", "calls/s"),
        ("file_write", "write of 1 KiB, tmpfs", "calls/s"),
        ("fault", "page faults: map, touch, unmap", "pages/s"),
        ("mprotect", "mprotect and touch", "calls/s"),
        ("signal", "signal to itself", "calls/s"),
        ("fork", "fork, exit, wait", "calls/s"),
        ("exec", "fork, exec, exit, wait", "calls/s"),
        ("pipe", "context switches over pipes", "1/s"),
        ("futex", "futex turns of two threads", "1/s")]),
    ("smp", "2 vCPUs", [
        ("busy1", "one busy thread", "rounds/s"),
        ("busy2", "two busy threads", "rounds/s")]),
    ("programs", "programs (Debian)", [
        ("debian", "start of the VM to the command", SECONDS),
        ("gcc", "gcc -O2 of one file", SECONDS),
        ("python_start", "python3 -c pass", SECONDS),
        ("python", "python3: text, json, objects", SECONDS),
        ("openssl_sha256", "openssl sha256, 16 MiB", SECONDS),
        ("openssl_aes", "openssl aes-128-cbc, 16 MiB", SECONDS),
        ("openssl_prime", "openssl prime, 1279 bits", SECONDS),
        ("sqlite_module", "sqlite3, python3's module", SECONDS),
        ("xz_module", "xz, python3's module", SECONDS)]),
]
GROUPED = ["integer", "float", "x87", "vector", "memcpy"]
STEPPED = [name for key, _, rows in FAMILIES if key == "integer" for name, _, _ in rows]
ALONE = {"boot", "vm", "debian"}  # measured by the clock of the host, not by a program

# Holm against QEMU: what is aimed at, for groups and for rows.
TARGETS = {"boot": 2.0, "integer": 2.2, "float": 15, "x87": 20, "vector": 25, "memcpy": 15,
           "getppid": 3, "fault": 4, "pipe": 8, "fork": 3, "exec": 3, "open": 3, "stat": 3,
           "gcc": 2.5}
LEAST = 0.9  # any row
ENGINE = []  # Holm's --engine and its value

LIMIT = 28 * 60  # seconds of the whole run, if programs in fewer rounds can keep it


# --- what was measured -----------------------------------------------------------------------

class Results:
    """Rates of all rows by column; times are kept as rates, too."""

    def __init__(self):
        self.rates = {}
        self.checks = {}
        self.model = {}  # Holm's, where it is not the default
        self.lacking = {}
        self.states = {}
        self.mips = []
        self.clocks = []
        self.program_rounds = 0

    def add(self, column, name, rate, check=None):
        self.rates.setdefault((name, column), []).append(rate)
        if check is not None and self.checks.setdefault(name, check) != check:
            sys.exit("bench: %s: %s computed %s, others %s" %
                     (name, column, check, self.checks[name]))

    def take(self, column, text):
        """What the program bench or programs.sh said; the names of rows that were lacking."""
        bad = re.search(r"^(failed|differs) .*", text, re.M)
        if bad:
            sys.exit("bench: %s: %s" % (column, bad.group().strip()))
        for name, units, ns, check in re.findall(r"^bench (\w+) (\d+) (\d+) (\w+)", text, re.M):
            self.add(column, name, int(units) * 1e9 / int(ns), check)
        for name, us, check in re.findall(r"^program (\w+) (\d+) (\w+)", text, re.M):
            # the host's gcc, python3 and openssl may be others than the guest's
            self.add(column, name, 1e6 / int(us), None if column == "native" else check)
        lacks = re.findall(r"^lacks (\w+)", text, re.M)
        self.lacking.setdefault(column, set()).update(lacks)
        return lacks

    def median(self, name, column):
        values = self.rates.get((name, column))
        return statistics.median(values) if values else None

    def qemu(self, name):
        """The better of QEMU's models."""
        return max((m for m in (self.median(name, c) for c in QEMU) if m), default=None)

    def ratio(self, name):
        holm, qemu = self.median(name, "holm"), self.qemu(name)
        return holm / qemu if holm and qemu else None

    def group(self, rows):
        """(geometric mean, how many rows are in it) of a family."""
        ratios = [r for r in (self.ratio(name) for name, _, _ in rows) if r]
        return (statistics.geometric_mean(ratios) if ratios else None), len(ratios)


# --- machines --------------------------------------------------------------------------------

def text_of(match):
    return match.group(1).decode(errors="replace").replace("\r", "")


@contextlib.contextmanager
def machine(column, args, more=()):
    """A machine of this column: yields it, and a function that tells when its kernel started."""
    holmvm.STANDIN = "" if column == "holm" else "qemu"
    with tempfile.TemporaryDirectory() as d:
        log, said = d + "/trace", d + "/json"
        extra = (["--json=" + said, *ENGINE, *more] if column == "holm" else
                 ["-cpu", column, "-trace", "fw_cfg_select", "-D", log])
        with holmvm.Vm(*args, tty=False, extra=extra) as vm:
            vm.report = lambda: json.load(open(said, encoding="utf-8"))

            def kernel_started():
                if column == "holm":
                    return vm.started + vm.report()["startup_seconds"]
                with open(log, encoding="utf-8") as f:  # the firmware's last act is to fetch this
                    if "cmdline_data" not in f.read().splitlines()[-1]:
                        sys.exit("bench: QEMU does not tell when the kernel started")
                return os.stat(log).st_mtime - time.time() + time.monotonic()
            yield vm, kernel_started


SAY_STATE = "cd /sys/devices/system/cpu/vulnerabilities; grep . meltdown spectre_v2; cd /; "


def mini(results, column, names, ms, cpus=1, model=None, timeout=900):
    """Boots the guest mini once for some rows; the rows that its CPU lacks."""
    run = "%s echo holm-begin; bench -t %d %s; echo holm-end" % (SAY_STATE, ms, " ".join(names))
    args = holmvm.mini_args("-c", str(cpus), append="quiet holm.mark", run=run)
    with machine(column, args, ["--cpu", model] if model else []) as (vm, kernel_started):
        vm.expect("holm-init", 300)
        init = time.monotonic()
        state = text_of(vm.expect(rb"(?s)(.*?)holm-begin", 120))
        begun = time.monotonic()
        text = text_of(vm.expect(rb"(?s)(.*?)holm-end", timeout))
        ended = time.monotonic()
        vm.expect("holm-exit: 0", 60)
        vm.wait(60)
        started = kernel_started()
        report = vm.report() if column == "holm" else None
    lacks = results.take(column, text)
    results.states.setdefault(column, dict(re.findall(r"^(\w+):(.*)", state, re.M)))
    own = re.search(r"^elapsed (\d+)", text, re.M)
    results.clocks.append((column, int(own.group(1)) / 1e9, ended - begun))
    if cpus == 1 and not model:
        results.add(column, "boot", 1 / (init - started))
        results.add(column, "vm", 1 / (init - vm.started))
        if report and not report["counters"]["translations"]:  # translated ones are not counted
            results.mips.append(report["counters"]["instructions"] / 1e6 /
                                (report["seconds"] - report["startup_seconds"]))
    return lacks


def one_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def native_tool():
    return os.path.join(holmvm.guest("mini"), "native/bench")


def native(results, names, ms, cpus=1):
    out = subprocess.run([native_tool(), "-t", str(ms), *names], stdout=subprocess.PIPE,
                         preexec_fn=one_cpu if cpus == 1 else None, check=False)
    results.take("native", out.stdout.decode())


def counted():
    """Instructions in one unit of the integer rows."""
    text = subprocess.run([native_tool(), "count"], stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    return {n: int(c) / int(u) for n, u, c in re.findall(r"count (\w+) (\d+) (\d+)", text)}


# --- whole programs --------------------------------------------------------------------------

def programs_script():
    """A shell script that unpacks the sources, and runs programs.sh beside them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in sorted(os.listdir(SOURCES)):
            tar.add(os.path.join(SOURCES, name), name)
        tar.add(os.path.join(TOP, "bench/programs.sh"), "programs.sh")
    return ("set -e; d=$(mktemp -d /dev/shm/bench.XXXXXX); trap 'rm -rf $d' EXIT; cd $d\n"
            "base64 -d <<END | tar xz\n%sEND\necho holm-begin; bash programs.sh; echo holm-end\n" %
            base64.encodebytes(packed.getvalue()).decode())


def debian(results, column, timeout=1800):
    """Boots the guest debian once, for the programs."""
    with holmvm.scratch("bench") as folder:
        script = folder + "/script"
        with open(script, "wb") as f:
            text = programs_script().encode()
            f.write(text + bytes(-len(text) % 512))
        args = holmvm.debian_args(folder, "--disk", script + ",ro",
                                  append="quiet holm.run=@vdb")
        with machine(column, args) as (vm, _):
            vm.expect("holm-begin", timeout)
            begun = time.monotonic()
            text = text_of(vm.expect(rb"(?s)(.*?)holm-end", timeout))
            vm.expect("holm-exit: 0", 120)
            vm.wait(300)
        results.add(column, "debian", 1 / (begun - vm.started))
        results.take(column, text)


def native_programs(results):
    out = subprocess.run(["sh", "-c", programs_script()], stdout=subprocess.PIPE,
                         preexec_fn=one_cpu, check=True)
    results.take("native", out.stdout.decode())


# --- rounds ----------------------------------------------------------------------------------

def rows_of(results, column, args, plain):
    """All rows of the program bench for one column, once."""
    if column == "native":
        if plain:
            native(results, plain, args.ms)
        if args.smp:
            native(results, args.smp, args.ms * 3, cpus=2)
        return
    lacks = mini(results, column, plain, args.ms) if plain else []
    if column == "holm" and lacks:
        still = mini(results, column, lacks, args.ms, model=AVX_MODEL)
        results.model.update((name, AVX_MODEL) for name in lacks if name not in still)
    if args.smp:
        mini(results, column, args.smp, args.ms * 3, cpus=2)


def programs_of(results, column):
    if column == "native":
        native_programs(results)
    else:
        debian(results, column)


class Clock:
    """Decides which rounds run the programs, too: the first, and others as long as time allows."""

    def __init__(self, total):
        self.begun, self.total = time.monotonic(), total
        self.last = {"rows": 0, "programs": 0}  # seconds that a round took

    def spent(self):
        return time.monotonic() - self.begun

    def allows_programs(self, done):
        rest = (self.total - done) * self.last["rows"] + self.last["programs"]
        return not done or self.spent() + rest < LIMIT


def rounds(results, args, columns):
    clock = Clock(args.rounds)
    plain = [n for n in args.rows if n not in args.smp]
    for i in range(args.rounds):
        kinds = ["rows"] if args.rows else []
        if args.programs and clock.allows_programs(i):
            kinds.append("programs")
            results.program_rounds += 1
        turn = i % len(columns)
        for kind in kinds:
            begun = clock.spent()
            for column in columns[turn:] + columns[:turn]:
                if kind == "rows":
                    rows_of(results, column, args, plain)
                else:
                    programs_of(results, column)
                print("bench: round %d of %d, %s, %s: done after %d s" %
                      (i + 1, args.rounds, column, kind, clock.spent()), file=sys.stderr)
            clock.last[kind] = clock.spent() - begun


# --- the report ------------------------------------------------------------------------------

def short(value, unit):
    """Three digits and a letter; times in seconds."""
    if value is None:
        return "-"
    if unit == SECONDS:
        return "%.3f" % (1 / value) if value > 10 else "%.2f" % (1 / value)
    power = max(0, min(3, int(math.log10(value) // 3))) if value >= 1 else 0
    return "%.3g" % (value / 1000 ** power) + ["", "k", "M", "G"][power] if value < 999.5e9 else \
        "%.0fG" % (value / 1e9)


def verdict(name, ratio):
    if name not in TARGETS or ratio is None:
        return ""
    return "%8g  %s" % (TARGETS[name], "met" if ratio >= TARGETS[name] else "not met")


def print_row(results, columns, name, title, unit):
    holm, base = results.median(name, "holm"), results.median(name, "native")
    star = "*" if name in results.model else ""
    ratio = results.ratio(name)
    print("  %-41s" % ("%s (%s)%s" % (title, unit, star)) +
          "".join("%10s" % short(results.median(name, c), unit) for c in columns) +
          "%9s" % ("-" if ratio is None else "%.2f" % ratio) +
          "%9s" % ("-" if not (holm and base) else "%.3f" % (holm / base)) + verdict(name, ratio))


def print_scaling(results, columns):
    pairs = [(results.median("busy1", c), results.median("busy2", c)) for c in columns]
    print("  %-41s" % "two against one (times)" +
          "".join("%10s" % ("%.2f" % (two / one) if one and two else "-") for one, two in pairs))


def print_groups(results):
    print("\n%-43s%49s%s" % ("geometric means", "x QEMU", "%17s" % "target"))
    for key, title, rows in FAMILIES:
        mean, count = results.group(rows)
        if key in GROUPED and count:
            print("  %-41s%49.2f%9s%s" % ("%s, %d of %d rows" % (title, count, len(rows)), mean, "",
                                          verdict(key, mean)))


def print_least(results):
    ratios = {n: results.ratio(n) for _, _, rows in FAMILIES for n, _, _ in rows}
    low = sorted((r, n) for n, r in ratios.items() if r is not None and r < LEAST)
    print("no row under %g: %s" % (LEAST, "met" if not low else "not met: " +
                                   ", ".join("%s %.2f" % (n, r) for r, n in low)))


def print_instructions(results, columns):
    per_unit = counted()
    print("\ninteger rows in guest instructions, millions a second")
    for name in STEPPED:
        rates = [results.median(name, c) for c in columns]
        if any(rates):
            print("  %-41s" % name + "".join(
                "%10s" % ("%.0f" % (r * per_unit[name] / 1e6) if r else "-") for r in rates))


def host_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        match = re.search(r"^model name\s*: (.*)", f.read(), re.M)
    return match.group(1) if match else "unknown"


def print_state(results):
    print("\nhost: %s, %d CPUs for this process" % (host_model(), len(os.sched_getaffinity(0))))
    for column, state in results.states.items():
        pti, branches = state.get("meltdown", "?"), state.get("spectre_v2", "?")
        print("%s: PTI %s (%s), retpolines %s (%s)" % (
            "holm" if column == "holm" else "QEMU " + column,
            "on" if "PTI" in pti else "off", pti,
            "on" if "Retpolines" in branches else "off", branches))
    away = [(c, own / wall) for c, own, wall in results.clocks if abs(own - wall) > 0.5 + wall / 20]
    if results.clocks:
        print("clocks of guests and host: " + ("agree" if not away else "DIFFER: " + ", ".join(
            "%s %.2f" % pair for pair in away)))


def print_absent(results):
    for command in ("sqlite3", "xz"):
        guests = [c for c in ("holm", *QEMU) if command in results.lacking.get(c, ())]
        if guests:
            print("programs: the image has no %s; python3's module stands in" % command)


def report(results, columns, args):
    heads = {"max": "QEMU max"}
    print("%-43s" % ("median of %d" % args.rounds) +
          "".join("%10s" % heads.get(c, c) for c in columns) +
          "%9s%9s%8s" % ("x QEMU", "x native", "target"))
    for key, title, rows in FAMILIES:
        rows = [row for row in rows if any((row[0], c) in results.rates for c in columns)]
        if rows:
            print(title + (", median of %d" % results.program_rounds if key == "programs" else ""))
        for row in rows:
            print_row(results, columns, *row)
        if rows and key == "smp":
            print_scaling(results, columns)
    if not args.only:
        print_groups(results)
        print_least(results)
    if args.rows and not args.quick:
        print_instructions(results, columns)
    print_state(results)
    print_absent(results)
    if results.model:
        print("*: Holm's CPU model %s, the default one lacks it" % AVX_MODEL)
    if results.mips:
        print("holm: %.1f million guest instructions a second over the whole run" %
              statistics.median(results.mips))
    print("Ratios are of speed: over 1 is faster than the better of QEMU's models, or than native.")


# --- the command line ------------------------------------------------------------------------

def arguments():
    measured = [n for key, _, rows in FAMILIES if key != "programs" for n, _, _ in rows
                if n not in ALONE]
    families = {key: names for key, _, rows in FAMILIES
                if (names := [n for n, _, _ in rows if n in measured])}
    p = argparse.ArgumentParser()
    p.add_argument("--quick", action="store_true", help="one round, and less time for each row")
    p.add_argument("--rounds", type=int, help="7, or 1 with --quick")
    p.add_argument("--programs", action="store_true", help="also whole programs, in Debian, in as "
                   "many rounds as %d minutes allow" % (LIMIT // 60))
    p.add_argument("--ms", type=int, help="for each row: 300, or 100 with --quick")
    p.add_argument("--rows", nargs="*", metavar="NAME", default=measured,
                   help="only these, as docs/benchmarks.md groups them or one by one "
                        "(none: no boots of mini): " + " ".join([*families, *measured]))
    p.add_argument("--engine", help="Holm's --engine, such as soft,translate=off")
    p.add_argument("--only", choices=["holm", "qemu"], help="one VMM, beside native")
    args = p.parse_args()
    args.rows = [n for name in args.rows for n in families.get(name, [name])]
    unknown = [n for n in args.rows if n not in measured]
    if unknown:
        p.error("no such row: " + " ".join(unknown))
    args.smp = [n for n in args.rows if n in families["smp"]]
    args.rounds = args.rounds or (1 if args.quick else 7)
    args.ms = args.ms or (100 if args.quick else 300)
    return args


def main():
    args = arguments()
    if args.engine:
        ENGINE.extend(["--engine", args.engine])
    columns = {"holm": ["holm"], "qemu": QEMU, None: ["holm", *QEMU]}[args.only] + ["native"]
    results = Results()
    rounds(results, args, columns)
    report(results, columns, args)


main()
