# The front door: every target a newcomer types. CMake + Ninja do the work below (CMakePresets.json).
#
#   make            build                     make run        a guest's shell, here and now
#   make test       the core tests            make test-full  everything, MODE=plain|asan|ubsan
#   make help       the rest
PRESET ?= release
BUILD   = build/$(PRESET)
HOLM    = $(BUILD)/src/prog/holm
JOBS   ?= $(shell nproc)
PREFIX ?= /usr/local
MODE   ?= plain
RUN    ?=
export HOLM_BIN = $(abspath $(HOLM))

.PHONY: all build run guests test test-full bench fuzz soak check format install uninstall clean help deps-%

all: deps-build build

TARGET ?= all
build:
	@[ -f $(BUILD)/build.ninja ] || cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target $(TARGET)

deps-%:
	@tools/deps.sh $*

# Extra flags go into RUN: make run RUN="-c 2 -m 1G"; GUEST=debian boots a whole Debian from a disk.
GUEST ?= mini
DEPS_mini = run
run: deps-$(or $(DEPS_$(GUEST)),test)
	@$(MAKE) --no-print-directory build TARGET=holm
	@exec guests/run.sh $(HOLM) $(GUEST) $(RUN)

guests: deps-test
	@guests/mini.sh >/dev/null
	@guests/debian-cloud.sh >/dev/null

CTEST = HOLM_BUILD=$(abspath $(BUILD)) ctest --test-dir $(BUILD) --output-on-failure --no-tests=error

test: deps-test build guests
	@$(CTEST) -j 2 -L '^core$$'

PRESET_plain = release
PRESET_asan  = asan
PRESET_ubsan = ubsan
SCALE_plain  = 1
SCALE_asan   = 4
SCALE_ubsan  = 3

test-full: deps-test guests
	@[ -n "$(PRESET_$(MODE))" ] || { echo "make: MODE is plain, asan or ubsan" >&2; exit 2; }
	@$(MAKE) --no-print-directory build PRESET=$(PRESET_$(MODE))
	@HOLM_TIME_SCALE=$${HOLM_TIME_SCALE:-$(SCALE_$(MODE))} HOLM_MODE=$(MODE) \
	$(MAKE) --no-print-directory ctest-all PRESET=$(PRESET_$(MODE))

.PHONY: ctest-all
ctest-all:
	@$(CTEST) -j 2 -L '^(core|full)$$'

# QUICK=1 takes one round and leaves out the programs, which need the guest debian; ENGINE=soft,translate=off
# is what Holm runs with.
ENGINE ?=
bench: deps-test build
	@guests/mini.sh >/dev/null
	@$(if $(QUICK),,guests/debian.sh >/dev/null)
	@/usr/bin/python3 bench/bench.py $(if $(QUICK),--quick,--programs) $(if $(ENGINE),--engine $(ENGINE))

# SECONDS=60 per fuzzer unless told otherwise; FUZZERS="cpu board" takes only those.
SECONDS ?= 60
FUZZERS ?=
fuzz: deps-fuzz
	@$(MAKE) --no-print-directory build PRESET=fuzz TARGET=fuzzers
	@fuzz/run.sh build/fuzz $(SECONDS) $(FUZZERS)

# Boots, works, reboots and stops guests until HOURS are over.
HOURS ?= 1
soak: deps-test build
	@guests/mini.sh >/dev/null
	@HOLM_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/system/soak.py --hours $(HOURS) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

check: deps-test build
	@/usr/bin/python3 tools/check_floors.py --build $(BUILD)
	@/usr/bin/python3 -B tools/gen_coverage.py --check
	@git ls-files -co --exclude-standard '*.c' '*.h' | \
	xargs clang-format --dry-run -Werror 2>$(BUILD)/format.txt || { \
		sed 's/^\([^:]*\):[0-9]*:[0-9]*: error: .*/\1/;t;d' $(BUILD)/format.txt | sort | uniq -c; \
		echo "format: 'make format' mends it; all of it: $(BUILD)/format.txt"; exit 1; } >&2
	@echo "format: fine"

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix $(PREFIX)
	install -D -m 644 LICENSE "$(DESTDIR)$(PREFIX)/share/doc/holm/LICENSE"
	install -D -m 644 README.md "$(DESTDIR)$(PREFIX)/share/doc/holm/README.md"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/holm" "$(DESTDIR)$(PREFIX)/share/man/man1/holm.1" \
		"$(DESTDIR)$(PREFIX)/share/man/man5/holm-vm.5"
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/holm"

clean:
	rm -rf build

help:
	@echo "make                  install what is missing, build into $(BUILD)"
	@echo "make run              boot the guest 'mini' on this terminal (RUN=\"-c 2 -m 1G\" adds flags,"
	@echo "                      GUEST=debian or debian-cloud boots a whole Debian 12 from a disk)"
	@echo "make test             core tests, under 15 minutes"
	@echo "make test-full        all tests; MODE=plain (default), asan or ubsan"
	@echo "make bench            Holm beside QEMU TCG and native, under 30 minutes; QUICK=1: under 5"
	@echo "make fuzz             every fuzzer for SECONDS=60 (FUZZERS=\"cpu board\" takes only those)"
	@echo "make soak             guests in a loop for HOURS=1"
	@echo "make check            floors, headers, formatting"
	@echo "make guests           build the guest images (cached in \$$HOLM_GUESTS or ~/.cache/holm/guests)"
	@echo "make install          DESTDIR= PREFIX=/usr/local; make uninstall takes it back"
	@echo "make clean            remove build/ (guest images stay)"
	@echo "PRESET=release|debug|asan|ubsan|tsan|clang|fuzz|ci selects the build, JOBS=n the parallelism"
