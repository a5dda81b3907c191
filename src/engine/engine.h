/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: the boundary between the machine and whatever runs its CPUs.
 *
 * An engine owns the vCPUs' architectural state and their local APICs. Port and MMIO accesses are
 * finished inside it by calling board/bus; vcpu_run returns only for what the machine must decide.
 * struct cpu_state is the one currency: get and set move everything, so a vCPU can change engines.
 *
 * Entered by: vm/ only. Engines never see dev/.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "board/device.h"
#include "cpu/model.h"
#include "cpu/state.h"
#include "host/metrics.h"
#include "lib/types.h"

struct engine;
struct vcpu;

/* Why vcpu_run came back. */
enum vcpu_exit {
	VCPU_AGAIN,    /* kicked, or a request of the board is pending: look at it and call again */
	VCPU_RESET,    /* INIT from the machine is not one of these; a triple fault is */
	VCPU_SHUTDOWN, /* triple fault */
	VCPU_DEBUG,    /* a debugger's stop */
	VCPU_ERROR,    /* the host failed: fail_text() says how */
};

/* Why an engine cannot run here. `code` 0 = it can. */
struct engine_reason {
	int code;	    /* one of enum engine_reason_code, 0 = usable */
	const char *name;   /* stable identifier for JSON, e.g. "kvm-no-permission" */
	char sentence[160]; /* for people */
	char mend[160];	    /* what to do about it, "" when nothing helps */
};

enum engine_reason_code {
	ENGINE_OK = 0,
	ENGINE_ABSENT, /* not built in, or no such device */
	ENGINE_NO_PERMISSION,
	ENGINE_HOST_CPU, /* the host CPU lacks something */
	ENGINE_EMULATED, /* /dev/kvm that only emulates ring 0 */
	ENGINE_LIMIT,	 /* a limit of this process or machine is in the way */
	ENGINE_BROKEN,
};

/* Translations of guest code at these linear addresses are written to fd. */
struct engine_trace {
	u64 first, last;
	int fd;
};

struct engine_config {
	struct board *board;
	const struct cpu_model *model;
	const char *options; /* the text after the comma of --engine soft,...; may be NULL */
	unsigned cpus;
	const struct engine_trace *trace; /* NULL: none */
};

/* How it runs guest code. */
struct engine_mode {
	const char *translate; /* "off", "on", "eager", "lockstep" */
	const char *refusal;   /* the engine_reason's name why it is off by itself; "" */
};

struct engine_ops {
	const char *name;

	/* Bounded (under 100 ms), leaves nothing behind. Context: any. */
	int (*probe)(struct engine_reason *reason);

	/* The same for its translator: how well it runs, not whether. NULL: it has none. */
	void (*probe_translator)(struct engine_reason *reason);

	/* Are these options, this many vCPUs and this trace what it takes? -EINVAL. board and model
	 * are not looked at. Context: any. */
	int (*check)(const struct engine_config *config);

	int (*open)(const struct engine_config *config, struct engine **out);
	void (*close)(struct engine *engine);

	/* board->ram's slots changed; no vCPU runs. */
	int (*ram_changed)(struct engine *engine);
	/* A device writes guest memory. Context: any. */
	void (*dma_begin)(struct engine *engine, gpa_t gpa, u64 len);
	void (*dma_end)(struct engine *engine, gpa_t gpa, u64 len);

	/* Interrupts, from board/irq. Context: any. */
	void (*msi)(struct engine *engine, u64 addr, u32 data);
	void (*extint)(struct engine *engine, bool level);

	/* vCPUs. open/close/get/set: with the vCPU not inside run. id 0 is the boot CPU. */
	int (*vcpu_open)(struct engine *engine, unsigned id, struct vcpu **out);
	void (*vcpu_close)(struct vcpu *vcpu);
	/* Context: the vCPU's own thread. Blocks while the vCPU halts or waits for SIPI. */
	enum vcpu_exit (*vcpu_run)(struct vcpu *vcpu);
	/* Makes vcpu_run return VCPU_AGAIN soon. Context: any. */
	void (*vcpu_kick)(struct vcpu *vcpu);
	void (*vcpu_get)(struct vcpu *vcpu, struct cpu_state *state);
	int (*vcpu_set)(struct vcpu *vcpu, const struct cpu_state *state);

	/* Without stopping anybody. Context: any, while the vCPUs are open. */
	void (*stats)(struct engine *engine, struct metrics *stats);
	void (*mode)(struct engine *engine,
		     struct engine_mode *mode); /* NULL: does not translate */
};

/* engine/registry.c */
const struct engine_ops *engine_find(const char *name); /* NULL if unknown */
const struct engine_ops *const *engine_list(void);	/* NULL-terminated, best first */

#endif
