/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF programs and the shunt program share: the values of the pinned
 * maps. Integers are in host byte order unless a field says otherwise;
 * addresses are in network byte order, IPv4 ones in the first four bytes.
 */
#ifndef SHUNT_ABI_H
#define SHUNT_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

#define SHUNT_ABI 15

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
};

/* Families that have shunt's rule and route. */
#define SHUNT_ROUTED_V4 1
#define SHUNT_ROUTED_V6 2

#define SHUNT_FLOW_WORDS 10 /* of 4 bytes, in what names a flow beside the family */

/* Settings that every program reads: shunt_conf[0]. */
struct shunt_conf {
	__u32 abi;        /* SHUNT_ABI */
	__u32 loaded;     /* set last by load, cleared first by unload */
	__u32 drain_mode; /* enum shunt_drain_mode */
	__u32 trace;      /* write lines to trace_pipe */
	__u64 max_bytes;  /* queued in one direction */
	__u64 max_pages;  /* of TCP memory in use on this host: above, TCP is used */
	__u32 max_msgs;   /* queued in one direction */
	__u32 host_msgs;  /* queued on this host */
	__u64 repair_ns;  /* when a member was last put into repair mode: CLOCK_MONOTONIC */
	__u64 beat_ns;    /* last heartbeat of the supervisor: CLOCK_MONOTONIC; 0: it ended */
	__u32 mark;       /* the bit set in skb->mark of a steered packet */
	__u32 table;      /* routing table that delivers marked packets */
	__u32 scan_seq;   /* number of the supervisor's scan of the paired sockets */
	__u32 assign_slots; /* this scan only tells sockets their entries of shunt_pairs */
	__u32 supervisor_asleep; /* the next new pair has to wake it */
	__u32 recv_flags_reported; /* this kernel reports the flags of receive calls */
	__u32 scan_sockets; /* paired sockets found by this scan */
	__u32 excludes;   /* entries of shunt_exclude */
	__u32 fionread_faulty; /* this kernel answers FIONREAD wrongly for members */
	__u32 watching;   /* a pair is WATCHED: its client's socket needs its storage */
	__u64 netns;      /* cookie of the network namespace of load: never another's */
	__u64 netns_inode; /* by which it is found; another may get it when that is gone */
	__u64 promoted;   /* pairs that the supervisor put on the fast path */
	__u64 demoted;    /* pairs that it took off the fast path while they were open */
	__u64 reclaimed;  /* entries of shunt_pairs taken from idle pairs for others */
	__u64 no_entry;   /* times that a busy pair found no entry of shunt_pairs */
	__u32 pair_entries; /* entries of shunt_pairs in use */
	__u32 pair_table_full; /* in the last seconds a busy pair found no entry */
	__u32 wakeups_pending; /* a socket's wakeup is set: shunt_wakeup has to run */
	__u32 splicer_seq; /* incremented when a process begins to splice */
	__u32 max_rules;
	__u32 shards;     /* of a tally: a power of two, at most SHUNT_SHARDS */
	__u32 counters_shared; /* there are more CPUs than shards */
	__u32 local;      /* there are, or were, rules with 'origin local' */
	__u32 accept_local; /* shunt switched lo's accept_local on: see loader/attach/loopback.c */
	__u32 nat;        /* NAT asks for routes */
	__u32 forwarding; /* shunt switched lo's forwarding on: likewise */
	__u32 router_mark; /* bits in the mark of what the router sends; 0: unknown */
	__u32 listeners_wanted; /* enum shunt_gathering: shunt_gather is to run */
	__u32 routed;     /* what delivers marked packets: SHUNT_ROUTED_V4, _V6 */
	__u64 router_cgroup; /* id of its cgroup, which is in shunt_router; 0: unknown */
	__u32 flow_buckets; /* of shunt_flows: a power of two */
	__u32 syncookie_tick; /* when a listener may last have sent a SYN cookie; 0: never */
	__u32 local_mark; /* mark and one more bit, both set if this host sent the packet */
	__u32 routers;    /* some router runs in another cgroup than its listener was made in */
	__u32 preference; /* of the first routing rule: see loader/attach/mark_rules.h */
	__u32 whole_tick; /* when a fragmented datagram last got a listener */
	__u64 flow_keys[2][SHUNT_FLOW_WORDS + 2]; /* secret: no flow can pose as another */
};

/* One attachment, written before it is made: shunt_state[]. */
enum shunt_kind {
	SHUNT_NONE = 0,
	SHUNT_CGROUP = 1,
	SHUNT_IFACE = 2,
	SHUNT_MONITOR_IN = 3,  /* of an interface */
	SHUNT_MONITOR_OUT = 4,
	SHUNT_NAT_IN = 5, /* of an interface */
	SHUNT_NAT_OUT = 6,
	SHUNT_NAT_RAW_IN = 7, /* of one without a link layer header */
	SHUNT_NAT_RAW_OUT = 8,
	SHUNT_LOCAL_OUT = 9, /* what this host sends: an interface's egress, */
	SHUNT_LOCAL_IN = 10, /* and lo's ingress */
	SHUNT_PATTERN = 11,  /* names interfaces, of which each has its own entry */
};

#define SHUNT_STATES 1024
#define SHUNT_NAME 240

