# The boot floor: tables, payloads, memory map; the CPU models.
holm_unit_test(boot_acpi boot/test_acpi.c boot)
if(TARGET cpu)
	holm_unit_test(boot_payload boot/test_boot.c boot)
endif()
holm_unit_test(cpu_model boot/test_model.c)
