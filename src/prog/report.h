/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: what holm prints when asked: doctor's facts, the version, the outcome of a run; as lines
 * for people or as JSON (docs/cli.md has the members).
 *
 * Context: one thread.
 */
#ifndef PROG_REPORT_H
#define PROG_REPORT_H

#include <stdio.h>

#include "vm/doctor.h"
#include "vm/vm.h"

/* Ends what was printed to stdout: -EIO when not all of it could be written. */
int report_end(void);

/* To stdout. 0 or -errno when stdout fails. */
int report_doctor(const struct doctor *doctor, bool json);
int report_version(bool json);

/* One JSON object on one line. name: the machine's. The stream was opened before the jail. */
int report_outcome(const char *name, const struct vm_outcome *outcome, FILE *stream);

#endif
