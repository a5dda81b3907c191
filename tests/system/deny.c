/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deny: runs a program as an unprivileged user where io_uring, user namespaces and executable
 * memfds are refused, as hardened hosts do. deny UID[,CALL]... COMMAND...
 *
 * With calls named, only those are refused. Without root, and with UID 0, the user stays.
 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MFD_NOEXEC_SEAL 8u
#define ARCH_SET_GS	0x1001u

static int refuse_hardened(scmp_filter_ctx f)
{
	struct scmp_arg_cmp memfd = SCMP_A1(SCMP_CMP_MASKED_EQ, MFD_NOEXEC_SEAL, 0);
	struct scmp_arg_cmp ns = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
	const unsigned eperm = SCMP_ACT_ERRNO(EPERM), eacces = SCMP_ACT_ERRNO(EACCES);

	return seccomp_rule_add(f, eperm, SCMP_SYS(io_uring_setup), 0) ||
	       seccomp_rule_add(f, eacces, SCMP_SYS(memfd_create), 1, memfd) ||
	       seccomp_rule_add(f, eperm, SCMP_SYS(unshare), 1, ns) ||
	       seccomp_rule_add(f, eperm, SCMP_SYS(clone), 1, ns) ||
	       seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int refuse(scmp_filter_ctx f, char *calls)
{
	struct scmp_arg_cmp gs = SCMP_A0(SCMP_CMP_EQ, ARCH_SET_GS, 0); /* the C library sets FS */
	int number, err = 0;

	for (char *name = strtok(calls, ","); name && !err; name = strtok(NULL, ",")) {
		number = seccomp_syscall_resolve_name(name);
		err = number < 0 || seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), number,
						     number == SCMP_SYS(arch_prctl), gs);
	}
	return err;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	uid_t uid = argc > 2 ? (uid_t)strtoul(argv[1], NULL, 10) : 0;
	char *calls = argc > 2 ? strchr(argv[1], ',') : NULL;

	if (argc < 3 || !f || (calls ? refuse(f, calls + 1) : refuse_hardened(f))) {
		fprintf(stderr, "usage: deny UID[,CALL]... COMMAND...\n");
		return 3;
	}
	if (!getuid() && uid &&
	    (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))) {
		perror("deny: setresuid");
		return 3;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || seccomp_load(f)) {
		perror("deny: seccomp");
		return 3;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 3;
}
