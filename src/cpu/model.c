/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: what CPUID answers for the named CPU models.
 *
 * A model is two feature sets (instructions, system) and an identity; every leaf is built from
 * them. The sets of v2-1 and v3-1 are frozen, and so is everything else their leaves say: a change
 * needs a new name. `host` takes from the host's CPUID what is in model_host_isa and
 * model_host_sys.
 *
 * The vendor is always the host's: guests choose code paths (and SYSENTER semantics) by it.
 * Family and model of the frozen names are Zen 2 and Sapphire Rapids: Linux's vulnerability
 * decisions for them need no microcode and log no error.
 *
 * Freestanding.
 */
#include "cpu/model.h"

#include "cpu/features.h"
#include "lib/bits.h"
#include "spec/cpuid.h"

/* ---- types ------------------------------------------------------------------------------- */

enum model_vendor { MODEL_INTEL, MODEL_AMD };
enum model_reg { EAX, EBX, ECX, EDX };

struct model_feature {
	const char *name;
	u32 leaf;
	u8 subleaf;
	u8 reg;
	u8 bit;
};

/* What a set of leaves is built from. */
struct model_recipe {
	enum model_vendor vendor;
	u64 isa; /* CPU_FEAT_BITs */
	u64 sys; /* CPU_SYS_BITs */
	u32 fms; /* leaf 1 EAX */
	char brand[48];
	unsigned cpus;
	u32 tsc_khz;
};

static const struct model_feature model_isa[] = {
#define F(name, leaf, subleaf, reg, bit) {#name, leaf, subleaf, reg, bit},
#include "cpu/features.def"
};

static const struct model_feature model_sys[] = {
#define S(name, leaf, subleaf, reg, bit) {#name, leaf, subleaf, reg, bit},
#include "cpu/features.def"
};

/* ---- the lists --------------------------------------------------------------------------- */

#define B CPU_FEAT_BIT
#define Y CPU_SYS_BIT

#define MODEL_V2_ISA                                                                               \
	(B(FPU) | B(TSC) | B(MSR) | B(CX8) | B(SEP) | B(CMOV) | B(CLFSH) | B(MMX) | B(FXSR) |      \
	 B(SSE) | B(SSE2) | B(SSE3) | B(SSSE3) | B(CX16) | B(SSE4_1) | B(SSE4_2) | B(POPCNT) |     \
	 B(LAHF_LM) | B(PREFETCHW) | B(SYSCALL) | B(RDTSCP) | B(LM))
#define MODEL_V3_ISA                                                                               \
	(MODEL_V2_ISA | B(XSAVE) | B(XSAVEOPT) | B(AVX) | B(AVX2) | B(BMI1) | B(BMI2) | B(F16C) |  \
	 B(FMA) | B(LZCNT) | B(MOVBE))

/* What every engine provides by itself, whatever the host. */
#define MODEL_BASE_SYS                                                                             \
	(Y(PSE) | Y(PAE) | Y(MCE) | Y(APIC) | Y(MTRR) | Y(PGE) | Y(MCA) | Y(PAT) | Y(PSE36) |      \
	 Y(X2APIC) | Y(TSC_DEADLINE) | Y(HYPERVISOR) | Y(ARAT) | Y(TSC_ADJUST) | Y(NX) |           \
	 Y(INVARIANT_TSC))
#define MODEL_FROZEN_SYS (MODEL_BASE_SYS | Y(ERMS) | Y(FSRM))

static const u64 model_host_isa = MODEL_V3_ISA | B(PCLMULQDQ) | B(AES) | B(RDRAND) | B(FSGSBASE) |
				  B(INVPCID) | B(RDSEED) | B(ADX) | B(SMAP) | B(CLFLUSHOPT) |
				  B(SHA) | B(XSAVEC) | B(XSAVES);
static const u64 model_host_sys =
	Y(VME) | Y(DE) | Y(PCID) | Y(SMEP) | Y(ERMS) | Y(UMIP) | Y(FSRM) | Y(PDPE1GB);

/* Runs (as a NOP) on 64-bit hosts whose CPUID does not name it. */
static const u64 model_harmless = B(PREFETCHW);

