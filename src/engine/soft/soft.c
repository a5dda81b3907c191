/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soft: opening and closing the engine and its vCPUs, interrupts in, state in and out.
 *
 * Entered by: vm/ through engine_ops. Context: as engine.h says.
 */
#include "engine/soft/soft.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/fpu.h"
#include "cpu/mem.h"
#include "engine/soft/impl.h"
#include "host/fail.h"
#include "host/log.h"
#include "host/size.h"

/* --- faults of the host that are the guest's: native thunks and translated code --- */

/* What the signals did before; written once, before any vCPU thread exists. */
static struct sigaction fault_before[3];

static unsigned fault_slot(int number)
{
	return number == SIGSEGV ? 1 : number == SIGBUS ? 2 : 0;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const struct sigaction *old = &fault_before[fault_slot(number)];
	u64 rip = (u64)uc->uc_mcontext.gregs[REG_RIP], r10 = (u64)uc->uc_mcontext.gregs[REG_R10];
	u64 to = number == SIGFPE ? fpu_fixup(rip) : 0;
	if (to) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
	} else if (trans_fixup(&rip, &r10)) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
		uc->uc_mcontext.gregs[REG_R10] = (greg_t)r10;
	} else if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(number, info, context);
	} else {
		abort();
	}
}

static void catch_fault(int number)
{
	struct sigaction action;
	struct sigaction old;
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, &old);
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_fault)
		fault_before[fault_slot(number)] = old;
}

/* --- engine --- */

static int soft_probe(struct engine_reason *reason)
{
	memset(reason, 0, sizeof(*reason));
	reason->name = "ok";
	snprintf(reason->sentence, sizeof(reason->sentence), "runs in an ordinary process");
	return 0;
}

static void slots_close(struct engine *e)
{
	for (unsigned i = 0; i < e->slots; i++)
		munmap(e->slot[i].pages, (e->slot[i].size >> 12) * sizeof(struct soft_page));
	e->slots = 0;
}

/* Nothing that was decoded or translated is good any more. */
static void forget(struct vcpu *v)
{
	block_reset(v);
	if (v->trans)
		trans_reset(v);
}

static int soft_ram_changed(struct engine *e)
{
	const struct ram *ram = &e->board->ram;
	slots_close(e);
	for (unsigned i = 0; i < ram->slots; i++) {
		const struct ram_slot *from = &ram->slot[i];
		struct soft_slot *s = &e->slot[e->slots];
		void *p = mmap(NULL, (from->size >> 12) * sizeof(struct soft_page),
			       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);
		if (p == MAP_FAILED)
			return FAIL(-ENOMEM, "out of memory for the page table of guest RAM");
		*s = (struct soft_slot){.gpa = from->gpa,
					.size = from->size,
					.host = from->host,
					.pages = p,
					.rom = from->kind == RAM_KIND_ROM};
		e->slots++;
	}
	for (unsigned i = 0; i < e->cpus; i++) {
		if (!e->vcpu[i])
			continue;
		forget(e->vcpu[i]);
		tlb_flush_all(&e->vcpu[i]->cpu);
	}
	return 0;
}

static void soft_close(struct engine *e)
{
	if (!e)
		return;
	slots_close(e);
	trans_close_cache(e);
	pthread_mutex_destroy(&e->code_lock);
	world_close(e);
	free(e);
}

/* What comes after "soft,". */
struct translate {
	const char *word;
	unsigned hot_runs; /* executions before a block is translated; 0: never */
	bool lockstep;
	bool asked; /* by name: it is that or nothing */
	u64 cache;  /* bytes for translated code and what is known of it; 0: as many as usual */
};

static int cache_parse(const char *text, struct translate *out)
{
	if (size_parse(text, &out->cache))
		return -EINVAL;
	if (out->cache < TRANS_LEAST || out->cache > TRANS_LIMIT)
		return FAIL(-EINVAL, "engine soft: cache=%.20s; it may be %uM to %uM", text,
			    (unsigned)(TRANS_LEAST >> 20), (unsigned)(TRANS_LIMIT >> 20));
	return 0;
}

