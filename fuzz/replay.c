/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: runs the inputs of a corpus through a fuzz target, in presets without libFuzzer.
 *
 * replay_NAME PATH...: files, or folders whose files are taken. Ends with 0 when all ran; a target
 * that finds something ends the process itself, and the input's name is the last line then. An
 * empty or missing folder is a failure: a corpus that is not there proves nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	size_t size, got;
	u8 *data;

	if (!file || fstat(fileno(file), &st)) {
		fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	size = (size_t)st.st_size;
	/* of exactly that size, so that a sanitizer sees a read behind it */
	data = malloc(size ? size : 1);
	got = data ? fread(data, 1, size, file) : 0;
	fclose(file);
	if (!data || got != size) {
		fprintf(stderr, "replay: cannot read %s\n", path);
		free(data);
		return -1;
	}
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

/* Inputs that ran, or -1. */
static int replay_folder(const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, NULL, alphasort), ran = 0;

	if (n < 0) {
		fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char name[PATH_MAX];

		if (entry[i]->d_name[0] != '.' && ran >= 0) {
			snprintf(name, sizeof(name), "%s/%s", path, entry[i]->d_name);
			ran = replay_file(name) ? -1 : ran + 1;
		}
		free(entry[i]);
	}
	free(entry);
	return ran;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		int ran;

		if (!stat(argv[i], &st) && !S_ISDIR(st.st_mode))
			ran = replay_file(argv[i]) ? -1 : 1;
		else
			ran = replay_folder(argv[i]);
		if (ran < 0)
			return 1;
		if (!ran) {
			fprintf(stderr, "replay: %s is empty\n", argv[i]);
			return 1;
		}
		total += ran;
	}
	if (!total) {
		fprintf(stderr, "usage: %s CORPUS...\n", argv[0]);
		return 2;
	}
	printf("%d inputs, all fine\n", total);
	return 0;
}
