# SPDX-License-Identifier: GPL-2.0-only
# What 'make install' puts where. Included by the Makefile.

DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/shunt
# Where systemd looks, also below /usr/local.
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(LIBDIR)/systemd/system
SYSUSERSDIR ?= $(LIBDIR)/sysusers.d
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
SYSCONFDIR ?= /etc

UNITS := $(wildcard packaging/systemd/*.service)
PAGES := $(patsubst docs/man/%,$(B)/man/%,$(wildcard docs/man/*.[58]))
DROP_INS := $(wildcard packaging/systemd/drop-ins/*/*.conf)
EXAMPLES := $(wildcard packaging/examples/*)

# install_in FOLDER,FILE...: with the mode of data
install_in = install -d $(DESTDIR)$1 && install -m 0644 $2 $(DESTDIR)$1
# The files name programs by the paths that a package has.
put_paths = sed -i 's|/usr/sbin/|$(SBINDIR)/|g' $(addprefix $(DESTDIR)$1/,$(notdir $2))

.PHONY: man
all: man
man: $(PAGES)

# The options of 'shunt load' come from the program.
$(B)/man/%: docs/man/% docs/man/fill $(B)/shunt
	$(call SAY,MAN,$@)
	@mkdir -p $(@D)
	$(Q)$(B)/shunt load help | docs/man/fill $< >$@

# man_in SECTION
man_in = $(call install_in,$(MANDIR)/man$1,$(filter %.$1,$(PAGES))) && \
	$(call put_paths,$(MANDIR)/man$1,$(filter %.$1,$(PAGES)))

install: all
	install -d $(DESTDIR)$(SBINDIR)
	install -m 0755 $(B)/shunt $(DESTDIR)$(SBINDIR)/shunt
	for a in $(ALIASES); do ln -sf shunt $(DESTDIR)$(SBINDIR)/$$a; done
	$(call install_in,$(UNITDIR),$(UNITS))
	$(call put_paths,$(UNITDIR),$(UNITS))
	install -d $(DESTDIR)$(SYSUSERSDIR)
	install -m 0644 packaging/systemd/shunt.sysusers $(DESTDIR)$(SYSUSERSDIR)/shunt.conf
	for f in $(DROP_INS:packaging/systemd/drop-ins/%=%); do install -D -m 0644 \
		packaging/systemd/drop-ins/$$f $(DESTDIR)$(DOCDIR)/examples/$$f || exit 1; done
	$(call man_in,5)
	$(call man_in,8)
	ln -sf shunt-diverter.8 $(DESTDIR)$(MANDIR)/man8/map_update.8
	ln -sf shunt-diverter.8 $(DESTDIR)$(MANDIR)/man8/map_delete_elem.8
	install -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 0644 packaging/completion/shunt.bash $(DESTDIR)$(BASHDIR)/shunt
	install -m 0644 packaging/completion/_shunt $(DESTDIR)$(ZSHDIR)/_shunt
	install -m 0644 packaging/completion/shunt.fish $(DESTDIR)$(FISHDIR)/shunt.fish
	$(call install_in,$(DOCDIR)/examples,$(EXAMPLES))
	$(call put_paths,$(DOCDIR)/examples,$(EXAMPLES))
	install -d $(DESTDIR)$(SYSCONFDIR)/shunt
	[ -e $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf ] || \
		install -m 0644 packaging/shunt.conf $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf

.PHONY: deb
deb:
	$(Q)scripts/deps.sh package
	$(Q)packaging/deb

# A configuration that was changed stays.
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/shunt $(ALIASES:%=$(DESTDIR)$(SBINDIR)/%)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS)))
	rm -f $(DESTDIR)$(SYSUSERSDIR)/shunt.conf
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man5/,$(notdir $(filter %.5,$(PAGES))))
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man8/,$(notdir $(filter %.8,$(PAGES))) $(ALIASES:=.8))
	rm -f $(DESTDIR)$(BASHDIR)/shunt $(DESTDIR)$(ZSHDIR)/_shunt $(DESTDIR)$(FISHDIR)/shunt.fish
	rm -rf $(DESTDIR)$(DOCDIR)
	! cmp -s packaging/shunt.conf $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf || \
		rm $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf
	-rmdir $(DESTDIR)$(SYSCONFDIR)/shunt 2>/dev/null
