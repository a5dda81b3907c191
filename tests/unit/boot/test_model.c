/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_model: the frozen CPU models answer exactly what they always answered, for both vendors on
 * any host; `host` shows nothing the engines do not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The room itself: both vendors' leaves are wanted, whatever host the test runs on. */
#include "cpu/model.c"

static struct cpu_model frozen(const char *name, enum model_vendor vendor, unsigned cpus)
{
	struct model_recipe r = {.vendor = vendor, .cpus = cpus, .tsc_khz = 2000000};
	struct cpu_model m;

	memset(&m, 0, sizeof(m));
	assert_true(model_frozen(&r, name));
	model_build(&m, &r);
	return m;
}

/* FNV-1a over everything CPUID answers. */
static u64 hash(const struct cpu_model *m)
{
	u64 h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < m->leaves; i++) {
		const struct cpuid_leaf *l = &m->leaf[i];
		const u32 word[] = {l->leaf,	 l->subleaf,  l->any_subleaf, l->regs.eax,
				    l->regs.ebx, l->regs.ecx, l->regs.edx};
		const u8 *p = (const u8 *)word;

		for (size_t k = 0; k < sizeof(word); k++)
			h = (h ^ p[k]) * 0x100000001b3ull;
	}
	return h;
}

static void test_frozen(void **state)
{
	static const struct {
		const char *name;
		enum model_vendor vendor;
		unsigned cpus;
		u64 hash;
	} want[] = {
#include "model_hashes.inc"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct cpu_model m = frozen(want[i].name, want[i].vendor, want[i].cpus);

		if (hash(&m) != want[i].hash)
			fail_msg("{ \"%s\", %s, %u, 0x%016llxull },: a frozen model changed; a "
				 "change needs a new name",
				 want[i].name,
				 want[i].vendor == MODEL_AMD ? "MODEL_AMD" : "MODEL_INTEL",
				 want[i].cpus, (unsigned long long)hash(&m));
		assert_true(m.leaves <= CPU_MODEL_LEAVES);
	}
}

/* psABI levels, word by word, so that the lists are readable somewhere. */
static void test_features(void **state)
{
	struct cpu_model v2 = frozen("v2-1", MODEL_AMD, 2), v3 = frozen("v3-1", MODEL_INTEL, 2);
	struct cpuid_regs r;

	(void)state;
	r = cpu_model_cpuid(&v2, 1, 0);
	assert_int_equal(r.ecx, 0x81b82201); /* hv tscd popcnt x2apic sse4 cx16 ssse3 sse3 */
	assert_int_equal(r.edx, 0x178bfbf9);
	r = cpu_model_cpuid(&v3, 1, 0);
	assert_int_equal(r.ecx, 0xb5f83201); /* + f16c avx xsave movbe fma */
	assert_int_equal(r.edx, 0x178bfbf9);
	r = cpu_model_cpuid(&v2, 7, 0);
	assert_int_equal(r.ebx, 0x00000202); /* erms, tsc_adjust */
	assert_int_equal(r.edx, 0x00000010); /* fsrm */
	r = cpu_model_cpuid(&v3, 7, 0);
	assert_int_equal(r.ebx, 0x0000032a); /* + avx2, bmi1, bmi2 */
	r = cpu_model_cpuid(&v3, 0x80000001, 0);
	assert_int_equal(r.ecx, 0x00000121); /* prefetchw lzcnt lahf */
	assert_int_equal(r.edx, 0x28100800); /* lm rdtscp nx syscall */
	assert_int_equal(v2.xcr0, 1);
	assert_int_equal(v3.xcr0, 7);
	assert_int_equal(cpu_model_cpuid(&v2, 0, 0).eax, 0xb);
	assert_int_equal(cpu_model_cpuid(&v3, 0xd, 0).ebx, 832);
	assert_int_equal(cpu_model_cpuid(&v3, 0xd, 1).eax, 1); /* xsaveopt alone */
	assert_int_equal(cpu_model_cpuid(&v3, 0xd, 2).ebx, 576);
}

