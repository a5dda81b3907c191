/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e820: the guest's memory map: conventional memory, the hole below 1 MiB, low RAM with the ACPI
 * region on top, the reserved ECAM window, high RAM.
 *
 * Local APIC, IOAPIC and HPET are told by ACPI, not here, as on a PC.
 */
#include "boot/e820.h"

#include "board/layout.h"
#include "boot/map.h"
#include "host/fail.h"
#include "lib/bits.h"
#include "spec/linux_boot.h"

static void e820_add(struct e820 *map, u64 base, u64 end, u32 type)
{
	if (end <= base)
		return;
	ASSERT(map->count < E820_ENTRIES, "the e820 table holds every region of the layout");
	map->entry[map->count++] = (struct e820_entry){base, end - base, type};
}

u64 e820_low_top(u64 ram)
{
	return min_u64(ram, LAYOUT_LOW_RAM_MAX);
}

u64 e820_usable_top(u64 ram)
{
	return e820_low_top(ram) - MAP_ACPI_SIZE;
}

void e820_build(struct e820 *map, u64 ram)
{
	u64 top = e820_low_top(ram);
	u64 acpi = e820_usable_top(ram);
	u64 nvs = acpi + MAP_ACPI_DATA_SIZE;

	map->count = 0;
	e820_add(map, 0, LAYOUT_EBDA, E820_RAM);
	e820_add(map, LAYOUT_EBDA, LAYOUT_VGA_HOLE, E820_RESERVED);
	e820_add(map, LAYOUT_BIOS_TABLES, 0x100000, E820_RESERVED);
	e820_add(map, 0x100000, acpi, E820_RAM);
	e820_add(map, acpi, nvs, E820_ACPI);
	e820_add(map, nvs, top, E820_NVS);
	e820_add(map, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_SIZE, E820_RESERVED);
	if (ram > top)
		e820_add(map, LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + (ram - top), E820_RAM);
}
