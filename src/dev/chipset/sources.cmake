list(APPEND DEV_SOURCES chipset/irqc.c chipset/pit.c chipset/hpet.c chipset/rtc.c chipset/pm.c
	chipset/uart.c chipset/i8042.c chipset/ps2.c chipset/fw_cfg.c chipset/pvpanic.c
	chipset/debug_exit.c chipset/reset.c chipset/chipset.c)
