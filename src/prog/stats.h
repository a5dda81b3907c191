/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats: `holm stats`: asks running machines for their numbers and prints them.
 *
 * Context: one thread.
 */
#ifndef PROG_STATS_H
#define PROG_STATS_H

#include "api/cli.h"

/* To stdout; with --watch until the machine that was named has ended, or a signal. The exit code.
 */
int stats_do(const struct cli *cli);

#endif
