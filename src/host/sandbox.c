/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: builds the jail from the list in sandbox.def.
 *
 * Entered by: vm, once, on the first thread; doctor for the probe. Owns nothing afterwards: the
 * layers are the kernel's and cannot be taken back.
 */
#include "host/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host/fail.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif
#define SANDBOX_FILES 512 /* descriptors: far more than 16 disks need */

/* Sanitizer runtimes open files, fork and trace when they report, in ways that change with their
 * versions: such builds, which are for tests, go without Landlock and without the list. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(HOLM_SANITIZED)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

/* --- Landlock (kernel's Documentation/userspace-api/landlock.rst), headers may be older --------
 */

struct landlock_attr {
	u64 handled_access_fs;
	u64 handled_access_net; /* ABI 4 */
	u64 scoped;		/* ABI 6 */
};

#define LANDLOCK_NR_CREATE   444
#define LANDLOCK_NR_RESTRICT 446
#define LANDLOCK_VERSION     1u
#define LANDLOCK_FS_ABI1     0x1fffull
#define LANDLOCK_FS_REFER    (1ull << 13)
#define LANDLOCK_FS_TRUNCATE (1ull << 14)
#define LANDLOCK_FS_IOCTL    (1ull << 15)
#define LANDLOCK_NET_TCP     3ull
#define LANDLOCK_SCOPED	     3ull

static int landlock_abi(void)
{
	long abi = syscall(LANDLOCK_NR_CREATE, NULL, 0, LANDLOCK_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

/* Handles every right the kernel knows and grants none. */
static int landlock_deny_all(int abi)
{
	struct landlock_attr attr = {.handled_access_fs = LANDLOCK_FS_ABI1};
	size_t size = sizeof(attr.handled_access_fs);
	long ruleset, err;

	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_FS_TRUNCATE;
	if (abi >= 5)
		attr.handled_access_fs |= LANDLOCK_FS_IOCTL;
	if (abi >= 4) {
		attr.handled_access_net = LANDLOCK_NET_TCP;
		size = offsetof(struct landlock_attr, scoped);
	}
	if (abi >= 6) {
		attr.scoped = LANDLOCK_SCOPED;
		size = sizeof(attr);
	}
	ruleset = syscall(LANDLOCK_NR_CREATE, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	err = syscall(LANDLOCK_NR_RESTRICT, (int)ruleset, 0);
	err = err ? -errno : 0;
	close((int)ruleset);
	return (int)err;
}

/* --- capabilities ----------------------------------------------------------------------------- */

static int caps_drop(struct sandbox_report *report)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2];

	report->bounding = true;
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (!prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			continue;
		if (errno == EINVAL)
			break;		  /* past the last one */
		report->bounding = false; /* needs CAP_SETPCAP, which a user has not; no harm */
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	memset(none, 0, sizeof(none));
	if (syscall(SYS_capset, &head, none))
		return -errno;
	report->no_caps = true;
	return 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

static void limit_lower(int resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit))
		return;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
		value = limit.rlim_max;
	limit.rlim_cur = value;
	limit.rlim_max = value;
	setrlimit((__rlimit_resource_t)resource, &limit);
}

/* A core would hold the guest's memory. 1 instead of 0: a core_pattern that is a pipe ignores 0. */
static void limits_set(void)
{
	limit_lower(RLIMIT_NPROC, 0);
	limit_lower(RLIMIT_CORE, 1);
	limit_lower(RLIMIT_NOFILE, SANDBOX_FILES);
}

/* --- seccomp ---------------------------------------------------------------------------------- */

#define RULE(action, call, ...)                                                                    \
	do {                                                                                       \
		if (!err)                                                                          \
			err = seccomp_rule_add(filter, (action), SCMP_SYS(call), __VA_ARGS__);     \
		if (err == -EEXIST || err == -EDOM)                                                \
			err = 0;                                                                   \
	} while (0)

static int rules_add(scmp_filter_ctx filter)
{
	int err = 0;

#define ALLOW(call, reason) RULE(SCMP_ACT_ALLOW, call, 0);
#define ALLOW_ARG(call, index, op, a, b, reason)                                                   \
	RULE(SCMP_ACT_ALLOW, call, 1,                                                              \
	     ((struct scmp_arg_cmp){(index), (op), (scmp_datum_t)(a), (scmp_datum_t)(b)}));
#define DENY(call, error, reason) RULE(SCMP_ACT_ERRNO(error), call, 0);
#include "host/sandbox.def"
#undef ALLOW
#undef ALLOW_ARG
#undef DENY
	return err;
}

void sandbox_each(void (*fn)(void *arg, const char *call, bool allowed, const char *reason),
		  void *arg)
{
#define ALLOW(call, reason)			 fn(arg, #call, true, reason);
#define ALLOW_ARG(call, index, op, a, b, reason) fn(arg, #call, true, reason);
#define DENY(call, error, reason)		 fn(arg, #call, false, reason);
#include "host/sandbox.def"
#undef ALLOW
#undef ALLOW_ARG
#undef DENY
}

static int filter_load(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int err;

	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!err)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* newer libraries only */
	if (!err)
		err = rules_add(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

/* --- the two steps ---------------------------------------------------------------------------- */

static int fail_jail(int err, const char *layer)
{
	return FAIL(-EPERM,
		    "the jail cannot be built here: %s: %s; allow it to this process, or run with "
		    "--no-jail",
		    layer, strerror(-err));
}

int sandbox_drop(struct sandbox_report *report)
{
	int err;

	memset(report, 0, sizeof(*report));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail_jail(-errno, "no_new_privs");
	report->no_new_privs = true;
	err = caps_drop(report);
	if (err)
		return fail_jail(err, "dropping capabilities");
	report->landlock_abi = landlock_abi();
	if (report->landlock_abi > 0 && !SANDBOX_SANITIZED) {
		err = landlock_deny_all(report->landlock_abi);
		if (err)
			return fail_jail(err, "Landlock");
		report->landlock = true;
	}
	return 0;
}

int sandbox_seal(struct sandbox_report *report)
{
	int err;

	if (SANDBOX_SANITIZED)
		return 0;
	limits_set();
	report->limits = true;
	err = filter_load();
	if (err)
		return fail_jail(err, "seccomp");
	report->seccomp = true;
	return 0;
}

noreturn_fn static void probe_child(int out)
{
	struct sandbox_report report;
	int err = sandbox_drop(&report);

	if (!err)
		err = sandbox_seal(&report);
	if (err)
		snprintf(report.refusal, sizeof(report.refusal), "%s", fail_text());
	_exit(write(out, &report, sizeof(report)) != (ssize_t)sizeof(report));
}

void sandbox_probe(struct sandbox_report *report)
{
	ssize_t got = -1;
	pid_t child = -1;
	int tell[2];

	memset(report, 0, sizeof(*report));
	if (!pipe2(tell, O_CLOEXEC)) {
		child = fork();
		if (!child)
			probe_child(tell[1]);
		close(tell[1]);
		if (child > 0)
			got = read(tell[0], report, sizeof(*report));
		close(tell[0]);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	if (got == (ssize_t)sizeof(*report))
		return;
	memset(report, 0, sizeof(*report));
	snprintf(report->refusal, sizeof(report->refusal),
		 "a child process that tries to build it %s",
		 child < 0 ? "cannot be started" : "is killed");
}
