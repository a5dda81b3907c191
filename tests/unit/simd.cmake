# Every MMX, SSE and AVX form of the table against the host CPU.
holm_unit_test(simd simd/test_simd.c cpu)
target_sources(test_simd PRIVATE simd/simd_native.c)
target_include_directories(test_simd PRIVATE ${CMAKE_BINARY_DIR}/gen)