static int option_parse(const char *option, struct translate *out)
{
	static const struct translate known[] = {{"on", TRANS_HOT_RUNS, false, true, 0},
						 {"off", 0, false, true, 0},
						 {"eager", 1, false, true, 0},
						 {"lockstep", 1, true, true, 0}};
	u64 cache = out->cache;
	for (unsigned i = 0; i < ARRAY_LEN(known) && !strncmp(option, "translate=", 10); i++) {
		if (strcmp(option + 10, known[i].word))
			continue;
		if (out->asked)
			return FAIL(-EINVAL, "engine soft: translate= is given twice");
		*out = known[i];
		out->cache = cache;
		return 0;
	}
	if (!strncmp(option, "cache=", 6) && cache)
		return FAIL(-EINVAL, "engine soft: cache= is given twice");
	if (!strncmp(option, "cache=", 6))
		return cache_parse(option + 6, out);
	return FAIL(-EINVAL,
		    "engine soft: unknown option '%.40s'; it takes translate=off, on, eager or "
		    "lockstep, and cache=SIZE",
		    option);
}

static int translate_parse(const char *options, struct translate *out)
{
	char one[64];
	int err = 0;
	*out = (struct translate){"on", TRANS_HOT_RUNS, false, false, 0};
	if (!options || !options[0])
		return 0;
	for (const char *end; !err; options = end + 1) {
		end = strchrnul(options, ',');
		snprintf(one, sizeof(one), "%.*s", (int)min_u64((u64)(end - options), 63), options);
		err = option_parse(one, out);
		if (!*end)
			break;
	}
	if (!err && out->cache && !out->hot_runs)
		return FAIL(-EINVAL, "engine soft: translate=off has no use for cache=");
	return err;
}

static int soft_check(const struct engine_config *config)
{
	unsigned cpus = config->cpus;
	struct translate t;
	if (!cpus || cpus > SOFT_CPUS_MAX)
		return FAIL(-EINVAL, "engine soft: %u vCPUs, it takes 1 to %u", cpus,
			    SOFT_CPUS_MAX);
	if (translate_parse(config->options, &t))
		return -EINVAL;
	if (t.lockstep && cpus > 1)
		return FAIL(-EINVAL, "engine soft: translate=lockstep takes 1 vCPU, not %u", cpus);
	if (t.asked && t.hot_runs && cpus > TRANS_CPUS_MAX)
		return FAIL(-EINVAL, "engine soft: translate takes up to %u vCPUs, not %u",
			    TRANS_CPUS_MAX, cpus);
	if (config->trace && !t.hot_runs)
		return FAIL(-EINVAL,
			    "engine soft: translate=off leaves nothing for --log translate");
	return 0;
}

static void soft_probe_translator(struct engine_reason *reason)
{
	trans_probe(1, reason);
}

/* Does the host have what the translator wants? If nobody asked for it by name, off will do. */
static int translate_settle(struct engine *e, struct translate *t)
{
	struct engine_reason reason;
	int err = t->hot_runs ? trans_probe(e->cpus, &reason) : 0;
	if (err && t->asked)
		return FAIL(err, "engine soft: %s%s%s; or use translate=off", reason.sentence,
			    reason.mend[0] ? "; " : "", reason.mend);
	if (err) {
		log_line(e->traced ? LOG_WARN : LOG_INFO, "translate=off: %s [%s]", reason.sentence,
			 reason.name);
		e->refusal = reason.name;
		*t = (struct translate){.word = "off"};
	}
	e->translate = t->word;
	e->hot_runs = t->hot_runs;
	e->lockstep = t->lockstep;
	e->check = t->hot_runs == 1;
	e->asked = t->asked;
	e->cache_most = t->cache;
	return 0;
}

