# Segments, far transfers, event delivery, task switches, system calls.
holm_unit_test(cpu_seg cpu_seg/test_cpu_seg.c cpu)
holm_unit_test(cpu_seg_errors cpu_seg/test_errors.c cpu)
