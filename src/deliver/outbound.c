/* SPDX-License-Identifier: BSD-3-Clause */
/* One attempt from name to outcome. Every way out goes through `finish`, once; one deadline covers the whole.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ SENDING ─▶ READING ─▶ ENDED
 *        └─ literal address: skipped     (an open connection from the pool starts at SENDING)
 *
 * Attempts have all the same time, so the list of their deadlines is in order by itself; the same holds for the shorter
 * time of looking up and connecting. */
#include "deliver/outbound.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/failpoint.h"
#include "deliver/request_text.h"
#include "deliver/resolver.h"
#include "deliver/wire.h"
#include "http/response.h"

enum {
	READ_BYTES = 16384,
	REQUEST_BYTES_MAX = 8 << 20, /* the API's body limit and any head fit */
	REQUEST_BYTES_KEPT = 16384,  /* a larger buffer is not kept for the next attempt */
	ADDRESSES_TRIED_MAX = 4,
	SPARE_ATTEMPTS_MAX = 1024,
	SWEEP_MS = 1000,
	OVERSLEPT_US = 100000, /* a deadline that is noticed so much later was missed by us */
	READ_FIRST_MS = 5,
};

enum phase { PHASE_RESOLVING, PHASE_CONNECTING, PHASE_SENDING, PHASE_READING, PHASE_ENDED };

struct link {
	struct outbound_attempt *previous, *next;
	struct boot deadline;
	bool is_in;
};

struct outbound_attempt {
	struct outbound *outbound;
	const struct run *run; /* borrowed until done */
	void *ctx;
	enum phase phase;
	bool on_fresh_wire;
	struct link whole, step; /* in the deadline lists */
	struct url url;
	struct wire *wire;
	struct resolver_lookup *lookup;
	struct address addresses[ADDRESSES_TRIED_MAX];
	unsigned addresses_n, addresses_used;
	uint32_t number;
	struct boot started, sent_at; /* the latter: the first bytes of the request, on the present wire */
	size_t sent_n;
	struct buf request;
	struct response response;
	struct outcome outcome;
};

struct deadline_list {
	struct outbound_attempt *first, *last;
};

struct outbound {
	uv_loop_t *loop;
	struct outbound_options options;
	outbound_done done;
	void *done_ctx;
	struct resolver *resolver;
	struct wire_pool *pool;
	uv_timer_t timer; /* the earliest deadline */
	uv_timer_t sweeper;
	uv_idle_t teller; /* tells of attempts that ended within outbound_start */
	struct boot timer_at;
	struct deadline_list whole, step;
	struct outbound_attempt *ended; /* to be told, linked by whole.next */
	struct outbound_attempt *spare; /* for reuse, linked by whole.next */
	unsigned spare_n, starting;
	bool closing;
	bool has_waited; /* see on_deadline */
	char read[READ_BYTES];
};

static struct link *link_in(struct outbound *outbound, const struct deadline_list *list,
			    struct outbound_attempt *attempt)
{
	return list == &outbound->whole ? &attempt->whole : &attempt->step;
}

static void list_remove(struct outbound *outbound, struct deadline_list *list, struct outbound_attempt *attempt)
{
	struct link *link = link_in(outbound, list, attempt);

	if (!link->is_in)
		return;
	if (link->previous)
		link_in(outbound, list, link->previous)->next = link->next;
	else
		list->first = link->next;
	if (link->next)
		link_in(outbound, list, link->next)->previous = link->previous;
	else
		list->last = link->previous;
	*link = (struct link){ .is_in = false };
}

static void on_deadline(uv_timer_t *timer);
static bool try_next_address(struct outbound_attempt *attempt);

static void list_append(struct outbound *outbound, struct deadline_list *list, struct outbound_attempt *attempt,
			struct boot now, int64_t us)
{
	struct link *link = link_in(outbound, list, attempt);

