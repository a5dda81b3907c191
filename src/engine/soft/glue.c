/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glue: what the interpreter asks of the machine.
 *
 * Guest-physical pages from board/ram's slots (copied at ram_changed), devices through board/bus,
 * the local APIC's page and MSRs, the TSC, kvmclock (Linux Documentation/virt/kvm/x86/msr.rst).
 *
 * Context: owner, except soft_wake.
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/interp.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "lib/bits.h"

/* --- memory --- */

const struct soft_slot *soft_slot_find(const struct engine *e, gpa_t gpa)
{
	for (unsigned i = 0; i < e->slots; i++)
		if (gpa - e->slot[i].gpa < e->slot[i].size)
			return &e->slot[i];
	return NULL;
}

static u8 *glue_page(struct cpu *c, gpa_t page, unsigned *flags)
{
	const struct vcpu *v = vcpu_of(c);
	const struct soft_slot *s = soft_slot_find(v->engine, page);
	if (flags)
		*flags = 0;
	if (!s)
		return NULL;
	if (unlikely(page >> 12 == lapic_base(&v->lapic) >> 12 && lapic_mmio(&v->lapic)))
		return NULL;
	if (flags && !s->rom)
		*flags =
			__atomic_load_n(&s->pages[(page - s->gpa) >> 12].lines, __ATOMIC_SEQ_CST) ||
					unlikely(!lockstep_tags(v))
				? PAGE_CODE
				: PAGE_WRITABLE;
	return s->host + (page - s->gpa);
}

/* The rest of a block that was written is gone: leave it after the current instruction. */
static void block_cut(struct cpu *c, const struct insn *in)
{
	c->rip = c->blk_rip + in->off;
	if (!(c->mode & MODE_64))
		c->rip = c->mode & MODE_CS32 ? (u32)c->rip : (u16)c->rip;
	cpu_restart(c);
}

static void glue_slow_write(struct cpu *c, gpa_t gpa, unsigned size)
{
	struct vcpu *v = vcpu_of(c);
	struct block *b = v->block;
	if (unlikely(lockstep_dry(v))) {
		if (code_hit(v->engine, gpa, size))
			lockstep_no_repeat(v);
		return;
	}
	if (!code_stored(v->engine, gpa, size))
		return;
	v->block_drops++;
	if (b && b->page == soft_page_of(v->engine, gpa) && c->cur >= b->insn &&
	    c->cur < b->insn + b->count - 1)
		b->insn[c->cur - b->insn + 1].fn = block_cut;
}

static void glue_will_write(struct cpu *c, u8 *host, unsigned size)
{
	struct vcpu *v = vcpu_of(c);
	if (unlikely(v->lockstep))
		lockstep_store(v, host, size);
}

static bool is_lapic(const struct vcpu *v, gpa_t gpa)
{
	return lapic_mmio(&v->lapic) && (gpa ^ lapic_base(&v->lapic)) >> 12 == 0;
}

static u64 glue_mmio_read(struct cpu *c, gpa_t gpa, unsigned size)
{
	struct vcpu *v = vcpu_of(c);
	if (unlikely(lockstep_dry(v)))
		lockstep_no_repeat(v);
	v->exits_mmio++;
	if (is_lapic(v, gpa))
		return lapic_mmio_read(&v->lapic, gpa & 0xfff, size);
	return bus_read(v->engine->board->bus, BUS_MMIO, gpa, size);
}

static void glue_mmio_write(struct cpu *c, gpa_t gpa, unsigned size, u64 value)
{
	struct vcpu *v = vcpu_of(c);
	if (unlikely(lockstep_dry(v)))
		lockstep_no_repeat(v);
	v->exits_mmio++;
	if (is_lapic(v, gpa)) {
		lapic_mmio_write(&v->lapic, gpa & 0xfff, size, (u32)value);
		v->poll_at = 0;
		cpu_event(c, EV_INTR);
	} else {
		bus_write(v->engine->board->bus, BUS_MMIO, gpa, size, value);
	}
}

static u32 glue_io_read(struct cpu *c, u16 port, unsigned size)
{
	struct vcpu *v = vcpu_of(c);
	v->exits_pio++;
	return (u32)bus_read(v->engine->board->bus, BUS_PIO, port, size);
}

static void glue_io_write(struct cpu *c, u16 port, unsigned size, u32 value)
{
	struct vcpu *v = vcpu_of(c);
	v->exits_pio++;
	bus_write(v->engine->board->bus, BUS_PIO, port, size, value);
}

/* --- time --- */

static u64 glue_tsc(struct cpu *c)
{
	struct vcpu *v = vcpu_of(c);
	return clock_tsc(&v->engine->board->clock) + v->tsc_offset;
}