static int soft_open(const struct engine_config *config, struct engine **out)
{
	struct translate t;
	struct engine *e;
	cpu_set_t set;
	int err = soft_check(config);

	if (!err)
		err = translate_parse(config->options, &t);
	if (err)
		return err;
	e = calloc(1, sizeof(*e));
	if (!e)
		return FAIL(-ENOMEM, "out of memory");
	e->board = config->board;
	e->model = config->model;
	e->cpus = config->cpus;
	if (config->trace)
		e->trace = *config->trace;
	e->traced = config->trace != NULL;
	world_open(e);
	pthread_mutex_init(&e->code_lock, NULL);
	if (!sched_getaffinity(0, sizeof(set), &set))
		e->yield = e->cpus > (unsigned)CPU_COUNT(&set);
	err = translate_settle(e, &t);
	if (!err)
		err = soft_ram_changed(e);
	if (err) {
		soft_close(e);
		return err;
	}
	catch_fault(SIGFPE);
	if (e->hot_runs) {
		catch_fault(SIGSEGV);
		catch_fault(SIGBUS); /* what the CPU calls #SS */
		trans_signal();
	}
	*out = e;
	return 0;
}

static void soft_dma_begin(struct engine *e unused_arg, gpa_t gpa unused_arg, u64 len unused_arg)
{
	/* decoded code is dropped when the bytes are there */
}

static void soft_dma_end(struct engine *e, gpa_t gpa, u64 len)
{
	while (len) {
		u64 n = min_u64(len, RAM_PAGE - (gpa & (RAM_PAGE - 1)));
		code_stored(e, gpa, n);
		gpa += n;
		len -= n;
	}
}

static void soft_msi(struct engine *e, u64 addr, u32 data)
{
	struct lapic_ipi ipi = lapic_ipi_from_msi(addr, data);
	lapic_ipi_send(e->lapic, e->cpus, -1, &ipi, soft_wake, e);
}

static void soft_extint(struct engine *e, bool level)
{
	__atomic_store_n(&e->extint, level, __ATOMIC_SEQ_CST);
	if (level)
		soft_wake(e, 0);
}

/* --- vCPUs --- */

void soft_refused(struct vcpu *v, const char *lack)
{
	log_line(LOG_INFO, "vCPU %u, translate=off: %s [%s]", v->id, fail_text(), lack);
	__atomic_store_n(&v->engine->refusal, lack, __ATOMIC_RELEASE);
}

/* The probe found all it wants; memory may be short all the same. */
static int translator_open(struct vcpu *v)
{
	int err = v->engine->hot_runs ? trans_open(v) : 0;
	if (!err || v->engine->asked)
		return err;
	trans_close(v);
	soft_refused(v, "translator-no-memory");
	return 0;
}

static int soft_vcpu_open(struct engine *e, unsigned id, struct vcpu **out)
{
	struct vcpu *v;
	int err;
	if (id >= e->cpus)
		return FAIL(-EINVAL, "engine soft: no vCPU %u", id);
	v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return FAIL(-ENOMEM, "out of memory for vCPU %u", id);
	v->engine = e;
	v->id = id;
	v->parked = 1;
	v->epoch_seen = ~0ull;
	cpu_open(&v->cpu, e->model, &soft_cpu_ops, v);
	lapic_init(&v->lapic, id, id == 0, e->model->maxphyaddr, &soft_lapic_ops, v);
	err = translator_open(v);
	if (!err)
		err = block_open(v);
	if (err) {
		trans_close(v);
		munmap(v, sizeof(*v));
		return err;
	}
	e->vcpu[id] = v;
	e->lapic[id] = &v->lapic;
	*out = v;
	return 0;
}

static void soft_vcpu_close(struct vcpu *v)
{
	if (!v)
		return;
	v->engine->vcpu[v->id] = NULL;
	block_close(v);
	trans_close(v);
	munmap(v, sizeof(*v));
}

static void soft_vcpu_kick(struct vcpu *v)
{
	cpu_event(&v->cpu, EV_KICK);
	soft_wake(v->engine, v->id);
}

static void soft_vcpu_get(struct vcpu *v, struct cpu_state *state)
{
	cpu_save(&v->cpu, state);
	lapic_save(&v->lapic, &state->lapic);
	state->clock_ns = clock_now(&v->engine->board->clock);
	state->tsc = clock_tsc(&v->engine->board->clock) + v->tsc_offset;
}

