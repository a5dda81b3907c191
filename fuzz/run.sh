#!/bin/sh
# fuzz/run.sh BUILD SECONDS [NAME...]: runs every fuzzer of BUILD (preset fuzz), one after the other,
# for SECONDS each, from its checked-in corpus.
#
# What it finds new goes to BUILD/found/NAME, which later runs take up again; what breaks the target
# to BUILD/crashes. Ends with one line of summary; exit code 1 when anything broke.
set -u
cd "$(dirname "$0")/.."

build=$1 seconds=$2
shift 2
names=${*:-$(for f in "$build"/fuzz/fuzz_*; do [ -x "$f" ] && basename "$f" | sed 's/^fuzz_//'; done)}
mkdir -p "$build/crashes"
bad='' ran=0
for name in $names; do
	found=$build/found/$name log=$build/crashes/$name.log prefix=$build/crashes/$name-
	mkdir -p "$found"
	rm -f "$prefix"*
	dict=
	[ ! -f "fuzz/dict/$name.dict" ] || dict=-dict=fuzz/dict/$name.dict
	"$build/fuzz/fuzz_$name" $dict -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-max_len=2048 -len_control=0 -print_final_stats=1 -artifact_prefix="$prefix" \
		"$found" "fuzz/corpus/$name" >"$log" 2>&1
	code=$?
	ran=$((ran + 1))
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $code -eq 0 ] && [ -n "$runs" ]; then
		cov=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
		echo "fuzz: $name: $runs inputs, $cov edges, nothing broke"
		continue
	fi
	bad="$bad $name"
	grep -E '^(holm: |SUMMARY|==[0-9]+==.*ERROR|.*runtime error)' "$log" | head -n 5
	echo "fuzz: $name: BROKE (exit code $code); what it said: $log"
	for artifact in "$prefix"*; do
		[ -f "$artifact" ] || continue
		echo "fuzz: $name: input: $artifact"
		echo "fuzz: $name: replay: $build/fuzz/fuzz_$name $artifact"
	done
done
if [ -n "$bad" ]; then
	echo "fuzz: FAILED:$bad (of $ran fuzzers, $seconds seconds each)"
	exit 1
fi
[ $ran -gt 0 ] || { echo "fuzz: FAILED: no fuzzers in $build; 'make fuzz' builds them"; exit 1; }
echo "fuzz: $ran fuzzers, $seconds seconds each, nothing broke"
