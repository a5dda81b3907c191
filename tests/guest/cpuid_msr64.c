/* SPDX-License-Identifier: Apache-2.0 */
/* cpuid_msr64: what CPUID promises is there and nothing else; control registers, XCR0 and MSRs take
 * legal values only (Intel SDM 2A CPUID, 3A 2.5, 4; AMD APM 2, 3 appendix E). For any CPU model. */
#include "rt/rt.h"

#define NONCANON 0x800000000000ull
#define XCR0_ALL 7u

static u8 area[4096] __attribute__((aligned(64)));
static bool amd;

static bool has(u32 leaf, u32 sub, unsigned reg, unsigned bit)
{
	u32 max = cpuid(leaf & 0x80000000u, 0).a;
	struct cpuid r = cpuid(leaf, sub);
	const u32 v[] = {r.a, r.b, r.c, r.d};

	return leaf <= max && v[reg] >> bit & 1;
}

/* --- raw accesses that may fault ------------------------------------------------------------ */

struct access {
	u64 value;
	u32 number;
};

static void t_rdmsr(void *arg)
{
	struct access *a = arg;

	a->value = rdmsr(a->number);
}
static void t_wrmsr(void *arg)
{
	const struct access *a = arg;

	wrmsr(a->number, a->value);
}
static void t_cr0(void *arg)
{
	write_cr0(((struct access *)arg)->value);
}
static void t_cr3(void *arg)
{
	write_cr3(((struct access *)arg)->value);
}
static void t_cr4(void *arg)
{
	write_cr4(((struct access *)arg)->value);
}
static void t_cr8(void *arg)
{
	asm volatile("mov %0, %%cr8" ::"r"(((struct access *)arg)->value));
}
static void t_xsetbv(void *arg)
{
	const struct access *a = arg;

	asm volatile("xsetbv" ::"c"(a->number), "a"((u32)a->value), "d"((u32)(a->value >> 32)));
}
static void t_xgetbv(void *arg)
{
	struct access *a = arg;
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(a->number));
	a->value = lo | (u64)hi << 32;
}

static u32 try_value(void (*fn)(void *), u32 number, u64 value)
{
	struct access a = {value, number};

	return try_run(fn, &a);
}

/* --- instructions by feature ---------------------------------------------------------------- */

enum { EAX, EBX, ECX, EDX };
enum { NEED_NONE, NEED_AVX, NEED_MORE }; /* MORE: a mode that is off here */