struct shunt_state {
	__u16 kind;       /* enum shunt_kind */
	__u8 admit;       /* cgroup: enum shunt_admit */
	__u8 clsact;      /* interface: a clsact filter, not a tcx link */
	__u32 ifindex;    /* interface */
	__u16 priority;   /* clsact: of the filter */
	__u8 qdisc;       /* clsact: shunt made the qdisc */
	__u8 found;       /* interface: a pattern named it */
	__u32 owner;      /* clsact: pid of the one command it is for; 0: all */
	char name[SHUNT_NAME]; /* path of the cgroup, name of the interface, pattern */
};

/* Counters, one copy per CPU: shunt_count[0]. */
struct shunt_count {
	__u64 redirected_bytes;
	__u64 redirected_msgs;
	__u64 passed_bytes;   /* by members, through TCP */
	__u64 passed_msgs;
	__u64 promoted;       /* pairs that entered the map */
	__u64 demoted;        /* pairs that left it alive */
	__u64 map_full;       /* pairs left to TCP for want of room */
	__u64 steered_packets;
	__u64 steered_flows;
	__u64 no_listener;
	__u64 not_transparent; /* of those: the listener lacks IP_TRANSPARENT */
	__u64 reuseport;       /* it has SO_REUSEPORT, and the kernel is before 6.6 */
	__u64 fragments;
	__u64 steered_errors; /* ICMP errors about what a router has sent */
	__u64 malformed;
	__u64 nat_made;       /* flows */
	__u64 nat_ended;
	__u64 nat_unanswered; /* of the flows ended, those that nobody answered */
	__u64 nat_evicted;    /* of the flows ended, those that gave way to new ones */
	__u64 nat_straight;   /* of the flows made, those that go straight to a target */
	__u64 nat_packets;    /* rewritten, both ways */
	__u64 nat_refused;    /* packets of new flows dropped for want of room */
	__u64 nat_ports;      /* flows that got another source port */
	__u64 nat_errors;     /* ICMP errors rewritten */
	__u64 nat_fragments;  /* of flows, left alone: they came before the first one */
	__u64 nat_unroutable; /* dropped: no route to the target */
	__u64 routers_own;    /* first packets that were not steered back to the router */
	__u64 loops;          /* of those: connections that had come back to the router */
	__u64 translated;     /* first packets of this host left alone: see tc/translated.h */
	__u64 own_services;   /* first packets that rules left to this host's own services */
	__u64 resets;         /* TCP segments of connections that a router has forgotten */
	__u64 probes;         /* packets of 'shunt steer test --deliver' given to its socket */
	__u64 scratch;        /* of tc/steer.bpf.c */
};

/* What became of the packets of one 'shunt steer test --deliver': tc/probe.bpf.c. */
struct shunt_dropped {
	__u32 token;  /* their hash */
	__u32 count;  /* so many were dropped; the last one */
	__u32 reason; /* for this: enum skb_drop_reason of the kernel */
	__u32 mark;   /* with this mark */
};

/* A handshake between two sockets of this host: shunt_handshake[hash of its two initial
 * sequence numbers], so that both ends find it. A later handshake with the same hash
 * overwrites the slot; the pair of the earlier one stays plain. */
#define SHUNT_HANDSHAKES 2048

struct shunt_handshake {
	__u64 server;     /* cookie that the accepted socket will have; 0: the slot is free */
	__u64 check;      /* handshake_checksum() of the server's part */
	__u64 client;     /* cookie; 0 until the client is established */
	__u64 client_sk;  /* address of the client's socket in the kernel */
	__u64 client_check; /* handshake_checksum() of the client's part */
	__u32 client_isn;
	__u32 admit;      /* enum shunt_admit of the listener's cgroup */
};

/* A pair under 'proven' admission whose server has not received two segments with data
 * yet (most connections never do): shunt_pending[half the cookie of the server's socket].
 * Another pair may take the slot when that socket is no longer established. */
#define SHUNT_PENDING_PAIRS 8192

