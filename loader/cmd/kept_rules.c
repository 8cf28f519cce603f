// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/kept_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attach/fragment_listeners.h"
#include "cmd/services.h"
#include "config/rule_file.h"
#include "rules/routers.h"
#include "rules/rule_copy.h"
#include "rules/rule_store.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/netns.h"
#include "util/run_dir.h"

/* The first line: the version of the format, the boot, the cookie of the network namespace, and a
 * checksum of the lines that follow. Each of those is for one rule, the newest of those for the same
 * packets first: the router's PID, its start, its PID namespace, its time namespace, the rule. */
#define HEADER "shunt-kept-rules 1 %36s %llu %llx\n"
#define BOOT_ID 37
#define KEPT_PATH 4096

struct kept {
	struct shunt_router router;
	struct shunt_rule rule;
};

static bool kept_path(char path[KEPT_PATH], const char *suffix)
{
	return !run_dir_path(path, KEPT_PATH, suffix);
}

static __u64 checksum(const char *text, size_t len)
{
	__u64 sum = 0xcbf29ce484222325; /* FNV-1a */

	while (len--)
		sum = (sum ^ (unsigned char)*text++) * 0x100000001b3;
	return sum;
}

/* A PID and its start mean nothing after a reboot. */
static bool read_boot_id(char id[BOOT_ID])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool read = f && fscanf(f, "%36s", id) == 1;

	if (f)
		fclose(f);
	return read;
}

/* --- unload ---------------------------------------------------------------------------- */

/* Prints the rules whose router runs. Returns how many. */
static __u32 print_kept(FILE *out, const struct rule_copy *copy, __u32 count)
{
	char text[RULE_TEXT];
	struct shunt_router router;
	struct shunt_rule rule;
	__u32 i, kept = 0;

	for (i = 0; i < count; i++) {
		rule = copy[i].rule;
		if (!rule.router || router_gone(rule.router))
			continue;
		router = router_at(rule.router);
		rule.shadowed = 0; /* the order of the lines tells */
		rule_format(&rule, text, sizeof(text));
		fprintf(out, "%u %llu %u %u %s\n", router.pid, (unsigned long long)router.started,
			router.pid_ns, router.time_ns, text);
		kept++;
	}
	return kept;
}

/* Returns how many rules are in *ret, or -errno after reporting it. */
static int collect(char **ret, size_t *ret_len)
{
	_cleanup_free_ const struct shunt_rule **all = NULL;
	_cleanup_free_ struct rule_copy *copy = NULL;
	__u32 count = 0, kept;
	FILE *out;
	int error;

	error = rules_sorted(&all, &count);
	if (error)
		return error;
	error = rules_copy(all, count, &copy, &count);
	if (error)
		return error;
	out = open_memstream(ret, ret_len);
	if (!out)
		return fail(-ENOMEM, "the rules");
	kept = print_kept(out, copy, count);
	return fclose(out) ? fail(-ENOMEM, "the rules") : (int)kept;
}

/* Returns 0, or -errno without a message. */
static int write_text(const char *path, const char *text, size_t len)
{
	char boot[BOOT_ID];
	FILE *f;
	int fd, error = 0;

	if (!read_boot_id(boot))
		return -ENOENT;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		error = -errno;
		close_fd(&fd);
		return error;
	}
	if (fprintf(f, HEADER, boot, (unsigned long long)own_netns_cookie(),
		    (unsigned long long)checksum(text, len)) < 0 ||
	    fwrite(text, 1, len, f) != len)
		error = -errno;
	if (fclose(f) && !error)
		error = -errno;
	return error;
}

static int write_file(const char *text, size_t len)
{
	char path[KEPT_PATH], new[KEPT_PATH];
	int error;

	if (!kept_path(path, ".rules") || !kept_path(new, ".rules.new"))
		return -ENAMETOOLONG;
	if (mkdir(RUN_DIR, 0755) && errno != EEXIST)
		return -errno;
	unlink(new); /* of a command that was killed */
	error = write_text(new, text, len);
	if (!error && rename(new, path))
		error = -errno;
	if (error)
		unlink(new);
	return error;
}

/* Returns how many rules were kept, or -errno after reporting it. */
static int keep_rules(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int kept, error = rules_open();

	if (error)
		return error;
	kept = collect(&text, &len);
	rules_close();
	if (kept <= 0 || !text)
		return kept;
	error = write_file(text, len);
	return error ? fail(error, "can't keep the rules of routers in '%s'", RUN_DIR) : kept;
}

void kept_rules_write(void)
{
	int kept = routers_none() ? 0 : keep_rules();

	if (kept <= 0)
		kept_rules_forget();
	else
		say("kept %d rule%s of routers that run for the next load of steering; 'shunt "
		    "unload --forget' drops %s",
		    kept, kept == 1 ? "" : "s", kept == 1 ? "it" : "them");
}

/* --- load -------------------------------------------------------------------------------- */

