/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8042: keyboard controller on the board.
 *
 * One output buffer, filled from the controller's own answers, then the keyboard, then the mouse.
 * Reading it frees it for the next byte, with a fresh edge on IRQ1 or IRQ12. Entered by vCPU
 * threads with our lock held by the bus, and by i8042_key from any thread.
 */
#include "dev/chipset/i8042.h"

#include <stdlib.h>

#include "board/layout.h"
#include "dev/chipset/ps2.h"
#include "host/fail.h"
#include "lib/bits.h"

/* Status register */
#define STR_OBF	     0x01u /* output buffer full */
#define STR_SYS	     0x04u
#define STR_CMD	     0x08u /* last write was a command */
#define STR_UNLOCKED 0x10u
#define STR_AUX	     0x20u /* output buffer holds the mouse's byte */
#define STR_TIMEOUT  0x40u

/* Command byte */
#define CTR_KBD_INT 0x01u
#define CTR_AUX_INT 0x02u
#define CTR_SYS	    0x04u
#define CTR_KBD_OFF 0x10u
#define CTR_AUX_OFF 0x20u
#define CTR_XLATE   0x40u

/* Output port */
#define OUT_NO_RESET 0x01u
#define OUT_A20	     0x02u
#define OUT_KBD_OBF  0x10u
#define OUT_AUX_OBF  0x20u

/* Commands at port 0x64 */
#define CC_READ_RAM  0x20u /* .. 0x3f */
#define CC_WRITE_RAM 0x60u /* .. 0x7f */
#define CC_AUX_OFF   0xa7u
#define CC_AUX_ON    0xa8u
#define CC_AUX_TEST  0xa9u
#define CC_SELF_TEST 0xaau
#define CC_KBD_TEST  0xabu
#define CC_KBD_OFF   0xadu
#define CC_KBD_ON    0xaeu
#define CC_READ_IN   0xc0u
#define CC_READ_OUT  0xd0u
#define CC_WRITE_OUT 0xd1u
#define CC_KBD_LOOP  0xd2u
#define CC_AUX_LOOP  0xd3u
#define CC_WRITE_AUX 0xd4u
#define CC_PULSE     0xf0u /* .. 0xff: bits 0..3 low pulse output port lines */

#define SELF_TEST_OK 0x55u
#define SCAN_RELEASE 0xf0u
#define REPLIES	     4u

enum source { FROM_CONTROLLER, FROM_KBD, FROM_AUX };

struct i8042 {
	struct device dev;
	struct device aux_dev; /* only describes itself */
	pthread_mutex_t lock;
	struct bus_region data, cmd, sysctl;
	struct ps2 kbd, aux;
	bool mouse;
	u8 ram[32]; /* byte 0 is the command byte */
	u8 str, outport;
	u8 command;		      /* waits for its argument on port 0x60; 0 = none */
	u8 out, source;		      /* output buffer, enum source */
	u8 reply[REPLIES], reply_aux; /* controller's answers; bit per reply: as if from aux */
	u8 replies;
	bool release; /* 0xf0 was taken from the keyboard, its key not yet */
	bool irq1, irq12;
};

/* ---- output buffer (lock held) ---- */

static void lines_update(struct i8042 *k)
{
	bool full = k->str & STR_OBF, aux = k->str & STR_AUX;
	bool irq1 = full && !aux && (k->ram[0] & CTR_KBD_INT);
	bool irq12 = full && aux && (k->ram[0] & CTR_AUX_INT);

	if (irq1 != k->irq1) {
		k->irq1 = irq1;
		irq_line(&k->dev.board->irq, LAYOUT_GSI_KBD, irq1);
	}
	if (irq12 != k->irq12) {
		k->irq12 = irq12;
		irq_line(&k->dev.board->irq, LAYOUT_GSI_AUX, irq12);
	}
}

