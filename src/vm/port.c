/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: joins the guest's console devices to the console: COM1 and virtio-console.
 *
 * Both write to the same target; input goes to one, which --console-device names. Nothing is
 * stored here.
 *
 * Entered by: vCPU threads (uart put), device loops (virtio), the console's threads (input, room).
 * Locks: a device's lock, then the console's; never the other way round.
 */
#include "board/layout.h"
#include "dev/virtio/console.h"
#include "vm/vm_impl.h"

/* --- the devices' side ------------------------------------------------------------------------ */

static int port_put(void *arg, const u8 *bytes, unsigned len)
{
	struct vm *vm = arg;

	return (int)console_write(vm->console, bytes, len);
}

static void port_taken(void *arg)
{
	struct vm *vm = arg;

	console_input_ready(vm->console);
}

void port_backend(struct vm *vm, struct uart_backend *backend)
{
	backend->arg = vm;
	backend->put = port_put;
	backend->room = port_taken;
}

/* --- virtio-console --------------------------------------------------------------------------- */

int port_open(struct vm *vm, struct device **out)
{
	/* what a serial port asks of its other end is what this device asks */
	const struct virtio_console_backend backend = {
		.arg = vm, .put = port_put, .room = port_taken};
	int err = virtio_console_open(&vm->board, vm->pci, LAYOUT_SLOT_CONSOLE, &backend,
				      &vm->vconsole);

	*out = vm->vconsole;
	return err;
}

/* --- the console's side ----------------------------------------------------------------------- */

static size_t port_input(void *arg, const u8 *data, size_t len)
{
	struct vm *vm = arg;

	if (vm->config->console_virtio)
		return virtio_console_receive(vm->vconsole, data, (unsigned)len);
	return uart_receive(vm->uart, data, (unsigned)len);
}

static void port_room(void *arg)
{
	struct vm *vm = arg;

	uart_writable(vm->uart);
	virtio_console_writable(vm->vconsole);
}

static void port_throttle(void *arg)
{
	struct vm *vm = arg;

	vcpus_hold_self(vm->vcpus);
}

void port_events(struct vm *vm, struct console_events *events)
{
	events->arg = vm;
	events->input = port_input;
	events->room = port_room;
	events->throttle = port_throttle;
}

void port_resize(struct vm *vm)
{
	u16 columns, rows;

	if (!console_size(vm->console, &columns, &rows))
		virtio_console_resize(vm->vconsole, columns, rows);
}