/* pvclock_vcpu_time_info: ns = ((tsc - stamp) << shift or >> -shift) * mul >> 32, plus base. */
static void kvmclock_scale(u64 tsc_khz, s8 *shift, u32 *mul)
{
	u64 hz = tsc_khz * 1000, target = 1000000000ull;
	*shift = 0;
	while (hz > target * 2) {
		hz >>= 1;
		(*shift)--;
	}
	while (hz <= target) {
		hz <<= 1;
		(*shift)++;
	}
	*mul = (u32)((target << 32) / hz);
}

static void kvmclock_write(struct vcpu *v)
{
	struct board *board = v->engine->board;
	gpa_t gpa = v->cpu.s.kvm_system_time & ~1ull;
	u8 info[32] = {0};
	u32 version, mul;
	s8 shift;
	if (!(v->cpu.s.kvm_system_time & 1) || ram_read(&board->ram, gpa, &version, 4))
		return;
	kvmclock_scale(board->clock.tsc_khz, &shift, &mul);
	version = (version & ~1u) + 2;
	st32(info, version);
	st64(info + 8, glue_tsc(&v->cpu));
	st64(info + 16, clock_now(&board->clock));
	st32(info + 24, mul);
	info[28] = (u8)shift;
	info[29] = 1; /* TSC stable across vCPUs */
	ram_write(&board->ram, gpa, info, sizeof(info));
}

static void kvm_wall_clock_write(struct vcpu *v, gpa_t gpa)
{
	struct board *board = v->engine->board;
	u64 boot = clock_wall_ns(&board->clock) - clock_now(&board->clock);
	u8 info[12];
	u32 version = 0;
	if (ram_read(&board->ram, gpa, &version, 4))
		return;
	st32(info, (version & ~1u) + 2);
	st32(info + 4, (u32)(boot / 1000000000ull));
	st32(info + 8, (u32)(boot % 1000000000ull));
	ram_write(&board->ram, gpa, info, sizeof(info));
}

/* --- MSRs --- */

static bool is_lapic_msr(u32 msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
	       (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100);
}

static bool is_amd(const struct cpu_model *model)
{
	return cpu_model_cpuid(model, 0, 0).ebx == 0x68747541; /* "Auth" */
}

/* Fixed on every AMD model; Linux and Windows read them without a fault handler (PPR 17h, 2.1.14).
 */
static int amd_msr_read(u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_AMD_HWCR: *value = 0x1000000; return 0;   /* TscFreqSel: the TSC counts at P0 */
	case MSR_AMD_DE_CFG: *value = 2; return 0;	   /* LFENCE serialises */
	case MSR_AMD_NB_CFG: *value = BIT64(46); return 0; /* extended configuration by CF8 */
	case MSR_AMD_SYSCFG:
	case MSR_AMD_TOP_MEM:
	case MSR_AMD_TOP_MEM2:
	case MSR_AMD_INT_PENDING: *value = 0; return 0;
	default: return -1;
	}
}

static int glue_msr_read(struct cpu *c, u32 msr, u64 *value)
{
	struct vcpu *v = vcpu_of(c);
	if (is_lapic_msr(msr))
		return lapic_msr_read(&v->lapic, msr, value);
	switch (msr) {
	case MSR_TSC: *value = glue_tsc(c); return 0;
	case MSR_TSC_ADJUST: *value = c->s.tsc_adjust; return 0;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_OLD: *value = c->s.kvm_system_time; return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_OLD: *value = c->s.kvm_wall_clock; return 0;
	default: return is_amd(c->model) ? amd_msr_read(msr, value) : -1;
	}
}

static int glue_msr_write(struct cpu *c, u32 msr, u64 value)
{
	struct vcpu *v = vcpu_of(c);
	int r;
	if (is_lapic_msr(msr)) {
		r = lapic_msr_write(&v->lapic, msr, value);
		if (msr == MSR_APIC_BASE && !r)
			tlb_flush_all(c); /* its page moved */
		v->poll_at = 0;
		cpu_event(c, EV_INTR);
		return r;
	}
	switch (msr) {
	case MSR_TSC:
		c->s.tsc_adjust += value - glue_tsc(c);
		v->tsc_offset = value - clock_tsc(&v->engine->board->clock);
		break;
	case MSR_TSC_ADJUST:
		v->tsc_offset += value - c->s.tsc_adjust;
		c->s.tsc_adjust = value;
		break;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_OLD:
		c->s.kvm_system_time = value;
		kvmclock_write(v);
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_OLD:
		c->s.kvm_wall_clock = value;
		kvm_wall_clock_write(v, value);
		return 0;
	default: {
		u64 ignored;
		return is_amd(c->model) ? amd_msr_read(msr, &ignored) : -1;
	}
	}
	kvmclock_write(v);
	v->poll_at = 0;
	return 0;
}

