# SPDX-License-Identifier: GPL-2.0-only
# What 'make install' puts where. Included by the Makefile.

DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/shunt
# Where systemd looks, also below /usr/local.
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(LIBDIR)/systemd/system
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
SYSCONFDIR ?= /etc

UNITS := $(wildcard packaging/systemd/*.service)
EXAMPLES := $(wildcard packaging/examples/*.conf)

# install_in FOLDER,FILE...: with the mode of data
install_in = install -d $(DESTDIR)$1 && install -m 0644 $2 $(DESTDIR)$1
# The files name programs by the paths that a package has.
put_paths = sed -i 's|/usr/sbin/|$(SBINDIR)/|g' $(addprefix $(DESTDIR)$1/,$(notdir $2))

install: all
	install -d $(DESTDIR)$(SBINDIR)
	install -m 0755 $(B)/shunt $(DESTDIR)$(SBINDIR)/shunt
	for a in $(ALIASES); do ln -sf shunt $(DESTDIR)$(SBINDIR)/$$a; done
	$(call install_in,$(UNITDIR),$(UNITS))
	$(call put_paths,$(UNITDIR),$(UNITS))
	$(call install_in,$(DOCDIR)/examples,$(EXAMPLES))
	$(call put_paths,$(DOCDIR)/examples,$(EXAMPLES))
	install -d $(DESTDIR)$(SYSCONFDIR)/shunt
	[ -e $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf ] || \
		install -m 0644 packaging/shunt.conf $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf

# A configuration that was changed stays.
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/shunt $(ALIASES:%=$(DESTDIR)$(SBINDIR)/%)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS)))
	rm -rf $(DESTDIR)$(DOCDIR)
	! cmp -s packaging/shunt.conf $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf || \
		rm $(DESTDIR)$(SYSCONFDIR)/shunt/shunt.conf
	-rmdir $(DESTDIR)$(SYSCONFDIR)/shunt 2>/dev/null
