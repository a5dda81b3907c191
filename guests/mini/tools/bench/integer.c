/* SPDX-License-Identifier: Apache-2.0 */
/* bench: integer work, from registers only to what the C library does. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

/* --- registers and a small table -------------------------------------------------------------- */

/* No memory: xorshift. */
static uint64_t alu(uint64_t n)
{
	uint64_t x = 88172645463325252u;

	while (n--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static uint32_t table[4096];

static void clear_table(void)
{
	memset(table, 0, sizeof(table));
}

/* Dense in memory: an LCG picks, adds and branches in 16 KiB. */
uint64_t integer_mem(uint32_t *t, uint64_t n)
{
	uint32_t x = 1, sum = 0;

	while (n--) {
		x = x * 1664525u + 1013904223u;
		t[x >> 20] += x;
		if (t[(x >> 8) & 4095] & 1)
			sum += x;
	}
	return sum;
}

static uint64_t mem(uint64_t n)
{
	return integer_mem(table, n);
}

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
}

static uint64_t crc(uint64_t n)
{
	uint8_t block[1024];
	uint32_t c = ~0u;

	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 7);
	while (n--)
		for (unsigned i = 0; i < sizeof(block); i++)
			c = c >> 8 ^ table[(c ^ block[i]) & 0xff];
	return c;
}

/* --- branches and calls ----------------------------------------------------------------------- */

#define FIB_CALLS 465u /* of fib(12) */

/* Every call is to be one: nothing inlined, made a loop, or known to have no effects. */
static __attribute__((noipa, optimize("no-optimize-sibling-calls"))) unsigned fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t calls(uint64_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum = sum * 31 + fib(12);
	return sum;
}

enum { OP_ADD, OP_XOR, OP_SHR, OP_MUL, OP_LOAD, OP_STORE, OP_AND, OP_SKIP_ODD, OP_NEXT };

/* One round of what the interpreter runs: {operation, register, register or number}. */
static const uint8_t program[][3] = {
	{OP_MUL, 0, 1},	 {OP_ADD, 0, 2},      {OP_ADD, 3, 0}, {OP_SHR, 3, 7},	{OP_XOR, 4, 3},
	{OP_AND, 3, 63}, {OP_LOAD, 5, 3},     {OP_ADD, 5, 0}, {OP_STORE, 5, 3}, {OP_ADD, 6, 5},
	{OP_SHR, 5, 11}, {OP_SKIP_ODD, 5, 0}, {OP_XOR, 6, 4}, {OP_ADD, 4, 6},	{OP_NEXT, 0, 0},
};

/* An interpreter with computed gotos: an indirect branch each few instructions. */
static uint64_t interp(uint64_t n)
{
	static const void *const bodies[] = {&&add,   &&xor, &&shr,  &&mul, &&load,
					     &&store, &&and, &&skip, &&next};
	uint32_t r[8] = {1, 1664525, 1013904223}, memory[64] = {0};
	const uint8_t(*pc)[3] = program - 1;

#define GO goto *bodies[(*++pc)[0]]
#define A  r[(*pc)[1]]
#define B  (*pc)[2]
	GO;
add:
	A += r[B];
	GO;
	xor : A ^= r[B];
	GO;
shr:
	A >>= B;
	GO;
mul:
	A *= r[B];
	GO;
load:
	A = memory[r[B]];
	GO;
store:
	memory[r[B]] = A;
	GO;
	and : A &= B;
	GO;
skip:
	pc += A & 1;
	GO;
next:
	pc = program - 1;
	if (--n)
		GO;
#undef GO
#undef A
#undef B
	return r[6];
}

struct shape {
	uint32_t (*const *ops)(const struct shape *s, uint32_t x);
	uint32_t a, b;
};

static uint32_t square(const struct shape *s, uint32_t x)
{
	return s->a * s->a + x;
}

static uint32_t oblong(const struct shape *s, uint32_t x)
{
	return s->a * s->b ^ x;
}

static uint32_t ring(const struct shape *s, uint32_t x)
{
	return (s->a - s->b) * 355 / 113 + x;
}

