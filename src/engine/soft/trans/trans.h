/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trans: translated code in front of the interpreter.
 *
 *   classify.c   what to do with a decoded instruction: copy it, glue it, leave it to its body
 *   translate.c  a decoded block into host code; gen.h has the files that emit the pieces
 *   stubs.c      the hand-made pieces at the start of the code cache
 *   recode.c     an instruction with other registers;  emit.c  a few host instructions
 *   table.c      guest page -> host addend, by view; guest page -> translated code
 *   cache.c      blocks and their pages, links between them, invalidation
 *   run.c        entering and leaving translated code, what its stubs call
 *   thread.c     the vCPU's thread: GS, its timer, faults of the host
 *   slot.c       operands that remember their page
 *   fast.c       SYSCALL and SYSRET
 *   check.c      the proof of a block, for tests; check_know.c, check_insn.c: its rules
 *   cross.c      an instruction in two pages
 *   need.c       what the host must offer
 *   trace.c      what a block became, for people
 *   lockstep.c   interpreter and translated code side by side
 *
 * In translated code: guest registers are in the host's of the same name, but RSP is in r9 and
 * r9..r11 are in their slots of the vCPU block; r10 and r11 are scratch; the six status flags are
 * the host's or put aside in hot.status (blocks have an entry for each); GS points to the vCPU
 * block; the host's stack is the thread's own. In 32-bit code there are eight registers, and bits
 * 63..32 of them are 0.
 *
 * Context: owner of the vCPU.
 */
#ifndef ENGINE_SOFT_TRANS_TRANS_H
#define ENGINE_SOFT_TRANS_TRANS_H

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "cpu/cpu.h"

static inline bool canonical(u64 la)
{
	return (u64)((s64)(la << 16) >> 16) == la;
}

/* Code that can be translated, while cpu.flat says so: 64-bit, or 32-bit with a stack of that
 * width, but for the last page of 4 GiB, behind which EIP goes on at 0. */
static inline bool mode_known(u32 mode)
{
	const u32 bits = MODE_PE | MODE_VM | MODE_CS32 | MODE_SS32;
	return mode & MODE_64 || (mode & bits) == (bits & ~MODE_VM);
}
#define LAST_PAGE 0xfffff000u
/* Bytes of a register, an address and a push in it. */
static inline unsigned mode_word(u32 mode)
{
	return mode & MODE_64 ? 8 : 4;
}
static inline bool code_known(const struct cpu *c, u64 rip)
{
	return c->flat && (c->mode & MODE_64 ? canonical(rip) : rip < LAST_PAGE);
}

struct block;
struct engine_reason;
struct vcpu;
struct tblock;
struct lockstep;
struct engine;
struct check;

/* A guest instruction as helpers see it. */
struct tinsn {
	u64 rip;
	u32 at;	  /* its host code, from the block's start */
	u32 copy; /* what the decoder made of it, from the store's start; 0: see trans_insn() */
	u16 form;
	u8 size; /* of its memory accesses */
	u8 len, seg;
	bool saved; /* when it faults in the host, the flags are in hot.status */
	bool write; /* it writes its memory operand */
	u8 x87;	    /* X87_* */
};
/* It leaves FIP and its like; nobody has noted that it did, since a later one of the block will:
 * it, its operand. */
#define X87_NOTES   1u
#define X87_LATE_IP 2u
#define X87_LATE_DP 4u
#define X87_BEFORE  8u /* there is such a one before it in the block */

/* What stands before the first instruction of a stack window or a family (window.c, slot.c). */
struct tguard {
	struct tinsn *ti;  /* that one */
	u8 *plain;	   /* code from there on without windows, or NULL */
	s16 lo;		   /* a window's bytes, from RSP (LEAVE: RBP) before it */
	u16 len;	   /* bytes of either */
	u16 own;	   /* a family's: where ti's operand is among them */
	u16 left;	   /* misses until somebody looks how often they come */
	u32 slot;	   /* a family's slot or entry, from GS; 0: a window */
	bool write, leave; /* one of the family writes; LEAVE: counted from RBP */
	u64 stamp;	   /* when somebody looked */
};

/* A jump from one block to another in the same guest page. Places are counted from its block's
 * code. */
struct tlink {
	struct tblock *to;
	struct tlink *next; /* of those that jump to `to` */
	u32 rel;	    /* the rel32 that is patched */
	u32 stub;	    /* where it goes while it is not linked */
	u16 target;	    /* where in its page */
	u8 which;	    /* of its block's links */
	bool saved;	    /* the flags are in hot.status there */
};

