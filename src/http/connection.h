/* SPDX-License-Identifier: BSD-3-Clause */
/* What server.c, connection.c, share.c and exchange.c have in common: the server, its connections and their exchanges.
 * Not for other folders.
 *
 * server.c accepts, counts and ends; connection.c reads and decides what happens next; exchange.c answers. An idle
 * connection costs one `struct http_connection`; what a request needs is in its exchange, taken from a small pool. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <netinet/in.h>
#include <uv.h>

#include "http/answer.h"
#include "http/request.h"

enum {
	READ_BYTES = 65536, /* one read; shared by all connections of a server */
	POOLED_EXCHANGES_MAX = 256,
	REFUSED_CONNECTIONS_MAX = 128, /* beyond a limit, told 503; any more are closed without a word */
	LINGER_MS = 2000,	       /* how long a peer may go on sending after its last answer */
	LINGER_BYTES_MAX = 16 << 20,
	REQUESTS_PER_TURN_MAX = 8, /* of one connection; then the others have their turn */
	TURN_US_MAX = 500,	   /* the same, in time */
	TURNS_US_MAX = 2000,	   /* of all; then the sockets are asked again */
	GREEDY_MS = 100,	   /* who used up a turn comes after the others for so long */
	PATIENCE_MS = 300,	   /* a head, or 1 KiB/s of a body, takes no longer where connections are scarce */
	PLACE_TRIES_MAX = 16,	   /* idle connections looked at for one whose place may be taken */
	HEADERS_BYTES_MAX = 65536, /* of an answer: all ours */
	PIECE_BYTES_MAX = 4 << 20, /* what a source may produce at once */
	PEER_BUCKETS = 1024,
	ROOM_CLASSES = 48, /* powers of two of bytes held */
};

/* The order of the drawing in connection.c. */
enum connection_state {
	CONNECTION_WAITING,
	CONNECTION_HEAD,
	CONNECTION_BODY,
	CONNECTION_HANDLING,
	CONNECTION_WRITING,
	CONNECTION_LINGERING,
	CONNECTION_CLOSED,
	CONNECTION_STATES
};

/* Who has just come is served before who used up a turn a moment ago. */
enum turn_queue { QUEUE_FRESH, QUEUE_GREEDY, QUEUES_N };

union peer_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* How many connections an address has; IPv6 is counted by /64, which is what one customer gets. */
struct http_peer {
	struct http_peer *next; /* in its bucket */
	uint8_t key[8];
	unsigned connections_n;
};

struct http_connection {
	uv_tcp_t tcp;
	struct http_server *server;	     /* borrowed */
	struct http_connection *prev, *next; /* in the list of its state */
	struct http_connection *prev_yielded, *next_yielded;
	struct http_connection *prev_room, *next_room; /* among those that hold about as much */
	struct http_exchange
		*exchange;	/* owned, but in HANDLING it belongs to the handler; NULL in WAITING and LINGERING */
	struct http_peer *peer; /* NULL when not counted: loopback, refused */
	struct buf stash;	/* bytes read before their time; reading is stopped while there are any */
	size_t stash_at;
	uint64_t deadline_ms; /* uv_now() */
	uint64_t request_at_ms, body_at_ms;
	uint64_t moved_at_ms;  /* into its state */
	uint64_t greedy_at_ms; /* when it last used up a turn; 0 = never */
	uint64_t body_bytes;   /* on the wire, framing included */
	size_t unsent_bytes;   /* when the write deadline was set */
	size_t pending_bytes;  /* memory of the answer that the peer has not taken yet */
	size_t counted_bytes;  /* of stash and pending answer, within the server's buffered_bytes */
	size_t lingered_bytes;
	unsigned requests_n;
	union peer_address address;
	uint8_t state; /* enum connection_state */
	bool for_metrics;
	bool is_refused; /* beyond a limit of connections */
	bool is_serving; /* connection_serve is on the stack */
	bool is_read_stopped;
	uint8_t room_class; /* 0: holds nothing */
	uint8_t queue;	    /* enum turn_queue, when yielded */
	bool is_yielded;    /* waits for its turn with what is in its stash */
	bool is_ended;	    /* the peer will send nothing more */
	bool closes;	    /* after the answer being sent */
};