struct shunt_pending_pair {
	__u64 check;      /* checksum() of the other fields */
	__u64 server;     /* cookies; 0: the slot is free */
	__u64 client;
	__u64 server_sk;  /* addresses of the sockets in the kernel */
	__u64 client_sk;
};

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
	WHY_DRAINING,      /* unload waits for the queues to empty */
	WHY_PEER_ABSENT,   /* the other end is not in the map */
	WHY_SENDER_STATE,  /* the sender is not ESTABLISHED, nor CLOSE_WAIT with bytes queued */
	WHY_PEER_STATE,    /* the reader is not ESTABLISHED, nor FIN_WAIT1 or FIN_WAIT2 */
	WHY_TCP_BYTES,     /* bytes sent by TCP wait to be read */
	WHY_BLOCKING,      /* the reader's file lacks O_NONBLOCK */
	WHY_LOWAT,         /* the reader set SO_RCVLOWAT above 1 */
	WHY_ULP,           /* an end uses an upper layer protocol such as kTLS */
	WHY_ZEROCOPY,      /* the sender set SO_ZEROCOPY */
	WHY_URGENT,        /* sent with MSG_OOB, or by a 32-bit program */
	WHY_MAX_BYTES,     /* the reader's queue is at its bound */
	WHY_MAX_MSGS,      /* the same, in messages */
	WHY_HOST_MEMORY,   /* TCP memory in use is over the budget */
	WHY_NOT_BUSY,      /* too few segments to be watched */
	WHY_WATCHED,       /* too few receive calls of its readers were seen yet */
	WHY_JOINING,       /* waits to enter the map, until nothing is unread */
	WHY_LEAVING,       /* waits to leave the map, until its queues are empty */
	WHY_BACKOFF,       /* it left, and may be watched again later */
	WHY_SPLICE,        /* a reader splices or reads inside the kernel */
	WHY_RECV_FLAGS,    /* a reader uses MSG_WAITALL, MSG_OOB or MSG_TRUNC */
	WHY_INQ,           /* a reader set TCP_INQ */
	WHY_STREAM,        /* many bytes one way, without an answer */
	WHY_UNREAD,        /* bytes sent by TCP stay unread */
	WHY_PROCESS_SPLICES, /* the reading process spliced recently, on any connection */
	WHY_EXCLUDED,      /* the operator excluded the process */
	WHY_OPTION,        /* an end set time stamps, SO_PEEK_OFF, a filter or a pacing rate */
	WHY_FIONREAD,      /* a reader uses FIONREAD, which this kernel answers wrongly */
	WHY_MEMCG,         /* the reader's control group is near its memory limit */
	WHY_REFRESH,       /* now and then, so that firewalls see the connection */
	WHY_CORK,          /* the sender set TCP_CORK */
	WHY_BURST_TOO_LARGE, /* more bytes without an answer than ever before */
	WHY_TOO_FEW_EXCHANGES, /* the server has not answered twice: see shunt_pending */
	WHY_POLLS,         /* the reader polls without waiting, and holds its socket's lock */
	WHY_REPAIR,        /* an end is, or was about to be, in repair mode (TCP_REPAIR) */
	WHY_UNSUPERVISED,  /* no heartbeat of the supervisor for SHUNT_BEAT_LIMIT_NS */
	WHY_NO_ENTRY,      /* the pair is busy, but no entry of shunt_pairs is free */
	WHY_RECLAIMED,     /* the pair is idle, and another pair needs its entry */
	WHY_COUNT,
};

/* The stages of a pair under 'proven' admission. */
enum shunt_stage {
	STAGE_FREE = 0,    /* the entry of shunt_pairs is not in use */
	STAGE_WAITING,     /* by TCP, until retry_ns */
	STAGE_WATCHED,     /* by TCP, while the receive calls of both ends are watched */
	STAGE_JOINING,     /* by TCP; each end enters the map when it has nothing unread */
	STAGE_ACTIVE,      /* on the fast path */
	STAGE_LEAVING,     /* redirects only what follows redirected unread bytes */
	STAGE_EMPTYING,    /* redirects nothing; each end leaves the map once it is empty */
};

/* SHUNT_EMPTY_RECVS receive calls in a row that return nothing are a run. A reader with
 * SHUNT_EMPTY_RUNS runs polls without waiting. A reader that waits for events makes at most
 * one such call for each message. */
#define SHUNT_EMPTY_RECVS 4
#define SHUNT_EMPTY_RUNS 16

/* How far a pair is with LEAVING, and then EMPTYING. */
enum shunt_leave_phase {
	LEAVE_UNHANDLED = 0,  /* LEAVING; the supervisor has not handled the pair since */
	LEAVE_TIMED,          /* LEAVING since since_ns; no scan has read its queues yet */
	LEAVE_SCANNED,        /* LEAVING; a scan has read its queues */
	LEAVE_GRACE_PENDING,  /* EMPTYING; a redirect that began before may still go on */
	LEAVE_GRACE_OVER,     /* EMPTYING; all those redirects have ended */
};

/* A reader with this number of clean receive calls qualifies for the fast path. A clean call
 * does not wait, has no special flags and returns bytes to memory. */
#define SHUNT_CLEAN_RECVS 64

/* A process's name: TASK_COMM_LEN. */
#define SHUNT_COMM 16

enum shunt_end_index {
	END_CLIENT = 0,       /* the end that connected */
	END_SERVER = 1,       /* the end that accepted */
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
	__u32 stage;       /* enum shunt_stage */
	__u32 why;         /* enum shunt_why: why it is LEAVING, or WAITING */
	__u64 retry_ns;    /* WAITING until then: CLOCK_MONOTONIC, as all times here */
	__u32 backoff_ms;  /* how long the last WAITING was; 0: there was none */
	__u32 join_scans;  /* scans since JOINING began */
	__u32 leave_phase; /* enum shunt_leave_phase: in LEAVING and EMPTYING */
	__u32 skip_quiet;  /* LEAVING does not wait until the queues are empty */
	__u64 since_ns;    /* when this stage began */
	__u64 busy_ns;     /* when it was last seen to be in use */
	__u64 busy_msgs;   /* ACTIVE: messages that its ends had sent by busy_ns */
	__u64 cgroup;      /* id of the accepting end's cgroup */
	__u64 active_ns;   /* when it last became ACTIVE; 0: not since the last WAITING */
	struct shunt_end end[2]; /* enum shunt_end_index */
};

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
	__u8 kind;         /* enum shunt_exclude_kind */
	__u8 family;       /* prefix: AF_INET, AF_INET6 */
	__u8 len;          /* prefix: its length in bits */
	__u8 pad;
	__u16 low;         /* port range: first and last */
	__u16 high;
	__u8 addr[16];     /* prefix: network byte order */
	char comm[SHUNT_COMM]; /* process: its name */
};

/* Events in the ring buffer, which wake the supervisor. */
enum shunt_event { EVENT_PAIRED = 1, EVENT_LEAVING, EVENT_LISTENERS_WANTED };

