/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram: guest-physical memory: slots of RAM and ROM, gpa -> host pointer, dirty and code marks.
 *
 * Owns the anonymous host mappings (transparent huge pages, touched lazily). Slots never overlap.
 * Devices never keep a host pointer: they go through ram_read/ram_write or, for long transfers,
 * ram_write_begin/end, which is also where an engine learns that a device writes guest memory (it
 * then drops decoded code and marks pages dirty).
 *
 * Trusts nothing a guest says: every gpa, length pair is checked, wrap-around included.
 *
 * Context: look-ups from any thread; ram_add/ram_map_* only while no vCPU runs.
 */
#ifndef BOARD_RAM_H
#define BOARD_RAM_H

#include "lib/types.h"

#define RAM_SLOTS_MAX 32
#define RAM_PAGE      4096u

enum ram_kind { RAM_KIND_RAM, RAM_KIND_ROM };

struct ram_slot {
	gpa_t gpa;
	u64 size; /* bytes, multiple of RAM_PAGE */
	u8 *host;
	enum ram_kind kind;
	const char *name;
};

/* What the engine wants to know; all members optional, set once by vm/ before the first vCPU. */
struct ram_listener {
	void *arg;
	/* The slot list changed; no vCPU runs. */
	void (*changed)(void *arg);
	/* A device is about to write / has written [gpa, gpa+len). */
	void (*dma_begin)(void *arg, gpa_t gpa, u64 len);
	void (*dma_end)(void *arg, gpa_t gpa, u64 len);
};

struct ram {
	struct ram_slot slot[RAM_SLOTS_MAX]; /* sorted by gpa */
	unsigned slots;
	struct ram_listener listener;
	u64 bytes; /* sum of RAM_KIND_RAM slots */
};

int ram_open(struct ram *ram);
void ram_close(struct ram *ram);

/* Maps `size` fresh zero bytes at gpa. -EEXIST on overlap, -ENOSPC with too many slots, -ENOMEM. */
int ram_add(struct ram *ram, gpa_t gpa, u64 size, enum ram_kind kind, const char *name);

/* Takes [gpa, gpa+size) out of the slot that holds it whole, leaving one before and one after it:
 * nobody answers there. -EINVAL when no slot does or nothing would be left on a side, -ENOSPC. */
int ram_punch(struct ram *ram, gpa_t gpa, u64 size);

/* The slot that holds gpa, or NULL. */
const struct ram_slot *ram_find(const struct ram *ram, gpa_t gpa);

/* Host pointer for [gpa, gpa+len) if it lies whole in one slot; NULL otherwise. Reading only:
 * writers use the calls below so that the engine hears of it. */
const void *ram_ptr(const struct ram *ram, gpa_t gpa, u64 len);

/* Copies; 0 or -EFAULT when any byte is outside RAM (or a write hits ROM). Nothing is copied then.
 */
int ram_read(const struct ram *ram, gpa_t gpa, void *buf, u64 len);
int ram_write(struct ram *ram, gpa_t gpa, const void *buf, u64 len);

/* For scatter/gather I/O straight into guest memory: pointer to write through, NULL when not whole
 * in one RAM slot. Every begin is followed by one end after the last byte was stored. */
void *ram_write_begin(struct ram *ram, gpa_t gpa, u64 len);
void ram_write_end(struct ram *ram, gpa_t gpa, u64 len);

/* Loader's copy before the first instruction, ROM included. */
int ram_load(struct ram *ram, gpa_t gpa, const void *buf, u64 len);

#endif
