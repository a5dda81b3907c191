/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: what this host offers to Holm, as facts; prog prints them.
 *
 * Entered by: prog, `holm doctor`. Tries things and undoes them; changes nothing. Under 200 ms.
 *
 * Context: one thread, not in the jail.
 */
#ifndef VM_DOCTOR_H
#define VM_DOCTOR_H

#include "host/sandbox.h"
#include "vm/hostinfo.h"

#define DOCTOR_ENGINES_MAX 8
#define DOCTOR_MODELS	   3

/* Whether something works here, and if not, why. */
struct doctor_verdict {
	bool usable;
	const char *reason; /* stable identifier, "" when usable */
	char sentence[160];
	char mend[160];
};

struct doctor_engine {
	const char *name;
	struct doctor_verdict verdict;
	bool translates; /* it has a translator, of which: */
	struct doctor_verdict translator;
};

struct doctor_model {
	const char *name;
	bool usable;
	const char *missing; /* the first feature that is not there; "" */
};

struct doctor {
	struct doctor_engine engine[DOCTOR_ENGINES_MAX];
	unsigned engines;
	const char *best; /* the engine a machine gets by default; NULL: none */
	struct doctor_model model[DOCTOR_MODELS];
	struct host_limits limits;
	struct sandbox_report jail;
	char kernel[96];
	char cpu[64];
	char hypervisor[16]; /* of the host itself, "" on bare metal */
};

void doctor_read(struct doctor *doctor);

#endif
