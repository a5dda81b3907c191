holm_unit_test(disk_raw disk/test_raw.c disk)
