/* SPDX-License-Identifier: Apache-2.0 */
/*
 * impl: the parts of the soft engine, as they see each other.
 *
 *   soft.c    open/close, interrupts in, statistics
 *   vcpu.c    the run loop: events, halting, blocks
 *   block.c   decoded blocks: look-up, decoding, the per-vCPU store
 *   code.c    which guest pages hold decoded code, and what a store into one does
 *   glue.c    what the interpreter asks of the machine: pages, MMIO, ports, MSRs, time
 *   world.c   stopping all other vCPUs for a LOCKed access that the host cannot do
 *
 * Context: a struct soft_vcpu belongs to its thread; what others touch is atomic and says so.
 */
#ifndef ENGINE_SOFT_IMPL_H
#define ENGINE_SOFT_IMPL_H

#include <pthread.h>
#include <time.h>

#include "cpu/cpu.h"
#include "cpu/lapic.h"
#include "engine/engine.h"
#include "engine/soft/trans/trans.h"

#define SOFT_CPUS_MAX 64

/* What is known of one guest page; lazily touched: only pages with code are. */
struct soft_page {
	u64 epoch; /* engine epoch in which it last became a code page; atomic */
	u64 lines; /* bit per 64 bytes that hold decoded code; 0 = not a code page; atomic */
	u32 ver;   /* bumped whenever decoded bytes of it changed; atomic */
};

struct soft_slot {
	gpa_t gpa;
	u64 size;
	u8 *host;
	struct soft_page *pages;
	bool rom;
};

/* A straight run of decoded instructions inside one guest page. */
struct block {
	u64 rip;
	u64 cs_base;
	gpa_t gpa;
	struct soft_page *page;
	struct block *chain; /* hash chain */
	u32 mode;
	u32 ver;     /* page->ver when it was decoded */
	u32 hash;    /* of the source bytes, for as long as it is not trusted */
	u16 count;   /* instructions, the closing pseudo-instruction included */
	u16 retired; /* guest instructions */
	u16 bytes;
	bool trusted, untranslated;
	u8 runs;
	struct tblock *native, *plain; /* translated; without stack windows */
	u64 native_gen, plain_gen;
	struct insn insn[];
};

#define JUMP_CACHE	  4096u
#define BLOCK_HASH	  65536u
#define BLOCK_STORE	  (12u << 20)
#define BLOCK_STORE_TRANS (6u << 20) /* what is hot is translated */
#define BLOCK_INSNS	  48u

struct jump_slot {
	u64 gen;
	struct block *block;
};

struct vcpu {
	struct cpu cpu; /* first: glue.c gets from one to the other */
	struct engine *engine;
	unsigned id;
	struct lapic lapic;
	u64 tsc_offset; /* guest TSC = board TSC + this; owner writes */
	u64 poll_at;	/* retired count at which the timer is looked at next */
	/* decoded blocks */
	struct block *block; /* the one that runs */
	u64 jump_gen;
	struct jump_slot jump[JUMP_CACHE];
	struct block *hash[BLOCK_HASH];
	u8 *store;
	u32 store_used, store_size, store_peak; /* peak: before it was emptied */
	/* others read or write, atomic */
	u64 epoch_seen; /* write tags are clean of code pages marked up to here; ~0: not running */
	u32 sleeping;	/* waits on cpu.event in a futex */
	u32 parked;	/* at a safe point: see world.c */
	bool mp_started;
	/* statistics */
	u64 exits_pio, exits_mmio, halts, block_lookups, block_decodes, block_drops;
	unsigned pauses;
	/* translated code */
	struct trans *trans;   /* NULL: interpreted only; owner writes, atomic */
	struct trans *resting; /* what trans was, see trans_rest() */
	struct trans_hot hot;
	struct lockstep *lockstep; /* NULL: not compared with the interpreter */
	bool failed;		   /* fail_text() says why */
	struct tguard *plain;	   /* asked for the next block to go without stack windows */
	struct tlink *link;	   /* wants to be linked to the block that is entered next */
	u64 native_gen;		   /* the cache's generation that it knows */
	bool inside;		   /* it may hold on to what is in the cache */
	u64 armed;
	timer_t host_timer;
};

