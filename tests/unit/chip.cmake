# The chips as state machines, the chipset on a board, the local APIC.
holm_unit_test(pic chip/test_pic.c chip)
holm_unit_test(pit chip/test_pit.c chip)
holm_unit_test(ioapic chip/test_ioapic.c chip)
holm_unit_test(hpet chip/test_hpet.c chip)
holm_unit_test(rtc chip/test_rtc.c chip)
# on a real board
holm_unit_test(chipset chip/test_chipset.c dev)
# alone with its own sources: it must not need the rest of cpu/
add_executable(test_lapic lapic/test_lapic.c ${CMAKE_SOURCE_DIR}/src/cpu/lapic.c
	${CMAKE_SOURCE_DIR}/src/cpu/lapic_regs.c)
target_link_libraries(test_lapic PRIVATE PkgConfig::CMOCKA)
add_test(NAME unit/lapic COMMAND test_lapic)
set_tests_properties(unit/lapic PROPERTIES TIMEOUT 120 LABELS core)
