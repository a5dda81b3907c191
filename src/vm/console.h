/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console: between the guest's console device and the user's terminal, file or socket.
 *
 * Guest bytes and nothing else go to the target, through a buffer of 64 KiB drained by a writer
 * thread. Above half of it the writing vCPU is asked to hold (events.throttle), as a slow serial
 * line would hold it, and a full buffer refuses: bytes are never lost while somebody listens. When
 * the peer is gone they are dropped. On a Unix socket without a client the newest 64 KiB are kept
 * for the next one.
 *
 * Input is read by a reader thread, and only as fast as the device takes it; from a terminal up to
 * 1 MiB ahead, because a guest that takes nothing must not keep the escape key from being read.
 *
 * Context: open, start, close: loop thread. console_write: any. The rest as said.
 */
#ifndef VM_CONSOLE_H
#define VM_CONSOLE_H

#include "api/config.h"
#include "lib/types.h"

#define CONSOLE_BUFFER 65536u
#define CONSOLE_INPUT  (1u << 20) /* typed ahead of the guest, so that Ctrl-] is always read */

struct console;

/* What the console tells its owner. */
struct console_events {
	void *arg;
	/* Bytes for the device; returns how many it took. Reader thread. */
	size_t (*input)(void *arg, const u8 *data, size_t len);
	/* A key after Ctrl-]: 'q', 'p', 'r', 'b', 's'. Reader thread. */
	void (*key)(void *arg, char key);
	/* The buffer is half full: hold the caller before it writes on. On the writing thread,
	 * under its locks: must not wait. */
	void (*throttle)(void *arg);
	/* console_write takes bytes again after it refused some. Writer thread. */
	void (*room)(void *arg);
	/* All bytes of before console_drain have left, or nobody takes them. Writer thread. */
	void (*drained)(void *arg);
};

/* Opens the target; a file is created but not yet emptied, a socket listens. */
int console_open(enum config_console_kind kind, const char *path, struct console **out);
/* Empties the file, sets raw mode, starts the threads. After sandbox_drop is fine. */
int console_start(struct console *console, const struct console_events *events);
/* Ends the threads: no event comes any more, what the guest still writes is dropped. */
void console_stop(struct console *console);
void console_close(struct console *console);

/* From the guest: how many were taken; after less than len wait for events.room. Any thread. */
size_t console_write(struct console *console, const u8 *data, size_t len);
/* Blocks while the buffer is above its low mark; for a vCPU thread outside its locks. */
void console_wait(struct console *console);
/* The device has room again. Any thread. */
void console_input_ready(struct console *console);
/* Guest bytes so far. Any thread. */
u64 console_bytes(struct console *console);

/* Calls events.drained when the buffer is empty. Loop thread. */
void console_drain(struct console *console);
/* No more waiting for a slow peer: whoever blocks goes on, bytes are dropped. Any thread. */
void console_abandon(struct console *console);

/* After SIGCONT: raw mode again, read again. Any thread. */
void console_foreground(struct console *console);
/* SIGTSTP: the terminal gets its modes back, the process stops here until SIGCONT. Loop thread. */
void console_suspend(struct console *console);
/* The terminal's size; -ENOTTY when the target is none. Any thread. */
int console_size(struct console *console, u16 *columns, u16 *rows);
/* True when the target is a file, and which. */
bool console_file(const struct console *console, u64 *dev, u64 *ino);

#endif
