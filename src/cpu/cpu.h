/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu: one interpreted x86-64 CPU: its live state, and what instruction bodies may call.
 *
 * The live state differs from struct cpu_state in three places: general registers sit in r[]
 * (with a slot that reads zero), the six status flags are lazy (fl_*), and the x87 registers and
 * MXCSR may live in the host's (see fpu.h). cpu_load/cpu_save convert.
 *
 * A body does all its lookups and faulting accesses before it changes guest-visible state; a fault
 * leaves through cpu_raise(), which does not return. RIP is only stored by control transfers; for
 * everything else it follows from the current instruction.
 *
 * Entered by: engine/soft (later metal) on the vCPU's own thread. Trusts the ops it was given.
 * Context: vcpu.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "cpu/insn.h"
#include "cpu/model.h"
#include "cpu/state.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "spec/x86.h"

/* Data TLB. Tags hold va >> 12, or TLB_NONE. A page with decoded code, ROM and MMIO never has a
 * write tag; MMIO has no tags at all. */
#define TLB_ENTRIES 1024u
#define TLB_NONE    (~0ull)
struct tlb_entry {
	u64 r, w;
	u64 add;    /* host pointer = va + add */
	u64 global; /* survives a CR3 load */
};
struct tlb_view {
	struct tlb_entry e[TLB_ENTRIES];
};
enum cpu_view { VIEW_USER, VIEW_SUPER, VIEW_SMAP, VIEW_COUNT };

/* Instruction TLB: va page -> gpa page and host page, by user / supervisor. */
#define ITLB_ENTRIES 256u
struct itlb_entry {
	u64 tag;
	u64 gpa;
	const u8 *host; /* NULL: not RAM, fetch byte by byte */
	u64 global;
};

/* cpu_ops.page flags */
#define PAGE_WRITABLE 1u /* a plain store is all a write needs */
#define PAGE_CODE     2u /* RAM, but decoded code lies here: slow_write() before a store */

/* c->event bits: looked at between blocks. Any thread may set them (atomically). */
#define EV_INTR	  0x01u /* the local APIC may have something */
#define EV_EXTINT 0x02u
#define EV_NMI	  0x04u
#define EV_INIT	  0x08u
#define EV_SIPI	  0x10u
#define EV_KICK	  0x20u	  /* leave vcpu_run */
#define EV_TIMER  0x40u	  /* own: a long instruction asks for a look at the timer */
#define EV_FLUSH  0x80u	  /* another vCPU decoded code: drop write tags */
#define EV_SHADOW 0x100u  /* own: STI / MOV SS: one instruction without events */
#define EV_TRAP	  0x200u  /* own: TF or breakpoint #DB pending after an instruction */
#define EV_WORLD  0x800u  /* another vCPU wants the world to stand still */
#define EV_CODE	  0x1000u /* decoded bytes changed somewhere: see engine/soft/trans */
#define EV_STOP	  0x400u  /* own: HLT or shutdown: leave the loop */

/* How an access is meant; index into the page walk's checks. */
enum cpu_access { ACC_READ, ACC_WRITE, ACC_EXEC };

enum tlb_loss { TLB_ALL, TLB_LOCAL, TLB_PAGES, TLB_WRITES };

struct cpu;
struct cpu_ops {
	/* Host pointer of the guest-physical page (4 KiB aligned) or NULL for MMIO and holes. flags
	 * (PAGE_*) may be NULL. */
	u8 *(*page)(struct cpu *c, gpa_t page, unsigned *flags);
	u64 (*mmio_read)(struct cpu *c, gpa_t gpa, unsigned size);
	void (*mmio_write)(struct cpu *c, gpa_t gpa, unsigned size, u64 value);
	u32 (*io_read)(struct cpu *c, u16 port, unsigned size);
	void (*io_write)(struct cpu *c, u16 port, unsigned size, u32 value);
	/* A store hit a page that PAGE_CODE was reported for. Called after the store. */
	void (*slow_write)(struct cpu *c, gpa_t gpa, unsigned size);
	/* Before a store of `size` bytes to RAM that no write tag let through (may be NULL). */
	void (*will_write)(struct cpu *c, u8 *host, unsigned size);
	/* MSRs the engine owns (APIC, TSC, TSC_ADJUST, TSC_DEADLINE, kvmclock ...). 0, or -1 = #GP.
	 */
	int (*msr_read)(struct cpu *c, u32 msr, u64 *value);
	int (*msr_write)(struct cpu *c, u32 msr, u64 value);
	u64 (*tsc)(struct cpu *c);
	/* The CPUID bits that depend on live engine state are patched here. */
	void (*cpuid)(struct cpu *c, u32 leaf, u32 subleaf, struct cpuid_regs *regs);
	/* CR8 = local APIC TPR >> 4 */
	u64 (*cr8_read)(struct cpu *c);
	void (*cr8_write)(struct cpu *c, u64 value);
	/* PAUSE: the guest spins. */
	void (*pause)(struct cpu *c);
	/* A LOCKed access that crosses a page: no other vCPU runs guest code between these. */
	void (*world_stop)(struct cpu *c);
	void (*world_start)(struct cpu *c);
	/* Address translation changed: drop decoded-block lookups keyed by virtual address. */
	void (*flushed)(struct cpu *c);
	/* The TLB lost entries (may be NULL): all, all but global ones, `pages` from `page` on, the
	 * write halves. For whoever caches what it holds. */
	void (*dropped)(struct cpu *c, enum tlb_loss loss, u64 page, u64 pages);
};

