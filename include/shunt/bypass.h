/* SPDX-License-Identifier: GPL-2.0-only */
/* The bypass: handshakes, pairs, and what programs print of them. */
#ifndef SHUNT_ABI_BYPASS_H
#define SHUNT_ABI_BYPASS_H

#include <linux/types.h>

/* How a cgroup's connections get on the fast path. A pair is eager if both its ends are in
 * eager cgroups. */
enum shunt_admit {
	SHUNT_PROVEN = 0, /* after the receive calls of both ends were watched */
	SHUNT_EAGER = 1,  /* at once: the operator knows that its programs are fit for it */
};

/* How the verdicts end the bypass. */
enum shunt_drain_mode {
	DRAIN_OFF = 0,
	DRAIN_ALL,         /* every message goes by TCP */
	DRAIN_KEEP_QUEUED, /* every message but those that follow redirected unread bytes */
	DRAIN_RESET,       /* as DRAIN_ALL; a socket that was reset leaves with its bytes */
};

/* A handshake between two sockets of this host: shunt_handshake[hash of its two initial
 * sequence numbers], so that both ends find it. A later handshake with the same hash
 * overwrites the slot; the pair of the earlier one stays plain. */
#define SHUNT_HANDSHAKES 2048

struct shunt_handshake {
	__u64 server;       /* cookie that the accepted socket will have; 0: the slot is free */
	__u64 check;        /* handshake_checksum() of the server's part */
	__u64 client;       /* cookie; 0 until the client is established */
	__u64 client_sk;    /* address of the client's socket in the kernel */
	__u64 client_check; /* handshake_checksum() of the client's part */
	__u32 client_isn;
	__u16 admit;        /* enum shunt_admit of the listener's cgroup */
	__u16 client_admit; /* of the client's cgroup */
};

_Static_assert(sizeof(struct shunt_handshake) == 48, "shunt_handshake");

/* A pair under 'proven' admission whose server has not received two segments with data
 * yet (most connections never do): shunt_pending[half the cookie of the server's socket].
 * Another pair may take the slot when that socket is no longer established. */
#define SHUNT_PENDING_PAIRS 8192

struct shunt_pending_pair {
	__u64 check;  /* checksum() of the other fields */
	__u64 server; /* cookies; 0: the slot is free */
	__u64 client;
	__u64 server_sk; /* addresses of the sockets in the kernel */
	__u64 client_sk;
};

_Static_assert(sizeof(struct shunt_pending_pair) == 40, "shunt_pending_pair");

/*
 * The supervisor writes beat_ns this often. When the last heartbeat is older than the
 * limit, pairs under 'proven' send by TCP again: without the supervisor nobody would take a
 * pair off the fast path, or reset a reader that begins to splice.
 */
#define SHUNT_BEAT_NS 200000000ULL
#define SHUNT_BEAT_LIMIT_NS 1000000000LL

/* For this long after a TCP_REPAIR call eager pairs send by TCP: until the socket's own
 * flag is set, and for the calls by which a checkpoint reads the socket after that. */
#define SHUNT_REPAIR_NS 1000000000LL

