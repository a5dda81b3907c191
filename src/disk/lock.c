/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock: open-file-description locks on single bytes of the image, in the places where QEMU and its
 * tools put theirs (facts of its file protocol, observable with /proc/locks).
 *
 * Byte 100 + p is read-locked by whoever uses permission p; byte 200 + p by whoever does not let
 * others use p. After taking its own locks a program probes the opposite bytes for foreign ones.
 *
 * A host whose file system has no locks (some network ones) is told so once and goes without.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file.h"
#include "host/fail.h"
#include "host/log.h"
#include "lib/bits.h"

#define LOCK_USED     100
#define LOCK_UNSHARED 200

enum lock_use {
	USE_CONSISTENT_READ,
	USE_WRITE,
	USE_WRITE_UNCHANGED,
	USE_RESIZE,
	USE_COUNT,
};

static int lock_take(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Someone else holds a lock on that byte. */
static bool lock_probe(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

/* ---- who --------------------------------------------------------------------------------- */

static bool lock_process_has(const char *pid, const struct stat *image)
{
	char dir[64], link[128];
	struct dirent *entry;
	struct stat st;
	bool has = false;
	DIR *fds;

	snprintf(dir, sizeof(dir), "/proc/%.20s/fd", pid);
	fds = opendir(dir);
	if (!fds)
		return false;
	while (!has && (entry = readdir(fds))) {
		snprintf(link, sizeof(link), "%s/%.20s", dir, entry->d_name);
		has = entry->d_name[0] != '.' && !stat(link, &st) && st.st_dev == image->st_dev &&
		      st.st_ino == image->st_ino;
	}
	closedir(fds);
	return has;
}

/* OFD locks name no owner: look who has the file open. Best effort. */
static void lock_who(int fd, char *text, size_t size)
{
	char path[64], comm[32] = "";
	struct dirent *entry;
	struct stat image;
	DIR *proc = opendir("/proc");
	FILE *file;

	snprintf(text, size, "another program");
	if (!proc)
		return;
	if (fstat(fd, &image))
		goto out;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    atoi(entry->d_name) == getpid() || !lock_process_has(entry->d_name, &image))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file) {
			if (fgets(comm, sizeof(comm), file))
				comm[strcspn(comm, "\n")] = '\0';
			fclose(file);
		}
		snprintf(text, size, "%s (process %.20s)", comm, entry->d_name);
		break;
	}
out:
	closedir(proc);
}

/* ---- work -------------------------------------------------------------------------------- */

int disk_lock(int fd, const char *path, bool read_only)
{
	u32 used = BIT(USE_CONSISTENT_READ) | (read_only ? 0 : BIT(USE_WRITE));
	u32 unshared = BIT(USE_WRITE) | BIT(USE_RESIZE);
	bool busy = false;
	char who[96];
	int rc = 0;

	for (unsigned p = 0; p < USE_COUNT && !rc; p++) {
		if (used & BIT(p))
			rc = lock_take(fd, LOCK_USED + p);
		if (!rc && (unshared & BIT(p)))
			rc = lock_take(fd, LOCK_UNSHARED + p);
	}
	if (rc && rc != -EAGAIN && rc != -EACCES) {
		log_line(LOG_WARN,
			 "disk: %s: its file system has no locks; nothing keeps other "
			 "programs out",
			 path);
		return 0;
	}
	busy = rc != 0;
	for (unsigned p = 0; p < USE_COUNT && !busy; p++)
		busy = ((unshared & BIT(p)) && lock_probe(fd, LOCK_USED + p)) ||
		       ((used & BIT(p)) && lock_probe(fd, LOCK_UNSHARED + p));
	if (!busy)
		return 0;
	lock_who(fd, who, sizeof(who));
	return FAIL(-EBUSY, "disk: %s is in use by %s; stop it first%s", path, who,
		    read_only ? "" : ", or give each VM its own copy");
}