static const struct {
	const char *name;
	u32 leaf, sub;
	u8 reg, bit, need;
	u8 code[8];
} insns[] = {
	{"CX16: cmpxchg16b", 1, 0, ECX, 13, 0, {0x48, 0x0f, 0xc7, 0x0f}},
	{"SSE3: haddps", 1, 0, ECX, 0, 0, {0xf2, 0x0f, 0x7c, 0xc0}},
	{"SSSE3: pabsb", 1, 0, ECX, 9, 0, {0x66, 0x0f, 0x38, 0x1c, 0xc0}},
	{"SSE4.1: pmulld", 1, 0, ECX, 19, 0, {0x66, 0x0f, 0x38, 0x40, 0xc0}},
	{"SSE4.2: pcmpgtq", 1, 0, ECX, 20, 0, {0x66, 0x0f, 0x38, 0x37, 0xc0}},
	{"SSE4.2: crc32", 1, 0, ECX, 20, 0, {0xf2, 0x0f, 0x38, 0xf1, 0xc0}},
	{"MOVBE: movbe", 1, 0, ECX, 22, 0, {0x0f, 0x38, 0xf0, 0x07}},
	{"POPCNT: popcnt", 1, 0, ECX, 23, 0, {0xf3, 0x0f, 0xb8, 0xc0}},
	{"PCLMULQDQ: pclmulqdq", 1, 0, ECX, 1, 0, {0x66, 0x0f, 0x3a, 0x44, 0xc0, 0}},
	{"AES: aesenc", 1, 0, ECX, 25, 0, {0x66, 0x0f, 0x38, 0xdc, 0xc0}},
	{"RDRAND: rdrand", 1, 0, ECX, 30, 0, {0x0f, 0xc7, 0xf0}},
	{"AVX: vaddps", 1, 0, ECX, 28, NEED_AVX, {0xc5, 0xf8, 0x58, 0xc0}},
	{"F16C: vcvtph2ps", 1, 0, ECX, 29, NEED_AVX, {0xc4, 0xe2, 0x79, 0x13, 0xc0}},
	{"FMA: vfmadd132ps", 1, 0, ECX, 12, NEED_AVX, {0xc4, 0xe2, 0x79, 0x98, 0xc0}},
	{"AVX2: vpaddb ymm", 7, 0, EBX, 5, NEED_AVX, {0xc5, 0xfd, 0xfc, 0xc0}},
	{"BMI1: andn", 7, 0, EBX, 3, 0, {0xc4, 0xe2, 0x78, 0xf2, 0xc0}},
	{"BMI2: bzhi", 7, 0, EBX, 8, 0, {0xc4, 0xe2, 0x78, 0xf5, 0xc0}},
	{"ADX: adcx", 7, 0, EBX, 19, 0, {0x66, 0x0f, 0x38, 0xf6, 0xc0}},
	{"RDSEED: rdseed", 7, 0, EBX, 18, 0, {0x0f, 0xc7, 0xf8}},
	{"SMAP: clac", 7, 0, EBX, 20, 0, {0x0f, 0x01, 0xca}},
	{"CLFLUSHOPT: clflushopt", 7, 0, EBX, 23, 0, {0x66, 0x0f, 0xae, 0x3f}},
	{"CLWB: clwb", 7, 0, EBX, 24, 0, {0x66, 0x0f, 0xae, 0x37}},
	{"SHA: sha1nexte", 7, 0, EBX, 29, 0, {0x0f, 0x38, 0xc8, 0xc0}},
	{"INVPCID: invpcid", 7, 0, EBX, 10, 0, {0x66, 0x0f, 0x38, 0x82, 0x07}},
	{"RTM: xtest", 7, 0, EBX, 11, 0, {0x0f, 0x01, 0xd6}},
	{"GFNI: gf2p8mulb", 7, 0, ECX, 8, 0, {0x66, 0x0f, 0x38, 0xcf, 0xc0}},
	{"VAES: vaesenc ymm", 7, 0, ECX, 9, NEED_AVX, {0xc4, 0xe2, 0x7d, 0xdc, 0xc0}},
	{"MOVDIRI: movdiri", 7, 0, ECX, 27, 0, {0x0f, 0x38, 0xf9, 0x07}},
	{"RDPID: rdpid", 7, 0, ECX, 22, 0, {0xf3, 0x0f, 0xc7, 0xf8}},
	{"SERIALIZE: serialize", 7, 0, EDX, 14, 0, {0x0f, 0x01, 0xe8}},
	{"RDTSCP: rdtscp", 0x80000001, 0, EDX, 27, 0, {0x0f, 0x01, 0xf9}},
	{"SSE4A: extrq", 0x80000001, 0, ECX, 6, 0, {0x66, 0x0f, 0x79, 0xc0}},
	{"3DNow: pfadd", 0x80000001, 0, EDX, 31, 0, {0x0f, 0x0f, 0xc0, 0x9e}},
	{"CLZERO: clzero", 0x80000008, 0, EBX, 0, 0, {0x57, 0x58, 0x0f, 0x01, 0xfc}},
	{"SMX: getsec without CR4.SMXE", 1, 0, ECX, 6, NEED_MORE, {0x0f, 0x37}},
	{"SVM: stgi without EFER.SVME", 0x80000001, 0, ECX, 2, NEED_MORE, {0x0f, 0x01, 0xdc}},
	{"MPX, CET and others: hint nop", 0, 0, EAX, 0xff, 0, {0xf3, 0x0f, 0x1e, 0xfa}},
	{"LZCNT or bsr", 0, 0, EAX, 0xff, 0, {0xf3, 0x0f, 0xbd, 0xc7}},
	{"TZCNT or bsf", 0, 0, EAX, 0xff, 0, {0xf3, 0x0f, 0xbc, 0xc7}},
	{"PREFETCHW or nop", 0, 0, EAX, 0xff, 0, {0x0f, 0x0d, 0x0f}},
};