/* --- CPUID, CR8, PAUSE --- */

static void glue_cpuid(struct cpu *c, u32 leaf, u32 subleaf unused_arg, struct cpuid_regs *regs)
{
	const struct vcpu *v = vcpu_of(c);
	switch (leaf) {
	case 1:
		regs->ebx = (regs->ebx & 0xffffff) | v->id << 24;
		if (!lapic_enabled(&v->lapic))
			regs->edx &= ~BIT(9);
		break;
	case 0x80000001: /* AMD repeats leaf 1 there */
		if (is_amd(c->model) && !lapic_enabled(&v->lapic))
			regs->edx &= ~BIT(9);
		break;
	case 0xb: regs->edx = v->id; break;
	case 0x8000001e:
		if (is_amd(c->model)) {
			regs->eax = v->id;
			regs->ebx = (regs->ebx & ~0xffu) | v->id;
		}
		break;
	default: break;
	}
}

static u64 glue_cr8_read(struct cpu *c)
{
	return lapic_cr8_read(&vcpu_of(c)->lapic);
}
static void glue_cr8_write(struct cpu *c, u64 value)
{
	lapic_cr8_write(&vcpu_of(c)->lapic, (u8)value);
	cpu_event(c, EV_INTR);
}

/* A spinning guest lets its siblings run when they share host CPUs. */
static void glue_pause(struct cpu *c)
{
	struct vcpu *v = vcpu_of(c);
	if (v->engine->yield && ++v->pauses % 64 == 0)
		sched_yield();
}

static void glue_world_stop(struct cpu *c)
{
	world_stop(vcpu_of(c));
}
static void glue_world_start(struct cpu *c)
{
	world_start(vcpu_of(c));
}
static void glue_flushed(struct cpu *c)
{
	vcpu_of(c)->jump_gen++;
}
static void glue_dropped(struct cpu *c, enum tlb_loss loss, u64 page, u64 pages)
{
	struct vcpu *v = vcpu_of(c);
	if (!v->trans)
		return;
	switch (loss) {
	case TLB_ALL: table_flush(v, true); break;
	case TLB_LOCAL: table_flush(v, false); break;
	case TLB_PAGES: table_flush_page(v, page, pages); break;
	case TLB_WRITES: table_flush_writes(v); break;
	}
}

const struct cpu_ops soft_cpu_ops = {
	.page = glue_page,
	.mmio_read = glue_mmio_read,
	.mmio_write = glue_mmio_write,
	.io_read = glue_io_read,
	.io_write = glue_io_write,
	.slow_write = glue_slow_write,
	.will_write = glue_will_write,
	.msr_read = glue_msr_read,
	.msr_write = glue_msr_write,
	.tsc = glue_tsc,
	.cpuid = glue_cpuid,
	.cr8_read = glue_cr8_read,
	.cr8_write = glue_cr8_write,
	.pause = glue_pause,
	.world_stop = glue_world_stop,
	.world_start = glue_world_start,
	.flushed = glue_flushed,
	.dropped = glue_dropped,
};

/* --- local APIC --- */

static u64 apic_now(void *arg)
{
	struct vcpu *v = arg;
	return clock_now(&v->engine->board->clock);
}
static u64 apic_tsc(void *arg)
{
	struct vcpu *v = arg;
	return glue_tsc(&v->cpu);
}
static u64 apic_tsc_to_ns(void *arg, u64 tsc)
{
	struct vcpu *v = arg;
	return clock_tsc_to_ns(&v->engine->board->clock, tsc - v->tsc_offset) + 1;
}
static void apic_send(void *arg, const struct lapic_ipi *ipi)
{
	struct vcpu *v = arg;
	lapic_ipi_send(v->engine->lapic, v->engine->cpus, (int)v->id, ipi, soft_wake, v->engine);
}
static void apic_eoi(void *arg, u8 vector)
{
	struct vcpu *v = arg;
	irq_eoi(&v->engine->board->irq, vector);
}

const struct lapic_ops soft_lapic_ops = {
	.now_ns = apic_now,
	.tsc = apic_tsc,
	.tsc_to_ns = apic_tsc_to_ns,
	.send_ipi = apic_send,
	.eoi_broadcast = apic_eoi,
};

void soft_wake(void *engine, unsigned index)
{
	struct engine *e = engine;
	struct vcpu *v = e->vcpu[index];
	if (!v)
		return;
	cpu_event(&v->cpu, EV_INTR);
	if (__atomic_load_n(&v->sleeping, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &v->cpu.event, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL,
			0);
}
