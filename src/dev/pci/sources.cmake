list(APPEND DEV_SOURCES pci/device.c pci/msix.c pci/host.c pci/assign.c)
