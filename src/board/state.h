/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: field tables: which members of a struct are the guest-visible state of a device.
 *
 * The same table saves and loads. A table ends with an entry whose name is NULL. `since` is the
 * state version in which the field appeared.
 */
#ifndef BOARD_STATE_H
#define BOARD_STATE_H

#include "lib/types.h"

struct state_field {
	const char *name;
	u32 offset;
	u32 size; /* bytes of one element: 1, 2, 4, 8; or any for STATE_BYTES */
	u32 count;
	u32 since;
};

#define STATE_FIELD(type, member, version)                                                         \
	{                                                                                          \
		.name = #member, .offset = offsetof(type, member),                                 \
		.size = sizeof(((type *)0)->member), .count = 1, .since = (version)                \
	}
#define STATE_ARRAY(type, member, version)                                                         \
	{                                                                                          \
		.name = #member, .offset = offsetof(type, member),                                 \
		.size = sizeof(((type *)0)->member[0]), .count = ARRAY_LEN(((type *)0)->member),   \
		.since = (version)                                                                 \
	}
#define STATE_END                                                                                  \
	{                                                                                          \
		.name = NULL                                                                       \
	}

#endif