static void run_code(void *arg)
{
	asm volatile("mov %%rbx, %%r8; call *%%rsi; mov %%r8, %%rbx" ::"S"(arg), "D"(area), "a"(0),
		     "c"(0), "d"(0)
		     : "r8", "memory", "cc");
}

static u32 run_insn(unsigned i)
{
	static u8 code[16];

	memset(code, 0x90, sizeof(code));
	memcpy(code, insns[i].code, sizeof(insns[i].code));
	for (unsigned n = sizeof(insns[i].code); n > 1 && !code[n - 1]; n--)
		code[n - 1] = 0x90;
	if (code[0] == 0x66 && code[2] == 0x3a)
		code[5] = 0;
	code[12] = 0xc3;
	memset(area, 0, 64);
	return try_run(run_code, code);
}

static void t_vaddps(void *arg)
{
	(void)arg;
	asm volatile(".byte 0xc5, 0xf8, 0x58, 0xc0");
}

static void features(void)
{
	bool avx = has(1, 0, ECX, 28) && has(1, 0, ECX, 26);

	section("an instruction is there if and only if CPUID says so (SDM 2)");
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (avx) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		try_value(t_xsetbv, 0, XCR0_ALL);
	}
	for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		bool there = insns[i].bit == 0xff ||
			     has(insns[i].leaf, insns[i].sub, insns[i].reg, insns[i].bit);
		u32 got = run_insn(i);

		if (insns[i].need == NEED_MORE || (insns[i].need == NEED_AVX && !avx))
			there = false;
		qemu_differs("decodes by other rules");
		check(got == (there ? NO_TRAP : UD), insns[i].name, "vector %d, CPUID says %d",
		      (int)got, there);
	}
	section("CPUID (SDM 2A; AMD APM 3)");
	CHECK(cpuid(0, 0).a >= 7, "leaf 7 is there");
	CHECK_EQ(cpuid(1, 0).b >> 24, apic_read(APIC_ID) >> 24, "leaf 1 has the APIC id");
	if (cpuid(0, 0).a >= 0xb)
		CHECK_EQ(cpuid(0xb, 0).d, apic_read(APIC_ID) >> 24, "leaf B too");
	write_cr4(read_cr4() & ~(uword)CR4_OSXSAVE);
	CHECK(!has(1, 0, ECX, 27), "OSXSAVE follows CR4: clear");
	if (has(1, 0, ECX, 26)) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		CHECK(has(1, 0, ECX, 27), "OSXSAVE follows CR4: set");
	}
	if (amd) {
		struct cpuid over = cpuid(cpuid(0, 0).a + 0x100, 0), low = cpuid(1, 0);
		u32 common = 0x0183f3ff;

		qemu_differs("answers the last leaf");
		CHECK(!over.a && !over.b && !over.c && !over.d, "a leaf over the last is 0");
		CHECK_EQ(cpuid(0x80000001, 0).d & common, low.d & common,
			 "80000001 EDX repeats leaf 1's");
	}
	CHECK(has(0x80000001, 0, EDX, 29), "long mode");
}

/* --- control registers ---------------------------------------------------------------------- */

