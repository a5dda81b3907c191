/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_impl: the console's insides, shared by its three files and by nobody else:
 * console_open.c (targets), console_out.c (buffer and writer thread), console_in.c (reader thread).
 */
#ifndef VM_CONSOLE_IMPL_H
#define VM_CONSOLE_IMPL_H

#include <pthread.h>

#include "vm/console.h"
#include "vm/janitor.h"

struct console {
	enum config_console_kind kind;
	struct console_events events;
	struct janitor janitor;
	int in_fd;     /* -1: no input (any more); reader's */
	int out_fd;    /* -1: nobody listens; lock */
	int listen_fd; /* -1: not a socket */
	int wake_fd;   /* eventfd: the reader has something to look at */
	bool terminal; /* in_fd is one: raw mode, escape key */

	/* output, under lock */
	pthread_mutex_t lock;
	pthread_cond_t data; /* for the writer: bytes, drain, stop, a client */
	pthread_cond_t room; /* for held vCPUs, and for whoever wants out_fd */
	u8 ring[CONSOLE_BUFFER];
	size_t head, used;
	u64 bytes;
	bool gone;    /* the peer will not come back: drop */
	bool abandon; /* nobody waits any more */
	bool drain;   /* tell when empty */
	bool stop;    /* threads end */
	bool refused; /* console_write took less than it was given */
	bool awake;   /* the writer has been told */
	bool writing; /* the writer uses out_fd without the lock */

	/* input, the reader's */
	u8 in[CONSOLE_INPUT]; /* untouched pages cost nothing */
	size_t in_at, in_len;
	bool escape;	 /* Ctrl-] was the last key */
	bool paused;	 /* not our turn at the terminal */
	bool look_again; /* the terminal may be ours again; atomic */

	pthread_t reader, writer;
	bool started;
};

void *console_writer(void *arg);
void *console_reader(void *arg);

/* Raw mode if it is our turn at the terminal. Reader thread, or before it is started. */
void console_terminal(struct console *console);
/* Lets go of the current client; returns when the writer has. Reader thread. */
void console_client_drop(struct console *console);
/* Takes a client's descriptor. Reader thread. */
void console_client_take(struct console *console, int fd);

#endif
