# Sanitizer builds have a wider list, for their own reports: nothing to prove there.
if(NOT HOLM_SANITIZE)
	holm_unit_test(sandbox sandbox/test_sandbox.c host)
endif()
