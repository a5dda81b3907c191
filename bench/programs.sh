# SPDX-License-Identifier: Apache-2.0
# programs.sh: whole programs against the clock, in bash, as root of a Debian guest and on the host.
#
# Prints "program NAME MICROSECONDS CHECK" for each, "lacks NAME" for what is not installed. The
# current folder holds the sources of guests/mini/tools/bench and is on a tmpfs. Each program has
# run once before its time counts, so that it comes from the page cache.
export LC_ALL=C PATH=/usr/bin:/bin PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1

# timed NAME FILE COMMAND...: the command's time, and a checksum of what it wrote to FILE
timed() {
	local name=$1 file=$2 from to sum
	shift 2
	if ! command -v "$1" >/dev/null; then
		echo "lacks $name"
		return
	fi
	from=${EPOCHREALTIME/./}
	"$@" >>out 2>>err || echo "failed $name $?"
	to=${EPOCHREALTIME/./}
	read -r sum _ < <(cksum <"$file")
	echo "program $name $((to - from)) $sum"
	: >out
}

cat >empty.c </dev/null
cat >work.py <<'END'
import hashlib, json, re
words = [hashlib.md5(b"%d" % i).hexdigest() for i in range(3000)]
table = {}
for w in words:
    for m in re.finditer(r"[a-f]{2,}", w):
        table.setdefault(m.group(), []).append(m.start())
class Node:
    def __init__(self, value, rest):
        self.value, self.rest = value, rest
    def total(self):
        n, sum = self, 0
        while n:
            sum, n = sum + n.value, n.rest
        return sum
chain = None
for i in range(20000):
    chain = Node(i * i % 997, chain)
text = json.dumps({k: sorted(v) for k, v in sorted(table.items())})
print(chain.total(), len(json.loads(text)), hashlib.sha1(text.encode()).hexdigest())
END
cat >sqlite.py <<'END'
import sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (id integer primary key, a integer, b text)")
db.executemany("insert into t values (?, ?, ?)",
               ((i, i * 7919 % 1009, "row %d" % (i * 31 % 5003)) for i in range(5000)))
db.execute("create index ta on t (a)")
print(db.execute("select count(*), sum(x.id) from t x join t y on x.a = y.a + 1 "
                 "where y.b like '%7%'").fetchall())
print(db.execute("select a, count(*) c, max(b) from t group by a order by c, a limit 9").fetchall())
END
cat >xz.py <<'END'
import lzma, hashlib
text = b"".join(open(f, "rb").read() for f in ("integer.c", "kernel.c", "crypto.c")) * 2
packed = lzma.compress(text, preset=6)
print(len(text), hashlib.sha1(lzma.decompress(packed)).hexdigest())
END
head -c 16777216 /dev/zero >zeros
key=$(printf '%032d' 0)
prime=7$(printf '%0319d' 0 | tr 0 f) # 2^1279 - 1

: >out
gcc -O2 -c -o empty.o empty.c
timed gcc integer.o gcc -O2 -c integer.c -o integer.o
python3 -c 'import json, re, hashlib, sqlite3, lzma'
timed python_start out python3 -c pass
timed python out python3 work.py
openssl version >/dev/null
timed openssl_sha256 out openssl dgst -sha256 zeros
timed openssl_aes sealed openssl enc -aes-128-cbc -K "$key" -iv "$key" -in zeros -out sealed
timed openssl_prime out openssl prime -hex "$prime"
command -v sqlite3 >/dev/null || echo "lacks sqlite3"
timed sqlite_module out python3 sqlite.py
command -v xz >/dev/null || echo "lacks xz"
timed xz_module out python3 xz.py
cat err >&2