	list_remove(outbound, list, attempt);
	*link = (struct link){ .previous = list->last, .deadline = boot_add_us(now, us), .is_in = true };
	if (list->last)
		link_in(outbound, list, list->last)->next = attempt;
	else
		list->first = attempt;
	list->last = attempt;
	if (uv_is_active((uv_handle_t *)&outbound->timer) && !boot_is_after(outbound->timer_at, link->deadline))
		return;
	outbound->timer_at = link->deadline;
	uv_timer_start(&outbound->timer, on_deadline, (uint64_t)(us / US_PER_MS) + 1, 0);
}

/* --- the end of an attempt --- */

static void tell(struct outbound *outbound, struct outbound_attempt *attempt)
{
	outbound->done(outbound->done_ctx, attempt->ctx, &attempt->outcome);
	if (outbound->spare_n < SPARE_ATTEMPTS_MAX && attempt->request.room <= REQUEST_BYTES_KEPT) {
		attempt->whole.next = outbound->spare;
		outbound->spare = attempt;
		outbound->spare_n++;
		return;
	}
	buf_release(&attempt->request);
	free(attempt);
}

static void on_tell(uv_idle_t *idle)
{
	struct outbound *outbound = idle->data;

	uv_idle_stop(idle);
	while (outbound->ended) {
		struct outbound_attempt *attempt = outbound->ended;

		outbound->ended = attempt->whole.next;
		tell(outbound, attempt);
	}
}

static void finish(struct outbound_attempt *attempt)
{
	struct outbound *outbound = attempt->outbound;

	assert(attempt->phase != PHASE_ENDED);
	attempt->phase = PHASE_ENDED;
	list_remove(outbound, &outbound->whole, attempt);
	list_remove(outbound, &outbound->step, attempt);
	if (attempt->lookup)
		resolver_cancel(attempt->lookup);
	wire_close(attempt->wire);
	attempt->lookup = NULL;
	attempt->wire = NULL;
	attempt->outcome.duration_us = boot_since_us(clock_read().boot, attempt->started);
	if (!outbound->starting) {
		tell(outbound, attempt);
		return;
	}
	attempt->whole.next = outbound->ended;
	outbound->ended = attempt;
	uv_idle_start(&outbound->teller, on_tell);
}

static void finish_badly(struct outbound_attempt *attempt, enum outcome_class class, const char *words)
{
	attempt->outcome.class = class;
	snprintf(attempt->outcome.detail, sizeof attempt->outcome.detail, "%s", words);
	finish(attempt);
}

static void finish_answered(struct outbound_attempt *attempt, enum response_progress progress)
{
	struct response *response = &attempt->response;
	struct instant now = clock_read();

	FAILPOINT("outbound.answered");
	outcome_classify_answer(&attempt->outcome, response->status, response_retry_after(response), now.wall);
	attempt->outcome.answer_n = (uint16_t)response->answer_n;
	memcpy(attempt->outcome.answer, response->answer, response->answer_n);
	if (progress == RESPONSE_DONE && response->may_reuse && attempt->phase == PHASE_READING) {
		wire_give(attempt->wire, now.boot);
		attempt->wire = NULL;
	}
	finish(attempt);
}

/* The loop runs its timers before it reads. A process that was stopped, or a machine that slept, would call an answer
 * late that has been waiting here, and ask again for what was done (P5): so when we are late ourselves, what has
 * arrived is read first. */
