#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py NAME: runs one system test of cases.py. run.py --list: name, label, limit of each."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import cases  # noqa: E402
import holmvm  # noqa: E402

if sys.argv[1:] == ["--list"]:
    for name, (_, label, limit) in cases.CASES.items():
        print("%s;%s;%d" % (name, label, limit))
    sys.exit(0)
if len(sys.argv) != 2 or sys.argv[1] not in cases.CASES:
    sys.exit("usage: run.py --list | NAME")
if not holmvm.STANDIN and not os.access(holmvm.HOLM, os.X_OK):
    sys.exit("%s is not there: make" % holmvm.HOLM)
try:
    cases.CASES[sys.argv[1]][0]()
except holmvm.Skipped as e:
    print("SKIPPED: %s" % e)
    sys.exit(77)
except holmvm.Failed as e:
    sys.exit("FAILED: %s" % e)
print("passed")