/* Useless without the register state that XSAVE and the OS bring. */
static const u64 model_needs_avx = B(AVX) | B(AVX2) | B(FMA) | B(F16C);
static const u64 model_needs_xsave = B(XSAVEOPT) | B(XSAVEC) | B(XSAVES) | B(XGETBV1);

#define MODEL_FMS_INTEL 0x000806f8u /* family 6, model 0x8f, stepping 8 */
#define MODEL_FMS_AMD	0x00830f10u /* family 0x17, model 0x31, stepping 0 */
#define MODEL_APIC_KHZ	1000000u    /* the local APIC timer counts guest nanoseconds */
#define MODEL_LINE	64u
#define MODEL_PHYS_BITS 40u
#define MODEL_LIN_BITS	48u

/* The caches every model shows: private L1 and L2, one L3 for all. */
static const struct {
	u32 type, level, ways, sets;
} model_caches[] = {
	{CPUID_CACHE_DATA, 1, 8, 64},	     /* 32 KiB */
	{CPUID_CACHE_CODE, 1, 8, 64},	     /* 32 KiB */
	{CPUID_CACHE_UNIFIED, 2, 16, 1024},  /* 1 MiB */
	{CPUID_CACHE_UNIFIED, 3, 16, 16384}, /* 16 MiB */
};
/* The same for AMD's 0x80000005 and 0x80000006 (APM 3, E.4.4 and E.4.5). */
#define MODEL_AMD_L1 0x20080140u
#define MODEL_AMD_L2 0x04008140u
#define MODEL_AMD_L3 0x00808140u

/* ---- the host ---------------------------------------------------------------------------- */

static struct cpuid_regs model_host_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static u32 *model_reg(struct cpuid_regs *r, unsigned reg)
{
	u32 *const regs[] = {&r->eax, &r->ebx, &r->ecx, &r->edx};

	return regs[reg];
}

static bool model_host_has(const struct model_feature *f)
{
	struct cpuid_regs max = model_host_cpuid(f->leaf & CPUID_EXT_MAX, 0);
	struct cpuid_regs r;

	if (f->leaf > max.eax)
		return false;
	r = model_host_cpuid(f->leaf, f->subleaf);
	return *model_reg(&r, f->reg) >> f->bit & 1;
}