static void on_deadline(uv_timer_t *timer)
{
	static const char *const words[] = { "the name lookup took too long", "no connection in time",
					     "the request was not taken in time", "no answer in time" };
	struct outbound *outbound = timer->data;
	struct boot now = clock_read().boot;
	struct deadline_list *const lists[] = { &outbound->whole, &outbound->step };
	struct boot next = { INT64_MAX };

	if (!outbound->has_waited && boot_since_us(now, outbound->timer_at) > OVERSLEPT_US) {
		outbound->has_waited = true;
		uv_timer_start(timer, on_deadline, READ_FIRST_MS, 0);
		return;
	}
	outbound->has_waited = false;
	for (unsigned i = 0; i < 2; i++) {
		struct outbound_attempt *attempt;

		while ((attempt = lists[i]->first) &&
		       !boot_is_after(link_in(outbound, lists[i], attempt)->deadline, now))
			if (lists[i] == &outbound->whole || !try_next_address(attempt))
				finish_badly(attempt, OUTCOME_TIMEOUT, words[attempt->phase]);
	}
	for (unsigned i = 0; i < 2; i++)
		if (lists[i]->first && boot_is_after(next, link_in(outbound, lists[i], lists[i]->first)->deadline))
			next = link_in(outbound, lists[i], lists[i]->first)->deadline;
	if (next.us == INT64_MAX)
		return;
	outbound->timer_at = next;
	uv_timer_start(timer, on_deadline, (uint64_t)(boot_since_us(next, now) / US_PER_MS) + 1, 0);
}

/* --- connecting, sending, reading --- */

/* What we are short of may be there in a second. Anything else, such as IPv6 that this machine does not speak, is as
 * true then, and must not keep the run from an end. */
static bool is_shortage(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM || number == ENOSPC;
}

static void connect_next(struct outbound_attempt *attempt)
{
	struct outbound *outbound = attempt->outbound;
	int why = EMFILE;

	assert(attempt->addresses_used < attempt->addresses_n);
	attempt->phase = PHASE_CONNECTING;
	attempt->on_fresh_wire = true;
	list_append(outbound, &outbound->step, attempt, clock_read().boot, outbound->options.connect_us_max);
	if (!FAILPOINT_ERROR("outbound.connect")) {
		attempt->wire = wire_connect(outbound->pool, &attempt->url, attempt->run->lane,
					     attempt->addresses[attempt->addresses_used++], attempt);
		why = errno;
	}
	if (attempt->wire)
		return;
	if (is_shortage(why)) {
		attempt->outcome.is_unsent = true;
		finish_badly(attempt, OUTCOME_INTERNAL, "no socket is free");
	} else if (!try_next_address(attempt)) {
		finish_badly(attempt, OUTCOME_CONNECT, "this machine makes no connections to such addresses");
	}
}

/* One host of several that is down must not cost the attempt. */
static bool try_next_address(struct outbound_attempt *attempt)
{
	if (attempt->phase != PHASE_CONNECTING || attempt->addresses_used == attempt->addresses_n)
		return false;
	wire_close(attempt->wire);
	attempt->wire = NULL;
	connect_next(attempt);
	return true;
}

static void resolve(struct outbound_attempt *attempt);

/* A pooled connection that its peer ended before it can have read the request: the same attempt goes on over a fresh
 * one. In every other case the receiver may have acted, and what follows is another attempt. */
static bool may_start_afresh(const struct outbound_attempt *attempt)
{
	if (attempt->on_fresh_wire || attempt->response.began)
		return false;
	return attempt->sent_n == 0 ||
	       wire_died_unread(attempt->wire, boot_since_us(clock_read().boot, attempt->sent_at));
}

static void start_afresh(struct outbound_attempt *attempt)
{
	wire_close(attempt->wire);
	attempt->wire = NULL;
	attempt->sent_n = 0;
	resolve(attempt);
}

static void on_cut_off(struct outbound_attempt *attempt)
{
	const char *words =
		attempt->response.began ? "closed before the end of the answer" : "closed without an answer";

	if (may_start_afresh(attempt))
		start_afresh(attempt);
	else
		finish_badly(attempt, OUTCOME_RESET, words);
}

static void on_lost(struct outbound_attempt *attempt)
{
	const char *words;
	enum outcome_class class = wire_failure(attempt->wire, &words);

	if (may_start_afresh(attempt))
		start_afresh(attempt);
	else
		finish_badly(attempt, class, words);
}

