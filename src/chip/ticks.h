/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticks: nanoseconds to ticks of an oscillator and back, without overflow or 128-bit division.
 *
 * Rounding is chosen so that ticks_from_ns(ticks_to_ns(t)) == t: a deadline computed from a tick is
 * never early. Good for rates below 4 GHz and times below 2^63 ns.
 *
 * Entered by: chip, dev/chipset. Pure.
 */
#ifndef CHIP_TICKS_H
#define CHIP_TICKS_H

#include "lib/types.h"

#define TICKS_NS_PER_SEC 1000000000ull
#define TICKS_NEVER	 (~0ull) /* a deadline that does not come */

/* Whole ticks of an oscillator of `hz` that have passed at `ns`. */
static inline u64 ticks_from_ns(u64 ns, u64 hz)
{
	return ns / TICKS_NS_PER_SEC * hz + ns % TICKS_NS_PER_SEC * hz / TICKS_NS_PER_SEC;
}

/* The first ns at which `ticks` ticks have passed. */
static inline u64 ticks_to_ns(u64 ticks, u64 hz)
{
	return ticks / hz * TICKS_NS_PER_SEC + (ticks % hz * TICKS_NS_PER_SEC + hz - 1) / hz;
}

#endif