/* Behind its instructions stand its guards, then the bytes of its instructions. */
struct tblock {
	struct tpage *page;
	struct tblock *sibling; /* in page */
	/* some of its bytes are in a second page (cross.c, follow()): that, others of the same */
	struct tpage *second;
	struct tblock *cross_next;
	u64 block_rip;
	struct tlink *in;
	struct tlink out[2];
	u8 *start; /* of its code, in rw */
	/* entries, from there: flags in the host's, in hot.status */
	u16 code, code_saved;
	u16 code_vec, code_vec_saved; /* the same for those that come from a block with `vec` */
	u16 count, guards;
	u8 rounds; /* a loop's body is there so many times */
	bool dropped, plain;
	bool vec; /* the vector registers are in the host's */
	struct tinsn ti[];
};
static inline struct tguard *guards_of(const struct tblock *t)
{
	return (struct tguard *)(uintptr_t)(t->ti + t->count);
}
static inline u8 *bytes_of(const struct tblock *t)
{
	return (u8 *)(guards_of(t) + t->guards);
}
static inline struct tblock *from_of(const struct tlink *l)
{
	return (struct tblock *)((uintptr_t)(l - l->which) - offsetof(struct tblock, out));
}

/* Translated code of one guest page under one virtual address and mode. */
struct tpage {
	struct tpage *chain;
	struct tpage *of_frame; /* others whose frame hashes alike */
	struct soft_page *info;
	u64 rip; /* of its first byte */
	gpa_t gpa;
	u32 mode;
	u32 desc;     /* index of its first code offset */
	u8 described; /* bit n: page n of its code offsets was touched */
	struct tblock *blocks;
	struct tblock *cross; /* blocks of the page before that end in this one */
};

/* Why translated code came back to C. */
enum trans_exit {
	TX_EVENT, /* was not entered: something in c->event */
	TX_LINK,  /* rip is set; hot.link asks to be linked there */
	TX_IBL,	  /* rip is set; no code was known for it */
	TX_BODY,  /* an instruction's body set rip and flags */
	TX_PLAIN, /* rip is set: go on there with a block that has no windows */
};

/* A guest page (bits 63 to 12), host minus guest, the host's page (0: the slot is empty). */
struct page_slot {
	u64 page, add, host;
};
#define TRANS_SLOTS  2048u
#define TRANS_LOOKED 16u

/* The part of the vCPU block that translated code touches, besides cpu.r and cpu.event. */
struct trans_hot {
	u64 mask, low;		   /* pext masks: page number, offset */
	u64 rt, wt;		   /* read and write tables of the current view */
	u64 xt;			   /* code table of the current mode */
	u64 desc;		   /* descriptors: offsets into the code cache, of entries */
	u64 code, code_saved;	   /* what they are offsets from: flags in the host's; put aside */
	u64 stack_page, stack_add; /* guest page of the stack window, host minus guest */
	u64 other_page, other_add; /* the one before: system calls go back and forth */
	u64 host_rsp;
	u64 self;
	u64 link;
	u64 ea, bits, rax, rcx;
	u64 x87_dp; /* for the instruction that x87_mem names */
	/* what RDTSC adds to the host's; points to anything where CPL 0, another one may read it */
	u64 tsc_add, tsc_gate[2];
	/* the last x87 instruction, the last with an operand in memory: tinsns' offsets in the
	 * store, 0: cpu.x87_* are right */
	u32 x87, x87_mem;
	u32 simd; /* the guest's vector registers are in the host's */
	/* see slot.c; those that are filled, by their offsets */
	u32 slots_filled;
	u64 looked[TRANS_LOOKED]; /* entries that families of this block looked up */
	struct page_slot slot[TRANS_SLOTS];
	u32 filled[TRANS_SLOTS];
	u32 status; /* AH: SF ZF AF PF CF as LAHF gives them, AL: OF */
};

#define TRANS_VIEWS    3u
#define TRANS_CPUS_MAX 16u /* the tables of one vCPU take 3.5 TiB of addresses */
#define TRANS_HOT_RUNS 3u
#define TRANS_SIGNAL   (SIGRTMIN + 4) /* of the vCPUs' timers */
/* Bytes of the code cache and of what is known of it, together, that one may ask for; without: what
 * leaves the whole of it under 96 MiB, since each vCPU has tables and decoded blocks of its own. */