static uint32_t line(const struct shape *s, uint32_t x)
{
	return x - s->b;
}

static uint32_t (*const shape_ops[4][1])(const struct shape *s,
					 uint32_t x) = {{square}, {oblong}, {ring}, {line}};
static struct shape shapes[256];

static void make_shapes(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < COUNT(shapes); i++) {
		shapes[i].ops = shape_ops[lcg(&x) >> 30];
		shapes[i].a = i;
		shapes[i].b = x >> 24;
	}
}

static uint64_t virtuals(uint64_t n)
{
	uint32_t sum = 0;

	while (n--)
		for (unsigned i = 0; i < COUNT(shapes); i++)
			sum = shapes[i].ops[0](&shapes[i], sum);
	return sum;
}

/* --- data structures -------------------------------------------------------------------------- */

struct slot {
	uint64_t key, value;
};

static struct slot slots[16384]; /* 256 KiB, half of them taken in the end */

static void clear_slots(void)
{
	memset(slots, 0, sizeof(slots));
}

static struct slot *find(uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15u >> 50;

	while (slots[h].key && slots[h].key != key)
		h = (h + 1) % COUNT(slots);
	return &slots[h];
}

static uint64_t hash(uint64_t n)
{
	uint64_t sum = 0;
	uint32_t x = 1;

	while (n--) {
		uint64_t key = (lcg(&x) >> 19) + 1;
		struct slot *s = find(key);

		s->key = key;
		sum += ++s->value;
	}
	return sum;
}

/* A ring through all nodes in no order; each node has a cache line. */
struct node {
	struct node *next;
	uint64_t fill[7];
};

static struct node nodes[65536];

static void make_ring(unsigned count)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < count; i++)
		nodes[i].next = &nodes[i];
	for (unsigned i = count - 1; i; i--) { /* Sattolo's shuffle: one cycle */
		unsigned other = (unsigned)((uint64_t)lcg(&x) * i >> 32);
		struct node *t = nodes[i].next;

		nodes[i].next = nodes[other].next;
		nodes[other].next = t;
	}
}

static void near_ring(void)
{
	make_ring(256); /* 16 KiB */
}

static void far_ring(void)
{
	if (!nodes[0].next)
		make_ring(COUNT(nodes)); /* 4 MiB */
}

static uint64_t chase(uint64_t n)
{
	const struct node *p = nodes;

	while (n--)
		p = p->next;
	return (uint64_t)(p - nodes);
}

/* --- the C library ---------------------------------------------------------------------------- */

#define SORTED 100u

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t sort(uint64_t n)
{
	uint32_t x = 1, sum = 0, a[SORTED];

	while (n--) {
		for (unsigned i = 0; i < SORTED; i++)
			a[i] = lcg(&x);
		qsort(a, SORTED, sizeof(a[0]), compare);
		sum = sum * 31 + a[SORTED / 3];
	}
	return sum;
}

static uint64_t format(uint64_t n)
{
	uint32_t x = 1;
	uint64_t sum = 0;
	char text[128];

	while (n--) {
		int size = snprintf(text, sizeof(text), "%d %08x %-12s|%5u %llu%c", (int)lcg(&x), x,
				    x & 0x10000 ? "holm" : "island", x >> 20,
				    (unsigned long long)x * x, 'a' + (int)(x >> 28));

		sum = sum * 31 + (uint64_t)size + (uint8_t)text[x >> 28];
	}
	return sum;
}

const struct row integer_rows[] = {
	{"alu", alu, 16000, 1},
	{"mem", mem, 12000, 1, clear_table},
	{"calls", calls, 32, FIB_CALLS},
	{"interp", interp, 1600, COUNT(program)},
	{"virtual", virtuals, 64, COUNT(shapes), make_shapes},
	{"hash", hash, 8000, 1, clear_slots},
	{"sort", sort, 32, SORTED},
	{"format", format, 160, 1},
	{"chase", chase, 60007, 1, near_ring},
	{"chase_far", chase, 60007, 1, far_ring},
	{"crc", crc, 32, 1024, make_crc_table},
	{NULL},
};