/* One end of a pair, as a sender: socket storage shunt_sk. */
struct shunt_sk {
	__u64 cookie;       /* this socket's key in shunt_socks */
	__u64 peer_cookie;  /* the other end's key */
	__u64 peer;         /* address of the other end's socket in the kernel, 0: unknown */
	__u64 redirected_bytes;
	__u64 redirected_msgs;
	__u64 passed_bytes;
	__u64 passed_msgs;
	/* How many redirected messages are unread at most: redirected_msgs - read_msgs.
	 * The bytes still queued tell when the first next_bytes are read. Then the first
	 * next_msgs messages are read, too, and the present totals are the next ones. */
	__u64 read_msgs;    /* messages that have certainly been read */
	__u64 next_bytes;
	__u64 next_msgs;
	__u64 peer_msgs;    /* messages of the peer when the last burst began */
	__u64 passed_jiffies; /* when this end last sent a message by TCP */
	union {
		struct { /* a pair under 'proven' */
			__u32 burst_msgs;  /* messages since the peer last sent one */
			__u32 burst_bytes; /* their bytes; little more than STREAM_BYTES */
			__u32 answered_bytes; /* the largest burst the peer has answered */
			__u32 segs;        /* segments that both ends had received at the
					    * last scan that counted them */
		};
		struct { /* an eager pair; the scans are those that looked at it */
			__u32 interval_msgs;  /* messages sent between the last two scans */
			__u32 interval_bytes;
			__u32 scanned_bytes;  /* bytes sent until the last scan, modulo 2^32 */
			__u32 scanned_msgs;   /* messages sent until the last scan */
		};
	};
	__u32 slot;         /* index of the pair's entry in shunt_pairs, 0: none */
	__u32 last_scan;    /* scan_seq of the last scan that found the socket */
	__u16 unwaited_msgs; /* messages sent while nothing was queued and no thread waited */
	__u8 lock_waits;    /* of these, the ones that found the reader's socket locked */
	__u8 pad;
	__u8 eager;         /* an eager pair: blocking readers are allowed */
	__u8 is_client;     /* this end connected */
	__u8 why;           /* enum shunt_why of the last message */
	__u8 wakeup;        /* shunt_wakeup has to tell the reader that there are bytes */
};

/* A row of the iterators shunt_list, shunt_scan and shunt_drain: one socket. */
struct shunt_row {
	struct shunt_sk sk;
	__u64 queued;       /* bytes redirected to this socket and not read */
	__u64 cgroup;       /* id; shunt_scan only */
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;       /* AF_INET or AF_INET6 of the addresses */
	__u8 state;         /* TCP_ESTABLISHED … */
	__u8 member;        /* the socket is in shunt_socks */
};

/* One end of a connection that is older than the load: a row of shunt_adopt. */
struct shunt_older_conn {
	__u64 cookie;
	__u64 cgroup;      /* id: inode number of its directory */
	__u32 sent_isn;    /* first sequence numbers of its two streams; may be one too high */
	__u32 received_isn;
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 pad;
};

/*
 * The rules are kept in units of 64 bytes: the inner map shunt_rules[0], which
 * has as many units as are needed and is replaced by a larger one when it is
 * full. docs/architecture.md tells how a packet finds its rule there;
 * loader/index.h has what both sides compute.
 */
#define SHUNT_UNIT 64
#define SHUNT_SERVICE 32
#define SHUNT_IFNAME 16

struct shunt_unit {
	__u64 word[8];
};

/* Unit 0: what a search begins with. */
#define SHUNT_TABLES 4
#define SHUNT_FIXED 3 /* units 0 to 2 */

struct shunt_head {
	__u64 seed;
	__u32 levels[SHUNT_TABLES]; /* of each table, see loader/index.h: bit k says
				     * that it has prefixes of 4k + 1 to 4k + 4 bits */
	__u8 any[SHUNT_TABLES];     /* the table has prefixes of length 0 */
	__u8 few[SHUNT_TABLES];     /* of so few lengths that a search tries them all */
	__u32 filter;               /* first unit of the prefix filter */
	__u32 filter_mask;          /* its units - 1 */
	__u32 index;                /* first unit of the index */
	__u32 index_mask;
	__u32 scopes;               /* first unit of an array of struct shunt_scope */
	__u32 scope_count;
	__u32 pad[2];
};

/* Unit 1: which lengths the prefixes of each table have. Bit i of hi is for i + 1
 * bits, of lo for i + 65. */
struct shunt_lengths {
	struct {
		__u64 hi;
		__u64 lo;
	} of[SHUNT_TABLES];
};

/* An interface that rules name, as it was then. */
struct shunt_scope {
	char ifname[SHUNT_IFNAME];
	__u32 ifindex;
	__u32 pad[3];
};

/* Unit 2: what the loader needs to go on from there. */
struct shunt_book {
	__u32 units;       /* in all */
	__u32 top;         /* units from here on were never used */
	__u32 filter_used; /* slots */
	__u32 index_used;
	__u32 rules;
	__u32 free_at;     /* unit of an array of free tallies, used as a stack */
	__u32 free_count;
	__u32 free_room;
	__u32 tally_top;   /* tallies from here on were never used */
	__u32 sweep;       /* free tallies are still to be closed */
	/* One change to come: when slot holds value, there are rules rules,
	 * and tally is free. */
	__u32 change_slot; /* of the index, plus 1; 0: none */
	__u32 change_rules;
	__u32 change_tally; /* plus 1; 0: none */
	__u32 pad;
	__u64 change_value;
};

