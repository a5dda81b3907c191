/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test loop: descriptors, calls from other threads, timers, and calls that wait.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/log.h"
#include "host/thread.h"

struct rig {
	struct loop *loop;
	struct loop_call call, other;
	struct loop_timer timer[3];
	struct loop_fd fd[2];
	u32 calls, order, ready;
	u64 fired_at;
};

static void on_call(struct loop_call *call)
{
	struct rig *rig = call->arg;

	if (++rig->calls < 5)
		loop_post(rig->loop, call);
	else
		loop_stop(rig->loop);
}

static void on_never(unused_arg struct loop_call *call)
{
	fail_msg("a call that was taken back ran");
}

static void test_calls(unused_arg void **state)
{
	struct rig rig = {0};

	assert_int_equal(loop_open(&rig.loop), 0);
	rig.call = (struct loop_call){.run = on_call, .arg = &rig};
	rig.other = (struct loop_call){.run = on_never, .arg = &rig};
	loop_post(rig.loop, &rig.other);
	loop_post(rig.loop, &rig.call);
	loop_post(rig.loop, &rig.call);
	loop_unpost(rig.loop, &rig.other);
	loop_unpost(rig.loop, &rig.other);
	assert_int_equal(loop_run(rig.loop), 0);
	assert_int_equal(rig.calls, 5);
	/* A stop before the run ends the run. */
	loop_stop(rig.loop);
	assert_int_equal(loop_run(rig.loop), 0);
	loop_close(rig.loop);
}

static void on_timer(struct loop_timer *timer)
{
	struct rig *rig = timer->arg;
	u32 n = (u32)(timer - rig->timer);

	assert_true(host_now_ns() >= timer->deadline);
	rig->order = rig->order << 4 | (n + 1);
	if (n == 2)
		loop_stop(rig->loop);
}

static void test_timers(unused_arg void **state)
{
	struct rig rig = {0};
	u64 now = host_now_ns();

	assert_int_equal(loop_open(&rig.loop), 0);
	for (unsigned i = 0; i < 3; i++)
		loop_timer_init(rig.loop, &rig.timer[i], on_timer, &rig);
	loop_timer_arm(&rig.timer[2], now + 30000000);
	loop_timer_arm(&rig.timer[0], now + 20000000);
	loop_timer_arm(&rig.timer[1], now + 10000000);
	loop_timer_arm(&rig.timer[0], 0); /* long ago: at once */
	assert_int_equal(loop_run(rig.loop), 0);
	assert_int_equal(rig.order, 0x123);
	rig.order = 0;
	now = host_now_ns();
	loop_timer_arm(&rig.timer[0], now + 5000000);
	loop_timer_arm(&rig.timer[2], now + 15000000);
	loop_timer_cancel(&rig.timer[0]);
	assert_int_equal(loop_run(rig.loop), 0);
	assert_int_equal(rig.order, 0x3);
	loop_close(rig.loop);
}

/* Two descriptors ready in one batch; the first one's callback removes the second. */
static void on_ready(struct loop_fd *src, unused_arg u32 revents)
{
	struct rig *rig = src->arg;

	rig->ready++;
	loop_remove(rig->loop, &rig->fd[0]);
	loop_remove(rig->loop, &rig->fd[1]);
	loop_stop(rig->loop);
}

static void test_descriptors(unused_arg void **state)
{
	struct rig rig = {0};
	int pipes[2][2];

	assert_int_equal(loop_open(&rig.loop), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		rig.fd[i] = (struct loop_fd){
			.fd = pipes[i][0], .events = EPOLLIN, .ready = on_ready, .arg = &rig};
		assert_int_equal(loop_add(rig.loop, &rig.fd[i]), 0);
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
	}
	assert_int_equal(loop_run(rig.loop), 0);
	assert_int_equal(rig.ready, 1);
	for (unsigned i = 0; i < 2; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	loop_close(rig.loop);
}

struct sum {
	struct loop *loop;
	u64 value;
};

static void add_one(void *arg)
{
	struct sum *sum = arg;

	assert_true(loop_is_mine(sum->loop));
	sum->value++; /* the loop's thread only: no lock */
}

static void *adder(void *arg)
{
	struct sum *sum = arg;

	for (unsigned i = 0; i < 2000; i++)
		loop_sync(sum->loop, add_one, sum);
	return NULL;
}

static void test_sync(unused_arg void **state)
{
	struct loop_thread thread;
	pthread_t adders[4];
	struct sum sum = {0};

	assert_int_equal(loop_thread_open(&thread, "test"), 0);
	sum.loop = thread.loop;
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&adders[i], NULL, adder, &sum);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(adders[i], NULL);
	assert_int_equal(sum.value, 8000);
	loop_thread_close(&thread);
	loop_thread_close(&thread);
}

static void test_fail(unused_arg void **state)
{
	assert_int_equal(FAIL(-EINVAL, "disk: %s", "x"), -EINVAL);
	assert_string_equal(fail_text(), "disk: x");
	fail_clear();
	assert_string_equal(fail_text(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),	    cmocka_unit_test(test_timers),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_sync),
		cmocka_unit_test(test_fail),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
