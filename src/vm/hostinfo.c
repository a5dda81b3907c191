/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostinfo: reads small files of the kernel and tries io_uring once.
 *
 * Entered by: vm_open, doctor. Owns nothing. cgroups come in two versions and limits count at every
 * level up to the root: the smallest one wins.
 */
#include "vm/hostinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* --- small files ------------------------------------------------------------------------------ */

/* The file's first bytes as a text; false when it cannot be read. */
static bool text_read(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	buf[0] = '\0';
	if (fd < 0)
		return false;
	got = read(fd, buf, len - 1);
	close(fd);
	if (got < 0)
		return false;
	buf[got] = '\0';
	return true;
}

/* A line "Name:  123 kB" of /proc/meminfo, in bytes. */
static u64 meminfo_bytes(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

static void memory_read(struct host_limits *limits)
{
	struct sysinfo info;
	char text[2048];

	if (!text_read("/proc/meminfo", text, sizeof(text))) { /* a container without /proc */
		if (!sysinfo(&info)) {
			limits->ram = (u64)info.totalram * info.mem_unit;
			limits->ram_free = (u64)info.freeram * info.mem_unit;
		}
		return;
	}
	limits->ram = meminfo_bytes(text, "MemTotal:");
	limits->ram_free = meminfo_bytes(text, "MemAvailable:");
}

/* --- cgroups ---------------------------------------------------------------------------------- */

/* The path after "N:CONTROLLER:" in /proc/self/cgroup; "0::" for version 2 is controller "". */
static bool cgroup_path(const char *text, const char *controller, char *out, size_t len)
{
	for (const char *line = text; line && *line;) {
		const char *first = strchr(line, ':');
		const char *second = first ? strchr(first + 1, ':') : NULL;
		const char *end = strchr(line, '\n');
		size_t n = end ? (size_t)(end - line) : strlen(line);
		char names[64];

		if (second && second < line + n) {
			snprintf(names, sizeof(names), ",%.*s,", (int)(second - first - 1),
				 first + 1);
			if (*controller ? strstr(names, controller) != NULL : second == first + 1) {
				snprintf(out, len, "%.*s", (int)(line + n - second - 1),
					 second + 1);
				return true;
			}
		}
		line = end ? end + 1 : NULL;
	}
	return false;
}

static void memory_limit(struct host_limits *limits, const char *file)
{
	char text[64];
	u64 bytes;

	if (!text_read(file, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return; /* "max", or not there */
	bytes = strtoull(text, NULL, 10);
	if (bytes >= limits->ram && limits->ram)
		return; /* version 1 says "no limit" with a huge number */
	if (limits->cgroup_memory && limits->cgroup_memory <= bytes)
		return;
	limits->cgroup_memory = bytes;
	snprintf(limits->cgroup_memory_at, sizeof(limits->cgroup_memory_at), "%.510s", file);
}

static void cpu_limit(struct host_limits *limits, const char *folder, bool v2)
{
	char file[700], text[64];
	double quota = 0, period = 0;

	snprintf(file, sizeof(file), "%s/%s", folder, v2 ? "cpu.max" : "cpu.cfs_quota_us");
	if (!text_read(file, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return;
	quota = strtod(text, NULL);
	if (v2) {
		period = strchr(text, ' ') ? strtod(strchr(text, ' '), NULL) : 100000.0;
	} else {
		char path[700];

		snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
		if (text_read(path, text, sizeof(text)))
			period = strtod(text, NULL);
	}
	if (period <= 0 || (limits->cgroup_cpus > 0 && limits->cgroup_cpus <= quota / period))
		return;
	limits->cgroup_cpus = quota / period;
	snprintf(limits->cgroup_cpus_at, sizeof(limits->cgroup_cpus_at), "%.510s", file);
}

/* Every level from the process's group up to the mount; kind 'm' or 'c'. */
static void cgroup_walk(struct host_limits *limits, const char *mount, const char *path, bool v2,
			char kind)
{
	char folder[640], file[700];
	size_t base = strlen(mount);
	char *slash;

	snprintf(folder, sizeof(folder), "%s%s", mount, strcmp(path, "/") ? path : "");
	for (;;) {
		if (kind == 'm') {
			snprintf(file, sizeof(file), "%s/%s", folder,
				 v2 ? "memory.max" : "memory.limit_in_bytes");
			memory_limit(limits, file);
		} else {
			cpu_limit(limits, folder, v2);
		}
		slash = strrchr(folder, '/');
		if (strlen(folder) <= base || !slash)
			return;
		*slash = '\0';
	}
}

static void cgroups_read(struct host_limits *limits)
{
	char text[4096], path[600];

	if (!text_read("/proc/self/cgroup", text, sizeof(text)))
		return;
	if (cgroup_path(text, "", path, sizeof(path))) {
		cgroup_walk(limits, "/sys/fs/cgroup", path, true, 'm');
		cgroup_walk(limits, "/sys/fs/cgroup", path, true, 'c');
	}
	if (cgroup_path(text, ",memory,", path, sizeof(path)))
		cgroup_walk(limits, "/sys/fs/cgroup/memory", path, false, 'm');
	if (cgroup_path(text, ",cpu,", path, sizeof(path)))
		cgroup_walk(limits, "/sys/fs/cgroup/cpu", path, false, 'c');
}

/* --- facilities ------------------------------------------------------------------------------- */

static void thp_read(struct host_limits *limits)
{
	char text[64], *open_at, *close_at;

	if (!text_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)))
		return;
	open_at = strchr(text, '[');
	close_at = open_at ? strchr(open_at, ']') : NULL;
	if (close_at)
		snprintf(limits->thp, sizeof(limits->thp), "%.*s", (int)(close_at - open_at - 1),
			 open_at + 1);
}

static int io_uring_try(void)
{
	struct io_uring ring;
	int err = io_uring_queue_init(2, &ring, 0);

	if (!err)
		io_uring_queue_exit(&ring);
	return err;
}

static bool user_namespaces_allowed(void)
{
	char text[32];

	if (text_read("/proc/sys/user/max_user_namespaces", text, sizeof(text)) && text[0] == '0')
		return false;
	if (text_read("/proc/sys/kernel/unprivileged_userns_clone", text, sizeof(text)) &&
	    text[0] == '0')
		return false;
	return !access("/proc/self/ns/user", F_OK);
}

void host_memory_read(struct host_limits *limits)
{
	memset(limits, 0, sizeof(*limits));
	memory_read(limits);
	cgroups_read(limits);
}

void host_limits_read(struct host_limits *limits)
{
	cpu_set_t set;

	host_memory_read(limits);
	thp_read(limits);
	limits->cpus_online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (!sched_getaffinity(0, sizeof(set), &set))
		limits->cpus_allowed = (unsigned)CPU_COUNT(&set);
	limits->io_uring = io_uring_try();
	limits->user_namespaces = user_namespaces_allowed();
}