/* The filter and the index are hash tables of 64-bit slots, eight in a unit:
 * a tag above a value. 0 ends a chain, a value of 0 was deleted. The value is
 * in the filter a bitmap of prefixes, in the index a unit and what it holds. */
#define SHUNT_CHAIN 4 /* units in a chain, at most */
#define SHUNT_KIND 0xc0000000
#define SHUNT_BIN 0x40000000  /* struct shunt_bin */
#define SHUNT_RULE 0x80000000 /* struct shunt_rule, the only one at its port */
#define SHUNT_LIST 0xc0000000 /* struct shunt_list of those at its port */

/* A rule's destination ports. */
struct shunt_range {
	__u16 low;
	__u16 high;
	__u32 rule;
};

/* The rules of one destination and source prefix and interface. */
#define SHUNT_SMALL 3

struct shunt_bin {
	__u32 id;          /* the same for each copy of this bin */
	__u32 context;     /* table, or the id of the destination's bin */
	__u64 hi;          /* prefix: of the destination if the context is a table, */
	__u64 lo;          /* else of the source */
	__u8 len;
	__u8 bound;        /* bins for single interfaces are below this one */
	__u8 pad[2];
	__u32 ifindex;     /* 0: any */
	__u32 src_levels;  /* of the source prefixes below this bin */
	__u32 cells;       /* id of its single ports in the index, 0: the rules
			    * are just small[], in order */
	union {
		struct shunt_range small[SHUNT_SMALL];
		struct {
			__u32 ranges;  /* first unit of its shunt_ranges */
			__u32 loose;   /* struct shunt_list of rules with a range of
					* destination ports and some source ports */
		};
	};
};

/* Rules in order of precedence; goes on in the units that follow. */
struct shunt_list {
	__u32 count;
	__u32 rule[15];
};

/* The rules of a bin for a range of ports, whatever the source port. In the
 * units that follow: struct shunt_step, sorted by port; then struct shunt_lane,
 * one for each 1 << shift ports; then struct shunt_range, in order of
 * precedence. */
struct shunt_ranges {
	__u32 steps;
	__u32 shift;
	__u32 first_lane;  /* unit */
	__u32 ranges;
	__u32 first_range; /* unit */
	__u32 pad[11];
};

/* Which steps are for these ports: from low on, before high. */
struct shunt_lane {
	__u32 low;
	__u32 high;
};

/* From this port on to the next step that rule holds. */
struct shunt_step {
	__u32 port;
	__u32 rule;        /* 0: none */
};

enum shunt_action {
	SHUNT_PASS = 0,
	SHUNT_STEER = 1,
};

/* What a rule does with packets for an address of this host where a socket that is no
 * router's listens. */
enum shunt_own {
	SHUNT_OWN_TAKE = 0, /* they go to the router */
	SHUNT_OWN_KEEP = 1, /* they are left to that socket */
};

/* What a rule does with a TCP segment that belongs to no socket. */
enum shunt_unknown {
	SHUNT_UNKNOWN_AUTO = 0, /* it is reset if only the router can have had its connection */
	SHUNT_UNKNOWN_RESET,
	SHUNT_UNKNOWN_PASS,
};

/* Two units. Never changes once something leads to it. */
struct shunt_rule {
	__u32 bin;          /* id */
	__u32 tally;        /* its parts: from tally * conf.shards on in shunt_tallies[0] */
	__u16 dport_low;
	__u16 dport_high;
	__u16 sport_low;    /* 0 to 65535 when the rule does not say */
	__u16 sport_high;
	__u32 ifindex;      /* 0: any; SHUNT_NO_IFINDEX: not there yet */
	__u8 action;        /* enum shunt_action */
	__u8 family;        /* AF_INET, AF_INET6 */
	__u8 proto;         /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 old;           /* made by map_update */
	__u8 dst_len;       /* prefix lengths, in bits */
	__u8 src_len;
	__u16 to_port;
	__u8 own;           /* enum shunt_own */
	__u8 router;        /* the process that made it: entry of shunt_routers + 1; 0: none */
	__u8 shadowed;      /* in words only: see struct shunt_shadows */
	__u8 unknown;       /* enum shunt_unknown */
	__u8 to[16];        /* the listener's address, same family */
	__u8 dst[16];
	__u8 src[16];
	char ifname[SHUNT_IFNAME];
	char service[SHUNT_SERVICE];
};

#define SHUNT_NO_IFINDEX 0xffffffff

/* In the place of an interface: what this host itself sends, which rules for
 * any interface do not match. No interface can have the name. */
#define SHUNT_LOCAL_IFINDEX 0xfffffffe
#define SHUNT_LOCAL_IFNAME ":local"

/* What rules match: the key of shunt_shadowed. */
struct shunt_match {
	__u8 dst[16];
	__u8 src[16];
	char ifname[SHUNT_IFNAME];
	__u16 dport_low;
	__u16 dport_high;
	__u16 sport_low;
	__u16 sport_high;
	__u8 family;
	__u8 proto;
	__u8 dst_len;
	__u8 src_len;
	__u32 pad;
};

/* Services of a router may be for the same packets. The newest rule is in force, and
 * the others are kept here: no program reads them. */
#define SHUNT_MATCHES 8192
#define SHUNT_SHADOWS 31