static void test_hypervisor(void **state)
{
	struct cpu_model m = frozen("v3-1", MODEL_INTEL, 1);
	struct cpuid_regs r = cpu_model_cpuid(&m, 0x40000000, 0);
	char sig[12];

	(void)state;
	memcpy(sig, &r.ebx, 4);
	memcpy(sig + 4, &r.ecx, 4);
	memcpy(sig + 8, &r.edx, 4);
	assert_memory_equal(sig, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(cpu_model_cpuid(&m, 0x40000001, 0).eax, 0x01000008);
	assert_int_equal(cpu_model_cpuid(&m, 0x40000010, 0).eax, 2000000);
	assert_int_equal(cpu_model_cpuid(&m, 0x40000002, 0).eax, 0);
	assert_int_equal(cpu_model_cpuid(&m, 0x40000100, 0).eax, 0);
}

static void test_range(void **state)
{
	struct cpu_model intel = frozen("v3-1", MODEL_INTEL, 1);
	struct cpu_model amd = frozen("v3-1", MODEL_AMD, 1);

	(void)state;
	assert_int_equal(cpu_model_cpuid(&intel, 0x20, 0).ebx, 832); /* as leaf 0xd */
	assert_int_equal(cpu_model_cpuid(&intel, 0x8000001e, 2).ebx, 576);
	assert_int_equal(cpu_model_cpuid(&amd, 0x20, 0).ebx, 0);
	assert_int_equal(cpu_model_cpuid(&amd, 0x8000001f, 0).eax, 0);
	assert_int_equal(cpu_model_cpuid(&intel, 0x15, 0).eax,
			 cpu_model_cpuid(&intel, 0xd, 0).eax); /* beyond the end too */
	assert_int_equal(cpu_model_cpuid(&intel, 3, 0).eax, 0);
	assert_int_equal(cpu_model_cpuid(&intel, 0xb, 7).ecx, 7);
	assert_int_equal(cpu_model_cpuid(&amd, 0x80000008, 0).eax & 0xff, 40);
}

static void test_topology(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 8, 64, 255};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		unsigned n = counts[i];
		struct cpu_model in = frozen("v2-1", MODEL_INTEL, n);
		struct cpu_model amd = frozen("v2-1", MODEL_AMD, n);
		u32 shift = cpu_model_cpuid(&in, 0xb, 1).eax;

		assert_true(1u << shift >= n && (shift == 0 || 1u << (shift - 1) < n));
		assert_int_equal(cpu_model_cpuid(&in, 0xb, 0).eax, 0);
		assert_int_equal(cpu_model_cpuid(&in, 0xb, 1).ebx, n);
		assert_int_equal((cpu_model_cpuid(&in, 4, 3).eax >> 14 & 0xfff) + 1, 1u << shift);
		assert_int_equal(cpu_model_cpuid(&in, 4, 4).eax, 0);
		assert_int_equal((cpu_model_cpuid(&amd, 0x80000008, 0).ecx & 0xff) + 1, n);
		assert_int_equal(cpu_model_cpuid(&amd, 0x80000008, 0).ecx >> 12 & 0xf, shift);
		assert_int_equal(!!(cpu_model_cpuid(&amd, 1, 0).edx >> 28 & 1), n > 1);
	}
}

static void test_open(void **state)
{
	struct cpu_model m;
	struct cpuid_regs r;
	const char *missing = NULL;
	int rc;

	(void)state;
	assert_int_equal(cpu_model_open(&m, "v9-1", 1, 2000000, &missing), -2);
	rc = cpu_model_open(&m, "v3-1", 1, 2000000, &missing);
	assert_true(!rc || (rc == -95 && missing));
	assert_int_equal(cpu_model_open(&m, "host", 2, 2000000, &missing), 0);
	assert_string_equal(m.name, "host");
	r = cpu_model_cpuid(&m, 1, 0);
	assert_int_equal(r.ecx & (1u << 5 | 1u << 3 | 1u << 27), 0); /* VMX MONITOR OSXSAVE */
	r = cpu_model_cpuid(&m, 7, 0);
	/* HLE RTM MPX AVX512* PKU LA57 RDPID, CET, AMX */
	assert_int_equal(r.ebx & 0xdc234810, 0);
	assert_int_equal(r.ecx & ~4u, 0);
	assert_int_equal(r.edx & ~0x10u, 0);
	r = cpu_model_cpuid(&m, 0x80000001, 0);
	assert_int_equal(r.ecx & 0x10844, 0);	 /* SVM SSE4A XOP FMA4 */
	assert_int_equal(r.edx & 0xc0400000, 0); /* 3DNOW MMXEXT */
	assert_true(m.xcr0 <= 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frozen),	   cmocka_unit_test(test_features),
		cmocka_unit_test(test_hypervisor), cmocka_unit_test(test_range),
		cmocka_unit_test(test_topology),   cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
