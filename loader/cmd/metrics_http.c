// SPDX-License-Identifier: GPL-2.0-only
#include "cmd/metrics_http.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/microhttpd.h"
#include "util/options.h"

#define CLIENTS 16         /* connections at the same time; others wait */
#define CLIENT_SEC 10      /* for a connection, however slow its client is */
#define CLIENT_MEMORY 8192 /* for the head of a request */
#define SCRAPE_MS 5000     /* for the process that prints; Prometheus waits 10 s */
#define MAX_OUTPUT (64 << 20)

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

static struct microhttpd http;
static bool with_rules;

/* --- one scrape ---------------------------------------------------------------------- */

/* Begins this program anew, so that nothing is remembered of halves that are gone. */
static void print_metrics(int out, bool openmetrics)
{
	const struct rlimit most = { MAX_OUTPUT, MAX_OUTPUT };
	char *words[8] = { (char *)"shunt", (char *)"--pin-dir", (char *)opt.pin_dir,
			   (char *)"metrics" };
	int count = 4;

	if (openmetrics)
		words[count++] = (char *)"--openmetrics";
	if (with_rules)
		words[count++] = (char *)"--rules";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	setrlimit(RLIMIT_FSIZE, &most);
	if (dup2(out, 1) < 0 || syscall(SYS_close_range, 3U, ~0U, 0U))
		_exit(1);
	execv("/proc/self/exe", words);
	_exit(1);
}

/* A process that was ended but is still there, as one may be that waits in the kernel; 0: none. */
static pid_t stuck;

/* Waits for the process, and ends it if it takes too long. */
static int wait_for(pid_t pid)
{
	_cleanup_fd_ int fd = syscall(SYS_pidfd_open, pid, 0U);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status = 0;

	if (fd >= 0 && poll(&p, 1, SCRAPE_MS) == 1) {
		waitpid(pid, &status, 0);
		return status ? -EIO : 0;
	}
	kill(pid, SIGKILL);
	stuck = pid;
	return fail(-ETIMEDOUT, "the process that prints metrics");
}

/* Whether a process is stuck, so that no other one is to be started. */
static bool is_stuck(void)
{
	if (stuck && waitpid(stuck, NULL, WNOHANG))
		stuck = 0;
	return stuck;
}

/* Returns a file with the metrics, or -errno. */
static int scrape(bool openmetrics)
{
	_cleanup_fd_ int out = memfd_create("metrics", MFD_CLOEXEC);
	pid_t pid;
	int error;

	if (out < 0)
		return -errno;
	if (is_stuck())
		return -ETIMEDOUT;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		print_metrics(out, openmetrics);
	error = wait_for(pid);
	return error ? error : take_fd(&out);
}

/* --- requests ------------------------------------------------------------------------ */

/* Sends the answer and frees it. Each connection is for one request, so that none stays open between two. */
static enum MHD_Result send_answer(struct MHD_Connection *c, unsigned int code,
				   struct MHD_Response *r)
{
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	http.add_response_header(r, "Connection", "close");
	result = http.queue_response(c, code, r);
	http.destroy_response(r);
	return result;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned int code, const char *text)
{
	struct MHD_Response *r = http.create_response_from_buffer(strlen(text), (void *)text,
								  MHD_RESPMEM_PERSISTENT);

	if (r && code == MHD_HTTP_METHOD_NOT_ALLOWED)
		http.add_response_header(r, "Allow", "GET, HEAD");
	if (r)
		http.add_response_header(r, "Content-Type", "text/plain; charset=utf-8");
	return send_answer(c, code, r);
}

static enum MHD_Result send_metrics(struct MHD_Connection *c)
{
	bool openmetrics = accepts_openmetrics(
		http.lookup_connection_value(c, MHD_HEADER_KIND, "Accept"));
	_cleanup_fd_ int fd = scrape(openmetrics);
	struct MHD_Response *r;
	struct stat s;

	if (fd == -ETIMEDOUT)
		return send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "shunt took too long\n");
	if (fd < 0 || fstat(fd, &s))
		return send_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
				 "shunt can't read its state; the errors of 'shunt run' tell why\n");
	r = http.create_response_from_fd64(s.st_size, fd);
	if (!r)
		return MHD_NO;
	take_fd(&fd); /* the response closes it */
	http.add_response_header(r, "Content-Type", openmetrics ? OPENMETRICS : TEXT);
	return send_answer(c, MHD_HTTP_OK, r);
}

static enum MHD_Result answer(void *data, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_size, void **state)
{
	(void)data;
	(void)version;
	(void)body;
	(void)body_size;
	(void)state;
	if (strcmp(url, "/metrics"))
		return send_text(c, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	return send_metrics(c);
}

/* --- connections --------------------------------------------------------------------- */

static struct client {
	int fd;
	__u64 since_ns; /* 0: this entry is free */
} clients[CLIENTS];

static void note_client(void *data, struct MHD_Connection *c, void **state,
			enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	int i;

	(void)data;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*state)
			((struct client *)*state)->since_ns = 0;
		return;
	}
	info = http.get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (i = 0; i < CLIENTS && info; i++) {
		if (clients[i].since_ns)
			continue;
		clients[i] = (struct client){ info->connect_fd, monotonic_ns() };
		*state = &clients[i];
		return;
	}
}

/* Cuts connections that last too long: the time-out of the library begins again with each byte. Returns
 * whether any connection is left. */
static bool cut_slow_clients(void)
{
	bool any = false;
	int i;

	for (i = 0; i < CLIENTS; i++) {
		if (!clients[i].since_ns)
			continue;
		any = true;
		if (monotonic_ns() - clients[i].since_ns > CLIENT_SEC * NS_PER_SEC)
			shutdown(clients[i].fd, SHUT_RDWR);
	}
	return any;
}

int metrics_http_serve(const struct metrics_http *h)
{
	struct MHD_Daemon *daemon;
	int error = microhttpd_load(&http);

	if (error)
		return error;
	with_rules = h->rules;
	signal(SIGPIPE, SIG_IGN);
	daemon = http.start_daemon(MHD_NO_FLAG, 0, NULL, NULL, answer, NULL,
				   MHD_OPTION_LISTEN_SOCKET, h->listener,
				   MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CLIENTS,
				   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_MEMORY,
				   MHD_OPTION_NOTIFY_CONNECTION, note_client, NULL, MHD_OPTION_END);
	if (!daemon)
		return deny(-EIO, "libmicrohttpd does not start");
	if (write(h->ready, "", 1) != 1)
		return -errno;
	close(h->ready);
	while (http.run_wait(daemon, cut_slow_clients() ? 1000 : -1) == MHD_YES)
		;
	return deny(-EIO, "libmicrohttpd has failed");
}