#define TRANS_LEAST (4ull << 20)
#define TRANS_LIMIT (1ull << 30)
static inline u64 trans_usual(unsigned cpus)
{
	return (cpus > 7 ? 32ull : 88 - 8 * cpus) << 20;
}
#define TRANS_PAGES BIT64(36) /* of a linear address space */
#define TRANS_HASH  4096u
#define DESC_BYTES  BIT64(30)
/* addresses of one vCPU: for each page of each view two u64, of each mode one u32 */
#define TRANS_ADDRESSES (TRANS_PAGES * (16 * TRANS_VIEWS + 4 * 2) + DESC_BYTES + 3 * TRANS_LIMIT)
#define TRANS_LOG	16384u
#define TRANS_TOUCHED	8192u

/* What was filled, so that it can be emptied again. */
struct tlog {
	u32 n;
	u64 e[TRANS_LOG];
};

#define TRANS_CROSS 1024u
struct cross {
	u64 rip, gen;
	gpa_t first, second;
	u32 mode, runs;
	struct tblock *t;
};

/* What SYSCALL or SYSRET led to, and what that depends on; see fast.c. */
struct fast_way {
	u64 star, efer, cr0, cr4, xcr0;
	struct cpu_segment cs, ss;
	u32 mode;
	u8 cpl, view;
	bool known;
};

/* Operands of a block that are looked up, see slot.c: bit i is instruction i. */
#define TRANS_TABLED 1024u
struct tabled {
	u64 rip, which;
	u32 mode;
};

/*
 * What all vCPUs of a machine have translated. `lock` is held by whoever makes, links or drops
 * blocks; running and looking up take no lock. It is emptied while no vCPU is inside (see
 * trans_enter()); then its generation changes, and nothing of an older one means anything.
 */
struct tcache {
	pthread_mutex_t lock; /* a leaf but for the log's */
	u64 gen;	      /* atomic */
	bool full;	      /* it shall be emptied before anybody goes on; atomic */
	u64 most;	      /* bytes that code, records and descriptors may take */
	struct check *check;  /* check.c's own, or NULL */
	struct tabled tabled[TRANS_TABLED];
	u8 *rw, *rx; /* the code, twice */
	u8 *store;   /* tblocks, tpages: bump-allocated */
	u32 size;    /* of either; they do not fill it, see `most` */
	u32 used, store_used, stubs, slot_next[2];
	u32 used_peak, store_peak; /* of before the resets: memory that was touched stays */
	struct tpage *hash[TRANS_HASH], *frame[TRANS_HASH];
	u32 *desc;
	u32 desc_used, desc_pages;
	u64 changed_seen;	      /* atomic */
	const struct clock *host_tsc; /* it follows the host's TSC; or NULL */
	/* addresses of stubs, in rw */
	u8 *enter, *exit_link, *exit_to, *ibl, *interp, *interp_end, *miss, *simd, *fault;
	u8 *stack_stub[2], *stack_leave, *slot_stub[2][2]; /* [32-bit code][write] */
	u8 *family[2];					   /* [write] */
	u8 *syscall, *sysret;
	/* the same with the flags in hot.status */
	u8 *exit_link_saved, *exit_to_saved, *ibl_saved, *interp_end_saved, *fault_saved;
	u8 *unknown, *unknown_saved, *ibl_end, *ibl_saved_end;
	struct tblock **order;	 /* by code address */
	u32 ordered, order_size; /* the first is atomic */
	bool stale;		 /* the last translation failed as code changed */
	u64 translated, resets;
};

/* What is a vCPU's own: its tables, and what it knows of the cache. */
struct trans {
	struct tcache *k; /* the engine's */
	struct fast_way in, out;
	struct insn cur; /* the instruction that a helper speaks of */
	struct cross cross[TRANS_CROSS];
	u64 *rt[TRANS_VIEWS], *wt[TRANS_VIEWS];
	unsigned view; /* the current one; of the others these are the stack windows */
	struct {
		u64 page, add, other_page, other_add;
	} window[TRANS_VIEWS];
	u32 *xt[2];
	u32 xt_mode[2];
	/* filled entries: view << 36 | page number, and those of xt; [1]: of global pages */
	struct tlog log[2], xlog[2][2];
	u64 touched[TRANS_TOUCHED], touches; /* pages of the tables, see table.c */
	u64 looked[512], looks;
	u32 data_pages, code_pages;
	u64 changed_seen; /* changes of code up to here are known */
	/* statistics */
	u64 entries, misses, links, ibl_misses, compared, uncompared;
};

