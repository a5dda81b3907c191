/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ps2: keyboard and mouse behind the i8042. Entered with the controller's lock held.
 */
#include "dev/chipset/ps2.h"

#define PS2_ACK	   0xfau
#define PS2_RESEND 0xfeu
#define PS2_BAT_OK 0xaau /* self-test passed */

/* Commands both understand */
#define CMD_GET_ID   0xf2u
#define CMD_RATE     0xf3u
#define CMD_ENABLE   0xf4u
#define CMD_DISABLE  0xf5u
#define CMD_DEFAULTS 0xf6u
#define CMD_RESEND   0xfeu
#define CMD_RESET    0xffu
/* Keyboard */
#define CMD_LEDS	   0xedu
#define CMD_ECHO	   0xeeu
#define CMD_SCAN_SET	   0xf0u
#define CMD_ALL_KEYS_FIRST 0xf7u
#define CMD_ALL_KEYS_LAST  0xfau
#define CMD_ONE_KEY_FIRST  0xfbu
#define CMD_ONE_KEY_LAST   0xfdu
/* Mouse */
#define CMD_SCALE_1_1  0xe6u
#define CMD_SCALE_2_1  0xe7u
#define CMD_RESOLUTION 0xe8u
#define CMD_STATUS     0xe9u
#define CMD_STREAM     0xeau
#define CMD_READ       0xebu
#define CMD_UNWRAP     0xecu
#define CMD_REMOTE     0xf0u

/* ---- queue ---- */

bool ps2_send(struct ps2 *ps2, const u8 *bytes, unsigned len)
{
	if (ps2->count + len > PS2_QUEUE)
		return false;
	for (unsigned i = 0; i < len; i++)
		ps2->queue[(ps2->head + ps2->count++) % PS2_QUEUE] = bytes[i];
	return true;
}

static void send(struct ps2 *ps2, u8 byte)
{
	ps2_send(ps2, &byte, 1);
}

bool ps2_fetch(struct ps2 *ps2, u8 *value)
{
	if (!ps2->count)
		return false;
	*value = ps2->queue[ps2->head];
	ps2->head = (u8)((ps2->head + 1) % PS2_QUEUE);
	ps2->count--;
	ps2->last = *value;
	return true;
}

/* ---- commands ---- */

static void defaults(struct ps2 *ps2)
{
	ps2->command = 0;
	ps2->enabled = !ps2->mouse;
	ps2->scan_set = 2;
	ps2->rate = 100;
	ps2->resolution = 2;
	ps2->scaling = false;
	ps2->remote = false;
}

static void self_test(struct ps2 *ps2)
{
	ps2->head = ps2->count = 0;
	defaults(ps2);
	ps2->leds = 0;
	send(ps2, PS2_ACK);
	send(ps2, PS2_BAT_OK);
	if (ps2->mouse)
		send(ps2, 0x00); /* its id */
}

static void keyboard_argument(struct ps2 *ps2, u8 command, u8 value)
{
	send(ps2, PS2_ACK);
	switch (command) {
	case CMD_LEDS: ps2->leds = value & 7; break;
	case CMD_SCAN_SET:
		if (!value)
			send(ps2, ps2->scan_set);
		else if (value <= 3)
			ps2->scan_set = value;
		break;
	default: break;
	}
}

static void keyboard_command(struct ps2 *ps2, u8 value)
{
	static const u8 id[] = {PS2_ACK, 0xab, 0x83};

	switch (value) {
	case CMD_ECHO: send(ps2, CMD_ECHO); return;
	case CMD_GET_ID: ps2_send(ps2, id, sizeof(id)); return;
	case CMD_LEDS:
	case CMD_SCAN_SET:
	case CMD_RATE: ps2->command = value; break;
	default:
		if (value >= CMD_ONE_KEY_FIRST && value <= CMD_ONE_KEY_LAST)
			ps2->command = value;
		else if (value < CMD_ALL_KEYS_FIRST || value > CMD_ALL_KEYS_LAST)
			goto unknown;
		break;
	}
	send(ps2, PS2_ACK);
	return;
unknown:
	send(ps2, PS2_RESEND);
}

static void mouse_argument(struct ps2 *ps2, u8 command, u8 value)
{
	if (command == CMD_RATE)
		ps2->rate = value;
	else
		ps2->resolution = value & 3;
	send(ps2, PS2_ACK);
}

static void mouse_command(struct ps2 *ps2, u8 value)
{
	const u8 status[] = {PS2_ACK,
			     (u8)(ps2->remote << 6 | ps2->enabled << 5 | ps2->scaling << 4),
			     ps2->resolution, ps2->rate};
	static const u8 still[] = {PS2_ACK, 0x08, 0, 0};
	static const u8 id[] = {PS2_ACK, 0x00};

	switch (value) {
	case CMD_SCALE_1_1:
	case CMD_SCALE_2_1: ps2->scaling = value == CMD_SCALE_2_1; break;
	case CMD_STREAM:
	case CMD_REMOTE: ps2->remote = value == CMD_REMOTE; break;
	case CMD_RESOLUTION:
	case CMD_RATE: ps2->command = value; break;
	case CMD_UNWRAP: break;
	case CMD_STATUS: ps2_send(ps2, status, sizeof(status)); return;
	case CMD_READ: ps2_send(ps2, still, sizeof(still)); return;
	case CMD_GET_ID: ps2_send(ps2, id, sizeof(id)); return;
	default: send(ps2, PS2_RESEND); return;
	}
	send(ps2, PS2_ACK);
}

void ps2_write(struct ps2 *ps2, u8 value)
{
	u8 command = ps2->command;

	ps2->command = 0;
	/* an argument is below 0xed for the keyboard; a command byte there starts afresh */
	if (command && (ps2->mouse || value < CMD_LEDS)) {
		if (ps2->mouse)
			mouse_argument(ps2, command, value);
		else
			keyboard_argument(ps2, command, value);
		return;
	}
	switch (value) {
	case CMD_RESET: self_test(ps2); return;
	case CMD_RESEND: send(ps2, ps2->last); return;
	case CMD_ENABLE: ps2->enabled = true; break;
	case CMD_DISABLE:
		if (!ps2->mouse)
			defaults(ps2);
		ps2->enabled = false;
		break;
	case CMD_DEFAULTS: defaults(ps2); break;
	default:
		if (ps2->mouse)
			mouse_command(ps2, value);
		else
			keyboard_command(ps2, value);
		return;
	}
	send(ps2, PS2_ACK);
}

/* ---- open ---- */

void ps2_reset(struct ps2 *ps2)
{
	ps2_init(ps2, ps2->mouse);
}

void ps2_init(struct ps2 *ps2, bool mouse)
{
	*ps2 = (struct ps2){.mouse = mouse};
	defaults(ps2);
}
