/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: the jail a VM process builds around itself before the first guest instruction.
 *
 * Two steps, because Landlock and capabilities belong to threads and seccomp to the process:
 *   sandbox_drop   after the last path was opened, before the first further thread: no way to new
 *                  privileges, no capabilities, no paths (Landlock, where the kernel has it)
 *   sandbox_seal   when all threads stand, before the first guest instruction: resource limits and
 *                  the system-call list of sandbox.def, for all threads at once
 * docs/security.md says what each layer is for.
 *
 * Context: the process's first thread.
 */
#ifndef HOST_SANDBOX_H
#define HOST_SANDBOX_H

#include "lib/types.h"

struct sandbox_report {
	bool no_new_privs;
	bool no_caps;  /* all sets empty, bounding set included */
	bool bounding; /* the bounding set could be emptied */
	bool seccomp;
	bool limits;
	int landlock_abi; /* 0: the kernel has none */
	bool landlock;
	char refusal[160]; /* sandbox_probe: why the jail cannot be built, "" when it can */
};

/* 0 or -errno with a sentence; layers the kernel does not have are left out and reported. */
int sandbox_drop(struct sandbox_report *report);
int sandbox_seal(struct sandbox_report *report);

/* What sandbox_drop and sandbox_seal get here: a child builds the jail and tells. Context: one
 * thread. */
void sandbox_probe(struct sandbox_report *report);

/* Calls fn for every line of the list: for docs and `holm doctor -v`. allowed: 1 may, 0 refused. */
void sandbox_each(void (*fn)(void *arg, const char *call, bool allowed, const char *reason),
		  void *arg);

#endif
