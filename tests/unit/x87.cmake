# x87 and XSAVE bodies against the host CPU. The test brings its own guest memory; only the native stubs come
# from the library.
holm_unit_test(x87 x87/test_x87.c cpu)
target_include_directories(test_x87 PRIVATE ${CMAKE_BINARY_DIR}/gen)