/* Why a message, or a whole pair, goes by TCP. */
enum shunt_why {
	WHY_REDIRECTED = 0,
	WHY_DRAINING,          /* unload waits for the queues to empty */
	WHY_PEER_ABSENT,       /* the other end is not in the map */
	WHY_SENDER_STATE,      /* the sender is not ESTABLISHED, nor CLOSE_WAIT with bytes queued */
	WHY_PEER_STATE,        /* the reader is not ESTABLISHED, nor FIN_WAIT1 or FIN_WAIT2 */
	WHY_TCP_BYTES,         /* bytes sent by TCP wait to be read */
	WHY_BLOCKING,          /* the reader's file lacks O_NONBLOCK */
	WHY_LOWAT,             /* the reader set SO_RCVLOWAT above 1 */
	WHY_ULP,               /* an end uses an upper layer protocol such as kTLS */
	WHY_ZEROCOPY,          /* the sender set SO_ZEROCOPY */
	WHY_URGENT,            /* sent with MSG_OOB, or by a 32-bit program */
	WHY_MAX_BYTES,         /* the reader's queue is at its bound */
	WHY_MAX_MSGS,          /* the same, in messages */
	WHY_HOST_MEMORY,       /* TCP memory in use is over the budget */
	WHY_NOT_BUSY,          /* too few segments to be watched */
	WHY_WATCHED,           /* too few receive calls of its readers were seen yet */
	WHY_JOINING,           /* waits to enter the map, until nothing is unread */
	WHY_LEAVING,           /* waits to leave the map, until its queues are empty */
	WHY_BACKOFF,           /* it left, and may be watched again later */
	WHY_SPLICE,            /* a reader splices or reads inside the kernel */
	WHY_RECV_FLAGS,        /* a reader uses MSG_WAITALL, MSG_OOB or MSG_TRUNC */
	WHY_INQ,               /* a reader set TCP_INQ */
	WHY_STREAM,            /* many bytes one way, without an answer */
	WHY_UNREAD,            /* bytes sent by TCP stay unread */
	WHY_PROCESS_SPLICES,   /* the reading process spliced recently, on any connection */
	WHY_EXCLUDED,          /* the operator excluded the process */
	WHY_OPTION,            /* an end set time stamps, SO_PEEK_OFF, a filter or a pacing rate */
	WHY_FIONREAD,          /* a reader uses FIONREAD, which this kernel answers wrongly */
	WHY_MEMCG,             /* the reader's control group is near its memory limit */
	WHY_REFRESH,           /* now and then, so that firewalls see the connection */
	WHY_CORK,              /* the sender set TCP_CORK */
	WHY_BURST_TOO_LARGE,   /* more bytes without an answer than ever before */
	WHY_TOO_FEW_EXCHANGES, /* the server has not answered twice: see shunt_pending */
	WHY_POLLS,             /* the reader polls without waiting, and holds its socket's lock */
	WHY_REPAIR,            /* an end is, or was about to be, in repair mode (TCP_REPAIR) */
	WHY_UNSUPERVISED,      /* no heartbeat of the supervisor for SHUNT_BEAT_LIMIT_NS */
	WHY_NO_ENTRY,          /* the pair is busy, but no entry of shunt_pairs is free */
	WHY_RECLAIMED,         /* the pair is idle, and another pair needs its entry */
	WHY_COUNT,
};

/* The stages of a pair under 'proven' admission. */
enum shunt_stage {
	STAGE_FREE = 0, /* the entry of shunt_pairs is not in use */
	STAGE_WAITING,  /* by TCP, until retry_ns */
	STAGE_WATCHED,  /* by TCP, while the receive calls of both ends are watched */
	STAGE_JOINING,  /* by TCP; each end enters the map when it has nothing unread */
	STAGE_ACTIVE,   /* on the fast path */
	STAGE_LEAVING,  /* redirects only what follows redirected unread bytes */
	STAGE_EMPTYING, /* no new redirects, but behind unread bytes of a reader that splices; each
			 * end leaves the map once its queue is empty */
};

/* SHUNT_EMPTY_RECVS receive calls in a row that return nothing are a run. A reader with
 * SHUNT_EMPTY_RUNS runs polls without waiting. A reader that waits for events makes at most
 * one such call for each message. */
#define SHUNT_EMPTY_RECVS 4
#define SHUNT_EMPTY_RUNS 16

/* How far a pair is with LEAVING, and then EMPTYING. */
enum shunt_leave_phase {
	LEAVE_UNHANDLED = 0, /* LEAVING; the supervisor has not handled the pair since */
	LEAVE_TIMED,         /* LEAVING since since_ns; no scan has read its queues yet */
	LEAVE_SCANNED,       /* LEAVING; a scan has read its queues */
	LEAVE_GRACE_PENDING, /* EMPTYING; a redirect that began before may still go on */
	LEAVE_GRACE_OVER,    /* EMPTYING; all those redirects have ended */
};

/* A reader with this number of clean receive calls qualifies for the fast path. A clean call
 * does not wait, has no special flags and returns bytes to memory. */
#define SHUNT_CLEAN_RECVS 64

/* A process's name: TASK_COMM_LEN. */
#define SHUNT_COMM 16

enum shunt_end_index {
	END_CLIENT = 0, /* the end that connected */
	END_SERVER = 1, /* the end that accepted */
};

