/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm: one virtual machine, from its description to its exit code.
 *
 * vm_open checks everything and opens every file, then gives up the right to open more (the jail's
 * first half) and assembles the machine; nothing on disk is changed when it fails. vm_run starts
 * it, closes the jail before the first guest instruction, and returns when the machine has ended.
 *
 * Entered by: prog. One machine per process: the jail cannot be left.
 *
 * Context: the process's first thread, and no other thread before vm_open.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "api/config.h"
#include "host/fail.h"
#include "host/metrics.h"
#include "lib/types.h"

struct vm;

/* How it ended, for people and for --json. */
struct vm_outcome {
	int code;	       /* enum exit_code, or EXIT_DEBUG_EXIT + n */
	u32 guest_code;	       /* what the guest wrote: debug exit, pvpanic */
	char error[FAIL_TEXT]; /* for EXIT_HOST and EXIT_CRASH: the sentence; else "" */
	char engine[16];
	char translate[16];	    /* engine_mode's words; "": never started */
	char translate_refusal[48]; /* "" */
	u64 startup_ns;		    /* from vm_open to the first guest instruction */
	u64 run_ns;		    /* from then to the end */
	u64 resets;
	u64 console_bytes;
	u64 overhead_bytes; /* resident memory of the process beside the guest's, at the end */
	struct metrics counters;
};

/* config must live until vm_close. 0 or -errno with a sentence; vm_exit_code tells the code. */
int vm_open(const struct vm_config *config, struct vm **out);
/* Fills *outcome; its code is the process's. */
void vm_run(struct vm *vm, struct vm_outcome *outcome);
void vm_close(struct vm *vm);

/* Is this error of vm_open or cli_parse the user's to mend (2) or the host's (3)? */
int vm_exit_code(int err);

#endif