static int not_restored(const char *path, const char *why)
{
	warn("the rules of routers in '%s' are not brought back: %s", path, why);
	return -EINVAL;
}

/* Refuses a file that another user may have written. Returns the size, or -errno after reporting
 * it. */
static ssize_t check_owner(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid || st.st_mode & 022)
		return not_restored(path, "the file is not root's own");
	return st.st_size;
}

/* Reads all of the file and ends the text with a zero byte. Returns its length, 0 if there is no
 * file, or -errno after reporting it. */
static ssize_t read_file(const char *path, char **ret)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	ssize_t size, got;

	if (fd < 0)
		return errno == ENOENT ? 0 : not_restored(path, strerror(errno));
	size = check_owner(fd, path);
	if (size < 0)
		return size;
	text = malloc(size + 1);
	got = text ? read(fd, text, size) : -1;
	if (got != size)
		return not_restored(path, "the file can't be read");
	text[size] = '\0';
	*ret = text;
	text = NULL;
	return size;
}

/* Checks the first line and ends it with a zero byte. Returns the lines that follow, NULL after
 * reporting what is wrong. */
static char *check_header(const char *path, char *text, size_t len)
{
	char boot[BOOT_ID], own_boot[BOOT_ID] = "", *body = memchr(text, '\n', len);
	unsigned long long netns, sum;
	const char *why = NULL;

	if (!body || sscanf(text, HEADER, boot, &netns, &sum) != 3)
		why = "the file is damaged, or of another version of shunt";
	else if (checksum(body + 1, text + len - body - 1) != sum || memchr(text, '\0', len))
		why = "the file is damaged";
	else if (!read_boot_id(own_boot) || strcmp(boot, own_boot))
		why = "the host was booted since";
	else if (netns != own_netns_cookie())
		why = "they are of another network namespace";
	if (why)
		not_restored(path, why);
	return why ? NULL : body + 1;
}

static bool parse_line(char *line, struct kept *ret)
{
	char *word[RULE_FILE_WORDS];
	unsigned long long started;
	int used = 0, count;

	*ret = (struct kept){};
	if (sscanf(line, "%u %llu %u %u %n", &ret->router.pid, &started, &ret->router.pid_ns,
		   &ret->router.time_ns, &used) != 4 ||
	    !ret->router.pid)
		return false;
	ret->router.started = started;
	count = rule_file_split(line + used, word);
	return count > 0 && !rule_parse(count, word, &ret->rule);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

/* Returns the number of rules, or -errno after reporting it. */
static int parse_lines(const char *path, char *text, struct kept **ret)
{
	_cleanup_free_ struct kept *kept = calloc(count_lines(text) + 1, sizeof(*kept));
	char *rest = text, *line;
	int n = 0;

	if (!kept)
		return fail(-ENOMEM, "the rules of routers");
	while ((line = strtok_r(rest, "\n", &rest)))
		if (!parse_line(line, &kept[n++]))
			return not_restored(path, "a line is no rule");
	*ret = kept;
	kept = NULL;
	return n;
}

/* Adds the rules, the oldest of those for the same packets first. */
static void add_rules(struct kept *kept, int count)
{
	int i, back = 0, ended = 0;

	for (i = count; i--;) {
		const struct shunt_rule *rule = &kept[i].rule;

		kept[i].rule.router = router_restore(&kept[i].router);
		if (!rule->router) {
			ended++;
			continue;
		}
		if (service_add(rule))
			break;
		listeners_add_wanted(&rule, 1);
		back++;
	}
	if (back)
		say("%d rule%s of routers that run %s back", back, back == 1 ? "" : "s",
		    back == 1 ? "is" : "are");
	if (ended)
		say("%d rule%s of a router that has ended since unload %s not brought back", ended,
		    ended == 1 ? "" : "s", ended == 1 ? "is" : "are");
}

void kept_rules_restore(void)
{
	_cleanup_free_ struct kept *kept = NULL;
	_cleanup_free_ char *text = NULL;
	char path[KEPT_PATH], *body;
	ssize_t len;
	int count;

	if (!kept_path(path, ".rules"))
		return;
	len = read_file(path, &text);
	if (len <= 0)
		return;
	body = check_header(path, text, len);
	count = body ? parse_lines(path, body, &kept) : 0;
	if (count > 0)
		add_rules(kept, count);
}

/* Longer than a load takes. */
#define RECENT_SEC 10

bool kept_rules_are_recent(void)
{
	char path[KEPT_PATH];
	struct stat st;

	return kept_path(path, ".rules") && !lstat(path, &st) &&
	       time(NULL) - st.st_mtime < RECENT_SEC;
}

void kept_rules_remove(void)
{
	char path[KEPT_PATH];

	if (kept_path(path, ".rules"))
		unlink(path);
	if (kept_path(path, ".rules.new"))
		unlink(path);
}

void kept_rules_forget(void)
{
	kept_rules_remove();
	rmdir(RUN_DIR); /* others may have files there */
}