static void control_registers(void)
{
	static const struct {
		u8 bit;
		u32 leaf;
		u8 reg, cpuid_bit;
	} cr4[] = {
		{0, 1, EDX, 1},	 {1, 1, EDX, 1},   {3, 1, EDX, 2},   {6, 1, EDX, 7},
		{7, 1, EDX, 13}, {11, 7, ECX, 2},  {12, 7, ECX, 16}, {13, 1, ECX, 5},
		{14, 1, ECX, 6}, {16, 7, EBX, 0},  {17, 1, ECX, 17}, {18, 1, ECX, 26},
		{20, 7, EBX, 7}, {21, 7, EBX, 20}, {22, 7, ECX, 3},  {23, 7, ECX, 7},
	};
	u64 old, wrong = 0;
	unsigned width = cpuid(0x80000008, 0).a & 255;

	section("reserved bits of control registers (SDM 3A 2.5)");
	if (on_qemu()) {
		skip("control registers", "QEMU does not check them");
		return;
	}
	old = read_cr0();
	for (unsigned b = 32; b < 64; b++)
		wrong += try_value(t_cr0, 0, old | 1ull << b) != GP;
	CHECK_EQ(wrong, 0, "cr0 63:32: #GP");
	CHECK_EQ(try_value(t_cr0, 0, old | 1u << 10), NO_TRAP, "cr0 bit 10 is taken");
	CHECK_EQ(read_cr0(), old, "and dropped");
	CHECK_EQ(try_value(t_cr0, 0, old & ~(u64)(1u << 4)), NO_TRAP, "cr0.ET cannot be cleared");
	CHECK_EQ(read_cr0() >> 4 & 1, 1, "ET reads 1");
	CHECK_EQ(try_value(t_cr0, 0, old & ~(u64)CR0_PG), GP, "cr0.PG off in 64-bit mode: #GP");
	old = read_cr3();
	wrong = 0;
	for (unsigned b = width; b < 63; b++)
		wrong += try_value(t_cr3, 0, old | 1ull << b) != GP;
	CHECK_EQ(wrong, 0, "cr3 over MAXPHYADDR: #GP");
	CHECK_EQ(read_cr3(), old, "cr3 is as it was");
	old = read_cr4();
	wrong = 0;
	for (unsigned b = 24; b < 64; b++)
		wrong |= (u64)(try_value(t_cr4, 0, old | 1ull << b) != GP) << b;
	CHECK_EQ(wrong, 0, "cr4 63:24: #GP");
	wrong = 0;
	for (unsigned i = 0; i < sizeof(cr4) / sizeof(cr4[0]); i++) {
		bool there = has(cr4[i].leaf, 0, cr4[i].reg, cr4[i].cpuid_bit);
		u32 got = try_value(t_cr4, 0, old | 1u << cr4[i].bit);

		if (cr4[i].bit == 13 || cr4[i].bit == 14) /* VMXE, SMXE: no such CPUs here */
			there = false;
		wrong |= (u64)(got != (there ? NO_TRAP : GP)) << cr4[i].bit;
		write_cr4(old);
	}
	CHECK_EQ(wrong, 0, "cr4 bits are those of CPUID");
	CHECK_EQ(try_value(t_cr4, 0, old | 1u << 15), GP, "cr4 bit 15: #GP");
	wrong = 0;
	for (unsigned b = 4; b < 64; b++)
		wrong += try_value(t_cr8, 0, 1ull << b) != GP;
	CHECK_EQ(wrong, 0, "cr8 63:4: #GP");
}

/* --- XCR0 ----------------------------------------------------------------------------------- */

static void t_xsave(void *arg)
{
	asm volatile("xsave (%0)" ::"r"(arg), "a"(XCR0_ALL), "d"(0) : "memory");
}
static void t_xrstor(void *arg)
{
	asm volatile("xrstor (%0)" ::"r"(arg), "a"(XCR0_ALL), "d"(0) : "memory");
}

