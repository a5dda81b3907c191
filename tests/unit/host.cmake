holm_unit_test(host_loop host/test_loop.c host)
