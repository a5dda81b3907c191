# Sanitizer builds go without the list, see src/host/sandbox.c: nothing to prove there.
if(NOT HOLM_SANITIZE)
	holm_unit_test(sandbox sandbox/test_sandbox.c host)
endif()
