/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: one class struct per device model, and the life cycle they all share.
 *
 * A device struct begins with `struct device`. vm/ keeps them in one list and drives every step
 * (open in order, reset in order, close in reverse), so nothing is wired twice. Devices reach the
 * machine through `struct board` only.
 *
 * Context: open/close/reset: loop thread, vCPUs stopped. pause/resume: loop thread.
 */
#ifndef BOARD_DEVICE_H
#define BOARD_DEVICE_H

#include "board/bus.h"
#include "board/clock.h"
#include "board/irq.h"
#include "board/ram.h"
#include "board/state.h"
#include "host/loop.h"
#include "lib/types.h"

/* What the guest asked of the whole machine; `code` means what the cause says. */
enum board_request {
	BOARD_POWEROFF,	  /* ACPI S5, or the agreed port */
	BOARD_RESET,	  /* 0xCF9, i8042, FADT RESET_REG, triple fault by policy of vm/ */
	BOARD_PANIC,	  /* pvpanic */
	BOARD_DEBUG_EXIT, /* isa-debug-exit; code = value written */
};

struct board {
	struct ram ram;
	struct bus *bus;
	struct irq irq;
	struct clock clock;
	struct loop *loop;
	unsigned cpus;
	/* Set by vm/. Any thread. Returns at once; the vCPUs stop soon after. */
	void (*request)(void *arg, enum board_request request, u32 code);
	void *request_arg;
};

/* One resource a device has, for ACPI and holm's own listing; devices know no ACPI. */
enum board_resource_kind { BOARD_RES_PIO, BOARD_RES_MMIO, BOARD_RES_IRQ };
struct board_resource {
	enum board_resource_kind kind;
	u64 base;
	u64 size;
};

/* What describe() tells; hid is an EISA/ACPI id such as "PNP0501" or "QEMU0001". */
struct device_desc {
	const char *hid;
	unsigned uid;
	struct board_resource res[8];
	unsigned res_count;
};

struct device;

struct device_class {
	const char *name;
	void (*close)(struct device *dev);
	void (*reset)(struct device *dev);
	void (*pause)(struct device *dev);  /* optional: settle, no callbacks afterwards */
	void (*resume)(struct device *dev); /* optional */
	const struct state_field *fields;   /* optional: what save/load moves */
	/* Fills *desc for ACPI; false when the device has nothing to say there. Optional. */
	bool (*describe)(const struct device *dev, struct device_desc *desc);
};

struct device {
	const struct device_class *cls;
	struct board *board;
	struct device *next;
};

#endif
