/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rest: the few forms that neither run at CPL 3 nor come up in any other test.
 */
#include "../unit/cpu_seg/rig.h"

#define PORT 0x70

/* --- a port: reads count up, writes are remembered --- */

static u32 port_next, port_seen[8];
static unsigned port_writes;

static u32 port_read(struct cpu *c, u16 port, unsigned size)
{
	(void)c, (void)size;
	assert_int_equal(port, PORT);
	return port_next++;
}

static void port_write(struct cpu *c, u16 port, unsigned size, u32 v)
{
	(void)c, (void)size;
	assert_int_equal(port, PORT);
	port_seen[port_writes++ & 7] = v;
}

static struct cpu_ops port_ops(void)
{
	struct cpu_ops o = ops;

	o.io_read = port_read;
	o.io_write = port_write;
	return o;
}

static void string_io(void **state)
{
	struct cpu_ops o = port_ops();
	struct rig *r = rig_long(0);

	(void)state;
	r->c.ops = &o;
	r->c.r[R_RDX] = PORT;
	r->c.r[R_RDI] = 0x100000;
	r->c.r[R_RCX] = 3;
	r->c.event = 0; /* would end a REP after one iteration */
	port_next = 5;
	STEP(r, "\xf3\x6c"); /* rep insb */
	assert_int_equal(get(r, 0x100000, 4), 0x070605);
	assert_int_equal(r->c.r[R_RDI], 0x100003);
	assert_int_equal(r->c.r[R_RCX], 0);
	STEP(r, "\x66\x6d"); /* insw */
	assert_int_equal(get(r, 0x100003, 2), 8);
	STEP(r, "\x6d"); /* insd */
	assert_int_equal(get(r, 0x100005, 4), 9);
	r->c.r[R_RSI] = 0x100000;
	r->c.r[R_RCX] = 2;
	STEP(r, "\xf3\x6e"); /* rep outsb */
	STEP(r, "\x66\x6f"); /* outsw */
	assert_int_equal(port_writes, 3);
	assert_int_equal(port_seen[0], 5);
	assert_int_equal(port_seen[1], 6);
	assert_int_equal(port_seen[2], 0x0807);
	assert_int_equal(r->c.r[R_RSI], 0x100004);
	rig_free(r);
}

static void far_pointers(void **state)
{
	struct rig *r = rig_protected(0);

	(void)state;
	put(r, 0x100000, 4, 0x12345678);
	put(r, 0x100004, 2, SEL_DATA);
	r->c.r[R_RBX] = 0x100000;
	STEP(r, "\xc4\x03"); /* les eax, [ebx] */
	assert_int_equal(r->c.r[R_RAX], 0x12345678);
	assert_int_equal(r->c.s.seg[S_ES].sel, SEL_DATA);
	STEP(r, "\x0f\xb2\x23"); /* lss esp, [ebx] */
	assert_int_equal(r->c.r[R_RSP], 0x12345678);
	assert_int_equal(r->c.s.seg[S_SS].sel, SEL_DATA);
	rig_free(r);
}

static void undefined(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	STEP(r, "\x0f\xaa"); /* rsm */
	assert_int_equal(r->c.rip, handler(EXC_UD));
	rig_free(r);
}

/* KVM's ABI: the number in RAX, the result too; no #UD whatever the vendor. */
static void hypercalls(void **state)
{
	static const char *const code[] = {"\x0f\x01\xc1", "\x0f\x01\xd9"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) { /* vmcall, vmmcall */
		struct rig *r = rig_long(0);
		r->c.r[R_RAX] = 5;
		step(r, code[i], 3);
		assert_int_equal(r->c.rip, CODE + 3);
		assert_int_equal((s64)r->c.r[R_RAX], -1000); /* -KVM_ENOSYS */
		rig_free(r);
	}
}

static void caches(void **state)
{
	static const char *const code[] = {"\x0f\x08", "\x0f\x09", "\xf3\x0f\x09"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) { /* invd, wbinvd, wbnoinvd */
		struct rig *r = rig_long(0);
		unsigned n = (unsigned)strlen(code[i]);
		step(r, code[i], n);
		assert_int_equal(r->c.rip, CODE + n);
		rig_free(r);
	}
}

/* No performance counters: #GP for any of them. */
static void counters(void **state)
{
	struct rig *r = rig_long(0);

	(void)state;
	r->c.r[R_RCX] = 0;
	STEP(r, "\x0f\x33");
	assert_int_equal(r->c.rip, handler(EXC_GP));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(string_io), cmocka_unit_test(far_pointers),
		cmocka_unit_test(undefined), cmocka_unit_test(hypercalls),
		cmocka_unit_test(caches),    cmocka_unit_test(counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
