#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py --hours H: guests that boot, work, reboot and stop, until the time is over."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import cases  # noqa: E402
import holmvm  # noqa: E402

ROUND = ["mini_1cpu", "mini_2cpus", "mini_4cpus", "disk_uring", "disk_threads", "console_paste",
         "exit_reboot", "exit_panic", "sigterm", "console_keys"]
parser = argparse.ArgumentParser()
parser.add_argument("--hours", type=float, default=1)
parser.add_argument("--seed", type=int, default=int(time.time()))
args = parser.parse_args()
random.seed(args.seed)
print("seed %d" % args.seed, flush=True)
end, done = time.monotonic() + args.hours * 3600, 0
while time.monotonic() < end:
    name = random.choice(ROUND)
    try:
        cases.CASES[name][0]()
    except holmvm.Skipped as e:
        print("%s: skipped: %s" % (name, e), flush=True)
    except Exception as e:  # every failure ends the soak, with its seed
        sys.exit("soak: %s failed after %d good runs, seed %d: %s" % (name, done, args.seed, e))
    done += 1
    print("%d %s" % (done, name), flush=True)
print("soak: %d runs, no failure" % done)