/* need.c: does this host have what the translator wants for so many vCPUs? 0, or -errno with the
 * reason. Under 100 ms, leaves nothing behind. Context: any. */
int trans_probe(unsigned cpus, struct engine_reason *reason);
/* The code cache of `bytes`, writable and executable at two addresses. */
int trans_memory(u64 bytes, u8 **rw, u8 **rx);
/* A timer that signals this thread; its GS base. 0 or -errno. */
int trans_timer(timer_t *timer);
int trans_gs(u64 base);

/* cache.c */
int trans_open(struct vcpu *v);
void trans_close(struct vcpu *v);
/* After the vCPUs. */
void trans_close_cache(struct engine *e);
/* Before anything of the cache is looked at, at a point where the vCPU may park. False: look at the
 * events first. From here on it is inside, until v->inside is cleared. */
bool trans_enter(struct vcpu *v);
/* This vCPU goes on without the translator: its thread did not get what the probe did. */
void trans_rest(struct vcpu *v);
/* Where b's bytes are. */
const u8 *block_bytes(struct vcpu *v, const struct block *b);
/* Translated code for b, or NULL where there is none. */
struct tblock *trans_block(struct vcpu *v, struct block *b);
/* The same without stack windows; NULL: not now. */
struct tblock *trans_whole(struct vcpu *v, struct block *b);
/* v->plain is set: that, if it was asked for at b's start; else `otherwise`, trans_block's answer.
 */
struct tblock *trans_plain(struct vcpu *v, struct block *b, struct tblock *otherwise);
/* For cross.c, under the lock: is there room? finds b's page (NULL: no room); makes t known as one
 * of page p. */
bool trans_room(struct vcpu *v);
struct tpage *trans_page(struct tcache *k, const struct block *b);
void trans_known(struct tcache *k, struct tpage *p, struct tblock *t);
/* Everything translated is gone. No vCPU runs. */
void trans_reset(struct vcpu *v);
void trans_changed(struct vcpu *v); /* code pages changed: drop what came from them */
/* Was code changed that this vCPU does not know of? */
bool trans_stale(const struct vcpu *v);
/* Blocks are made one behind the other, in the store as in the cache: the last whose record, or
 * code, begins at or before it; NULL: none. */
struct tblock *trans_of(const struct tcache *k, const void *record);
struct tblock *trans_with(const struct tcache *k, const u8 *code);
/* Nothing leads to t any more. */
void trans_drop(struct vcpu *v, struct tblock *t);
/* The jump whose distance is at `at` goes to `to`. Others may be about to run it: it lies in one
 * line of the host's cache (leave.c). */
void trans_rel32(u8 *at, const u8 *to);
/* Which operands of the block at rip are looked up; where that is noted. */
u64 trans_tabled(struct tcache *k, u64 rip, u32 mode);
struct tabled *trans_tabled_of(struct tcache *k, u64 rip);

/* cross.c: for the instruction at RIP, if it lies in two pages; NULL: interpret it. May long-jump.
 */
struct tblock *trans_cross(struct vcpu *v);

/* run.c */
/* Runs it until it comes back; c->rip says where the guest is. May long-jump (exceptions). */
enum trans_exit trans_run(struct vcpu *v, struct tblock *t);
/* What the decoder makes of ti; good until the next call. */
const struct insn *trans_insn(struct vcpu *v, const struct tinsn *ti);
/* helpers that stubs call */
u64 trans_interp(struct vcpu *v, struct tinsn *ti);
u64 trans_interp_end(struct vcpu *v, struct tinsn *ti);
u64 trans_miss(struct vcpu *v, u64 ti, u64 va);
u64 trans_fault(struct vcpu *v, struct tinsn *ti);
u64 trans_stack(struct vcpu *v, struct tguard *g);
u64 trans_slot(struct vcpu *v, struct tguard *g, u64 va);
u64 trans_family(struct vcpu *v, struct tguard *g, u64 va);
void trans_fpu(struct vcpu *v);

/* thread.c */
/* Before any vCPU runs: the signal of their timers. */
void trans_signal(void);
/* The vCPU's thread begins. lack: the name of what it did not get. */
int trans_thread(struct vcpu *v, const char **lack);
/* A signal at `rip`: where to go on and what r10 shall hold; false: not translated code. */
bool trans_fixup(u64 *rip, u64 *r10);