struct shunt_shadow {
	__u8 to[16];
	char service[SHUNT_SERVICE];
	__u16 to_port;
	__u8 action;
	__u8 old;
	__u8 own;
	__u8 router;
	__u8 pad[2];
};

struct shunt_shadows {
	__u32 count;
	__u32 pad;
	struct shunt_shadow of[SHUNT_SHADOWS]; /* the newest first */
};

/* A process that made rules by the diverter: shunt_routers[]. Its number and its start
 * tell it from any other process since boot, as far as both are told alike: in the same
 * namespaces of PIDs and time. */
#define SHUNT_ROUTERS 255

struct shunt_router {
	__u64 started;      /* ticks of the clock since boot, as in /proc/PID/stat */
	__u32 pid;          /* 0: this entry is free */
	__u32 pid_ns;       /* inode numbers */
	__u32 time_ns;
	__u32 pad;
};

/* What a rule has done: one of conf.shards parts, in the inner map
 * shunt_tallies[0] (plain adds if each CPU has its own). */
#define SHUNT_SHARDS 4

struct shunt_tally {
	__u64 packets;
	__u64 bytes;
	__u64 flows;        /* TCP connection requests, and UDP flows */
	__u64 misses;       /* packets that found no listener */
	__u32 hit;          /* tick of the last packet that was given to the listener;
			     * at first of the rule's making */
	__u32 miss;         /* tick of the last packet that found no listener */
	__u32 birth;        /* one more whenever a rule takes this tally or leaves it:
			     * odd while there is one */
	__u32 pad;
	__u64 own;          /* first packets left to this host's own services */
	__u32 loops;        /* connections that had come back to the router */
	__u32 resets;       /* TCP segments of connections that the router has forgotten */
};

/* What shunt_test is asked, in cb[1] of its packet. */
enum shunt_question {
	ASK_RULE = 0,       /* the unit of the rule for the packet, 0: none */
	ASK_LISTENER,       /* does somebody listen at its destination: shunt_answer */
	ASK_OWN,            /* is it for a service of this host: 1, 0 */
};

enum shunt_answer {
	LISTENER_NONE = 0,
	LISTENER_OPAQUE,    /* without IP_TRANSPARENT */
	LISTENER_THERE,
};

/* UDP flows given to a listener, if load is not told otherwise. */
#define SHUNT_UDP_IDLE 60 /* ticks after which a UDP flow is a new one */

/* CLOCK_MONOTONIC in ticks of 1.07 seconds: no division in a program. */
#define SHUNT_TICKS(ns) ((__u32)((ns) >> 30))

struct shunt_flow {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u32 family;
	__u32 ifindex;
};

/* A flow, told by a keyed hash, and its listener. A reader may meet an entry that is
 * being written: check is the flow's hash and a sum of the entry's words. */
struct shunt_given {
	__u64 check;
	__u32 tally;        /* of the rule, as in shunt_rule */
	__u32 birth;        /* of that tally: a rule that is gone has no flows */
	__u8 to[16];
	__u16 to_port;      /* 0: a service of this host has the flow, while it listens */
	__u16 tag;          /* of the flow's hash; 0: free */
	__u32 seen;         /* tick */
};

/* shunt_flows[part of the flow's hash], two cache lines. With a flow to each on
 * average, one of fifty has more than there is room for. */
#define SHUNT_FLOW_WAYS 3

struct shunt_givens {
	struct shunt_given way[SHUNT_FLOW_WAYS];
	__u64 pad;
};

/* TCP connections that were steered, at shunt_steered[part of the flow's hash]: the upper
 * 48 bits of the hash, and when the connection began; 0: free. A bucket is a cache line. */
#define SHUNT_STEERED_WAYS 8
#define SHUNT_STEERED_BUCKETS 32768
#define SHUNT_STEERED_TICKS 64 /* a unit of that time, of which there are 65536 */

struct shunt_steered {
	__u64 way[SHUNT_STEERED_WAYS];
};

/* TCP flows without a socket that were let pass: as above, with the tick. */
#define SHUNT_LET_PASS 1024
#define SHUNT_LET_PASS_TICKS 4 /* after which a flow is judged again */

struct shunt_let_pass {
	__u64 flow[SHUNT_LET_PASS];
};

/* Fragmented UDP. */
#define SHUNT_FRAGMENTS 4096    /* datagrams kept in mind */
#define SHUNT_FRAGMENT_IDLE 30  /* ticks; the kernel waits as long for the rest */
#define SHUNT_LISTENERS 4096

/* Why listeners are to be gathered. */
enum shunt_gathering {
	GATHER_NOT = 0,
	GATHER_WANTED,      /* a datagram found its listener not at hand */
	GATHER_BOUND,       /* a listener has come: at once */
};

struct shunt_fragment {
	__u8 src[16];
	__u8 dst[16];
	__u32 id;           /* as it stands in the header */
	__u16 family;
	__u16 pad;
};

/* The address that a UDP socket is bound to. */
struct shunt_listener {
	__u8 addr[16];
	__u16 port;
	__u16 family;
};

struct shunt_whole {
	struct shunt_listener listener;
	__u32 tick;         /* of the first fragment */
	__u32 tally;        /* of the rule, and its birth, as in struct shunt_given */
	__u32 birth;
};

/*
 * What the monitor has seen. A flow belongs to one bucket of each CPU that met
 * it: shunt_buckets[], SHUNT_BUCKETS for each CPU in turn. It has at most one way
 * there: shunt_ways[], SHUNT_WAYS for each bucket in turn. With half a MiB a
 * CPU's share fits in its cache.
 */
