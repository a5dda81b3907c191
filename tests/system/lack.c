/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lack: holm on a host that lacks what no test can take from this one. Linked in front of the real
 * functions (--wrap) into the program holm_lack; HOLM_LACK names what is not there: "bmi2", or
 * "timers", all but the first one that is asked for.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool __real_e_host_can(void);
bool __wrap_e_host_can(void);
int __real_timer_create(clockid_t clock, struct sigevent *ev, timer_t *timer);
int __wrap_timer_create(clockid_t clock, struct sigevent *ev, timer_t *timer);

static bool lacks(const char *what)
{
	const char *named = getenv("HOLM_LACK");

	return named && !strcmp(named, what);
}

bool __wrap_e_host_can(void)
{
	return !lacks("bmi2") && __real_e_host_can();
}

int __wrap_timer_create(clockid_t clock, struct sigevent *ev, timer_t *timer)
{
	static unsigned asked;

	if (!lacks("timers") || !__atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST))
		return __real_timer_create(clock, ev, timer);
	errno = EAGAIN;
	return -1;
}