/* XCR0 of the host, 0 when its kernel does not use XSAVE. */
static u64 model_host_xcr0(void)
{
	u32 lo, hi;

	if (!(model_host_cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

static u64 model_host_set(const struct model_feature *list, unsigned count)
{
	u64 set = 0;

	for (unsigned i = 0; i < count; i++)
		if (model_host_has(&list[i]))
			set |= BIT64(i);
	return set;
}

static u64 model_host_isa_set(void)
{
	u64 set = model_host_set(model_isa, CPU_FEAT_COUNT);
	u64 xcr0 = model_host_xcr0();

	if ((xcr0 & 3) != 3)
		set &= ~(CPU_FEAT_BIT(XSAVE) | model_needs_xsave);
	if ((xcr0 & 7) != 7)
		set &= ~model_needs_avx;
	return set;
}

static enum model_vendor model_host_vendor(void)
{
	u32 ebx = model_host_cpuid(CPUID_BASIC, 0).ebx;

	return ebx == CPUID_AMD_EBX || ebx == CPUID_HYGON_EBX ? MODEL_AMD : MODEL_INTEL;
}

static void model_host_brand(char brand[48])
{
	for (u32 i = 0; i < 3; i++) {
		struct cpuid_regs r = model_host_cpuid(CPUID_EXT_BRAND + i, 0);

		__builtin_memcpy(brand + i * sizeof(r), &r, sizeof(r));
	}
}

/* ---- leaves ------------------------------------------------------------------------------ */

static struct cpuid_regs *model_add(struct cpu_model *m, u32 leaf, u32 subleaf, bool any)
{
	struct cpuid_leaf *l = &m->leaf[m->leaves++];

	l->leaf = leaf;
	l->subleaf = subleaf;
	l->any_subleaf = any;
	l->regs = (struct cpuid_regs){0, 0, 0, 0};
	return &l->regs;
}

static struct cpuid_leaf *model_find(const struct cpu_model *m, u32 leaf, u32 subleaf)
{
	for (unsigned i = 0; i < m->leaves; i++) {
		const struct cpuid_leaf *l = &m->leaf[i];

		if (l->leaf == leaf && (l->any_subleaf || l->subleaf == subleaf))
			return (struct cpuid_leaf *)l;
	}
	return NULL;
}

static unsigned model_id_bits(unsigned cpus)
{
	unsigned bits = 0;

	while (cpus > 1u << bits)
		bits++;
	return bits;
}

static void model_set_bits(struct cpu_model *m, const struct model_feature *list, unsigned count,
			   u64 set)
{
	for (unsigned i = 0; i < count; i++) {
		struct cpuid_leaf *l = model_find(m, list[i].leaf, list[i].subleaf);

		if (l && set >> i & 1)
			*model_reg(&l->regs, list[i].reg) |= BIT(list[i].bit);
	}
}

/* Intel leaf 4, AMD leaf 0x8000001d: the same fields, but for the core count. */
static void model_add_caches(struct cpu_model *m, const struct model_recipe *r, u32 leaf)
{
	u32 ids = 1u << model_id_bits(r->cpus);
	u32 cores = ids > 64 ? 64 : ids;

	for (u32 i = 0; i < ARRAY_LEN(model_caches); i++) {
		struct cpuid_regs *c = model_add(m, leaf, i, false);
		u32 sharing = model_caches[i].level == 3 ? (ids > 4096 ? 4096 : ids) : 1;

		c->eax = model_caches[i].type | model_caches[i].level << 5 | CPUID_CACHE_INIT |
			 (sharing - 1) << 14;
		if (leaf == CPUID_CACHE)
			c->eax |= (cores - 1) << 26;
		c->ebx = (MODEL_LINE - 1) | (model_caches[i].ways - 1) << 22;
		c->ecx = model_caches[i].sets - 1;
	}
}

static void model_add_basic(struct cpu_model *m, const struct model_recipe *r)
{
	struct cpuid_regs *c = model_add(m, CPUID_BASIC, 0, true);
	bool amd = r->vendor == MODEL_AMD;
	u32 logical = amd ? r->cpus : 1u << model_id_bits(r->cpus);

	c->eax = r->isa & CPU_FEAT_BIT(XSAVE) ? CPUID_XSTATE : CPUID_TOPOLOGY;
	c->ebx = amd ? CPUID_AMD_EBX : CPUID_INTEL_EBX;
	c->ecx = amd ? CPUID_AMD_ECX : CPUID_INTEL_ECX;
	c->edx = amd ? CPUID_AMD_EDX : CPUID_INTEL_EDX;

	c = model_add(m, CPUID_FEATURES, 0, true);
	c->eax = r->fms;
	c->ebx = CPUID_1_EBX_CLFLUSH | (logical > 255 ? 255 : logical) << 16;
	if (!amd) {
		model_add(m, CPUID_CACHE_TLB, 0, true)->eax = CPUID_2_SEE_LEAF_4;
		model_add_caches(m, r, CPUID_CACHE);
	}
	model_add(m, CPUID_POWER, 0, true);
	model_add(m, CPUID_EXTENDED, 0, false);
}

/* One socket, one thread per core; EDX is the x2APIC id, patched by the engine. */
static void model_add_topology(struct cpu_model *m, const struct model_recipe *r)
{
	struct cpuid_regs *c = model_add(m, CPUID_TOPOLOGY, 0, false);

	c->ebx = 1;
	c->ecx = CPUID_LEVEL_SMT << 8;
	c = model_add(m, CPUID_TOPOLOGY, 1, false);
	c->eax = model_id_bits(r->cpus);
	c->ebx = r->cpus & 0xffff;
	c->ecx = CPUID_LEVEL_CORE << 8 | 1;
}

/* SDM 2A, leaf 0xd. The sizes are those with every component of xcr0 enabled. */
static void model_add_xstate(struct cpu_model *m, const struct model_recipe *r)
{
	bool avx = r->isa & CPU_FEAT_BIT(AVX);
	u32 size = XSAVE_LEGACY_SIZE + (avx ? XSAVE_AVX_SIZE : 0);
	struct cpuid_regs *c;

	m->xcr0 = 1;
	if (!(r->isa & CPU_FEAT_BIT(XSAVE)))
		return;
	m->xcr0 = avx ? 7 : 3;
	c = model_add(m, CPUID_XSTATE, 0, false);
	c->eax = (u32)m->xcr0;
	c->ebx = size;
	c->ecx = size;
	c = model_add(m, CPUID_XSTATE, 1, false);
	if (r->isa & (CPU_FEAT_BIT(XSAVEC) | CPU_FEAT_BIT(XSAVES)))
		c->ebx = size;
	if (avx) {
		c = model_add(m, CPUID_XSTATE, 2, false);
		c->eax = XSAVE_AVX_SIZE;
		c->ebx = XSAVE_LEGACY_SIZE;
	}
}

/* KVM's signature, exactly: guests use kvmclock only then. */
static void model_add_hypervisor(struct cpu_model *m, const struct model_recipe *r)
{
	struct cpuid_regs *c = model_add(m, CPUID_HV_BASE, 0, true);

	c->eax = CPUID_HV_TIMING;
	c->ebx = CPUID_KVM_EBX;
	c->ecx = CPUID_KVM_ECX;
	c->edx = CPUID_KVM_EDX;
	c = model_add(m, CPUID_HV_FEATURES, 0, true);
	c->eax = KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_CLOCKSOURCE_STABLE;
	c = model_add(m, CPUID_HV_TIMING, 0, true);
	c->eax = r->tsc_khz;
	c->ebx = MODEL_APIC_KHZ;
}

/* APM 3, E.4: what AMD has beyond Intel's extended leaves. */
static void model_add_amd(struct cpu_model *m, const struct model_recipe *r)
{
	struct cpuid_regs *c = model_add(m, CPUID_EXT_L1, 0, true);

	c->ecx = MODEL_AMD_L1;
	c->edx = MODEL_AMD_L1;
	c = model_add(m, CPUID_EXT_L2, 0, true);
	c->ecx = MODEL_AMD_L2;
	c->edx = MODEL_AMD_L3;
	model_add_caches(m, r, CPUID_EXT_CACHE);
	/* EAX and EBX[7:0] are the APIC and core id, patched by the engine. */
	model_add(m, CPUID_EXT_TOPOLOGY, 0, true);
}

static void model_add_extended(struct cpu_model *m, const struct model_recipe *r)
{
	bool amd = r->vendor == MODEL_AMD;
	struct cpuid_regs *c = model_add(m, CPUID_EXT_MAX, 0, true);

	c->eax = amd ? CPUID_EXT_TOPOLOGY : CPUID_EXT_ADDRESS;
	if (amd) {
		c->ebx = CPUID_AMD_EBX;
		c->ecx = CPUID_AMD_ECX;
		c->edx = CPUID_AMD_EDX;
	}
	c = model_add(m, CPUID_EXT_FEATURES, 0, true);
	c->eax = amd ? r->fms : 0;
	for (u32 i = 0; i < 3; i++)
		__builtin_memcpy(model_add(m, CPUID_EXT_BRAND + i, 0, true),
				 r->brand + i * sizeof(*c), sizeof(*c));
	if (amd)
		model_add_amd(m, r);
	else
		model_add(m, CPUID_EXT_L2, 0, true)->ecx = MODEL_AMD_L2;
	model_add(m, CPUID_EXT_POWER, 0, true);
	c = model_add(m, CPUID_EXT_ADDRESS, 0, true);
	c->eax = MODEL_PHYS_BITS | MODEL_LIN_BITS << 8;
	if (amd)
		c->ecx = ((r->cpus - 1) & 0xff) | model_id_bits(r->cpus) << 12;
}

static void model_build(struct cpu_model *m, const struct model_recipe *r)
{
	bool amd = r->vendor == MODEL_AMD;
	u64 sys = r->sys;

	if (r->cpus > 1)
		sys |= CPU_SYS_BIT(HTT) | (amd ? CPU_SYS_BIT(CMP_LEGACY) : 0);
	if (amd)
		sys |= CPU_SYS_BIT(TOPOEXT);
	m->features = r->isa;
	m->tsc_khz = r->tsc_khz;
	m->maxphyaddr = MODEL_PHYS_BITS;
	m->leaves = 0;
	model_add_basic(m, r);
	model_add_topology(m, r);
	model_add_xstate(m, r);
	model_add_hypervisor(m, r);
	model_add_extended(m, r);
	model_set_bits(m, model_isa, CPU_FEAT_COUNT, r->isa);
	model_set_bits(m, model_sys, CPU_SYS_COUNT, sys);
	if (amd)
		model_find(m, CPUID_EXT_FEATURES, 0)->regs.edx |=
			model_find(m, CPUID_FEATURES, 0)->regs.edx & CPUID_AMD_EDX_COMMON;
}

/* ---- open and ask ------------------------------------------------------------------------ */

static bool model_same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void model_copy(char *to, unsigned cap, const char *a, const char *b, const char *c)
{
	const char *const part[] = {a, b, c};
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		for (const char *p = part[i]; *p && n + 1 < cap; p++)
			to[n++] = *p;
	while (n < cap)
		to[n++] = 0;
}

/* The recipe of a frozen name for a vendor; false when there is no such name. */
static bool model_frozen(struct model_recipe *r, const char *name)
{
	if (model_same(name, "v2-1"))
		r->isa = MODEL_V2_ISA;
	else if (model_same(name, "v3-1"))
		r->isa = MODEL_V3_ISA;
	else
		return false;
	r->sys = MODEL_FROZEN_SYS;
	r->fms = r->vendor == MODEL_AMD ? MODEL_FMS_AMD : MODEL_FMS_INTEL;
	model_copy(r->brand, sizeof(r->brand), "Holm ", name, " CPU");
	return true;
}

static void model_from_host(struct model_recipe *r, u64 host)
{
	r->isa = host & model_host_isa;
	if (!(r->isa & CPU_FEAT_BIT(AVX)))
		r->isa &= ~model_needs_avx;
	if (!(r->isa & CPU_FEAT_BIT(XSAVE)))
		r->isa &= ~(model_needs_xsave | model_needs_avx);
	r->sys = MODEL_BASE_SYS | (model_host_set(model_sys, CPU_SYS_COUNT) & model_host_sys);
	r->fms = model_host_cpuid(CPUID_FEATURES, 0).eax & CPUID_1_EAX_FMS;
	model_host_brand(r->brand);
}

int cpu_model_open(struct cpu_model *out, const char *name, unsigned cpus, u32 tsc_khz,
		   const char **missing)
{
	struct model_recipe r = {
		.vendor = model_host_vendor(), .cpus = cpus ? cpus : 1, .tsc_khz = tsc_khz};
	u64 host = model_host_isa_set(), lacks;

	if (model_same(name, "host"))
		model_from_host(&r, host);
	else if (!model_frozen(&r, name))
		return -2; /* -ENOENT */
	lacks = r.isa & ~host & ~model_harmless;
	if (lacks) {
		*missing = model_isa[__builtin_ctzll(lacks)].name;
		return -95; /* -ENOTSUP */
	}
	model_copy(out->name, sizeof(out->name), name, "", "");
	model_build(out, &r);
	return 0;
}

struct cpuid_regs cpu_model_cpuid(const struct cpu_model *model, u32 leaf, u32 subleaf)
{
	const struct cpuid_regs zero = {0, 0, 0, 0};
	const struct cpuid_regs *base = &model->leaf[0].regs; /* leaf 0 is the first */
	bool intel = base->ebx == CPUID_INTEL_EBX;
	bool hypervisor = leaf >= CPUID_HV_BASE && leaf <= CPUID_HV_LAST;
	const struct cpuid_leaf *l;
	u32 max = base->eax;

	/* SDM 2A: beyond the end Intel answers its highest basic leaf; AMD answers zero. */
	if (leaf >= CPUID_EXT_MAX)
		max = intel ? CPUID_EXT_ADDRESS : CPUID_EXT_TOPOLOGY;
	if (leaf > max && !hypervisor) {
		if (!intel)
			return zero;
		leaf = base->eax;
	}
	l = model_find(model, leaf, subleaf);
	if (l)
		return l->regs;
	if (leaf == CPUID_TOPOLOGY)
		return (struct cpuid_regs){0, 0, subleaf & 0xff, 0};
	return zero;
}