/* A pending exception on its way to delivery. */
struct cpu_exception {
	u8 vector;
	bool has_error;
	u8 kind; /* enum cpu_exception_kind */
	u32 error;
	u64 cr2;
	u64 dr6; /* for #DB: bits to set */
};
enum cpu_exception_kind {
	EXK_FAULT,    /* hardware exception, RIP of the instruction */
	EXK_TRAP,     /* RIP already after the instruction (#DB traps, #BP/#OF by INT3/INTO) */
	EXK_SOFT,     /* INT n, INT3, INTO: gate DPL is checked; kept apart for nested faults */
	EXK_EXTERNAL, /* hardware interrupt or NMI: error codes carry EXT */
};

/* Values the run loop gets from the long jump. */
#define CPU_JMP_EXCEPTION 1
#define CPU_JMP_RESTART	  2 /* c->rip is set: go on there (events first) */

struct block;

struct cpu {
	/* enum cpu_gpr; r[16] reads 0. Outside 64-bit mode bits 63..32 of the first eight are 0 */
	u64 r[17];
	u64 rip; /* valid between blocks and inside control transfers */
	/* lazy status flags, see flags.h */
	u64 fl_res, fl_car, fl_sx;
	u64 rflags; /* everything but the status flags; those bits are 0 here; bit 1 set */
	const struct insn *cur;
	u64 blk_rip;	       /* RIP of the block's first instruction */
	struct tlb_view *view; /* for explicit data accesses at this CPL */
	u64 seg_base[8]; /* effective base by enum cpu_seg: 0 for ES/CS/SS/DS in 64-bit mode */
	u32 seg_chk;	 /* bit per segment: an access needs seg_check() */
	/* outside 64-bit mode, bit per segment: seg_check() would only add its base and look at the
	 * offset's end: 4 GiB of writable data */
	u32 seg_wide;
	bool flat; /* linear addresses are offsets but in FS and GS, and no access through ES, SS,
		    * DS is checked: 64-bit mode, or 32-bit protected mode with flat segments */
	u32 mode;  /* MODE_*, as the decoder wants it */
	u32 event; /* EV_*; atomic */
	u64 poll;  /* 0 once an event was set: whoever reads where it points faults; atomic */
	u8 cpl;
	u8 shadow;	       /* 1 STI, 2 MOV SS: set by the instruction, cleared after the next */
	bool fpu_live;	       /* guest x87 state and MXCSR are in the host registers */
	u64 insns;	       /* retired */
	void *jb[5];	       /* __builtin_setjmp of the run loop */
	int jump;	       /* why the long jump: CPU_JMP_* */
	struct insn step_insn; /* the instruction of an uncached step */
	struct cpu_exception exc;
	const struct cpu_ops *ops;
	void *owner; /* engine's vCPU */
	const struct cpu_model *model;
	u64 x87_rip, x87_dp; /* last x87 instruction's RIP, operand */
	u16 x87_op, x87_cs, x87_ds;
	bool repeated;	 /* a REP string instruction let events in after an iteration: RF image */
	bool dr_armed;	 /* an enabled breakpoint in DR7 */
	u64 dr6_pending; /* data breakpoints hit by the current instruction */
	bool world;	 /* this vCPU stopped the others (ops.world_stop) */
	bool has_1g;	 /* 1 GiB pages in the model */
	bool intr_wait;	 /* an interrupt waits for IF, TPR or a shadow to go */
	u64 cr4_allowed;
	u64 pdpte[4]; /* PAE: loaded with CR3 (SDM 3A 4.4.1) */
	u64 tlb_misses, interrupts, exceptions;
	u64 pte_updates; /* accessed and dirty bits that walks set */
	/* filters: which regions had large pages in the TLB, see walk.c */
	u64 large_1g, large_2m[64];
	u32 fills; /* non-global TLB fills since the last flush; over TLB_LOG: not logged */
#define TLB_LOG 1024u
	u16 fill[TLB_LOG];
	u32 ifills; /* the same for itlb */
#define ITLB_LOG 64u
	u16 ifill[ITLB_LOG];
	struct cpu_state
		s; /* gpr, rip, rflags stale; seg, crN, msrs, ymm live; fpu live unless fpu_live */
	struct tlb_view views[VIEW_COUNT];
	struct itlb_entry itlb[2][ITLB_ENTRIES];
};