/* One end of a pair under 'proven' admission, as a reader. A scan writes the fields
 * 'at the last scan'. */
struct shunt_end {
	__u64 cookie;
	__u64 msgs;        /* messages that this end has sent while the pair was ACTIVE */
	__u32 clean_recvs; /* clean receive calls seen */
	__u32 last_scan;   /* scan_seq of the last scan that found the socket */
	__u32 unread_seq;  /* copied_seq at unread_since_ns; 0: no bytes by TCP are unread */
	__u32 tgid;        /* process of the last receive call */
	__u8 member;       /* the socket is in shunt_socks: on the fast path */
	__u8 was_quiet;    /* while watched, a scan has found nothing unread at this end */
	__u8 queued;       /* redirected bytes were unread at the last scan */
	__u8 fault;        /* enum shunt_why: keeps the pair off the fast path */
	__u8 to_reset;     /* shunt_reset has to reset the socket */
	__u8 stalled;      /* at the last scan the same bytes were unread as at the one before */
	__u8 empty_recvs;  /* receive calls since the last clean one that returned nothing */
	__u8 empty_runs;   /* clean calls that followed SHUNT_EMPTY_RECVS empty ones */
	__u32 tcp_cost;    /* of what this end sent by TCP as a member: see skmsg/account.h */
	__u32 first_msg;   /* while leaving: part of the address of the first redirected
			    * message that was unread at the last scan; 0: there was none */
	char comm[SHUNT_COMM]; /* name of that process */
	__u64 unread_since_ns; /* when a scan first found bytes by TCP unread, with that
				* copied_seq */
};

_Static_assert(sizeof(struct shunt_end) == 72, "shunt_end");

/*
 * A member that leaves bytes by TCP unread for longer leaves the fast path. On a kernel
 * with a wrong FIONREAD its answer may have told the reader that there are no bytes. On
 * other kernels no such cause is known; there the longer limit is a precaution.
 */
#define SHUNT_UNREAD_FAULTY_NS 200000000ULL
#define SHUNT_UNREAD_NS 1000000000ULL

/* Entry of shunt_pairs[]; index 0 is not used. The supervisor makes and frees entries and
 * changes their stages. Programs write what they observe; the only stage that they set is
 * STAGE_LEAVING. */
#define SHUNT_PAIRS 16384

struct shunt_pair {
	__u32 stage;             /* enum shunt_stage */
	__u32 why;               /* enum shunt_why: why it is LEAVING, or WAITING */
	__u64 retry_ns;          /* WAITING until then: CLOCK_MONOTONIC, as all times here */
	__u32 backoff_ms;        /* how long the last WAITING was; 0: there was none */
	__u32 join_scans;        /* scans since JOINING began */
	__u32 leave_phase;       /* enum shunt_leave_phase: in LEAVING and EMPTYING */
	__u32 skip_quiet;        /* LEAVING does not wait until the queues are empty */
	__u64 since_ns;          /* when this stage began */
	__u64 busy_ns;           /* when it was last seen to be in use */
	__u64 busy_msgs;         /* ACTIVE: messages that its ends had sent by busy_ns */
	__u64 cgroup;            /* id of the accepting end's cgroup */
	__u64 active_ns;         /* when it last became ACTIVE; 0: not since the last WAITING */
	struct shunt_end end[2]; /* enum shunt_end_index */
};

_Static_assert(sizeof(struct shunt_pair) == 216, "shunt_pair");

/* An eager pair is a stream of small messages, for which TCP is faster, if between two scans
 * one end sends SHUNT_STREAM_MSGS messages or more, of less than SHUNT_STREAM_MEAN bytes on
 * average, and the other end at most one message for SHUNT_STREAM_SHARE of these. */
#define SHUNT_STREAM_MSGS 1024
#define SHUNT_STREAM_MEAN 8192
#define SHUNT_STREAM_SHARE 16

/* The reader of an active pair polls without waiting if SHUNT_LOCK_WAITS messages of
 * SHUNT_UNWAITED_MSGS, for which no thread waited, found the reader's socket locked. */
#define SHUNT_LOCK_WAITS 4
#define SHUNT_UNWAITED_MSGS 1024

/* A port range, prefix or process that the operator keeps off the fast path:
 * shunt_exclude[]. */