#define SHUNT_BUCKETS 1024
#define SHUNT_WAYS 7

enum shunt_direction { SHUNT_IN = 1, SHUNT_OUT };

struct shunt_flow_counter {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;       /* 0: none, or in another fragment */
	__u16 dport;       /* not IP: the protocol of the link layer */
	__u32 ifindex;
	__u8 family;       /* AF_INET, AF_INET6, 0 if not IP */
	__u8 proto;        /* IPPROTO_TCP … */
	__u8 direction;    /* enum shunt_direction */
	__u8 pad;
	/* up to here it is the flow's key */
	__u32 last;        /* tick of its last packet */
	__u64 packets;
	__u64 bytes;
};

#define SHUNT_FLOW_KEY_WORDS 11 /* of 4 bytes, in the key */

struct shunt_bucket {
	__u32 tag[SHUNT_WAYS];  /* of the hash; 0: free */
	__u32 epoch;            /* four ticks, of the last packet */
	__u16 heat[SHUNT_WAYS];
	__u16 steered;          /* a bit for each way */
	__u64 missed_packets;   /* that are in none of the ways */
	__u64 missed_bytes;
};

/* What the monitor goes by: shunt_monitor[0]. */
struct shunt_monitor {
	__u64 keys[SHUNT_FLOW_KEY_WORDS + 1]; /* of the hash, random */
	__u32 mark;        /* the bits set in skb->mark of a steered packet */
	__u32 pad;
};

/*
 * NAT. A rule's port range is cut into aligned blocks of ports, so that a hash
 * finds the rule by the first bits of address and port: shunt_nat_match. How
 * many bits, the shapes tell, the rule to be preferred first. In the same way
 * it finds whether a packet goes straight to some rule's target.
 */
#define SHUNT_NAT_RULES 16384
#define SHUNT_NAT_MATCHES 65536
#define SHUNT_NAT_SHAPES 1024

struct shunt_nat_rule {
	__u8 used;
	__u8 family;        /* AF_INET, AF_INET6 */
	__u8 proto;         /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 dst_len;       /* prefix length, in bits */
	__u8 to_len;        /* dst_len: the bits after it stay; else all are set */
	__u8 pad;
	__u16 dport_low;
	__u16 dport_high;
	__u16 to_low;       /* 0: the port stays */
	__u16 to_high;      /* to_low, or a range as wide as dport's */
	__u16 pad2;
	__u32 ifindex;      /* where the route to the target led at the last look */
	__u8 dst[16];
	__u8 to[16];
	__u64 flows;
	__u64 refused;      /* new flows that found no room */
};

struct shunt_nat_match {
	__u8 dst[16];
	__u16 port;         /* first of the block */
	__u8 family;
	__u8 proto;
	__u8 dst_len;
	__u8 port_len;      /* bits, 16 for a single port */
	__u8 is_target;     /* of a rule, else its destination */
	__u8 pad;
};

struct shunt_nat_target {
	__u8 to[16];
	__u32 rule;         /* in shunt_nat_rules */
	__u32 ifindex;      /* as in struct shunt_nat_rule */
	__u16 dport_low;
	__u16 to_low;
	__u8 keep;          /* the bits of the address before this are set */
	__u8 shift;         /* the port moves by to_low - dport_low */
	__u8 pad[2];
};

/* What has shapes of its own: shunt_nat_shapes[] holds two for each, of which
 * shunt_nat tells one. */
enum shunt_nat_group { NAT_DST4, NAT_DST6, NAT_TARGET4, NAT_TARGET6, NAT_GROUPS };

struct shunt_nat_shapes {
	__u32 count;
	__u32 pad;
	struct {
		__u8 dst_len;
		__u8 port_len;
	} shape[SHUNT_NAT_SHAPES];
};

/* Those that rules have, or had lately, in dport or of their targets; a packet
 * to another one is none of NAT's business: shunt_nat_ports[], of TCP and UDP. */
struct shunt_nat_ports {
	__u64 bits[65536 / 64];
};

/* Settings: shunt_nat[0]. */
enum shunt_nat_idle {
	NAT_OPENING = 0,    /* nothing has come back yet */
	NAT_TCP,
	NAT_CLOSING,        /* one end has closed */
	NAT_CLOSED,         /* both have, or one has reset */
	NAT_UDP,
	NAT_IDLES,
};

struct shunt_nat {
	__u64 idle_ns[NAT_IDLES]; /* without packets, until a flow ends */
	__u32 current[NAT_GROUPS]; /* shapes in force */
	__u32 changes;      /* of the rules, so far */
	__u32 rules;        /* entries of shunt_nat_rules in use, the free ones too */
	__u32 changing;     /* a command changes the rules, or was killed at it */
	__u32 flows;        /* room for so many */
};

/* A flow has two entries in shunt_nat_flows, for the packets that go out (as
 * they are before) and for those that come back (likewise). */
enum shunt_nat_direction { NAT_OUT = 1, NAT_IN, NAT_PIECE_OUT, NAT_PIECE_IN };

/* How packets get to the target from where they are. */
enum shunt_nat_how {
	NAT_PASS = 0, /* as they are */
	NAT_MAC,      /* to the link layer address that is known */
	NAT_NEIGHBOR, /* by the kernel, which resolves the next hop */
	NAT_LOCAL,    /* it is on this host */
	NAT_UNROUTED, /* no route */
	NAT_STRAIGHT, /* as they are, and unchanged: it keeps its port from others */
};

