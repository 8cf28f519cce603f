// SPDX-License-Identifier: GPL-2.0-only
/* Each map is a memory file: its fd can be closed, copied and mapped like that of a map. */
#include "fake_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/halves.h"
#include "unit.h"

#define MAPS 64

struct map {
	int fd; /* stays open until fake_reset() */
	ino_t inode;
	char name[32];
	void *memory;
	size_t size; /* of the memory */
	__u32 key_size, value_size;
	__u32 entries; /* of an array; a hash table: at most */
	__u32 count;   /* of a hash table: in use */
	struct map *inner;
	bool is_array; /* of fake_array() */
};

static struct map maps[MAPS];
static int fail_in, fail_errno;

void fake_fail(int n, int error)
{
	fail_in = n;
	fail_errno = error;
}

static bool fails_now(void)
{
	if (!fail_in || --fail_in)
		return false;
	errno = fail_errno;
	return true;
}

static struct map *map_new(const char *name, __u32 key_size, __u32 value_size, __u32 entries)
{
	struct map *m = maps;
	struct stat st;

	while (m < maps + MAPS && m->memory)
		m++;
	assert_true(m < maps + MAPS);
	*m = (struct map){ .key_size = key_size, .value_size = value_size, .entries = entries };
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->size = (size_t)value_size * entries;
	m->fd = memfd_create(name, MFD_CLOEXEC);
	assert_true(m->fd >= 0);
	assert_int_equal(ftruncate(m->fd, m->size), 0);
	assert_int_equal(fstat(m->fd, &st), 0);
	m->inode = st.st_ino;
	m->memory = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	assert_true(m->memory != MAP_FAILED);
	return m;
}

static void map_free(struct map *m)
{
	munmap(m->memory, m->size);
	close(m->fd);
	*m = (struct map){};
}

/* Returns the map of a copy of its fd. */
static struct map *map_at(int fd)
{
	struct stat st;
	int i;

	assert_int_equal(fstat(fd, &st), 0);
	for (i = 0; i < MAPS; i++)
		if (maps[i].memory && maps[i].inode == st.st_ino)
			return &maps[i];
	fail_msg("no map at this fd");
	return NULL;
}

static struct map *map_named(const char *name)
{
	int i;

	for (i = 0; i < MAPS; i++)
		if (maps[i].memory && !strcmp(maps[i].name, name))
			return &maps[i];
	return NULL;
}

void *fake_array(const char *name, size_t size)
{
	struct map *m = map_named(name);

	if (!m)
		m = map_new(name, 4, size, 1);
	assert_true(size <= m->size);
	m->is_array = true;
	return memset(m->memory, 0, m->size);
}

int fake_hash(const char *name, size_t key_size, size_t value_size, size_t most)
{
	struct map *m = map_new(name, key_size, key_size + value_size, most);

	m->value_size = value_size;
	return m->fd;
}

int fake_outer(const char *name)
{
	return map_new(name, 4, 4, 1)->fd;
}

void *fake_inner(int outer, size_t *ret_size)
{
	struct map *m = map_at(outer)->inner;

	*ret_size = m ? m->size : 0;
	return m ? m->memory : NULL;
}

size_t fake_count(int fd)
{
	return map_at(fd)->count;
}

void fake_reset(void)
{
	struct map *m;

	/* a caller of pin_mmap() may keep the memory for good */
	for (m = maps; m < maps + MAPS; m++)
		if (m->memory && !m->is_array)
			map_free(m);
	fail_in = 0;
}

/* --- interfaces ------------------------------------------------------------------- */

unsigned int fake_ifindex(const char *name, unsigned int ifindex)
{
	static unsigned int of[10];
	unsigned int *at = &of[name[4] % 10];

	*at = ifindex ? ifindex : *at;
	return *at;
}

unsigned int __real_if_nametoindex(const char *name);
unsigned int __wrap_if_nametoindex(const char *name);

unsigned int __wrap_if_nametoindex(const char *name)
{
	return strncmp(name, "fake", 4) ? __real_if_nametoindex(name) : fake_ifindex(name, 0);
}