struct http_exchange {
	struct http_exchange *prev, *next;  /* among the live ones; pooled ones use next only */
	struct http_server *server;	    /* borrowed */
	struct http_connection *connection; /* NULL when the client has gone */
	struct request_reader reader;
	struct arena arena;
	struct http_source source;
	bool has_source;
	size_t counted_bytes; /* its own and those of the head, the body and a source's arena, within buffered_bytes */
};

struct connection_list {
	struct http_connection *first, *last;
};

struct http_listener {
	struct http_listener *next;
	struct http_server *server; /* borrowed */
	uv_poll_t poll;
	int fd;
	bool for_metrics;
};

struct http_server {
	uv_loop_t *loop; /* borrowed */
	struct http_limits limits;
	http_handler handler;
	void *handler_ctx;
	http_refusal refusal;
	struct http_listener *listeners;
	/* Within a state every wait is equally long, so each list is in the order of its deadlines (BODY nearly so). */
	struct connection_list by_state[CONNECTION_STATES];
	unsigned connections_n, refused_n;
	struct http_peer *peers[PEER_BUCKETS];
	uint32_t peers_seed;
	struct http_exchange *live, *pool;
	unsigned pooled_n;
	size_t buffered_bytes; /* held for clients: unfinished requests, early ones, answers that are not taken yet */
	struct connection_list by_room[ROOM_CLASSES];
	struct connection_list yielded[QUEUES_N]; /* the longest waiting first */
	uint64_t turn_at_ms;			  /* uv_now() */
	struct boot turn_begun;
	uv_idle_t turn; /* runs while there are yielded ones */
	uv_timer_t sweep, pause;
	bool is_draining, is_closed, is_making_room;
	struct buf out, refusal_headers, refusal_body; /* used within one call */
	char date[ANSWER_DATE_BYTES];
	uint64_t date_at_ms;
	int64_t date_second;
	char read_bytes[READ_BYTES];
};

/* server.c */
/* Its place is free again, from the moment that it ends. */
void http_server_forget(struct http_connection *connection);
struct str http_server_date(struct http_server *server);

/* connection.c */
/* Takes over a connected socket; NULL (and the socket closed) when libuv refuses it. */
struct http_connection *connection_open(struct http_server *server, int fd, const union peer_address *address);
bool peer_address_is_loopback(const union peer_address *address);
/* Answers with the server's own words and ends the conversation. */
void connection_refuse(struct http_connection *connection, unsigned status, const char *reason);
/* Sends what `bufs` hold, now or (copied) as the peer takes it, then goes on with what follows the answer or its piece.
 */
void connection_send(struct http_connection *connection, const uv_buf_t *bufs, unsigned bufs_n);
/* The same, always through the loop, so that one endless answer does not hold up the others. Takes the bytes over. */
void connection_send_later(struct http_connection *connection, struct buf *bytes);
void connection_close(struct http_connection *connection);
/* With a reset, which also throws away what the kernel holds: otherwise it would keep megabytes for minutes for a peer
 * that does not read. */
void connection_cut(struct http_connection *connection);
/* After an answer, or when its turn has come: goes on with what is in the stash, then with what the socket has. */
void connection_resume(struct http_connection *connection);
/* Ends what has waited too long. */
void connections_sweep(struct http_server *server);

/* share.c */
/* Puts the connection, which has requests in its stash, into the queue for another turn. */
void share_yield(struct http_connection *connection);
void share_unyield(struct http_connection *connection);
/* What has just arrived is not served at once: the turn is spent, or this connection has used up one a moment ago. */
bool share_must_wait(struct http_connection *connection);
/* Keeps what the server knows of the memory that the connection holds in step; call it after every change. */
void share_count(struct http_connection *connection);
/* When all that is held for clients is too much, whoever holds most gives way. `reading`, which may be NULL, is only
 * marked as refused. May close any connection that is not being read, also the caller's. */
void share_make_room(struct http_server *server, struct http_connection *reading);
/* Ends the connection that needs its place least; false when all are busy. */
bool share_give_place(struct http_server *server);
/* A request, or its beginning, has reached the kernel or us. */
bool share_has_unread_bytes(const struct http_connection *connection);

/* exchange.c */
struct http_exchange *exchange_new(struct http_connection *connection);
/* Accepts NULL. */
void exchange_release(struct http_exchange *exchange);
/* Keeps buffered_bytes in step with what the exchange holds. */
void exchange_count(struct http_exchange *exchange);
/* Sends the next piece of a source. */
void exchange_continue(struct http_exchange *exchange);
/* Frees the pool and what was never answered. */
void exchanges_free(struct http_server *server);

#endif
