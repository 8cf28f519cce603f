// SPDX-License-Identifier: GPL-2.0-only
/* The programs that count for 'shunt monitor', and the interfaces that they are attached to. */
#include "cmd/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/iface_names.h"
#include "attach/tc.h"
#include "bpf/pins.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/options.h"

int monitor_add_iface(struct monitor *m, const char *name)
{
	struct watched_iface *more;
	unsigned int i;

	for (i = 0; i < m->n_ifaces; i++)
		if (!strcmp(m->ifaces[i].name, name))
			return 0;
	more = realloc(m->ifaces, (m->n_ifaces + 1) * sizeof(*more));
	if (!more)
		return fail(-ENOMEM, "monitor");
	m->ifaces = more;
	more += m->n_ifaces;
	*more = (struct watched_iface){ .in_link = -1, .out_link = -1 };
	if (strlen(name) >= sizeof(more->name))
		return deny(-ENODEV, "no interface '%s'", name);
	strcpy(more->name, name);
	m->n_ifaces++;
	return 0;
}

/* The table of attachments, as attachments_read() copies it; NULL without a monitor of load. */
static int loaded_states(const struct monitor *m, struct shunt_attachment **ret)
{
	*ret = NULL;
	return m->conf ? attachments_read(ret) : 0;
}

/* Whether load's programs count at the interface; name NULL: at any interface. */
static bool is_counted(const struct shunt_attachment *attachments, const char *name)
{
	int i;

	for (i = 0; attachments && i < SHUNT_ATTACHMENTS; i++)
		if (attachments[i].kind == ATTACH_MONITOR_IN &&
		    (!name || !strcmp(attachments[i].name, name)))
			return true;
	return false;
}

static bool load_counts(const struct monitor *m, const struct shunt_attachment *attachments)
{
	unsigned int i;

	for (i = 0; i < m->n_ifaces; i++)
		if (!is_counted(attachments, m->ifaces[i].name))
			return false;
	return is_counted(attachments, NULL);
}

static bool is_up(const char *name)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_UP;
}

static int add_all_up(struct monitor *m)
{
	struct if_nameindex *list = if_nameindex(), *i;
	int error = 0;

	if (!list)
		return fail(-errno, "can't list the interfaces");
	for (i = list; i->if_index && !error; i++)
		if (is_up(i->if_name))
			error = monitor_add_iface(m, i->if_name);
	if_freenameindex(list);
	return error;
}

static int find_ifaces(struct monitor *m)
{
	unsigned int i;

	for (i = 0; i < m->n_ifaces; i++) {
		m->ifaces[i].ifindex = if_nametoindex(m->ifaces[i].name);
		if (!m->ifaces[i].ifindex)
			return deny(-ENODEV, "no interface '%s'", m->ifaces[i].name);
	}
	return 0;
}

static int attach_one(struct monitor *m, struct watched_iface *iface)
{
	int error = tc_remove_orphans(iface->ifindex, iface->name);

	if (error)
		return error;
	iface->in = (struct shunt_attachment){
		.kind = ATTACH_MONITOR_IN,
		.ifindex = iface->ifindex,
		.owner = getpid(),
	};
	strcpy(iface->in.name, iface->name);
	iface->out = iface->in;
	iface->out.kind = ATTACH_MONITOR_OUT;
	error = tc_attach_link(&iface->in, m->own.in, &iface->in_link);
	return error ? error : tc_attach_link(&iface->out, m->own.out, &iface->out_link);
}

static int attach_own(struct monitor *m)
{
	const struct shunt_conf *steer = half_conf(HALF_STEER);
	unsigned int i;
	struct flow_maps maps;
	int error = private_monitor_open(&m->own);

	if (error)
		return error;
	error = monitor_prepare(m->own.monitor, steer ? steer->mark : 0);
	if (error)
		return error;
	maps = (struct flow_maps){ m->own.monitor, m->own.buckets, m->own.ways };
	error = flow_reader_open(&m->reader, &maps, false);
	for (i = 0; i < m->n_ifaces && !error; i++)
		error = attach_one(m, &m->ifaces[i]);
	return error;
}

static int open_loaded(struct monitor *m, const struct shunt_attachment *attachments)
{
	_cleanup_fd_ int monitor = pin_open(HALF_MONITOR, "maps", "shunt_monitor");
	_cleanup_fd_ int buckets = pin_open(HALF_MONITOR, "maps", "shunt_buckets");
	_cleanup_fd_ int ways = pin_open(HALF_MONITOR, "maps", "shunt_ways");
	const struct flow_maps maps = { monitor, buckets, ways };
	int i, error = 0;

	if (monitor < 0 || buckets < 0 || ways < 0)
		return deny(-ENOENT, "can't open the monitor's maps in '%s'", opt.pin_dir);
	for (i = 0; m->all && i < SHUNT_ATTACHMENTS && !error; i++)
		if (attachments[i].kind == ATTACH_MONITOR_IN)
			error = monitor_add_iface(m, attachments[i].name);
	m->all = false;
	return error ? error : flow_reader_open(&m->reader, &maps, true);
}

int monitor_attach(struct monitor *m)
{
	_cleanup_free_ struct shunt_attachment *attachments = NULL;
	_cleanup_lock_ int lock = pins_lock(false);
	int error;

	if (lock < 0 && lock != -ENOENT)
		return lock;
	m->conf = lock < 0 ? NULL : pin_mmap(HALF_MONITOR, "shunt_conf", NULL);
	m->labels = flow_labels_new();
	if (!m->labels)
		return fail(-ENOMEM, "monitor");
	error = find_ifaces(m);
	if (error)
		return error;
	error = loaded_states(m, &attachments);
	if (error)
		return error;
	if (load_counts(m, attachments))
		return open_loaded(m, attachments);
	if (m->all) {
		error = add_all_up(m);
		if (error)
			return error;
	}
	error = find_ifaces(m);
	return error ? error : attach_own(m);
}

void monitor_detach(struct monitor *m)
{
	unsigned int i;

	if (!m->own.skel)
		return;
	for (i = m->n_ifaces; i--;) {
		tc_detach_link(&m->ifaces[i].out, m->own.out, &m->ifaces[i].out_link);
		tc_detach_link(&m->ifaces[i].in, m->own.in, &m->ifaces[i].in_link);
	}
	private_monitor_close(&m->own);
}