/* --- hash tables ----------------------------------------------------------------- */

static char *entry_at(const struct map *m, __u32 i)
{
	return (char *)m->memory + (size_t)i * (m->key_size + m->value_size);
}

static char *entry_find(const struct map *m, const void *key)
{
	__u32 i;

	for (i = 0; i < m->count; i++)
		if (!memcmp(entry_at(m, i), key, m->key_size))
			return entry_at(m, i);
	return NULL;
}

/* --- what the linker calls instead of libbpf and bpf/pins.h --------------------------- */

int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size,
			  __u32 value_size, __u32 entries, const void *opts);
int __wrap_bpf_obj_get_info_by_fd(int fd, void *info, __u32 *len);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next);
int __wrap_bpf_map_get_fd_by_id(__u32 id);
int __wrap_pin_open(enum half half, const char *kind, const char *name);
void *__wrap_pin_mmap(enum half half, const char *name, size_t *ret_size);
int __wrap_netns_require_loaded(void);

int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size,
			  __u32 value_size, __u32 entries, const void *opts)
{
	(void)opts;
	assert_int_equal(type, BPF_MAP_TYPE_ARRAY);
	if (fails_now())
		return -1;
	return dup(map_new(name, key_size, value_size, entries)->fd);
}

int __wrap_bpf_obj_get_info_by_fd(int fd, void *info, __u32 *len)
{
	struct bpf_map_info *i = info;
	const struct map *m = map_at(fd);

	assert_true(*len >= sizeof(*i));
	i->value_size = m->value_size;
	i->max_entries = m->entries;
	return 0;
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct map *m = map_at(fd);
	const char *entry;

	if (m->inner) {
		*(__u32 *)value = m->inner - maps + 1;
		return 0;
	}
	entry = entry_find(m, key);
	if (!entry) {
		errno = ENOENT;
		return -1;
	}
	memcpy(value, entry + m->key_size, m->value_size);
	return 0;
}

int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct map *m = map_at(fd);
	char *entry;

	assert_int_equal(flags, BPF_ANY);
	if (fails_now())
		return -1;
	if (m->entries == 1 && m->value_size == 4 && m->key_size == 4 && !m->count) {
		if (m->inner)
			map_free(m->inner);
		m->inner = map_at(*(const int *)value);
		return 0;
	}
	entry = entry_find(m, key);
	if (!entry && m->count == m->entries) {
		errno = E2BIG;
		return -1;
	}
	if (!entry)
		entry = entry_at(m, m->count++);
	memcpy(entry, key, m->key_size);
	memcpy(entry + m->key_size, value, m->value_size);
	return 0;
}

int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	struct map *m = map_at(fd);
	char *entry = entry_find(m, key);

	if (!entry) {
		errno = ENOENT;
		return -1;
	}
	memmove(entry, entry_at(m, --m->count), m->key_size + m->value_size);
	return 0;
}

int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next)
{
	const struct map *m = map_at(fd);
	const char *entry = key ? entry_find(m, key) : NULL;
	__u32 i = entry ? (entry - (char *)m->memory) / (m->key_size + m->value_size) + 1 : 0;

	if (i >= m->count) {
		errno = ENOENT;
		return -1;
	}
	memcpy(next, entry_at(m, i), m->key_size);
	return 0;
}

int __wrap_bpf_map_get_fd_by_id(__u32 id)
{
	return dup(maps[id - 1].fd);
}

int __wrap_pin_open(enum half half, const char *kind, const char *name)
{
	const struct map *m = map_named(name);

	(void)half;
	(void)kind;
	return m ? dup(m->fd) : -ENOENT;
}

void *__wrap_pin_mmap(enum half half, const char *name, size_t *ret_size)
{
	const struct map *m = map_named(name);

	(void)half;
	if (!m) {
		errno = ENOENT;
		return NULL;
	}
	if (ret_size)
		*ret_size = m->size;
	return m->memory;
}

int __wrap_netns_require_loaded(void)
{
	return 0;
}