static void on_progress(struct outbound_attempt *attempt, enum response_progress progress)
{
	switch (progress) {
	case RESPONSE_NEED_MORE:
		return;
	case RESPONSE_DONE:
	case RESPONSE_DONE_TRUNCATED:
		finish_answered(attempt, progress);
		return;
	case RESPONSE_CUT_OFF:
		on_cut_off(attempt);
		return;
	case RESPONSE_BAD:
	case RESPONSE_HEAD_TOO_LARGE:
		finish_badly(attempt, OUTCOME_PROTOCOL, attempt->response.problem);
		return;
	}
}

/* Reads what is there. TLS may hold bytes that the socket does not show any more, so it reads until it would wait.
 * WIRE_IO_OK: the answer is over, and with it the attempt. */
static enum wire_io read_available(struct outbound_attempt *attempt)
{
	struct outbound *outbound = attempt->outbound;

	for (;;) {
		size_t n;

		FAILPOINT("outbound.receive");
		enum wire_io io = wire_receive(attempt->wire, outbound->read, sizeof outbound->read, &n);

		if (io != WIRE_IO_OK)
			return io;
		enum response_progress progress = response_feed(&attempt->response, (struct str){ outbound->read, n });

		if (progress != RESPONSE_NEED_MORE) {
			on_progress(attempt, progress);
			return WIRE_IO_OK;
		}
		if (n < sizeof outbound->read && !attempt->url.is_https)
			return WIRE_IO_AGAIN; /* the socket is empty; the poll handle tells when it is not */
	}
}

/* True: the attempt goes on, and its answer is not whole. */
static bool read_on(struct outbound_attempt *attempt)
{
	switch (read_available(attempt)) {
	case WIRE_IO_AGAIN:
		return true;
	case WIRE_IO_OK:
		return false;
	case WIRE_IO_FAILED:
		on_lost(attempt);
		return false;
	case WIRE_IO_CLOSED:
		on_progress(attempt, response_finish(&attempt->response));
		return false;
	}
	return false;
}

/* A receiver that refuses a large request without reading it closes behind its answer, and the kernel then fails what
 * we send: what it said counts all the same. */
static void send_on(struct outbound_attempt *attempt)
{
	while (attempt->sent_n < attempt->request.n) {
		size_t n;

		FAILPOINT("outbound.send");
		enum wire_io io = wire_send(
			attempt->wire, str_slice(buf_str(&attempt->request), attempt->sent_n, attempt->request.n), &n);

		if (io == WIRE_IO_AGAIN)
			return;
		if (io != WIRE_IO_OK) {
			if (read_available(attempt) != WIRE_IO_OK)
				on_lost(attempt);
			return;
		}
		attempt->sent_n += n;
	}
	FAILPOINT("outbound.sent");
	attempt->phase = PHASE_READING;
	crypto_wipe(attempt->request.p, attempt->request.n);
}

static void begin_request(struct outbound_attempt *attempt)
{
	struct outbound *outbound = attempt->outbound;

	list_remove(outbound, &outbound->step, attempt);
	attempt->phase = PHASE_SENDING;
	attempt->sent_n = 0;
	attempt->sent_at = clock_read().boot;
	response_init(&attempt->response);
	buf_clear(&attempt->request);
	request_text_add(&attempt->request, attempt->run, &attempt->url, attempt->number, attempt->outcome.started_at);
	if (attempt->request.failed)
		finish_badly(attempt, OUTCOME_INTERNAL, "the request is larger than the service sends");
	else
		send_on(attempt);
}

