/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmfile: reads a VM file (YAML) into a vm_config. docs/vm-file.md and holm-vm(5) say what it
 * holds.
 *
 * Strict: unknown keys, wrong types, duplicates, anchors and further documents are refused with one
 * sentence that begins "FILE:LINE: ". Relative paths start from the file's own folder.
 *
 * Entered by: cli.c. Trusts nothing in the file.
 *
 * Context: one thread.
 */
#ifndef API_VMFILE_H
#define API_VMFILE_H

#include "api/config.h"

/* -EINVAL for its content; -ENOENT, -EACCES, ... when it cannot be read. */
int vmfile_load(struct vm_config *config, const char *path);

/* The same from memory; `path` names it in sentences and gives the folder. For tests and fuzzing.
 */
int vmfile_parse(struct vm_config *config, const char *path, const char *text, size_t len);

#endif
