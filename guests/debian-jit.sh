#!/bin/sh
# guests/debian-jit.sh: guests/debian.sh's Debian with a JIT compiler in it, for `make soak`.
HOLM_DEBIAN_NAME=debian-jit HOLM_DEBIAN_EXTRA=nodejs exec "$(dirname "$0")/debian.sh"
