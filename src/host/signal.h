/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal: which signals the VM process hears of, and what a crash does.
 *
 * Asynchronous ones (TERM, INT, HUP, WINCH, CONT) are blocked in every thread and read from a
 * descriptor on the main loop. Crashes and forbidden system calls end the process with one line on
 * stderr, the terminal restored, and exit code 3.
 *
 * Context: signal_open from the first thread before any other thread exists.
 */
#ifndef HOST_SIGNAL_H
#define HOST_SIGNAL_H

#include <signal.h>

#include "lib/types.h"

/* *fd: a signalfd, non-blocking. Ignores SIGPIPE, SIGTTIN and SIGTTOU. 0 or -errno. */
int signal_open(int *fd);
void signal_close(int fd);

/* The next signal number, 0 when there is none. */
int signal_next(int fd);

/* All signals but those a thread causes itself (crashes, the jail's SIGSYS), which must reach their
 * handlers: what a helper thread blocks. Context: any. */
void signal_mask_async(sigset_t *set);

/* Installs the handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGSYS. An engine may put
 * its own in front of them later. */
void signal_catch_crashes(void);

#endif
