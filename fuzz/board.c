#include "fuzz.h"
int LLVMFuzzerTestOneInput(const u8 *d, size_t n) { (void)d; (void)n; return 0; }