/* Scan code set 2 to set 1, what CTR_XLATE does to every byte of the keyboard below 0x80. */
static const u8 xlate[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* The keyboard's next byte; 0xf0 becomes bit 7 of the one behind it. */
static bool kbd_fetch(struct i8042 *k, u8 *value)
{
	u8 byte, release;

	while (ps2_fetch(&k->kbd, &byte)) {
		if (!(k->ram[0] & CTR_XLATE)) {
			*value = byte;
			return true;
		}
		release = k->release ? 0x80 : 0;
		k->release = byte == SCAN_RELEASE;
		if (k->release)
			continue;
		if (byte < 0x80)
			*value = xlate[byte] | release;
		else if (byte == 0x83 || byte == 0x84) /* F7, Alt-SysRq */
			*value = (byte == 0x83 ? 0x41 : 0x54) | release;
		else
			*value = byte;
		return true;
	}
	return false;
}

/* Moves the next byte into an empty output buffer. */
static void output_fill(struct i8042 *k)
{
	bool aux = false;

	if (k->str & STR_OBF)
		return;
	if (k->replies) {
		k->out = k->reply[0];
		aux = k->reply_aux & 1;
		k->replies--;
		k->reply_aux >>= 1;
		for (unsigned i = 0; i < k->replies; i++)
			k->reply[i] = k->reply[i + 1];
		k->source = FROM_CONTROLLER;
	} else if (!(k->ram[0] & CTR_KBD_OFF) && kbd_fetch(k, &k->out)) {
		k->source = FROM_KBD;
	} else if (!(k->ram[0] & CTR_AUX_OFF) && ps2_fetch(&k->aux, &k->out)) {
		k->source = FROM_AUX;
		aux = true;
	} else {
		lines_update(k);
		return;
	}
	k->str = (u8)((k->str & ~STR_AUX) | STR_OBF | (aux ? STR_AUX : 0));
	lines_update(k);
}

static void reply(struct i8042 *k, u8 value, bool aux)
{
	if (k->replies == REPLIES)
		return;
	k->reply[k->replies] = value;
	if (aux)
		k->reply_aux |= (u8)BIT(k->replies);
	k->replies++;
}

/* ---- commands (lock held) ---- */

static void request_reset(struct i8042 *k)
{
	k->dev.board->request(k->dev.board->request_arg, BOARD_RESET, 0);
}

static void outport_write(struct i8042 *k, u8 value)
{
	k->outport = value & (OUT_NO_RESET | OUT_A20);
	if (!(value & OUT_NO_RESET))
		request_reset(k);
}

static u8 outport_read(const struct i8042 *k)
{
	u8 full = !(k->str & STR_OBF) ? 0 : k->str & STR_AUX ? OUT_AUX_OBF : OUT_KBD_OBF;

	return k->outport | full;
}

/* Commands about the second port; false when `value` is none of them. Without a mouse the
 * controller is one without a second port: it knows none. */
static bool aux_command(struct i8042 *k, u8 value)
{
	switch (value) {
	case CC_AUX_OFF: k->ram[0] |= CTR_AUX_OFF; break;
	case CC_AUX_ON: k->ram[0] &= (u8)~CTR_AUX_OFF; break;
	case CC_AUX_TEST:
		reply(k, k->mouse ? 0x00 : 0x01, false); /* 1: clock line stuck low */
		break;
	case CC_AUX_LOOP:
	case CC_WRITE_AUX: k->command = value; break;
	default: return false;
	}
	if (!k->mouse)
		k->ram[0] |= CTR_AUX_OFF;
	return true;
}

static void command_write(struct i8042 *k, u8 value)
{
	k->command = 0;
	if (aux_command(k, value))
		return;
	if (value >= CC_PULSE) {
		if (!(value & OUT_NO_RESET))
			request_reset(k);
		return;
	}
	if ((value & 0xe0) == CC_READ_RAM) {
		reply(k, k->ram[value & 0x1f], false);
		return;
	}
	switch (value) {
	case CC_SELF_TEST:
		k->str |= STR_SYS;
		reply(k, SELF_TEST_OK, false);
		break;
	case CC_KBD_TEST: reply(k, 0x00, false); break;
	case CC_KBD_OFF: k->ram[0] |= CTR_KBD_OFF; break;
	case CC_KBD_ON: k->ram[0] &= (u8)~CTR_KBD_OFF; break;
	case CC_READ_IN:
		reply(k, 0x80, false); /* keyboard not locked */
		break;
	case CC_READ_OUT: reply(k, outport_read(k), false); break;
	default: /* those with an argument; the rest does nothing */
		if ((value & 0xe0) == CC_WRITE_RAM || value == CC_WRITE_OUT || value == CC_KBD_LOOP)
			k->command = value;
		break;
	}
}

/* Port 0x60 written: a command's argument, or a byte for the keyboard. */
static void data_byte(struct i8042 *k, u8 value)
{
	u8 command = k->command;

	k->command = 0;
	switch (command) {
	case 0:
		k->ram[0] &= (u8)~CTR_KBD_OFF;
		ps2_write(&k->kbd, value);
		break;
	case CC_WRITE_OUT: outport_write(k, value); break;
	case CC_KBD_LOOP: reply(k, value, false); break;
	case CC_AUX_LOOP:
		/* without a second port the byte does not come back as the mouse's */
		reply(k, value, k->mouse);
		break;
	case CC_WRITE_AUX:
		if (k->mouse)
			ps2_write(&k->aux, value);
		break;
	default:
		k->ram[command & 0x1f] = value;
		if (command == CC_WRITE_RAM) {
			k->str = (u8)((k->str & ~STR_SYS) | (value & CTR_SYS ? STR_SYS : 0));
			if (!k->mouse)
				k->ram[0] |= CTR_AUX_OFF;
		}
		break;
	}
}

/* ---- registers (lock held by the bus) ---- */

static u64 data_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct i8042 *k = arg;
	u8 value = k->out;

	k->str &= (u8) ~(STR_OBF | STR_AUX);
	lines_update(k); /* low before the next byte: an edge each */
	output_fill(k);
	return value;
}