struct shunt_nat_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 sport;
	__u16 dport;
	__u8 family;
	__u8 proto;
	__u8 direction;     /* enum shunt_nat_direction */
	__u8 pad;
};

struct shunt_nat_flow {
	struct shunt_nat_key other; /* the flow's other entry */
	__u64 seen_ns;      /* last packet this way; coarse CLOCK_MONOTONIC */
	__u64 route_ns;     /* out: until then what follows holds */
	__u64 packets;
	__u64 bytes;
	__u32 rule;
	__u32 ifindex;      /* that the packets out left by before */
	__u32 oif;          /* out: and by now; in: by which the answers should come */
	union {
		__u32 fallback; /* out: and by if no program may ask for routes */
		__u32 changes;  /* straight: how many there were at the last look */
	};
	__u8 how;           /* enum shunt_nat_how; in: if it is straight */
	__u8 tcp_flags;     /* of all packets this way that fit the connection */
	__u8 last_flags;    /* of the last one */
	__u8 raw;           /* ifindex has no link layer header */
	__u8 home[6];       /* link layer address of ifindex */
	__u8 macs[12];      /* out: the next hop's and oif's; in: oif's */
	__u16 id;           /* random */
	/* of TCP: what tc/nat_tcp.h knows of the packets this way */
	__u32 seq_end;      /* the number after the last one */
	__u32 ack;          /* the highest that was acknowledged */
	__u32 syn;          /* the number after the last SYN's */
	__u32 fin;          /* the number after a FIN that came early; 0: none did */
	__u32 share;        /* out: who counts it, by its source */
	__u32 pad;
};

_Static_assert(sizeof(struct shunt_conf) == 424, "shunt_conf");
_Static_assert(sizeof(struct shunt_state) == 256, "shunt_state");
_Static_assert(sizeof(struct shunt_handshake) == 48, "shunt_handshake");
_Static_assert(sizeof(struct shunt_pending_pair) == 40, "shunt_pending_pair");
_Static_assert(sizeof(struct shunt_sk) == 128, "shunt_sk");
_Static_assert(sizeof(struct shunt_exclude) == 40, "shunt_exclude");
_Static_assert(sizeof(struct shunt_end) == 72, "shunt_end");
_Static_assert(sizeof(struct shunt_pair) == 216, "shunt_pair");
_Static_assert(sizeof(struct shunt_older_conn) == 64, "shunt_older_conn");
_Static_assert(sizeof(struct shunt_row) == 184, "shunt_row");
_Static_assert(sizeof(struct shunt_unit) == SHUNT_UNIT, "shunt_unit");
_Static_assert(sizeof(struct shunt_head) == SHUNT_UNIT, "shunt_head");
_Static_assert(sizeof(struct shunt_lengths) == SHUNT_UNIT, "shunt_lengths");
_Static_assert(sizeof(struct shunt_book) == SHUNT_UNIT, "shunt_book");
_Static_assert(sizeof(struct shunt_bin) == SHUNT_UNIT, "shunt_bin");
_Static_assert(sizeof(struct shunt_list) == SHUNT_UNIT, "shunt_list");
_Static_assert(sizeof(struct shunt_ranges) == SHUNT_UNIT, "shunt_ranges");
_Static_assert(sizeof(struct shunt_rule) == 2 * SHUNT_UNIT, "shunt_rule");
_Static_assert(sizeof(struct shunt_match) == 64, "shunt_match");
_Static_assert(sizeof(struct shunt_shadow) == 56, "shunt_shadow");
_Static_assert(sizeof(struct shunt_shadows) == 1744, "shunt_shadows");
_Static_assert(sizeof(struct shunt_router) == 24, "shunt_router");
_Static_assert(sizeof(struct shunt_tally) == 64, "shunt_tally");
_Static_assert(sizeof(struct shunt_flow) == 44, "shunt_flow");
_Static_assert(sizeof(struct shunt_fragment) == 40, "shunt_fragment");
_Static_assert(sizeof(struct shunt_listener) == 20, "shunt_listener");
_Static_assert(sizeof(struct shunt_whole) == 32, "shunt_whole");
_Static_assert(sizeof(struct shunt_given) == 40, "shunt_given");
_Static_assert(sizeof(struct shunt_givens) == 128, "shunt_givens");
_Static_assert(sizeof(struct shunt_steered) == 64, "shunt_steered");
_Static_assert(sizeof(struct shunt_flow_counter) == 64, "shunt_ways");
_Static_assert(sizeof(struct shunt_bucket) == 64, "shunt_bucket");
_Static_assert(sizeof(struct shunt_monitor) == 104, "shunt_monitor");
_Static_assert(sizeof(struct shunt_nat_rule) == 72, "shunt_nat_rule");
_Static_assert(sizeof(struct shunt_nat_match) == 24, "shunt_nat_match");
_Static_assert(sizeof(struct shunt_nat_target) == 32, "shunt_nat_target");
_Static_assert(sizeof(struct shunt_nat_shapes) == 2056, "shunt_nat_shapes");
_Static_assert(sizeof(struct shunt_nat) == 72, "shunt_nat");
_Static_assert(sizeof(struct shunt_nat_key) == 40, "shunt_nat_key");
_Static_assert(sizeof(struct shunt_nat_flow) == 136, "shunt_nat_flow");

#endif