/* Power-up state, SDM 3A table 10-1. bsp: runs; otherwise waits for SIPI. */
void cpu_state_reset(struct cpu_state *s, unsigned apic_id, bool bsp);
/* INIT: SDM 3A table 10-1, second column. */
void cpu_state_init(struct cpu_state *s, bool bsp);

void cpu_open(struct cpu *c, const struct cpu_model *model, const struct cpu_ops *ops, void *owner);
void cpu_load(struct cpu *c, const struct cpu_state *s);
void cpu_save(struct cpu *c, struct cpu_state *s);

/* Recomputes mode, view, seg_base, seg_chk after any change of CR0, CR4, EFER, RFLAGS.VM/AC/TF,
 * CPL, segments, XCR0, DR7. */
void cpu_update_mode(struct cpu *c);
/* Only the view (CPL or AC changed). */
void cpu_update_view(struct cpu *c);

/* Leaves the instruction. cpu_raise: hardware fault with the RIP of the instruction. */
noreturn_fn void cpu_raise(struct cpu *c, unsigned vector);
noreturn_fn void cpu_raise_err(struct cpu *c, unsigned vector, u32 error);
noreturn_fn void cpu_raise_pf(struct cpu *c, u64 cr2, u32 error);
/* #GP(0), #UD: the common ones. */
noreturn_fn void cpu_gp0(struct cpu *c);
noreturn_fn void cpu_ud(struct cpu *c);
/* Ends the block; execution goes on at c->rip after events were looked at. */
noreturn_fn void cpu_restart(struct cpu *c);

/* Stands at the end of a function that sets jb. Without it the call before may become a jump, which
 * gives up the frame that the long jump comes back to (clang does that). */
static always_inline void cpu_keep_frame(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline u64 cpu_insn_rip(const struct cpu *c)
{
	return c->blk_rip + c->cur->off;
}

/* RIP after `in`; wraps at 4 GiB / 64 KiB by mode. */
static inline u64 cpu_next_rip(const struct cpu *c, const struct insn *in)
{
	u64 rip = c->blk_rip + in->off + in->len;
	if (c->mode & MODE_64)
		return rip;
	return c->mode & MODE_CS32 ? (u32)rip : (u16)rip;
}

/* Registers by byte offset (insn.greg, .ereg, .base ...). A 32-bit write zero-extends. */
static always_inline u64 reg_get(const struct cpu *c, unsigned off, unsigned size)
{
	const char *p = (const char *)c->r + off;
	switch (size) {
	case 1: return *(const u8 *)p;
	case 2: return *(const u16 *)(const void *)p;
	case 4: return *(const u32 *)(const void *)p;
	default: return *(const u64 *)(const void *)p;
	}
}

static always_inline void reg_set(struct cpu *c, unsigned off, unsigned size, u64 v)
{
	char *p = (char *)c->r + off;
	switch (size) {
	case 1: *(u8 *)p = (u8)v; break;
	case 2: *(u16 *)(void *)p = (u16)v; break;
	case 4: *(u64 *)(void *)p = (u32)v; break;
	default: *(u64 *)(void *)p = v; break;
	}
}

static always_inline void cpu_event(struct cpu *c, u32 bits)
{
	__atomic_or_fetch(&c->event, bits, __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->poll, 0, __ATOMIC_SEQ_CST);
}

#endif