static void on_wire_event(void *owner, struct wire *wire, enum wire_event event)
{
	struct outbound_attempt *attempt = owner;
	const char *words;

	assert(attempt->wire == wire);
	switch (event) {
	case WIRE_OPEN:
		begin_request(attempt);
		return;
	case WIRE_READABLE:
		read_on(attempt);
		return;
	case WIRE_WRITABLE: /* a TLS read may have been what waited for it */
		if (read_on(attempt) && attempt->phase == PHASE_SENDING)
			send_on(attempt);
		return;
	case WIRE_FAILED: {
		enum outcome_class class = wire_failure(wire, &words);

		if (class != OUTCOME_CONNECT || !try_next_address(attempt))
			finish_badly(attempt, class, words);
		return;
	}
	}
}

/* --- the beginning: names, addresses, the policy --- */

static bool is_allowed(const struct outbound_attempt *attempt, struct address address)
{
	return attempt->run->kind == RUN_METRIC ||
	       address_judge(attempt->outbound->options.egress, address, attempt->url.port) == ADDRESS_ALLOWED;
}

static void on_resolved(void *ctx, const struct resolver_answer *answer)
{
	struct outbound_attempt *attempt = ctx;

	attempt->lookup = NULL;
	if (answer->n == 0) {
		finish_badly(attempt, OUTCOME_DNS, answer->problem);
		return;
	}
	/* One bad address among them condemns the name: which one is used must not be the name server's choice. So
	 * those that were not looked at condemn it as well. */
	if (answer->truncated) {
		finish_badly(attempt, OUTCOME_BLOCKED, "the host has more addresses than the service looks at");
		return;
	}
	bool all_allowed = true;

	for (unsigned i = 0; i < answer->n; i++)
		all_allowed = all_allowed && is_allowed(attempt, answer->addresses[i]);
	if (!all_allowed) {
		finish_badly(attempt, OUTCOME_BLOCKED, "the egress policy refuses an address of this host");
		return;
	}
	attempt->addresses_n = answer->n < ADDRESSES_TRIED_MAX ? answer->n : ADDRESSES_TRIED_MAX;
	attempt->addresses_used = 0;
	memcpy(attempt->addresses, answer->addresses, attempt->addresses_n * sizeof attempt->addresses[0]);
	connect_next(attempt);
}

static void resolve(struct outbound_attempt *attempt)
{
	struct outbound *outbound = attempt->outbound;

	if (attempt->url.host_kind != URL_HOST_NAME) {
		attempt->addresses[0] =
			address_from_bytes(attempt->url.address, attempt->url.host_kind == URL_HOST_IPV6);
		attempt->addresses_n = 1;
		attempt->addresses_used = 0;
		connect_next(attempt);
		return;
	}
	attempt->phase = PHASE_RESOLVING;
	list_append(outbound, &outbound->step, attempt, clock_read().boot, outbound->options.connect_us_max);
	struct resolver_lookup *lookup = resolver_start(outbound->resolver, attempt->url.host, on_resolved, attempt);

	if (lookup)
		attempt->lookup = lookup;
}

/* The verdict that needs no lookup. */
static bool is_refused_outright(const struct outbound_attempt *attempt)
{
	const struct url *url = &attempt->url;

	if (attempt->run->kind == RUN_METRIC)
		return false;
	if (url->host_kind == URL_HOST_NAME)
		return address_judge_name(attempt->outbound->options.egress, url->host) != ADDRESS_ALLOWED;
	return !is_allowed(attempt, address_from_bytes(url->address, url->host_kind == URL_HOST_IPV6));
}

static struct outbound_attempt *attempt_new(struct outbound *outbound)
{
	struct outbound_attempt *attempt = outbound->spare;
	struct buf request;

	if (!attempt) {
		attempt = memory_new(sizeof *attempt);
		buf_init(&attempt->request, REQUEST_BYTES_MAX);
		return attempt;
	}
	outbound->spare = attempt->whole.next;
	outbound->spare_n--;
	request = attempt->request;
	/* Everything before `response` starts from nothing; the response is initialised before it is used. */
	memset(attempt, 0, offsetof(struct outbound_attempt, request));
	memset(&attempt->outcome, 0, offsetof(struct outcome, answer));
	attempt->request = request;
	return attempt;
}

