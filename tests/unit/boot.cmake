# The boot floor: tables, payloads, memory map, CPU models.
holm_unit_test(boot_acpi boot/test_acpi.c boot)
