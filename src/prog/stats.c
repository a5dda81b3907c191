/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats: one round asks all machines of this user, picks those that were meant, prints them;
 * --watch is rounds. Each round looks for sockets anew, so machines may come and go.
 *
 * Entered by: main. Owns what the round before said. Trusts no text that a machine's process sends:
 * its guest may have taken it over, and a terminal believes what it is told.
 */
#include "prog/stats.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/client.h"
#include "host/size.h"
#include "api/wire.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/loop.h"
#include "host/metrics.h"
#include "prog/report.h"

#define ANSWER_MS 2000u

/* --- types ------------------------------------------------------------------------------------ */

/* What a machine said in the round before. */
struct seen {
	u32 pid;
	json_t *result;
	u64 at_ns;
};

struct round {
	struct peers peers; /* those that were meant */
	u64 at_ns;
	const struct seen *before;
	size_t seen;
};

/* --- reading ---------------------------------------------------------------------------------- */

static u64 number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (u64)value : 0;
}

static u64 counter(const json_t *result, const char *name)
{
	return number(json_object_get(result, "counters"), name);
}

/* Printable ASCII of a text member. */
static const char *text(const json_t *object, const char *name, char *buf, size_t size)
{
	const char *value = json_string_value(json_object_get(object, name));

	snprintf(buf, size, "%s", value ? value : "?");
	for (char *p = buf; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	return buf;
}

static const struct seen *seen_before(const struct round *round, u32 pid)
{
	for (size_t i = 0; i < round->seen; i++)
		if (round->before[i].pid == pid)
			return &round->before[i];
	return NULL;
}

/* What a counter gained a second since the round before; -1: there was none. */
static double rate(const struct round *round, const struct peer *peer, const char *name)
{
	const struct seen *before = seen_before(round, peer->pid);
	u64 now = counter(peer->result, name), then;

	if (!before || round->at_ns <= before->at_ns)
		return -1;
	then = counter(before->result, name);
	return now < then ? 0 : (double)(now - then) * 1e9 / (double)(round->at_ns - before->at_ns);
}

/* --- for people ------------------------------------------------------------------------------- */

/* Three or four digits and a letter. */
static const char *brief(double value, char *buf, size_t size)
{
	static const char letter[] = " KMGTPE";
	unsigned power = 0;

	while (value >= 9999.5 && letter[power + 1]) {
		value /= 1000;
		power++;
	}
	snprintf(buf, size, "%.0f%.*s", value, power > 0, letter + power);
	return buf;
}

static const char *brief_bytes(u64 bytes, char *buf, size_t size)
{
	static const char letter[] = "KMGTPE";
	double value = (double)bytes / 1024;
	unsigned power = 0;

	while (value >= 1023.5 && letter[power + 1]) {
		value /= 1024;
		power++;
	}
	snprintf(buf, size, "%.*f%c", value < 9.95 && power, value, letter[power]);
	return buf;
}

static const char *brief_time(double seconds, char *buf, size_t size)
{
	u64 s = seconds > 0 && seconds < 1e12 ? (u64)seconds : 0;

	if (s < 60)
		snprintf(buf, size, "%us", (unsigned)s);
	else if (s < 3600)
		snprintf(buf, size, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(buf, size, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(buf, size, "%ud%02uh", (unsigned)(s / 86400), (unsigned)(s / 3600 % 24));
	return buf;
}

/* The counters that have a column. */
struct column {
	const char *title;
	const char *name[3];
};

static const struct column columns[] = {
	{"INTERPRETED", {"instructions"}},
	{"BLOCKS", {"translations"}},
	{"ENTRIES", {"translated_entries"}},
	{"FILLS", {"shadow_misses"}},
	{"EXITS", {"exits_pio", "exits_mmio", "halts"}},
	{"INTERRUPTS", {"interrupts"}},
};

static void print_head(bool rates)
{
	printf("%7s %-16s %7s %4s %6s %8s %6s %-13s", "PID", "NAME", "UP", "CPUS", "MEMORY",
	       "OVERHEAD", "CODE", "ENGINE");
	for (unsigned i = 0; i < ARRAY_LEN(columns); i++)
		printf(" %*s%s", (int)strlen(columns[i].title), columns[i].title,
		       rates ? "/s" : "");
	printf("\n");
}

static void print_column(const struct round *round, const struct peer *peer,
			 const struct column *column, bool rates)
{
	int width = (int)strlen(column->title) + (rates ? 2 : 0);
	double sum = 0, value;
	char buf[32];

	for (unsigned i = 0; i < ARRAY_LEN(column->name) && column->name[i]; i++) {
		value = rates ? rate(round, peer, column->name[i])
			      : (double)counter(peer->result, column->name[i]);
		sum += value;
	}
	printf(" %*s", width, sum < 0 ? "-" : brief(sum, buf, sizeof(buf)));
}

static void print_line(const struct round *round, const struct peer *peer, bool rates)
{
	const json_t *r = peer->result;
	char name[80], up[32], memory[32], overhead[32], code[32], engine[32], how[32], both[70];

	if (!r) {
		printf("%7u %s\n", peer->pid, peer->why);
		return;
	}
	snprintf(both, sizeof(both), "%s,%s", text(r, "engine", engine, sizeof(engine)),
		 text(r, "translate", how, sizeof(how)));
	printf("%7u %-16s %7s %4llu %6s %8s %6s %-13s", peer->pid,
	       text(r, "name", name, sizeof(name)),
	       brief_time(json_real_value(json_object_get(r, "uptime_seconds")), up, sizeof(up)),
	       (unsigned long long)number(r, "vcpus"),
	       brief_bytes(number(r, "memory_bytes"), memory, sizeof(memory)),
	       brief_bytes(number(r, "overhead_bytes"), overhead, sizeof(overhead)),
	       brief_bytes(counter(r, "code_bytes"), code, sizeof(code)), both);
	for (unsigned i = 0; i < ARRAY_LEN(columns); i++)
		print_column(round, peer, &columns[i], rates);
	printf("\n");
}

static void print_metric(const struct round *round, const struct peer *peer,
			 const struct metric_row *row)
{
	double per_second = rate(round, peer, row->name);
	u64 value = counter(peer->result, row->name);
	char buf[32];

	printf("  %-63s ", row->text);
	if (row->kind == METRIC_SIZE)
		printf("%16s\n", value ? brief_bytes(value, buf, sizeof(buf)) : "0");
	else if (per_second < 0)
		printf("%16llu\n", (unsigned long long)value);
	else
		printf("%16llu %14.1f/s\n", (unsigned long long)value, per_second);
}

static void print_whole(const struct round *round, const struct peer *peer)
{
	const json_t *r = peer->result;
	char a[80], b[80];

	printf("%s, process %u, up %s\n", text(r, "name", a, sizeof(a)), peer->pid,
	       brief_time(json_real_value(json_object_get(r, "uptime_seconds")), b, sizeof(b)));
	printf("  engine %s, translate=%s", text(r, "engine", a, sizeof(a)),
	       text(r, "translate", b, sizeof(b)));
	if (json_is_string(json_object_get(r, "translate_refusal")))
		printf(" [%s]", text(r, "translate_refusal", a, sizeof(a)));
	printf("; %llu vCPU%s, %llu resets\n", (unsigned long long)number(r, "vcpus"),
	       number(r, "vcpus") == 1 ? "" : "s", (unsigned long long)number(r, "resets"));
	printf("  memory %s, of it resident %s", size_text(number(r, "memory_bytes"), a, sizeof(a)),
	       brief_bytes(number(r, "memory_resident_bytes"), b, sizeof(b)));
	printf("; beside it %s\n", brief_bytes(number(r, "overhead_bytes"), a, sizeof(a)));
	for (unsigned i = 0; i < metric_count; i++)
		print_metric(round, peer, &metric_table[i]);
}

static void print_round(const struct round *round, bool whole, bool watched, bool first)
{
	if (!first)
		printf("\n");
	if (!round->peers.count)
		printf("no machine is running\n");
	else if (!whole)
		print_head(watched && !first);
	for (size_t i = 0; i < round->peers.count; i++) {
		if (whole && round->peers.peer[i].result)
			print_whole(round, &round->peers.peer[i]);
		else
			print_line(round, &round->peers.peer[i], watched && !first);
	}
}

/* --- for programs ----------------------------------------------------------------------------- */

static json_t *rates_of(const struct round *round, const struct peer *peer)
{
	json_t *rates = json_object();
	double value;

	for (unsigned i = 0; i < metric_count; i++) {
		if (metric_table[i].kind != METRIC_COUNT)
			continue;
		value = rate(round, peer, metric_table[i].name);
		if (value < 0) {
			json_decref(rates);
			return json_null();
		}
		json_object_set_new(rates, metric_table[i].name, json_real(value));
	}
	return rates;
}

static json_t *json_round(const struct round *round, bool watched)
{
	json_t *root = json_object(), *list = json_array(), *machine;

	for (size_t i = 0; i < round->peers.count; i++) {
		const struct peer *peer = &round->peers.peer[i];

		if (peer->result)
			machine = json_copy(peer->result);
		else
			machine =
				json_pack("{s:i, s:s}", "pid", (int)peer->pid, "error", peer->why);
		if (peer->result && watched)
			json_object_set_new(machine, "rates", rates_of(round, peer));
		json_array_append_new(list, machine);
	}
	json_object_set_new(root, "version", json_integer(WIRE_VERSION));
	json_object_set_new(root, "machines", list);
	return root;
}

static void print_json(const struct round *round, bool watched)
{
	json_t *root = json_round(round, watched);

	json_dumpf(root, stdout,
		   (watched ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(9));
	printf("\n");
	json_decref(root);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static bool is_meant(const struct peer *peer, const char *operand)
{
	const char *name = json_string_value(json_object_get(peer->result, "name"));
	char pid[16];

	snprintf(pid, sizeof(pid), "%u", peer->pid);
	return !operand || !strcmp(operand, pid) || (name && !strcmp(operand, name));
}

static int round_ask(struct round *round, const char *operand)
{
	int err = peers_open(&round->peers);

	if (err)
		return err;
	peers_ask(&round->peers, "stats", ANSWER_MS);
	round->at_ns = host_now_ns();
	for (size_t i = round->peers.count; i-- > 0;)
		if (!is_meant(&round->peers.peer[i], operand))
			peers_forget(&round->peers, i);
	return 0;
}

static void seen_free(struct seen *seen, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_decref(seen[i].result);
	free(seen);
}

/* What this round said, for the next one. */
static struct seen *seen_keep(const struct round *round)
{
	struct seen *seen = calloc(round->peers.count + 1, sizeof(*seen));

	for (size_t i = 0; seen && i < round->peers.count; i++)
		seen[i] = (struct seen){round->peers.peer[i].pid,
					json_incref(round->peers.peer[i].result), round->at_ns};
	return seen;
}

static int fail(int err)
{
	log_line(LOG_ERROR, "%s", fail_text());
	return err == -ENOENT ? EXIT_USAGE : EXIT_HOST;
}

static int round_do(struct round *round, const struct cli *cli, bool first)
{
	int err = round_ask(round, cli->operand);

	if (err)
		return fail(err);
	if (cli->operand && !round->peers.count) /* the watched machine may have ended */
		return first ? fail(FAIL(-ENOENT,
					 "no machine '%.64s' is running; 'holm stats' lists those "
					 "that are",
					 cli->operand))
			     : EXIT_POWEROFF;
	if (cli->json)
		print_json(round, cli->watch_ms);
	else
		print_round(round, cli->operand, cli->watch_ms, first);
	err = report_end();
	if (err)
		return fail(err);
	if (cli->operand && !cli->watch_ms && !round->peers.peer[0].result)
		return EXIT_HOST;
	return EXIT_POWEROFF;
}

int stats_do(const struct cli *cli)
{
	struct seen *seen = NULL;
	struct round round = {0};
	struct timespec tick;
	bool first = true;
	int code;

	clock_gettime(CLOCK_MONOTONIC, &tick);
	for (;;) {
		code = round_do(&round, cli, first);
		seen_free(seen, round.seen);
		seen = seen_keep(&round);
		round.before = seen;
		round.seen = seen ? round.peers.count : 0;
		if (code || !cli->watch_ms || (cli->operand && !round.seen))
			break;
		peers_close(&round.peers);
		first = false;
		tick.tv_sec += cli->watch_ms / 1000;
		tick.tv_nsec += cli->watch_ms % 1000 * 1000000l;
		if (tick.tv_nsec >= 1000000000l) {
			tick.tv_sec++;
			tick.tv_nsec -= 1000000000l;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
	}
	seen_free(seen, round.seen);
	peers_close(&round.peers);
	return code;
}