/* fast.c: 0: its body */
u64 trans_syscall(struct vcpu *v, struct tinsn *ti);
u64 trans_sysret(struct vcpu *v, struct tinsn *ti);
/* The body ran. */
void fast_learn(struct vcpu *v, const struct insn *in);

/* lockstep.c */
int lockstep_open(struct vcpu *v);
void lockstep_close(struct vcpu *v);
/* b both ways; false: they differ, fail_text() says how. May long-jump no more than trans_run. */
bool lockstep_run(struct vcpu *v, struct block *b, struct tblock *t);
/* Cannot be run twice: a block of its own, not translated. */
bool lockstep_alone(const struct insn *in);
/* Stores flags that an instruction of b before it left undefined: must begin a block. */
bool lockstep_first(const struct block *b, const struct insn *in);
/* Is this a run that is taken back? */
bool lockstep_dry(const struct vcpu *v);
/* It met something that cannot be. */
noreturn_fn void lockstep_no_repeat(struct vcpu *v);
/* May the TLB have write tags (they are wanted for the translator's tables only)? */
bool lockstep_tags(const struct vcpu *v);
void lockstep_fill(struct vcpu *v, bool on);
/* Before `size` bytes at host, guest memory, are written. */
void lockstep_store(struct vcpu *v, u8 *host, unsigned size);

/* trace.c: links and dropped blocks that --log translate shows. */
void trace_link(const struct vcpu *v, const struct tlink *l, const struct tblock *t);
void trace_drop(const struct vcpu *v, const struct tblock *t);

/* translate.c */
/* plain: without stack windows; second: NULL, or the page in which its only instruction ends */
struct tblock *translate(struct vcpu *v, struct block *b, struct tpage *page, const u8 *raw,
			 bool plain, struct tpage *second);
/* check.c: code [t->start, end), what is seldom needed from main_end on. False: fail_text() says
 * why. */
bool check_block(struct tcache *x, const struct tblock *t, const u8 *main_end, const u8 *end);
/* stubs.c */
void stubs_build(struct tcache *x);

/* table.c */
int table_open(struct vcpu *v);
void table_close(struct vcpu *v);
/* A look-up of la, or of code there, came to C. */
void table_looked(struct vcpu *v, u64 la);
void table_fill(struct vcpu *v, u64 la, enum cpu_view view);
void table_flush(struct vcpu *v, bool global);
void table_flush_page(struct vcpu *v, u64 la, u64 pages);
void table_flush_writes(struct vcpu *v);
/* rip is mapped, and its page's code described at `desc`. */
void table_code(struct vcpu *v, u64 rip, u32 desc);
void table_mode(struct vcpu *v);
/* Makes the page of la the stack window's if it may be read and written; len bytes from la must lie
 * in it. */
bool table_stack(struct vcpu *v, u64 la, unsigned len);
/* The slot at that offset becomes the page of la, which table_fill() knows. */
void table_slot(struct vcpu *v, u32 slot, u64 la);

/* classify.c */
enum tkind {
	T_INTERP, /* its body, then go on */
	T_END,	  /* its body, which sets RIP */
	T_COPY,
	T_NOP,
	T_LEA,
	T_PUSH_R,
	T_PUSH_I,
	T_PUSH_M,
	T_POP_R,
	T_POP_RSP,
	T_LEAVE,
	T_JCC,
	T_JRCXZ,
	T_JMP,
	T_CALL,
	T_RET,
	T_JMP_E,
	T_CALL_E,
	T_PUSHF,
	T_RDTSC,   /* and RDTSCP */
	T_MOV_SEG, /* from a segment register */
	T_BT,	   /* of a bit string in memory */
	T_SYSCALL,
	/* at CPL 0 */
	T_POPF,
	T_CLI,
	T_STI,
	T_SWAPGS,
	T_SYSRET,
};
struct tclass {
	u8 kind;
	u8 size;	  /* of the memory operand */
	bool read, write; /* memory */
	bool vec;	  /* needs the vector registers, x87 and MXCSR in the host */
	bool x87;
	bool fl_touch;	     /* reads or writes flags */
	u8 fl_read, fl_kill; /* flags read; written for certain */
};
struct tclass classify(const struct insn *in, u32 mode);
/* Bytes of an operand of this width (enum insn_opw). */
unsigned classify_width(const struct insn *in, unsigned w);
/* Of the x87 instructions that are copied: does it leave FIP and its like (SDM 1 8.1.8)? */
bool classify_x87_notes(const struct insn *in);

#endif
