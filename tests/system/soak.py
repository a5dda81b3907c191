#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py --hours H [--seed N] [--only NAME...]: what is hard on the translator and the machine, until the time is over.

Each round takes one at random: guests with JIT compilers, code that changes itself, storms of fork, mprotect and munmap on four
vCPUs, stress-ng that verifies, the differential test with a new seed, and the machine's own comings and goings. Every failure
ends it, with its seed; what a round printed stands in the folder that is named then.
"""
import argparse
import hashlib
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import cases  # noqa: E402
import holmvm  # noqa: E402
from holmvm import check, debian_run  # noqa: E402

BUILD = os.environ.get("HOLM_BUILD") or os.path.abspath("build/release")
ON = ("--engine", "soft,translate=on")
MACHINE = ["mini_1cpu", "mini_2cpus", "mini_4cpus", "disk_uring", "disk_threads", "console_paste", "exit_reboot",
           "exit_panic", "sigterm", "console_keys"]
SUITES = ["coherence64", "stale64", "loops64", "breakout64", "corners64", "smp64", "access64"]

# Everything in it is checked against what node's own C++ or plain arithmetic says, so that a wrong instruction in JITted code shows.
NODE = r"""
const crypto = require('crypto'), assert = require('assert');
let seed = +process.argv[2], rounds = +process.argv[3];
const rnd = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
function md5(s) {
  const r = [7,12,17,22,5,9,14,20,4,11,16,23,6,10,15,21], K = [];
  for (let i = 0; i < 64; i++) K[i] = Math.floor(Math.abs(Math.sin(i + 1)) * 4294967296) >>> 0;
  let n = s.length, m = new Uint8Array(((n + 8 >> 6) + 1) * 64); m.set(s); m[n] = 128;
  new DataView(m.buffer).setUint32(m.length - 8, n * 8, true);
  let a0 = 0x67452301, b0 = 0xefcdab89, c0 = 0x98badcfe, d0 = 0x10325476;
  const w = new Uint32Array(m.buffer);
  for (let o = 0; o < w.length; o += 16) {
    let a = a0, b = b0, c = c0, d = d0;
    for (let i = 0; i < 64; i++) {
      let f, g, q = i >> 4;
      if (q == 0) { f = (b & c) | (~b & d); g = i; }
      else if (q == 1) { f = (d & b) | (~d & c); g = (5 * i + 1) & 15; }
      else if (q == 2) { f = b ^ c ^ d; g = (3 * i + 5) & 15; }
      else { f = c ^ (b | ~d); g = (7 * i) & 15; }
      const t = (a + f + K[i] + w[o + g]) | 0, k = r[q * 4 + (i & 3)];
      a = d; d = c; c = b; b = (b + (t << k | t >>> 32 - k)) | 0;
    }
    a0 = a0 + a | 0; b0 = b0 + b | 0; c0 = c0 + c | 0; d0 = d0 + d | 0;
  }
  return Buffer.from(new Uint32Array([a0, b0, c0, d0]).buffer).toString('hex');
}
for (let i = 0; i < rounds; i++) {
  const b = crypto.createHash('sha512').update(String(rnd())).digest(), long = Buffer.alloc(1 + rnd() * 20000 | 0, b);
  assert.strictEqual(md5(long), crypto.createHash('md5').update(long).digest('hex'));
  const a = Float64Array.from({length: 2000}, rnd), s = Array.from(a).sort((x, y) => x - y); a.sort();
  for (let k = 0; k < 2000; k++) assert.strictEqual(a[k], s[k]);
  let x = BigInt('0x' + b.toString('hex')), y = 65537n, p = (1n << 521n) - 1n, z = 1n;
  for (let e = p - 2n, q = x % p; e; e >>= 1n, q = q * q % p) if (e & 1n) z = z * q % p;
  assert.strictEqual(z * x % p, 1n);
  const o = {}; for (let k = 0; k < 500; k++) o['k' + (rnd() * 1e6 | 0)] = [rnd(), {v: String(rnd())}];
  assert.deepStrictEqual(JSON.parse(JSON.stringify(o)), o);
  const f = new Function('n', 'let t=' + i + ';for(let j=0;j<n;j++)t=(t*31+j)|0;return t'); // new code each time
  let t = i; for (let j = 0; j < 5000; j++) t = Math.imul(t, 31) + j | 0; assert.strictEqual(f(5000), t);
  assert.strictEqual('abcabc'.repeat(200).replace(/(a)(b)(c)/g, '$3$2$1').replace(/c|b/g, ''), 'a'.repeat(400));
}
console.log('node fine', rounds);
"""


def node(cpus, seed):
    with holmvm.scratch("node") as folder:
        script = os.path.join(folder, "script")  # too long for a command line: a disk
        with open(script, "wb") as f:
            f.write(NODE.encode().ljust(1 << 16))
        out, _ = debian_run("cat /dev/vdb >n.js; for i in 1 2 3 4; do node n.js $((%d + i)) 60 & done; wait; echo all $?" % seed,
                            "-c", str(cpus), "--disk", script + ",ro", *ON, kind="debian-jit", memory="2G")
    check(out.count("node fine 60") == 4, out)


def storms(cpus, seed):
    out, _ = debian_run("stress-ng --seed %d --fork 2 --vfork 1 --mmap 2 --mmapaddr 1 --mprotect 2 --munmap 1 --sigsegv 1 --vm 1"
                        " --vm-bytes 64M --switch 2 --verify -t 40 --metrics-brief 2>&1; echo verdict $?" % seed,
                        "-c", str(cpus), *ON, memory="2G")
    check("verdict 0" in out, out)


def verified(cpus, seed):
    some = random.Random(seed).sample(["cpu --cpu-method all", "matrix --matrix-method all", "qsort", "bsearch", "hash", "memcpy", "str",
                                       "zlib", "vecmath", "fp", "funccall", "longjmp", "tree", "heapsort", "radixsort", "crypt",
                                       "tsearch", "hsearch", "lsearch", "skiplist", "shellsort", "mergesort", "matrix-3d",
                                       "wcs"], 6)
    out, _ = debian_run("; ".join("stress-ng --seed %d --%s --verify -t 6 2>&1; echo verdict $?"
                                  % (seed, s.replace(" ", " 2 ", 1) if " " in s else s + " 2") for s in some),
                        "-c", str(cpus), *ON, memory="2G")
    check(out.count("verdict 0") == len(some), out)


def programs(cpus, _):
    out, _ = debian_run("cat >a.c <<'EOF'\n#include <stdio.h>\nint main(void) { unsigned long s = 0; for (unsigned i = 0; i < 50000000; i++)"
                        " s = s * 31 + i; printf(\"%lu\\n\", s); return 0; }\nEOF\nfor o in 0 1 2 3; do gcc -O$o a.c -o a$o && ./a$o; done;"
                        "python3 -c 'import hashlib; print(hashlib.sha256(bytes(3000000)).hexdigest())'; openssl speed -seconds 1 sha256 >/dev/null"
                        " 2>&1 && echo speed", "-c", str(cpus), *ON)
    lines = [x for x in out.splitlines() if x.isdigit()]
    check(len(lines) == 4 and len(set(lines)) == 1, out)
    check(hashlib.sha256(bytes(3000000)).hexdigest() in out and "speed" in out, out)


def suite(cpus, seed):
    name = random.Random(seed).choice(SUITES)
    how = random.Random(seed + 1).choice(["on", "eager"])
    p = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.py"), "holm",
                        os.path.join(BUILD, "tests/guest", name + ".elf"), "--cpus", str(cpus), "--engine", "soft,translate=" + how],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(p.returncode == 0, "%s, %s: %s" % (name, how, p.stdout.decode(errors="replace")[-3000:]))


def diff(_, seed):
    p = subprocess.run([os.path.join(BUILD, "tests/diff/diff"), "--translated", "--seed", str(seed), "--cases", "5000000"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = p.stdout.decode(errors="replace")
    check(p.returncode == 0 and " 0 mismatches" in out, out[-3000:])


def machine(_, seed):
    cases.CASES[random.Random(seed).choice(MACHINE)][0]()


ROUNDS = {"node": (node, 3), "storms": (storms, 3), "verified": (verified, 3), "programs": (programs, 1), "suite": (suite, 4),
          "diff": (diff, 4), "machine": (machine, 3)}

parser = argparse.ArgumentParser()
parser.add_argument("--hours", type=float, default=1)
parser.add_argument("--seed", type=int, default=int(time.time()))
parser.add_argument("--only", nargs="+", choices=sorted(ROUNDS), default=sorted(ROUNDS))
args = parser.parse_args()
random.seed(args.seed)
print("seed %d" % args.seed, flush=True)
start = time.monotonic()
end, done = start + args.hours * 3600, 0
while time.monotonic() < end:
    kind = random.choice([k for k in args.only for _ in range(ROUNDS[k][1])])
    cpus, seed = random.choice([1, 2, 4, 4]), random.randrange(1 << 30)
    before = time.monotonic()
    try:
        ROUNDS[kind][0](cpus, seed)
    except holmvm.Skipped as e:
        print("%s: skipped: %s" % (kind, e), flush=True)
    except Exception as e:  # every failure ends the soak, with its seed
        sys.exit("soak: %s with %d CPUs, seed %d, failed after %d good rounds, whole seed %d: %s"
                 % (kind, cpus, seed, done, args.seed, e))
    done += 1
    print("%d %s, %d CPUs, seed %d: %.0f s" % (done, kind, cpus, seed, time.monotonic() - before), flush=True)
print("soak: %d rounds in %.0f s, no failure, seed %d" % (done, time.monotonic() - start, args.seed))
