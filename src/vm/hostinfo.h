/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostinfo: what this host grants to our process: memory, CPUs, kernel facilities.
 *
 * Entered by: assemble.c (warnings about -m) and doctor.c. Reads /proc, /sys and the process's
 * cgroup; changes nothing. Not allowed in the jail.
 *
 * Context: any thread.
 */
#ifndef VM_HOSTINFO_H
#define VM_HOSTINFO_H

#include "lib/types.h"

struct host_limits {
	u64 ram;			    /* bytes in the host */
	u64 ram_free;			    /* MemAvailable */
	u64 cgroup_memory;		    /* 0: no limit */
	char cgroup_memory_at[512];	    /* the file that says so */
	unsigned cpus_online, cpus_allowed; /* allowed: by affinity */
	double cgroup_cpus;		    /* 0: no limit */
	char cgroup_cpus_at[512];
	char thp[16];	      /* always, madvise, never, or "" */
	int io_uring;	      /* 0: works; -errno: refused */
	bool user_namespaces; /* this user may create one, as far as sysctls tell */
};

/* Only memory and cgroups: what vm_open looks at, in well under a millisecond. */
void host_memory_read(struct host_limits *limits);
/* All of it. */
void host_limits_read(struct host_limits *limits);

#endif
