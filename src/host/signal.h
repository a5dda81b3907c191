/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal: which signals the VM process hears of, and what a crash does.
 *
 * Asynchronous ones (TERM, INT, HUP, QUIT, WINCH, TSTP, CONT) are blocked in every thread and read
 * from a descriptor on the main loop. Crashes, forbidden system calls and every other signal that
 * would kill end the process with one line on stderr, the terminal restored, and exit code 3.
 *
 * Context: signal_open from the first thread before any other thread exists.
 */
#ifndef HOST_SIGNAL_H
#define HOST_SIGNAL_H

#include <signal.h>

#include "lib/types.h"

/* *fd: a signalfd, non-blocking. Ignores SIGPIPE, SIGTTIN, SIGTTOU and SIGXFSZ, whose calls return
 * errors; HUP, INT and QUIT stay ignored where they were (nohup, a script's background job). 0 or
 * -errno. */
int signal_open(int *fd);
void signal_close(int fd);

/* The next signal number, 0 when there is none. */
int signal_next(int fd);

/* Does what SIGTSTP does by default; returns after SIGCONT, or at once in a process group that
 * nobody could continue. Context: the thread that reads the signalfd. */
void signal_suspend(void);

/* All signals but those a thread causes itself (crashes, the jail's SIGSYS), which must reach their
 * handlers: what a helper thread blocks. Context: any. */
void signal_mask_async(sigset_t *set);

/* Installs the handlers of crashes, of SIGSYS and of what else would kill. An engine may put its
 * own in front of them later. */
void signal_catch_crashes(void);

#endif
