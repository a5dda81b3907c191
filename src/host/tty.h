/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty: raw mode on the user's terminal, and the promise to give it back on every way out.
 *
 * One terminal per process. tty_restore is safe in a signal handler and may be called at any time.
 *
 * Context: tty_raw from one thread; tty_restore, tty_size from any, signal handlers included.
 */
#ifndef HOST_TTY_H
#define HOST_TTY_H

#include "lib/types.h"

/* Is fd a terminal that this process may read, that is: are we its foreground? */
bool tty_is_terminal(int fd);
bool tty_is_foreground(int fd);

/* Every key goes to the reader as a byte, Ctrl-C and Ctrl-Z too; output is still processed, so our
 * own lines on stderr look right. Remembers the modes it found the first time. -ENOTTY; -EAGAIN in
 * the background (call again after SIGCONT). */
int tty_raw(int fd);

/* The modes of before tty_raw, if it was called. */
void tty_restore(void);

/* 0 or -ENOTTY. */
int tty_size(int fd, u16 *columns, u16 *rows);

#endif