static void data_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct i8042 *k = arg;

	k->str &= (u8)~STR_CMD;
	data_byte(k, (u8)value);
	output_fill(k);
	lines_update(k);
}

static u64 status_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct i8042 *k = arg;

	return k->str | STR_UNLOCKED;
}

static void status_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct i8042 *k = arg;

	k->str |= STR_CMD;
	command_write(k, (u8)value);
	output_fill(k);
	lines_update(k);
}

/* Port 0x92: bit 0 = reset, bit 1 = A20. */
static u64 sysctl_read(void *arg, unused_arg u64 off, unused_arg unsigned size)
{
	struct i8042 *k = arg;

	return k->outport & OUT_A20;
}

static void sysctl_write(void *arg, unused_arg u64 off, unused_arg unsigned size, u64 value)
{
	struct i8042 *k = arg;

	k->outport = (u8)((k->outport & ~OUT_A20) | (value & OUT_A20));
	if (value & 1)
		request_reset(k);
}

void i8042_key(struct device *dev, const u8 *codes, unsigned len)
{
	struct i8042 *k = (struct i8042 *)dev;

	pthread_mutex_lock(&k->lock);
	if (k->kbd.enabled && ps2_send(&k->kbd, codes, len))
		output_fill(k);
	pthread_mutex_unlock(&k->lock);
}

/* ---- life ---- */

static void i8042_reset(struct device *dev)
{
	struct i8042 *k = (struct i8042 *)dev;

	pthread_mutex_lock(&k->lock);
	ps2_reset(&k->kbd);
	ps2_reset(&k->aux);
	for (unsigned i = 0; i < sizeof(k->ram); i++)
		k->ram[i] = 0;
	/* as firmware leaves it, for kernels that are started without one */
	k->ram[0] = CTR_KBD_INT | CTR_SYS | CTR_XLATE | (k->mouse ? CTR_AUX_INT : CTR_AUX_OFF);
	k->str = STR_SYS;
	k->outport = OUT_NO_RESET | OUT_A20;
	k->command = 0;
	k->replies = 0;
	k->reply_aux = 0;
	k->release = false;
	lines_update(k);
	pthread_mutex_unlock(&k->lock);
}

static void i8042_close(struct device *dev)
{
	struct i8042 *k = (struct i8042 *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &k->sysctl);
	bus_remove(dev->board->bus, BUS_PIO, &k->cmd);
	bus_remove(dev->board->bus, BUS_PIO, &k->data);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static bool i8042_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "PNP0303", .res_count = 3};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_I8042_DATA, 1};
	desc->res[1] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_I8042_CMD, 1};
	desc->res[2] = (struct board_resource){BOARD_RES_IRQ, LAYOUT_GSI_KBD, 1};
	return true;
}