void outbound_start(struct outbound *outbound, const struct run *run, uint32_t number, struct instant now,
		    void *attempt_ctx)
{
	struct outbound_attempt *attempt = attempt_new(outbound);

	attempt->outbound = outbound;
	attempt->run = run;
	attempt->ctx = attempt_ctx;
	attempt->number = number;
	attempt->started = now.boot;
	attempt->outcome.started_at = now.wall;
	outbound->starting++;
	list_append(outbound, &outbound->whole, attempt, now.boot, outbound->options.attempt_us_max);
	if (!url_parse(run->endpoint, &attempt->url)) {
		attempt->outcome.is_final = true;
		finish_badly(attempt, OUTCOME_INTERNAL, "the endpoint is no URL that can be called");
	} else if (is_refused_outright(attempt)) {
		attempt->outcome.is_final = true;
		finish_badly(attempt, OUTCOME_BLOCKED, "the egress policy refuses this host");
	} else if ((attempt->wire = wire_take(outbound->pool, &attempt->url, run->lane, attempt))) {
		begin_request(attempt);
	} else {
		resolve(attempt);
	}
	outbound->starting--;
}

/* --- life --- */

static void on_sweep(uv_timer_t *timer)
{
	struct outbound *outbound = timer->data;

	wire_pool_sweep(outbound->pool, clock_read().boot);
}

enum err outbound_new(uv_loop_t *loop, const struct outbound_options *options, outbound_done done, void *ctx,
		      struct outbound **out, struct error *error)
{
	struct outbound *outbound = memory_new(sizeof *outbound);
	struct wire_options wires = { .connections_max = options->connections_max,
				      .idle_us_max = options->idle_us_max,
				      .ca_file = options->ca_file };

	outbound->loop = loop;
	outbound->options = *options;
	outbound->done = done;
	outbound->done_ctx = ctx;
	enum err err = resolver_new(loop, options->dns_servers, &outbound->resolver, error);

	if (err)
		goto failed;
	err = wire_pool_new(loop, &wires, on_wire_event, &outbound->pool, error);
	if (err) {
		resolver_close(outbound->resolver);
		goto failed;
	}
	uv_timer_init(loop, &outbound->timer);
	uv_timer_init(loop, &outbound->sweeper);
	uv_idle_init(loop, &outbound->teller);
	outbound->timer.data = outbound->sweeper.data = outbound->teller.data = outbound;
	uv_timer_start(&outbound->sweeper, on_sweep, SWEEP_MS, SWEEP_MS);
	*out = outbound;
	return ERR_OK;
failed:
	free(outbound);
	return err;
}

void outbound_close(struct outbound *outbound)
{
	if (outbound->closing)
		return;
	outbound->closing = true;
	while (outbound->whole.first) {
		struct outbound_attempt *attempt = outbound->whole.first;

		list_remove(outbound, &outbound->whole, attempt);
		list_remove(outbound, &outbound->step, attempt);
		if (attempt->lookup)
			resolver_cancel(attempt->lookup);
		wire_close(attempt->wire);
		buf_release(&attempt->request);
		free(attempt);
	}
	wire_pool_close(outbound->pool);
	resolver_close(outbound->resolver);
	uv_close((uv_handle_t *)&outbound->timer, NULL);
	uv_close((uv_handle_t *)&outbound->sweeper, NULL);
	uv_close((uv_handle_t *)&outbound->teller, NULL);
}

static void free_chain(struct outbound_attempt *attempt)
{
	while (attempt) {
		struct outbound_attempt *next = attempt->whole.next;

		buf_release(&attempt->request);
		free(attempt);
		attempt = next;
	}
}

void outbound_free(struct outbound *outbound)
{
	free_chain(outbound->spare);
	free_chain(outbound->ended);
	wire_pool_free(outbound->pool);
	resolver_free(outbound->resolver);
	free(outbound);
}