static void xcr0(void)
{
	struct access read = {0, 0};
	u32 size;

	section("XCR0, XSAVE (SDM 1, 13)");
	if (!has(1, 0, ECX, 26)) {
		CHECK_EQ(try_value(t_cr4, 0, read_cr4() | CR4_OSXSAVE), on_qemu() ? NO_TRAP : GP,
			 "CR4.OSXSAVE when not offered: #GP");
		expect("xgetbv when not offered", UD, 0, t_xgetbv, &read);
		expect("xsave when not offered", UD, 0, t_xsave, area);
		return;
	}
	write_cr4(read_cr4() & ~(uword)CR4_OSXSAVE);
	expect("xgetbv without OSXSAVE", UD, 0, t_xgetbv, &read);
	CHECK_EQ(try_value(t_xsetbv, 0, 1), UD, "xsetbv without OSXSAVE: #UD");
	expect("xsave without OSXSAVE", UD, 0, t_xsave, area);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	CHECK_EQ(try_value(t_xsetbv, 0, 1), NO_TRAP, "x87 alone");
	size = cpuid(0xd, 0).b;
	CHECK_EQ(size, 576, "CPUID D: the legacy area and header");
	CHECK_EQ(try_value(t_xsetbv, 0, 0), GP, "without x87: #GP");
	CHECK_EQ(try_value(t_xsetbv, 0, 2), GP, "SSE without x87: #GP");
	CHECK_EQ(try_value(t_xsetbv, 0, 5), GP, "AVX without SSE: #GP");
	CHECK_EQ(try_value(t_xsetbv, 0, 1ull << 62 | 1), GP, "bit 62: #GP");
	CHECK_EQ(try_value(t_xsetbv, 1, 1), GP, "XCR1: #GP");
	read.number = 2;
	expect("xgetbv of XCR2", GP, 0, t_xgetbv, &read);
	CHECK_EQ(try_value(t_xsetbv, 0, 3), NO_TRAP, "x87 and SSE");
	{
		static struct access user;

		expect_user("xsetbv at CPL3", GP, 0, t_xsetbv, USER(&user));
		expect_user("xgetbv at CPL3", NO_TRAP, 0, t_xgetbv, USER(&user));
		CHECK_EQ(user.value, 3, "reads XCR0");
	}
	memset(area, 0, sizeof(area));
	expect("xsave", NO_TRAP, 0, t_xsave, area);
	CHECK_EQ(area[512] & ~3, 0, "XSTATE_BV within XCR0");
	expect("xrstor", NO_TRAP, 0, t_xrstor, area);
	expect("xsave, not aligned to 64", GP, 0, t_xsave, area + 16);
	area[512] |= 4;
	expect("xrstor of a component not in XCR0", GP, 0, t_xrstor, area);
	area[512] &= 3;
	area[528] = 1;
	expect("xrstor with a reserved header byte", GP, 0, t_xrstor, area);
	write_cr0(read_cr0() | CR0_TS);
	qemu_differs("not checked");
	expect("xsave with TS", NM, 0, t_xsave, area);
	asm volatile("clts");
	if (has(1, 0, ECX, 28)) {
		expect("AVX without XCR0.AVX", UD, 0, t_vaddps, NULL);
		CHECK_EQ(try_value(t_xsetbv, 0, 7), NO_TRAP, "all three");
		CHECK_EQ(cpuid(0xd, 0).b, 832, "CPUID D grows by the YMM halves");
		if (has(0xd, 1, EAX, 1)) {
			CHECK_EQ(cpuid(0xd, 1).b, 832, "the compacted size too");
			CHECK_EQ(try_value(t_xsetbv, 0, 3), NO_TRAP, "x87 and SSE again");
			CHECK_EQ(cpuid(0xd, 1).b, 576, "the compacted size follows XCR0");
			CHECK_EQ(try_value(t_xsetbv, 0, 7), NO_TRAP, "all three");
		}
		expect("AVX with XCR0.AVX", NO_TRAP, 0, t_vaddps, NULL);
		write_cr0(read_cr0() | CR0_TS);
		expect("AVX with TS", NM, 0, t_vaddps, NULL);
		asm volatile("clts");
		write_cr4(read_cr4() & ~(uword)CR4_OSXSAVE);
		expect("AVX without OSXSAVE", UD, 0, t_vaddps, NULL);
		write_cr4(read_cr4() | CR4_OSXSAVE);
	} else {
		expect("AVX when not offered", UD, 0, t_vaddps, NULL);
		CHECK_EQ(try_value(t_xsetbv, 0, 7), GP, "XCR0.AVX when not offered: #GP");
	}
}

/* --- MSRs ----------------------------------------------------------------------------------- */