static int soft_vcpu_set(struct vcpu *v, const struct cpu_state *state)
{
	struct clock *clock = &v->engine->board->clock;
	cpu_load(&v->cpu, state);
	lapic_load(&v->lapic, &state->lapic);
	v->tsc_offset = state->tsc - clock_ns_to_tsc(clock, state->clock_ns);
	v->poll_at = 0;
	forget(v);
	return 0;
}

static void soft_mode(struct engine *e, struct engine_mode *mode)
{
	const char *refusal = __atomic_load_n(&e->refusal, __ATOMIC_ACQUIRE);
	bool any = !refusal;
	for (unsigned i = 0; i < e->cpus && !any; i++)
		any = e->vcpu[i] && __atomic_load_n(&e->vcpu[i]->trans, __ATOMIC_ACQUIRE);
	mode->translate = any ? e->translate : "off";
	mode->refusal = refusal ? refusal : "";
}

/* Counters belong to their vCPU's thread, which only ever adds to them. */
#define READ(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

static void stats_vcpu(const struct vcpu *v, struct metrics *stats)
{
	const struct trans *x = __atomic_load_n(&v->trans, __ATOMIC_ACQUIRE);
	stats->instructions += READ(v->cpu.insns);
	stats->exits_pio += READ(v->exits_pio);
	stats->exits_mmio += READ(v->exits_mmio);
	stats->halts += READ(v->halts);
	stats->interrupts += READ(v->cpu.interrupts);
	stats->exceptions += READ(v->cpu.exceptions);
	stats->tlb_misses += READ(v->cpu.tlb_misses);
	stats->block_lookups += READ(v->block_lookups);
	stats->block_decodes += READ(v->block_decodes);
	stats->block_drops += READ(v->block_drops);
	stats->decoded_bytes += READ(v->store_used);
	stats->decoded_touched_bytes += max_u64(READ(v->store_used), READ(v->store_peak));
	if (!x)
		return;
	stats->translated_entries += READ(x->entries);
	stats->shadow_misses += READ(x->misses);
	stats->compared += READ(x->compared);
	stats->uncompared += READ(x->uncompared);
	stats->links += READ(x->links);
	stats->indirect_misses += READ(x->ibl_misses);
	stats->table_bytes += RAM_PAGE * (READ(x->data_pages) + READ(x->code_pages));
}

static void stats_cache(const struct tcache *k, struct metrics *stats)
{
	stats->translations = READ(k->translated);
	stats->code_resets = READ(k->resets);
	stats->code_bytes = READ(k->used);
	stats->code_touched_bytes = max_u64(READ(k->used), READ(k->used_peak));
	stats->code_size_bytes = k->size;
	stats->store_bytes = READ(k->store_used);
	stats->store_touched_bytes = max_u64(READ(k->store_used), READ(k->store_peak));
	stats->store_size_bytes = k->size;
	stats->table_bytes += (u64)RAM_PAGE * READ(k->desc_pages);
}

static void soft_stats(struct engine *e, struct metrics *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->code_changes = READ(e->changes);
	for (unsigned i = 0; i < e->cpus; i++)
		if (e->vcpu[i])
			stats_vcpu(e->vcpu[i], stats);
	if (e->cache)
		stats_cache(e->cache, stats);
}

const struct engine_ops engine_soft_ops = {
	.name = "soft",
	.probe = soft_probe,
	.probe_translator = soft_probe_translator,
	.check = soft_check,
	.open = soft_open,
	.close = soft_close,
	.ram_changed = soft_ram_changed,
	.dma_begin = soft_dma_begin,
	.dma_end = soft_dma_end,
	.msi = soft_msi,
	.extint = soft_extint,
	.vcpu_open = soft_vcpu_open,
	.vcpu_close = soft_vcpu_close,
	.vcpu_run = soft_vcpu_run,
	.vcpu_kick = soft_vcpu_kick,
	.vcpu_get = soft_vcpu_get,
	.vcpu_set = soft_vcpu_set,
	.stats = soft_stats,
	.mode = soft_mode,
};
