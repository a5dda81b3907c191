/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tty: keeps the terminal's modes from before raw mode.
 *
 * Entered by: the console (raw, size), everyone who ends the process (restore): main, signal
 * handlers, atexit. Owns the one saved mode of the process: signal handlers get no argument, so it
 * cannot hang on an object.
 */
#include "host/tty.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "host/fail.h"

struct tty_saved {
	struct termios modes;
	int fd;
	bool known; /* modes and fd are valid */
	u32 raw;    /* the terminal is in raw mode by us */
};

static struct tty_saved *tty_saved(void)
{
	static struct tty_saved saved;

	return &saved;
}

bool tty_is_terminal(int fd)
{
	return isatty(fd) == 1;
}

bool tty_is_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	/* a terminal that is not our controlling one has no foreground to be in: just use it */
	return group < 0 || group == getpgrp();
}

int tty_raw(int fd)
{
	struct tty_saved *saved = tty_saved();
	struct termios raw;

	if (!tty_is_terminal(fd))
		return -ENOTTY;
	if (!tty_is_foreground(fd))
		return -EAGAIN;
	if (!saved->known) {
		if (tcgetattr(fd, &saved->modes))
			return -errno;
		saved->fd = fd;
		saved->known = true;
		atexit(tty_restore);
	}
	raw = saved->modes;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	__atomic_store_n(&saved->raw, 1, __ATOMIC_SEQ_CST);
	if (tcsetattr(fd, TCSADRAIN, &raw)) {
		__atomic_store_n(&saved->raw, 0, __ATOMIC_SEQ_CST);
		return -errno;
	}
	return 0;
}

void tty_restore(void)
{
	struct tty_saved *saved = tty_saved();

	if (!__atomic_exchange_n(&saved->raw, 0, __ATOMIC_SEQ_CST))
		return;
	/* in the background the shell has set the modes it wants */
	if (tty_is_foreground(saved->fd))
		tcsetattr(saved->fd, TCSANOW, &saved->modes);
}

int tty_size(int fd, u16 *columns, u16 *rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size))
		return -ENOTTY;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return 0;
}
