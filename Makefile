# SPDX-License-Identifier: GPL-2.0-only
# shunt. 'make help' lists the targets; V=1 shows the commands.

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
CC ?= gcc
CLANG ?= clang
# Ubuntu keeps a bpftool for each kernel, and one in the path that may not run.
BPFTOOL ?= $(firstword $(foreach t,bpftool $(wildcard /usr/lib/linux-tools/*/bpftool),\
	$(shell $t version >/dev/null 2>&1 && echo $t)) bpftool)
PKG_CONFIG ?= pkg-config
B := build

VERSION := 0.2
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow
CPPFLAGS += -Iinclude -Iloader -I$(B) -D_GNU_SOURCE -DSHUNT_VERSION='"$(VERSION)"'
LDLIBS += $(shell $(PKG_CONFIG) --libs libbpf libmnl 2>/dev/null || echo -lbpf -lmnl)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 $(WARN) -Iinclude -Itc -Isockops \
	-I/usr/include/$(shell uname -m)-linux-gnu

BPF_SRC := $(wildcard tc/*.bpf.c sockops/*.bpf.c skmsg/*.bpf.c)
BPF_OBJ := $(BPF_SRC:%.bpf.c=$(B)/%.bpf.o)
SRC := $(wildcard loader/*.c loader/*/*.c)
OBJ := $(SRC:%.c=$(B)/%.o)
# Programs of the bench: of one file, and of several.
BENCH_FILE := $(patsubst bench/%.c,$(B)/bench/%,$(filter-out %.bpf.c,$(wildcard bench/*.c)))
BENCH_PARTS := $(patsubst bench/%.c,$(B)/bench/parts/%.o,$(wildcard bench/*/*.c))
BENCH := $(BENCH_FILE) $(patsubst bench/%/main.c,$(B)/bench/%,$(wildcard bench/*/main.c)) \
	$(B)/bench/naive.bpf.o
PEERS := $(patsubst tests/peers/%.c,$(B)/tests/%,$(wildcard tests/peers/*.c))
TORTURE := $(patsubst tests/torture/%.c,$(B)/torture/%.o,$(wildcard tests/torture/*.c))
ALIASES := map_update map_delete_elem shunt-diverter
# What depends on the kernel; the rest need not be run in every one.
KERNEL_TESTS := bypass.bats reorder.bats stall.bats isolation.bats proven.bats \
	proven_corners.bats proven_supervisor.bats steer.bats steer_untouched.bats \
	steer_packets.bats steer_commands.bats

Q := $(if $(V),,@)
SAY = $(if $(V),,@printf '  %-7s %s\n' $1 $2)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all test test-kernels test-programs test-torture bench install uninstall clean help peers deps \
	test-releases test-package bench-programs sanitized unit test-unit check coverage test-mutations

all: $(B)/shunt $(ALIASES:%=$(B)/%)

help:
	@echo 'make               build build/shunt'
	@echo 'make test          install what the tests need, build, run them all (as root)'
	@echo 'make test-unit     only the tests of single functions, which need no root'
	@echo 'make check         static checks: includes, format, spelling, linters'
	@echo 'make coverage      how much of the parsers and the rule store they run'
	@echo 'make test-mutations faults in what they test, each of which they have to notice'
	@echo 'make test-kernels  the same on other kernels, in qemu'
	@echo 'make test-releases the same in root directories of RELEASES; OWN_KERNEL=1: in qemu too'
	@echo 'make test-programs compare real programs outside and inside a cgroup'
	@echo 'make test-torture  10 GB and 100,000 connections while all is torn down and set up'
	@echo 'make bench         measure, side by side with what else there is; BENCH=quick'
	@echo 'make install       below $$(DESTDIR)$(PREFIX), and $$(DESTDIR)/etc/shunt'
	@echo 'make deb           a Debian package, in build/deb'
	@echo 'make test-package  the package twice, lintian; in qemu: install, run, reboot, purge'
	@echo 'make uninstall     remove what install put there'
	@echo 'make clean         remove build/'

$(B)/%.bpf.o: %.bpf.c
	$(call SAY,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(B)/shunt.bpf.o: $(BPF_OBJ)
	$(call SAY,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(B)/shunt.skel.h: $(B)/shunt.bpf.o
	$(call SAY,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name shunt_bpf > $@

$(B)/loader/cmd/load_half.o $(B)/loader/bpf/kept_maps.o $(B)/loader/bpf/private_programs.o \
	$(B)/loader/bpf/programs.o $(B)/loader/bpf/program_choice.o: $(B)/shunt.skel.h

$(B)/%.o: %.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/shunt: $(OBJ)
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(ALIASES:%=$(B)/%): $(B)/shunt
	$(Q)ln -sf shunt $@

bench-programs: $(BENCH)

# shunt that stops at undefined behaviour, for tests/check/sanitizers.bats; the whole
# suite takes it by SHUNT=build/sanitized/shunt.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZED_DIR := $(B)/sanitized
UNIT_DIR := $(B)/unit
SANITIZED := $(SRC:%.c=$(SANITIZED_DIR)/%.o)

sanitized: $(SANITIZED_DIR)/shunt unit

$(SANITIZED_DIR)/%.o: %.c | $(B)/shunt.skel.h
	$(call SAY,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) $(CPPFLAGS) -O1 -g $(SANITIZE) -MMD -MP -c $< -o $@

$(SANITIZED_DIR)/shunt: $(SANITIZED)
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(SANITIZE) $^ $(LDLIBS) -o $@

# Tests in C of single functions, without root and without the kernel's maps
# (tests/unit/fake_maps.h), under the same sanitizers. They link the loader but main.c.
UNIT := $(patsubst tests/unit/%.c,$(UNIT_DIR)/%,$(wildcard tests/unit/test_*.c))
UNIT_COMMON := $(patsubst tests/unit/%.c,$(UNIT_DIR)/%.o,\
	$(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c)))
UNIT_WRAP := bpf_map_create bpf_obj_get_info_by_fd bpf_map_lookup_elem bpf_map_update_elem \
	bpf_map_delete_elem bpf_map_get_next_key bpf_map_get_fd_by_id pin_open pin_mmap netns_require_loaded \
	if_nametoindex
UNIT_LINK := $(UNIT_WRAP:%=-Wl,--wrap=%)

$(UNIT_DIR)/libshunt.a: $(filter-out %/loader/main.o,$(SANITIZED))
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcsT $@ $^

$(UNIT_DIR)/%.o: tests/unit/%.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) $(CPPFLAGS) -Itests/unit -Itc -O1 -g $(SANITIZE) -MMD -MP -c $< -o $@

$(UNIT_DIR)/test_%: $(UNIT_DIR)/test_%.o $(UNIT_COMMON) $(UNIT_DIR)/libshunt.a
	$(Q)$(CC) $(SANITIZE) $(UNIT_LINK) $^ $(LDLIBS) -lcmocka -o $@

unit: $(UNIT)

test-unit:
	$(Q)scripts/deps.sh test
	$(Q)$(MAKE) --no-print-directory unit
	$(Q)tests/run --unit

# How much of what can be tested without a kernel they run: 90 % of the lines at least.
COVERAGE := $(B)/coverage
COVERED := 'loader/config/' 'loader/rules/' 'loader/nat/nat_rule' 'loader/nat/nat_compile' 'loader/flows/filter'

coverage:
	$(Q)scripts/deps.sh test check
	$(Q)$(MAKE) --no-print-directory SANITIZED_DIR=$(COVERAGE) UNIT_DIR=$(COVERAGE)/unit \
		SANITIZE=--coverage unit
	$(Q)find $(COVERAGE) -name '*.gcda' -delete
	$(Q)UNIT=$(COVERAGE)/unit tests/run --unit >$(COVERAGE)/log || { cat $(COVERAGE)/log; exit 1; }
	$(Q)gcovr -r . --object-directory $(COVERAGE) $(COVERED:%=-f %) --fail-under-line 90 $(COVERAGE)

# Each line of tests/unit/mutations makes one fault, which the named test has to notice.
test-mutations: unit
	$(Q)CC='$(CC)' COMPILE='-std=gnu11 -O1 $(SANITIZE)' INCLUDE='$(CPPFLAGS) -Itests/unit -Itc' \
		LINK='$(SANITIZE) $(UNIT_LINK)' LIBS='$(LDLIBS) -lcmocka' tests/unit/mutate $(TEST)

peers: $(PEERS) $(B)/tests/torture $(B)/tests/shunt-unordered $(B)/tests/shunt-next

# shunt without the rule that keeps bytes in order: the tests have to notice.
$(B)/tests/shunt-unordered: $(B)/shunt tests/unordered
	$(call SAY,MUTANT,$@)
	$(Q)+tests/unordered $@

# Another version, for the tests of 'shunt upgrade'.
$(B)/tests/shunt-next: $(B)/shunt tests/next
	$(call SAY,VERSION,$@)
	$(Q)+tests/next $(@D)

$(B)/tests/%: tests/peers/%.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE -Iinclude -Iloader $(CFLAGS) -MMD -MP -MF $@.d -pthread $< -o $@ $(LDLIBS)

$(B)/torture/%.o: tests/torture/%.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -pthread -c $< -o $@

$(B)/tests/torture: $(TORTURE)
	$(call SAY,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -pthread $^ -o $@

$(B)/bench/parts/%.o: bench/%.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/bench/tcp: $(filter $(B)/bench/parts/tcp/%,$(BENCH_PARTS))
$(B)/bench/tproxy: $(filter $(B)/bench/parts/tproxy/%,$(BENCH_PARTS))
$(B)/bench/steer: $(filter $(B)/bench/parts/steer/%,$(BENCH_PARTS))
$(B)/bench/tcp $(B)/bench/tproxy $(B)/bench/steer:
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)

$(B)/bench/%: bench/%.c
	$(call SAY,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(LDLIBS)

deps:
	$(Q)scripts/deps.sh test check

# Format, spelling, includes, linters; tests/check/check.bats runs the same.
check: $(B)/shunt.skel.h
	$(Q)scripts/deps.sh check
	$(Q)scripts/check

# Built by a second make: the tools may have come with deps just now.
test: deps
	$(Q)$(MAKE) --no-print-directory all peers sanitized $(BENCH)
	$(Q)tests/run

test-kernels:
	$(Q)scripts/deps.sh test kernels
	$(Q)$(MAKE) --no-print-directory all peers
	$(Q)TESTS="$${TESTS:-$(KERNEL_TESTS)}" LIMIT=$${LIMIT:-900} TIMEOUT=$${TIMEOUT:-3600} tests/kernels/run

# With the compilers and libraries of other releases (tests/releases/run).
test-releases:
	$(Q)scripts/deps.sh releases $(if $(OWN_KERNEL),kernels)
	$(Q)tests/releases/run

# Programs that know nothing of shunt, outside and inside; what is missing is
# skipped, the tests in their sources too. So are known differences
# (tests/programs/limits).
test-programs:
	$(Q)scripts/deps.sh test programs
	$(Q)$(MAKE) --no-print-directory all peers
	$(Q)tests/programs/sources >$(B)/sources.log 2>&1 || tail -n 3 $(B)/sources.log
	$(Q)tests/programs/run

# The Debian package, in a virtual machine with systemd.
test-package:
	$(Q)scripts/deps.sh package releases kernels
	$(Q)tests/package/run

test-torture:
	$(Q)scripts/deps.sh test
	$(Q)$(MAKE) --no-print-directory all peers
	$(Q)tests/torture/run

bench:
	$(Q)scripts/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all peers $(BENCH)
	$(Q)bench/run

include packaging/install.mk

clean:
	rm -rf $(B)

-include $(OBJ:.o=.d) $(SANITIZED:.o=.d) $(UNIT:=.d) $(UNIT_COMMON:.o=.d) $(BPF_OBJ:.o=.d) $(PEERS:=.d) $(TORTURE:.o=.d) $(BENCH_FILE:=.d) $(BENCH_PARTS:.o=.d) $(B)/bench/naive.bpf.d
