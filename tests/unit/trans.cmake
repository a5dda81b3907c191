holm_unit_test(recode trans/test_recode.c engine)
holm_unit_test(check trans/test_check.c engine)
