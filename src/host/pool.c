/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: aio by a few threads that do plain preadv, pwritev, fdatasync and fallocate.
 *
 * The loop's thread puts requests in `todo`; a worker takes one, does it, puts it in `finished` and
 * posts the loop. done() runs on the loop's thread only.
 *
 * Locks: `lock` for both lists.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/aio.h"
#include "host/fail.h"
#include "host/signal.h"

#define POOL_THREADS 4

struct pool {
	struct aio aio;
	pthread_t thread[POOL_THREADS];
	unsigned threads;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct aio_req *todo, **todo_tail;
	struct aio_req *finished, **finished_tail;
	struct loop_call call;
	bool stop;
};

/* ---- workers ----------------------------------------------------------------------------- */

static s64 pool_do(const struct aio_req *req)
{
	s64 n = -1;

	switch (req->op) {
	case AIO_READ: n = preadv(req->fd, req->iov, (int)req->iovs, (off_t)req->offset); break;
	case AIO_WRITE: n = pwritev(req->fd, req->iov, (int)req->iovs, (off_t)req->offset); break;
	case AIO_SYNC: n = fdatasync(req->fd); break;
	case AIO_ALLOCATE:
		n = fallocate(req->fd, req->mode, (off_t)req->offset, (off_t)req->length);
		break;
	}
	return n < 0 ? -errno : n;
}

static void *pool_worker(void *arg)
{
	struct pool *pool = arg;
	struct aio_req *req;

	pthread_setname_np(pthread_self(), "aio");
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->todo && !pool->stop)
			pthread_cond_wait(&pool->work, &pool->lock);
		req = pool->todo;
		if (!req)
			break;
		pool->todo = req->next;
		if (!pool->todo)
			pool->todo_tail = &pool->todo;
		pthread_mutex_unlock(&pool->lock);
		req->result = pool_do(req);
		pthread_mutex_lock(&pool->lock);
		req->next = NULL;
		*pool->finished_tail = req;
		pool->finished_tail = &req->next;
		pthread_cond_signal(&pool->done);
		loop_post(pool->aio.loop, &pool->call);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- the loop's side --------------------------------------------------------------------- */

static void pool_submit(struct aio *aio, struct aio_req *req)
{
	struct pool *pool = container_of(aio, struct pool, aio);

	aio->in_flight++;
	req->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->todo_tail = req;
	pool->todo_tail = &req->next;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

static void pool_kick(unused_arg struct aio *aio)
{
}

static void pool_reap(struct pool *pool)
{
	struct aio_req *req, *next;

	pthread_mutex_lock(&pool->lock);
	req = pool->finished;
	pool->finished = NULL;
	pool->finished_tail = &pool->finished;
	pthread_mutex_unlock(&pool->lock);
	if (!req)
		return;
	for (; req; req = next) {
		next = req->next;
		pool->aio.in_flight--;
		req->done(req, req->result);
	}
	if (pool->aio.batch)
		pool->aio.batch(pool->aio.batch_arg);
}

static void pool_called(struct loop_call *call)
{
	pool_reap(call->arg);
}

static void pool_drain(struct aio *aio)
{
	struct pool *pool = container_of(aio, struct pool, aio);

	while (aio->in_flight) {
		pthread_mutex_lock(&pool->lock);
		while (!pool->finished)
			pthread_cond_wait(&pool->done, &pool->lock);
		pthread_mutex_unlock(&pool->lock);
		pool_reap(pool);
	}
}

/* ---- open/close -------------------------------------------------------------------------- */

static void pool_close(struct aio *aio)
{
	struct pool *pool = container_of(aio, struct pool, aio);

	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	loop_unpost(aio->loop, &pool->call);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static int pool_open(struct loop *loop, unused_arg unsigned depth, struct aio **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	sigset_t all, old;
	int rc = 0;

	if (!pool)
		return FAIL(-ENOMEM, "aio: out of memory");
	pool->aio = (struct aio){.ops = &aio_pool, .loop = loop};
	pool->todo_tail = &pool->todo;
	pool->finished_tail = &pool->finished;
	pool->call = (struct loop_call){.run = pool_called, .arg = pool};
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	signal_mask_async(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->threads < POOL_THREADS && !rc) {
		rc = pthread_create(&pool->thread[pool->threads], NULL, pool_worker, pool);
		if (!rc)
			pool->threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!pool->threads) {
		pool_close(&pool->aio);
		return FAIL(-rc, "aio: the host gives no more threads (see ulimit -u)");
	}
	*out = &pool->aio;
	return 0;
}

const struct aio_ops aio_pool = {
	.name = "threads",
	.open = pool_open,
	.close = pool_close,
	.submit = pool_submit,
	.kick = pool_kick,
	.drain = pool_drain,
};