/* Writes `value`, expects `vector`; when it is taken, reads back `want` and restores. */
static void msr_check(const char *name, u32 msr, u64 value, u32 vector, u64 want)
{
	u64 old = rdmsr(msr);
	u32 got = try_value(t_wrmsr, msr, value);

	if (got != vector || got != NO_TRAP) {
		qemu_differs("not checked");
		check(got == vector, name, "vector %d, want %d", (int)got, (int)vector);
		if (got == NO_TRAP)
			wrmsr(msr, old);
		return;
	}
	CHECK_EQ(rdmsr(msr), want, name);
	wrmsr(msr, old);
}

static void syscall_msrs(void)
{
	static const struct {
		const char *name;
		u32 msr;
	} canon[] = {{"LSTAR", MSR_LSTAR},
		     {"CSTAR", MSR_CSTAR},
		     {"KERNEL_GS_BASE", MSR_KERNEL_GS_BASE},
		     {"FS_BASE", MSR_FS_BASE},
		     {"GS_BASE", MSR_GS_BASE}};

	section("MSRs with addresses, STAR, SFMASK (SDM 4, APM 2 6.1)");
	for (unsigned i = 0; i < sizeof(canon) / sizeof(canon[0]); i++) {
		print("# %s\n", canon[i].name);
		msr_check("a low address", canon[i].msr, 0x7fffffffffff, NO_TRAP, 0x7fffffffffff);
		msr_check("a high address", canon[i].msr, 0xffff800000000000, NO_TRAP,
			  0xffff800000000000);
		msr_check("not canonical: #GP", canon[i].msr, NONCANON, GP, 0);
		msr_check("bit 63 alone: #GP", canon[i].msr, 1ull << 63, GP, 0);
	}
	msr_check("STAR takes anything", MSR_STAR, ~0ull, NO_TRAP, ~0ull);
	msr_check("SFMASK", MSR_SFMASK, 0x47700, NO_TRAP, 0x47700);
	msr_check("SYSENTER_CS", MSR_SYSENTER_CS, 0x40, NO_TRAP, 0x40);
	if (has(0x80000001, 0, EDX, 27))
		msr_check("TSC_AUX", 0xc0000103, 0x12345678, NO_TRAP, 0x12345678);
}

static void efer(void)
{
	u64 old = rdmsr(MSR_EFER), wrong = 0;

	section("EFER (SDM 3A 2.2.1, APM 2 3.1.7)");
	CHECK_EQ(old & 0xd01, 0xd01, "SCE, LME, LMA, NXE");
	for (unsigned b = 0; b < 64; b++) {
		/* those with a feature bit of their own: SVME 12, LMSLE 13, FFXSR 14, TCE 15.. */
		if (b == 0 || b == 8 || b == 10 || b == 11)
			continue;
		if (has(0x80000001, 0, ECX, 2) && b >= 12 && b < 24)
			continue;
		wrong |= (u64)(try_value(t_wrmsr, MSR_EFER, old | 1ull << b) != GP) << b;
	}
	qemu_differs("not checked");
	CHECK_EQ(wrong, 0, "reserved bits: #GP");
	wrmsr(MSR_EFER, old);
	msr_check("SCE off", MSR_EFER, old & ~1ull, NO_TRAP, old & ~1ull);
	msr_check("NXE off", MSR_EFER, old & ~(1ull << 11), NO_TRAP, old & ~(1ull << 11));
	msr_check("LME off while paging: #GP", MSR_EFER, old & ~(1ull << 8), GP, 0);
}

