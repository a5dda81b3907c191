#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py [--quick] [--rounds N]: Holm beside QEMU TCG and native, on the same kernel, initramfs
and programs. Rounds are interleaved; what is printed are medians, and ratios of medians."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/system"))
sys.dont_write_bytecode = True
import holmvm  # noqa: E402

NAMES = {"alu": "integer, no memory (M rounds/s)", "mem": "integer, 16 KiB (M rounds/s)",
         "sha256": "sha256 rounds (MB/s)", "memcpy": "memcpy 64 KiB (MB/s)",
         "syscall": "getppid (M/s)"}
INTEGER = ["alu", "mem", "sha256"]


def parse(text):
    out = {}
    for name, units, ns, check in re.findall(r"bench (\w+) (\d+) (\d+) (\w+)", text):
        out[name] = (int(units) * 1000 / int(ns), check)  # units per microsecond = M/s
    return out


def counted(tool):
    """Instructions in one unit of each loop."""
    text = subprocess.run([tool, "count"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return {n: int(c) / int(u) for n, u, c in re.findall(r"count (\w+) (\d+) (\d+)", text)}


def guest(vmm):
    """One boot: (seconds from start to init, seconds inside the run, bench, json of holm)."""
    holmvm.STANDIN = "qemu" if vmm == "qemu" else ""
    with tempfile.TemporaryDirectory() as d:
        extra = ["--json=" + d + "/j"] if vmm == "holm" else []
        with holmvm.mini(*extra, append="quiet holm.mark", run="echo holm-begin; bench",
                         tty=False) as vm:
            vm.expect("holm-init", 300)
            init = time.monotonic() - vm.started
            vm.expect("holm-begin", 60)
            match = vm.expect(rb"(?s)(.*?)holm-exit: 0", 600)
            vm.wait(60)
        said = {}
        if extra and os.path.exists(d + "/j"):
            with open(d + "/j") as f:
                said = json.load(f)
    return init, parse(match.group(1).decode()), said


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--quick", action="store_true")
    p.add_argument("--rounds", type=int)
    p.add_argument("--only", choices=["holm", "qemu"])
    args = p.parse_args()
    rounds = args.rounds or (1 if args.quick else 5)
    vmms = [args.only] if args.only else ["holm", "qemu"]
    native_tool = os.path.join(holmvm.guest("mini"), "native/bench")
    init = {v: [] for v in vmms}
    rate = {v: {n: [] for n in NAMES} for v in vmms + ["native"]}
    mips, checks = [], {}
    for i in range(rounds):
        for v in vmms:
            seconds, bench, said = guest(v)
            init[v].append(seconds)
            for n, (r, check) in bench.items():
                rate[v][n].append(r)
                if checks.setdefault(n, check) != check:
                    sys.exit("bench: %s computed %s, others %s" % (n, check, checks[n]))
            if said:
                mips.append(said["counters"]["instructions"] / 1e6 /
                            (said["seconds"] - said["startup_seconds"]))
        out = subprocess.run([native_tool], stdout=subprocess.PIPE, check=True).stdout.decode()
        for n, (r, check) in parse(out).items():
            rate["native"][n].append(r)
            if checks.setdefault(n, check) != check:
                sys.exit("bench: %s computed %s natively, others %s" % (n, check, checks[n]))
        print("round %d of %d done" % (i + 1, rounds), file=sys.stderr)

    def med(values):
        return statistics.median(values) if values else float("nan")

    cols = vmms + ["native"]
    print("%-34s" % ("median of %d" % rounds) + "".join("%12s" % c for c in cols) +
          ("%14s%16s" % ("holm/qemu", "holm/native") if len(vmms) == 2 else ""))
    print("%-34s" % "start of the VM to init (s)" + "".join("%12.2f" % med(init[v]) for v in vmms) +
          "%12s" % "-" + ("%14.2f" % (med(init["holm"]) / med(init["qemu"])) if len(vmms) == 2 else ""))
    for n, title in NAMES.items():
        row = [med(rate[v][n]) for v in cols]
        print("%-34s" % title + "".join("%12.2f" % r for r in row) +
              ("%14.2f%16.4f" % (row[0] / row[1], row[0] / row[2]) if len(vmms) == 2 else ""))
    per_unit = counted(native_tool)
    for n in INTEGER:
        print("%-34s" % (NAMES[n].split(" (")[0] + ": instructions (M/s)") +
              "".join("%12.0f" % (med(rate[v][n]) * per_unit[n]) for v in cols))
    if mips:
        print("holm: %.1f million guest instructions a second over the whole run" % med(mips))
    print("Times: lower is better; rates: higher is better. holm/qemu over 1 means more than QEMU's.")


main()