#define SHUNT_EXCLUDES 64

enum shunt_exclude_kind { EXCLUDE_PORT = 1, EXCLUDE_PREFIX, EXCLUDE_PROCESS };

struct shunt_exclude {
	__u8 kind;   /* enum shunt_exclude_kind */
	__u8 family; /* prefix: AF_INET, AF_INET6 */
	__u8 len;    /* prefix: its length in bits */
	__u8 pad;
	__u16 low; /* port range: first and last */
	__u16 high;
	__u8 addr[16];         /* prefix: network byte order */
	char comm[SHUNT_COMM]; /* process: its name */
};

_Static_assert(sizeof(struct shunt_exclude) == 40, "shunt_exclude");

/* Events in the ring buffer, which wake the supervisor. */
enum shunt_event { EVENT_PAIRED = 1, EVENT_LEAVING, EVENT_LISTENERS_WANTED };

/* One end of a pair, as a sender: socket storage shunt_sk. */
struct shunt_sk {
	__u64 cookie;      /* this socket's key in shunt_socks */
	__u64 peer_cookie; /* the other end's key */
	__u64 peer;        /* address of the other end's socket in the kernel, 0: unknown */
	__u64 redirected_bytes;
	__u64 redirected_msgs;
	__u64 passed_bytes;
	__u64 passed_msgs;
	/* How many redirected messages are unread at most: redirected_msgs - read_msgs.
	 * The bytes still queued tell when the first next_bytes are read. Then the first
	 * next_msgs messages are read, too, and the present totals are the next ones. */
	__u64 read_msgs; /* messages that have certainly been read */
	__u64 next_bytes;
	__u64 next_msgs;
	__u64 peer_msgs;      /* messages of the peer when the last burst began */
	__u64 passed_jiffies; /* when this end last sent a message by TCP */
	union {
		struct {                      /* a pair under 'proven' */
			__u32 burst_msgs;     /* messages since the peer last sent one */
			__u32 burst_bytes;    /* their bytes; little more than STREAM_BYTES */
			__u32 answered_bytes; /* the largest burst the peer has answered */
			__u32 segs;           /* segments that both ends had received at the
					       * last scan that counted them */
		};
		struct { /* an eager pair; the scans are those that looked at it */
			__u32 interval_msgs; /* messages sent between the last two scans */
			__u32 interval_bytes;
			__u32 scanned_bytes; /* bytes sent until the last scan, modulo 2^32 */
			__u32 scanned_msgs;  /* messages sent until the last scan */
		};
	};
	__u32 slot;          /* index of the pair's entry in shunt_pairs, 0: none */
	__u32 last_scan;     /* scan_seq of the last scan that found the socket */
	__u16 unwaited_msgs; /* messages sent while nothing was queued and no thread waited */
	__u8 lock_waits;     /* of these, the ones that found the reader's socket locked */
	__u8 pad;
	__u8 eager;     /* an eager pair: blocking readers are allowed */
	__u8 is_client; /* this end connected */
	__u8 why;       /* enum shunt_why of the last message */
	__u8 wakeup;    /* shunt_wakeup has to tell the reader that there are bytes */
};

_Static_assert(sizeof(struct shunt_sk) == 128, "shunt_sk");

/* A row of the iterators shunt_list, shunt_scan and shunt_drain: one socket. */
struct shunt_row {
	struct shunt_sk sk;
	__u64 queued; /* bytes redirected to this socket and not read */
	__u64 cgroup; /* id; shunt_scan only */
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family; /* AF_INET or AF_INET6 of the addresses */
	__u8 state;   /* TCP_ESTABLISHED … */
	__u8 member;  /* the socket is in shunt_socks */
};

_Static_assert(sizeof(struct shunt_row) == 184, "shunt_row");

/* One end of a connection that is older than the load: a row of shunt_adopt. */
struct shunt_older_conn {
	__u64 cookie;
	__u64 cgroup;   /* id: inode number of its directory */
	__u32 sent_isn; /* first sequence numbers of its two streams; may be one too high */
	__u32 received_isn;
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 pad;
};

_Static_assert(sizeof(struct shunt_older_conn) == 64, "shunt_older_conn");

#endif
