#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one boot program (tests/guest) on Holm or QEMU TCG: guest.py holm|qemu FILE [--cpus N]."""
import argparse
import os
import sys

parser = argparse.ArgumentParser()
parser.add_argument("vmm", choices=["holm", "qemu"])
parser.add_argument("file")
parser.add_argument("--cpus", type=int, default=1)
parser.add_argument("--cpu", default="", help="Holm's CPU model")
parser.add_argument("--engine", default="", help="Holm's engine and its options; not for QEMU")
args = parser.parse_args()
if args.vmm == "qemu":
    os.environ["HOLM_STANDIN"] = "qemu"

import holmvm  # noqa: E402  (reads the environment)

words = ["--kernel", args.file, "-m", "128M", "-c", str(args.cpus), "--no-reboot"]
if args.engine and args.vmm == "holm":
    words += ["--engine", args.engine]
if args.cpu:
    words += ["--cpu", args.cpu]
with holmvm.Vm(*words, tty=False) as vm:
    try:
        match = vm.expect(rb"holm-test: (\d+) passed, (\d+) failed, (\d+) skipped", 300)
        vm.wait(30)
    except holmvm.Failed as e:
        print(vm.output.decode(errors="replace"))
        sys.exit("%s: %s\n%s" % (args.file, e, vm.stderr()))
print(vm.output.decode(errors="replace").replace("\r", ""))
sys.exit(0 if match.group(2) == b"0" and int(match.group(1)) > 0 else 1)
