/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native: cases on the host CPU, in a child process.
 */
#ifndef DIFF_NATIVE_H
#define DIFF_NATIVE_H

#include "case.h"

struct native {
	struct diff_shared *sh;
	int pid;
	u32 turn;
};

/* Forks the child. 0 or -1 (message printed). */
int native_open(struct native *n);
/* Hands over k[slot][0..count) and returns; native_wait() until out[slot] is complete; -1: the
 * child died or hangs at case sh->done. */
void native_start(struct native *n, u32 count);
int native_wait(struct native *n);
/* Is there memory of the child's own, outside the sandbox, at va? */
bool native_strayed(const struct native *n, u64 va);
void native_close(struct native *n);

#endif
