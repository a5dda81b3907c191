# The chips as state machines, the chipset on a real board, the local APIC.
holm_unit_test(pic chip/test_pic.c chip)
holm_unit_test(pit chip/test_pit.c chip)
holm_unit_test(ioapic chip/test_ioapic.c chip)