static void memory_types(void)
{
	section("PAT and MTRRs (SDM 3A 11.11, 11.12)");
	msr_check("PAT: all six types", 0x277, 0x0007010500070604, NO_TRAP, 0x0007010500070604);
	msr_check("PAT: type 2: #GP", 0x277, 0x0007040600070402, GP, 0);
	msr_check("PAT: type 3: #GP", 0x277, 0x0307040600070406, GP, 0);
	msr_check("PAT: type 8: #GP", 0x277, 0x0007040600080406, GP, 0);
	if (!has(1, 0, EDX, 12)) {
		skip("MTRRs", "not offered");
		return;
	}
	qemu_differs("writes are ignored");
	msr_check("MTRRCAP is read-only: #GP", 0xfe, 0, GP, 0);
	msr_check("variable base", 0x200, 0x80000006, NO_TRAP, 0x80000006);
	msr_check("variable base, type 2: #GP", 0x200, 0x80000002, GP, 0);
	msr_check("variable base, bit 8: #GP", 0x200, 0x80000106, GP, 0);
	msr_check("variable base over MAXPHYADDR: #GP", 0x200, 1ull << 62 | 6, GP, 0);
	msr_check("variable mask", 0x201, 0xff80000800, NO_TRAP, 0xff80000800);
	msr_check("variable mask, bit 10: #GP", 0x201, 0xff80000c00, GP, 0);
	msr_check("fixed range", 0x250, 0x0606060606060606, NO_TRAP, 0x0606060606060606);
	msr_check("fixed range, type 7: #GP", 0x250, 0x0606060606060706, GP, 0);
	msr_check("default type", 0x2ff, 0xc06, NO_TRAP, 0xc06);
	msr_check("default type, bit 8: #GP", 0x2ff, 0xd06, GP, 0);
	msr_check("default type 3: #GP", 0x2ff, 0xc03, GP, 0);
}

static void unknown_msrs(void)
{
	static const u32 none[] = {0x2,	       0x3ff,	   0x12345,    0x7fffffff,
				   0x80000000, 0xc0000000, 0xc0000105, 0xffffffff};
	unsigned reads = 0, writes = 0;

	section("MSRs that are not there, read-only ones (SDM 2 RDMSR, WRMSR)");
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		reads += try_value(t_rdmsr, none[i], 0) != GP;
		writes += try_value(t_wrmsr, none[i], 0) != GP;
	}
	qemu_differs("reads 0");
	CHECK_EQ(reads, 0, "rdmsr: #GP");
	qemu_differs("ignored");
	CHECK_EQ(writes, 0, "wrmsr: #GP");
	qemu_differs("ignored");
	CHECK_EQ(try_value(t_wrmsr, 0x179, 1), GP, "MCG_CAP is read-only: #GP");
	{
		static struct access user = {0, MSR_APICBASE};

		expect_user("rdmsr at CPL3", GP, 0, t_rdmsr, USER(&user));
		expect_user("wrmsr at CPL3", GP, 0, t_wrmsr, USER(&user));
	}
}

/* --- local APIC modes ----------------------------------------------------------------------- */

#define APIC_ON (1u << 11)
#define APIC_X2 (1u << 10)

/* Which of the MSRs 800h..8ffh read, take 0, take all ones (SDM 3A table 10-6). */
static void x2apic_registers(void)
{
	u64 reads[4] = {0}, zeros[4] = {0}, ones[4] = {0};

	for (u32 i = 0; i < 256; i++) {
		u64 bit = 1ull << (i & 63);

		reads[i / 64] |= try_value(t_rdmsr, 0x800 + i, 0) == NO_TRAP ? bit : 0;
		if (i != 0x30)
			ones[i / 64] |= try_value(t_wrmsr, 0x800 + i, ~0ull) == NO_TRAP ? bit : 0;
		zeros[i / 64] |= try_value(t_wrmsr, 0x800 + i, 0) == NO_TRAP ? bit : 0;
	}
	CHECK_EQ(reads[0], 0x43fd01ffffffa50cull, "those that read");
	CHECK_EQ(zeros[0], 0xc1fd010000008900ull, "those that take 0");
	CHECK_EQ(ones[0] | ones[1] | ones[2] | ones[3], 0, "none takes 64 ones");
	CHECK_EQ(reads[1] | reads[2] | reads[3], 0, "nothing reads beyond 3fh");
	CHECK_EQ(zeros[1] | zeros[2] | zeros[3], 0, "nor is written");
}