#define CHANGES 1024u
struct engine {
	struct board *board;
	const struct cpu_model *model;
	unsigned cpus;
	struct vcpu *vcpu[SOFT_CPUS_MAX];
	struct lapic *lapic[SOFT_CPUS_MAX];
	struct soft_slot slot[RAM_SLOTS_MAX];
	unsigned slots;
	u64 epoch;		   /* atomic */
	pthread_mutex_t code_lock; /* a page's version and its lines change together; a leaf */
	u64 changes; /* code pages whose decoded bytes changed: how many ever; atomic */
	const struct soft_page *changed[CHANGES];
	unsigned hot_runs; /* executions before a block is translated; 0: never */
	bool lockstep;
	const char *translate; /* the word of the option that holds */
	const char *refusal;   /* why the translator does not run where it should; atomic */
	bool asked;	       /* it was asked for by name: no vCPU goes without */
	struct tcache *cache;  /* NULL: nobody translates */
	u64 cache_most;	       /* bytes that it may take */
	bool traced;	       /* see trans/trace.c */
	struct engine_trace trace;
	bool check; /* each translated block is proven, see trans/check.c */
	u32 extint; /* level of the PIC's INTR; atomic */
	pthread_mutex_t world_lock;
	pthread_cond_t world_cond;
	unsigned world_wanted;
	bool yield; /* more vCPUs than host CPUs */
};

static inline struct vcpu *vcpu_of(struct cpu *c)
{
	return (struct vcpu *)(void *)c;
}

/* soft.c: this vCPU goes without the translator, fail_text() says why. */
void soft_refused(struct vcpu *v, const char *lack);

/* glue.c */
extern const struct cpu_ops soft_cpu_ops;
extern const struct lapic_ops soft_lapic_ops;
const struct soft_slot *soft_slot_find(const struct engine *e, gpa_t gpa);
/* Makes vCPU `index` look at its events. Any thread. */
void soft_wake(void *engine, unsigned index);

/* code.c */
struct soft_page *soft_page_of(const struct engine *e, gpa_t gpa);
/* The page's version, for a block whose bytes are marked and read after this. */
u32 code_version(struct vcpu *v, const struct soft_page *page);
/* Before bytes [off, off+len) of the page are read for decoding. */
void code_mark(struct vcpu *v, struct soft_page *page, unsigned off, unsigned len);
/* Do decoded bytes lie in [gpa, gpa+len), within one page? */
bool code_hit(const struct engine *e, gpa_t gpa, u64 len);
/* After a store to [gpa, gpa+len), within one page. True: decoded bytes were hit. */
bool code_stored(struct engine *e, gpa_t gpa, u64 len);
/* Owner, on EV_FLUSH or when it starts to run. */
void code_ack(struct vcpu *v);
/* All vCPUs have dropped their write tags for that page. */
bool code_settled(const struct engine *e, const struct soft_page *page);

/* block.c */
int block_open(struct vcpu *v);
void block_close(struct vcpu *v);
void block_reset(struct vcpu *v);
/* The block at cpu.rip, decoded if need be; NULL: step uncached. Raises (fetch faults). */
struct block *block_at(struct vcpu *v);
/* The one at rip in code that can be translated, if it is decoded and good and the TLB knows rip;
 * or NULL. */
struct block *block_known(struct vcpu *v, u64 rip);

/* world.c */
void world_open(struct engine *e);
void world_close(struct engine *e);
void world_stop(struct vcpu *v);
void world_start(struct vcpu *v);
/* Owner, on EV_WORLD. */
void world_park(struct vcpu *v);
/* Owner: from here until world_enter the vCPU touches no guest memory. */
void world_leave(struct vcpu *v);
void world_enter(struct vcpu *v);

/* vcpu.c */
enum vcpu_exit soft_vcpu_run(struct vcpu *v);

#endif
