#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh [--check] [build|test|check|package|kernels|releases|programs|bench]...
#
# Installs the packages that are missing (Debian and Ubuntu); --check only
# names them and needs no root. Without a group: build, which the other
# groups include.

set -eu

declare -A groups=(
	# build, load, and see it work
	[build]='bpftool cgroup-tools clang gcc iproute2 kmod libbpf-dev
		libc6-dev libelf-dev libmicrohttpd-dev libmnl-dev make pkg-config socat zlib1g-dev'
	[test]='bats bind9-dnsutils curl dnsmasq-base ethtool haproxy iperf3 jq
		libcmocka-dev netcat-openbsd nftables procps shellcheck squid strace tcpdump
		tmux wireguard-tools'
	[check]='clang-format clang-tidy codespell cppcheck fish gcovr mandoc
		prometheus shellcheck zsh'
	# what 'make deb' needs
	[package]='apparmor debhelper dh-apparmor dpkg-dev jq lintian'
	[kernels]='busybox-static cpio qemu-system-x86 virtiofsd xz-utils'
	[releases]='debian-archive-keyring debootstrap'
	# programs that 'make test-programs' judges by; Go and Node if they are there
	[programs]='curl haproxy iperf3 jq liburing-dev nginx openssl postgresql
		postgresql-contrib python3 redis-server redis-tools tcl varnish wrk'
	[bench]='gnuplot-nox haproxy iperf3 iptables jq nftables nginx postgresql
		postgresql-contrib procps redis-server redis-tools wrk'
)
daemons='haproxy nginx postgresql prometheus redis-server squid varnish'

say()
{
	echo "deps: $*"
}

die()
{
	echo "deps: $*" >&2
	exit 1
}

usage_error()
{
	echo "deps: unknown argument '$1'; try: deps.sh [--check]" \
		"[build|test|check|package|kernels|releases|programs|bench]..." >&2
	exit 2
}

# Ubuntu's /usr/sbin/bpftool only forwards to the running kernel's tools
# package, so that it is there says nothing: it has to run.
bpftool_works()
{
	local tool

	for tool in bpftool /usr/sbin/bpftool /usr/lib/linux-tools/*/bpftool; do
		! "$tool" version >/dev/null 2>&1 || return 0
	done
	return 1
}

virtiofsd_exists()
{
	[ -x /usr/libexec/virtiofsd ] || [ -x /usr/lib/qemu/virtiofsd ]
}

missing()
{
	local name installed

	installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" \
		2>/dev/null || true)"

	for name; do
		case $name in
		bpftool) bpftool_works && continue ;;
		virtiofsd) virtiofsd_exists && continue ;;
		*) [[ $installed == *" installed:$name "* ]] && continue ;;
		esac
		echo "$name"
	done
}

available()
{
	apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# The name, or names, under which this release has a package.
package_of()
{
	local running
	running=linux-tools-$(uname -r)

	case $1 in
	bpftool)
		if available bpftool || ! available linux-tools-generic; then
			echo bpftool
		else
			echo linux-tools-generic
			! available "$running" || echo "$running"
		fi ;;
	virtiofsd)
		if available virtiofsd; then
			echo virtiofsd
		else
			echo qemu-system-common
		fi ;;
	*)
		echo "$1" ;;
	esac
}

packages_of()
{
	local name

	for name; do
		package_of "$name"
	done
}

log_apt_get()
{
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
	apt-get -y -q --no-install-recommends \
		-o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 \
		-o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold \
		"$@" >"$log" 2>&1 </dev/null
}

# Right after boot apt's daily job may hold the lock of the lists, for which
# apt-get does not wait by itself.
update_lists()
{
	local tries=24

	until log_apt_get update; do
		if ! grep -q 'Could not get lock' "$log" ||
		   [ $((tries -= 1)) = 0 ]; then
			say "apt-get update failed, going on with the lists there are"
			return
		fi
		sleep 5
	done
}

# Neither now nor at the next boot: the tests and benches start their own.
keep_daemons_off()
{
	policy=/usr/sbin/policy-rc.d

	if [ -e $policy ] || [ -L $policy ]; then
		policy=
	else
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
}

disable_new_daemons()
{
	local name

	command -v systemctl >/dev/null || return 0
	for name; do
		[[ " $daemons " != *" $name "* ]] ||
			systemctl -q disable "$name" >/dev/null 2>&1 || true
	done
}

install_packages()
{
	local packages left

	log=$(mktemp)
	policy=
	trap 'rm -f "$log" ${policy:+"$policy"}' EXIT

	update_lists
	mapfile -t packages < <(packages_of "$@")
	say "installing ${packages[*]}"
	keep_daemons_off
	if ! log_apt_get install "${packages[@]}"; then
		tail -n 20 "$log" >&2
		die "can't install ${packages[*]}"
	fi
	disable_new_daemons "$@"

	mapfile -t left < <(missing "$@")
	[ ${#left[@]} = 0 ] || die "installed, but still missing: ${left[*]}"
	say "done"
}

main()
{
	local check='' arg list=''
	local -A wanted=()
	local -a names absent

	for arg; do
		case $arg in
		--check) check=1 ;;
		*)
			[[ " ${!groups[*]} " == *" ${arg:-?} "* ]] || usage_error "$arg"
			wanted[$arg]=1
			;;
		esac
	done
	wanted[build]=1

	for arg in "${!wanted[@]}"; do
		list+=" ${groups[$arg]}"
	done
	mapfile -t names < <(tr -s '[:space:]' '\n' <<<"${list# }" | sort -u)

	command -v apt-get >/dev/null ||
		die "no apt-get here; install by hand: ${names[*]}"

	mapfile -t absent < <(missing "${names[@]}")
	[ ${#absent[@]} -gt 0 ] || exit 0

	if [ -n "$check" ]; then
		packages_of "${absent[@]}" | sed 's/^/missing: /'
		exit 1
	fi
	[ "$(id -u)" = 0 ] ||
		die "missing, and only root can install: ${absent[*]}"
	install_packages "${absent[@]}"
}

main "$@"
