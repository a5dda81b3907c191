# configuration space, BARs, interrupt pins; with boot's tables, which tell where the pins go
holm_unit_test(pci pci/test_pci.c dev boot)