static const struct state_field i8042_fields[] = {
#define PS2(p)                                                                                     \
	STATE_ARRAY(struct i8042, p.queue, 1), STATE_FIELD(struct i8042, p.head, 1),               \
		STATE_FIELD(struct i8042, p.count, 1), STATE_FIELD(struct i8042, p.command, 1),    \
		STATE_FIELD(struct i8042, p.enabled, 1), STATE_FIELD(struct i8042, p.scan_set, 1), \
		STATE_FIELD(struct i8042, p.leds, 1), STATE_FIELD(struct i8042, p.rate, 1),        \
		STATE_FIELD(struct i8042, p.resolution, 1),                                        \
		STATE_FIELD(struct i8042, p.scaling, 1), STATE_FIELD(struct i8042, p.remote, 1),   \
		STATE_FIELD(struct i8042, p.last, 1)
	PS2(kbd),
	PS2(aux),
#undef PS2
	STATE_ARRAY(struct i8042, ram, 1),
	STATE_FIELD(struct i8042, str, 1),
	STATE_FIELD(struct i8042, outport, 1),
	STATE_FIELD(struct i8042, command, 1),
	STATE_FIELD(struct i8042, out, 1),
	STATE_FIELD(struct i8042, source, 1),
	STATE_ARRAY(struct i8042, reply, 1),
	STATE_FIELD(struct i8042, reply_aux, 1),
	STATE_FIELD(struct i8042, replies, 1),
	STATE_FIELD(struct i8042, release, 1),
	STATE_FIELD(struct i8042, irq1, 1),
	STATE_FIELD(struct i8042, irq12, 1),
	STATE_END,
};

static const struct device_class i8042_class = {
	.name = "i8042",
	.close = i8042_close,
	.reset = i8042_reset,
	.fields = i8042_fields,
	.describe = i8042_describe,
};

/* The mouse's place in the list: ACPI wants a device of its own for it. */
static void aux_nothing(unused_arg struct device *dev)
{
}

static bool aux_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "PNP0F13", .res_count = 1};
	desc->res[0] = (struct board_resource){BOARD_RES_IRQ, LAYOUT_GSI_AUX, 1};
	return true;
}

static const struct device_class aux_class = {
	.name = "i8042-aux",
	.close = aux_nothing,
	.reset = aux_nothing,
	.describe = aux_describe,
};

static int i8042_regions_add(struct i8042 *k)
{
	struct bus *bus = k->dev.board->bus;
	int rc;

	k->data = (struct bus_region){.name = "i8042 data",
				      .base = LAYOUT_PORT_I8042_DATA,
				      .size = 1,
				      .read = data_read,
				      .write = data_write,
				      .arg = k,
				      .lock = &k->lock,
				      .max_size = 1};
	k->cmd = (struct bus_region){.name = "i8042 command",
				     .base = LAYOUT_PORT_I8042_CMD,
				     .size = 1,
				     .read = status_read,
				     .write = status_write,
				     .arg = k,
				     .lock = &k->lock,
				     .max_size = 1};
	k->sysctl = (struct bus_region){.name = "sysctl a",
					.base = LAYOUT_PORT_SYSCTL_A,
					.size = 1,
					.read = sysctl_read,
					.write = sysctl_write,
					.arg = k,
					.lock = &k->lock,
					.max_size = 1};
	rc = bus_add(bus, BUS_PIO, &k->data);
	if (rc)
		return rc;
	rc = bus_add(bus, BUS_PIO, &k->cmd);
	if (rc)
		goto drop_data;
	rc = bus_add(bus, BUS_PIO, &k->sysctl);
	if (rc)
		goto drop_cmd;
	return 0;
drop_cmd:
	bus_remove(bus, BUS_PIO, &k->cmd);
drop_data:
	bus_remove(bus, BUS_PIO, &k->data);
	return rc;
}

int i8042_open(struct board *board, bool mouse, struct device **out)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return FAIL(-ENOMEM, "i8042: out of memory");
	k->dev = (struct device){.cls = &i8042_class, .board = board};
	k->aux_dev = (struct device){.cls = &aux_class, .board = board};
	k->mouse = mouse;
	pthread_mutex_init(&k->lock, NULL);
	ps2_init(&k->kbd, false);
	ps2_init(&k->aux, true);
	i8042_reset(&k->dev);
	rc = i8042_regions_add(k);
	if (rc) {
		pthread_mutex_destroy(&k->lock);
		free(k);
		return rc;
	}
	if (mouse)
		k->dev.next = &k->aux_dev;
	*out = &k->dev;
	return 0;
}