static void apic_modes(void)
{
	u64 base = rdmsr(MSR_APICBASE);
	unsigned width = cpuid(0x80000008, 0).a & 255;
	u64 cr8;

	section("APIC_BASE and x2APIC (SDM 3A 10.4.3, 10.12)");
	if (on_qemu()) {
		skip("APIC_BASE", "QEMU checks little of it");
		return;
	}
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base | 1), GP, "bit 0: #GP");
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base | 1u << 9), GP, "bit 9: #GP");
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base | 1ull << width), GP,
		 "over MAXPHYADDR: #GP");
	CHECK_EQ(rdmsr(MSR_APICBASE), base, "is as it was");
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, (base & ~(u64)APIC_ON) | APIC_X2), GP,
		 "EXTD without EN: #GP");
	wrmsr(MSR_APICBASE, base & ~(u64)APIC_ON);
	CHECK(!has(1, 0, EDX, 9), "CPUID hides a disabled APIC");
	CHECK(!has(0x80000001, 0, EDX, 9), "where AMD repeats it, too");
	CHECK_EQ(*(volatile u32 *)0xfee00030, ~0u, "its page reads all ones");
	*(volatile u32 *)0xfee00080 = 0x50;
	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	CHECK_EQ(cr8, 0, "and takes no writes");
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base | APIC_X2), GP, "disabled to x2APIC: #GP");
	wrmsr(MSR_APICBASE, base);
	CHECK(has(1, 0, EDX, 9), "and shows it again");
	if (!has(1, 0, ECX, 21)) {
		CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base | APIC_X2), GP,
			 "x2APIC when not offered: #GP");
		return;
	}
	apic_enable();
	wrmsr(MSR_APICBASE, base | APIC_X2);
	CHECK_EQ(*(volatile u32 *)0xfee00030, ~0u, "no page in x2APIC mode");
	CHECK_EQ(try_value(t_wrmsr, MSR_APICBASE, base), GP, "x2APIC to xAPIC: #GP");
	CHECK_EQ(try_value(t_rdmsr, 0x80e, 0), GP, "no DFR: #GP");
	CHECK_EQ(try_value(t_rdmsr, 0x831, 0), GP, "no ICR2: #GP");
	CHECK_EQ(try_value(t_rdmsr, 0x804, 0), GP, "register 4: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x802, 0), GP, "the id is read-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x803, 0), GP, "the version is read-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x80d, 0), GP, "LDR is read-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x820, 0), GP, "IRR is read-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x839, 0), GP, "the current count is read-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x80b, 1), GP, "EOI of not 0: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x80b, 0), NO_TRAP, "EOI of 0");
	CHECK_EQ(try_value(t_rdmsr, 0x80b, 0), GP, "EOI is write-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x828, 1), GP, "ESR of not 0: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x808, 0x100), GP, "TPR bit 8: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x808, 0x20), NO_TRAP, "TPR");
	CHECK_EQ(rdmsr(0x808), 0x20, "reads back");
	wrmsr(0x808, 0);
	CHECK_EQ(try_value(t_wrmsr, 0x832, 1ull << 32), GP, "LVT over 32 bits: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x838, 1ull << 32), GP, "timer count over 32 bits: #GP");
	CHECK_EQ(try_value(t_rdmsr, 0x83f, 0), GP, "self IPI is write-only: #GP");
	CHECK_EQ(try_value(t_wrmsr, 0x83f, 0x100), GP, "self IPI, bit 8: #GP");
	x2apic_registers();
	wrmsr(MSR_APICBASE, base & ~(u64)APIC_ON);
	CHECK_EQ(try_value(t_rdmsr, 0x802, 0), GP, "x2APIC registers while disabled: #GP");
	wrmsr(MSR_APICBASE, base);
	CHECK_EQ(apic_read(APIC_SVR) & 0x100, 0, "disabling resets: software-disabled");
	CHECK_EQ(apic_read(0x30) & 0xf0, 0x10, "xAPIC again");
}

void suite(void)
{
	amd = cpuid(0, 0).b == 0x68747541;
	apic_enable();
	features();
	control_registers();
	xcr0();
	syscall_msrs();
	efer();
	memory_types();
	unknown_msrs();
	apic_modes();
}
