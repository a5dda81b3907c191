/* SPDX-License-Identifier: Apache-2.0 */
/*
 * need: what the translator wants of the host, and how one finds out that it is not there.
 *
 * Each want has a function that gets it, which trans_open() and trans_thread() use, too; the probe
 * gets each once and gives it back. A host may still refuse later what it granted the probe (the
 * limit on signals is the user's, not the process's).
 *
 * Entered by: soft.c (probe), run.c. Owns nothing.
 */
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/soft/impl.h"
#include "engine/soft/trans/emit.h"
#include "host/fail.h"

int trans_memory(u64 bytes, u8 **rw, u8 **rx)
{
	int fd = memfd_create("holm-code", MFD_CLOEXEC), err = 0;
	*rw = *rx = MAP_FAILED;
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes))
		err = -errno;
	if (!err) {
		*rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		*rx = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		err = *rw == MAP_FAILED || *rx == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	return err;
}

int trans_timer(timer_t *timer)
{
	struct sigevent ev;
	memset(&ev, 0, sizeof(ev));
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev.sigev_signo = TRANS_SIGNAL;
	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &ev, timer) ? -errno : 0;
}

int trans_gs(u64 base)
{
	return syscall(SYS_arch_prctl, ARCH_SET_GS, base) ? -errno : 0;
}

/* --- the probe --- */

static int lacks(struct engine_reason *r, int code, const char *name, const char *mend)
{
	r->code = code;
	r->name = name;
	snprintf(r->mend, sizeof(r->mend), "%s", mend);
	return code;
}

static int probe_memory(struct engine_reason *r)
{
	u8 *rw, *rx;
	int err = trans_memory(RAM_PAGE, &rw, &rx);
	if (rw != MAP_FAILED)
		munmap(rw, RAM_PAGE);
	if (rx != MAP_FAILED)
		munmap(rx, RAM_PAGE);
	if (!err)
		return 0;
	lacks(r, ENGINE_NO_PERMISSION, "translator-no-exec-memory",
	      "allow memfd_create and executable mappings (sysctl vm.memfd_noexec, the "
	      "container's or security module's rules)");
	snprintf(r->sentence, sizeof(r->sentence),
		 "the host lets no memory be executed (memfd): %s", strerror(-err));
	return -EPERM;
}

static int probe_addresses(unsigned cpus, struct engine_reason *r)
{
	void *p[TRANS_CPUS_MAX];
	unsigned n = 0;
	while (n < cpus) {
		p[n] = mmap(NULL, TRANS_ADDRESSES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p[n] == MAP_FAILED)
			break;
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		munmap(p[i], TRANS_ADDRESSES);
	if (n == cpus)
		return 0;
	lacks(r, ENGINE_LIMIT, "translator-no-address-space",
	      "raise the limit (ulimit -v unlimited); sysctl vm.overcommit_memory must not be 2");
	snprintf(r->sentence, sizeof(r->sentence),
		 "no address space for the translator's tables, %.1f TiB for each vCPU",
		 (double)TRANS_ADDRESSES / (double)BIT64(40));
	return -ENOMEM;
}

static int probe_timers(unsigned cpus, struct engine_reason *r)
{
	timer_t timer[TRANS_CPUS_MAX];
	unsigned n = 0;
	int err = 0;
	while (n < cpus && !err) {
		err = trans_timer(&timer[n]);
		n += !err;
	}
	for (unsigned i = 0; i < n; i++)
		timer_delete(timer[i]);
	if (!err)
		return 0;
	lacks(r, err == -EAGAIN ? ENGINE_LIMIT : ENGINE_NO_PERMISSION, "translator-no-timer",
	      "raise the limit on pending signals (ulimit -i), or allow timer_create");
	snprintf(r->sentence, sizeof(r->sentence), "the host gives no timer to each vCPU: %s",
		 strerror(-err));
	return err;
}

static int probe_gs(struct engine_reason *r)
{
	u64 base = 0;
	int err = syscall(SYS_arch_prctl, ARCH_GET_GS, &base) ? -errno : trans_gs(base);
	if (!err)
		return 0;
	lacks(r, ENGINE_NO_PERMISSION, "translator-no-gs", "allow the system call arch_prctl");
	snprintf(r->sentence, sizeof(r->sentence), "the host lets no thread set its GS base: %s",
		 strerror(-err));
	return err;
}

int trans_probe(unsigned cpus, struct engine_reason *reason)
{
	int err;
	memset(reason, 0, sizeof(*reason));
	reason->name = "ok";
	if (cpus > TRANS_CPUS_MAX) {
		lacks(reason, ENGINE_LIMIT, "translator-too-many-cpus", "");
		snprintf(reason->sentence, sizeof(reason->sentence),
			 "the translator takes up to %u vCPUs, not %u", TRANS_CPUS_MAX, cpus);
		return -EINVAL;
	}
	if (!e_host_can()) {
		lacks(reason, ENGINE_HOST_CPU, "translator-no-bmi2",
		      "a host CPU of x86-64-v3 has it");
		snprintf(reason->sentence, sizeof(reason->sentence),
			 "the host's CPU has no BMI1 or BMI2");
		return -ENOSYS;
	}
	err = probe_memory(reason);
	if (!err)
		err = probe_addresses(cpus, reason);
	if (!err)
		err = probe_timers(cpus, reason);
	return err ? err : probe_gs(reason);
}
