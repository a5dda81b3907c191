holm_unit_test(recode trans/test_recode.c engine)
