/* SPDX-License-Identifier: BSD-3-Clause */
/* The exchange of http/server.h, with a callback where the socket was. */
#include "front.h"

#include <assert.h>
#include <stdlib.h>

#include "http/answer.h"
#include "http/request.h"

enum { ANSWER_BYTES_MAX = 64 << 20, KEPT_MAX = 8 };

/* Those of http/server.c that bound a request. */
static const struct http_limits limits = {
	.target_bytes_max = 4096,
	.header_bytes_max = 16384,
	.head_bytes_max = 32768,
	.body_bytes_max = 1 << 20,
};

struct http_exchange {
	struct http_exchange *next; /* among the kept ones */
	struct front *front;
	struct request_reader reader;
	struct arena arena;
	void *request; /* the client's */
};

struct front {
	on_front_answer on_answer;
	void *ctx;
	struct api *api;
	bool is_heard;
	unsigned open_n, kept_n;
	struct http_exchange *kept;
	struct buf text;
};

struct front *front_new(on_front_answer on_answer, void *ctx)
{
	struct front *front = memory_new(sizeof *front);

	front->on_answer = on_answer;
	front->ctx = ctx;
	front->is_heard = true;
	buf_init(&front->text, ANSWER_BYTES_MAX);
	return front;
}

void front_free(struct front *front)
{
	assert(front->open_n == 0);
	while (front->kept) {
		struct http_exchange *exchange = front->kept;

		front->kept = exchange->next;
		request_release(&exchange->reader);
		free(exchange);
	}
	buf_release(&front->text);
	free(front);
}

void front_set_api(struct front *front, struct api *api)
{
	front->api = api;
}

void front_set_heard(struct front *front, bool is_heard)
{
	front->is_heard = is_heard;
}

static struct http_exchange *open_exchange(struct front *front)
{
	struct http_exchange *exchange = front->kept;

	if (exchange) {
		front->kept = exchange->next;
		front->kept_n--;
	} else {
		exchange = memory_new(sizeof *exchange);
		exchange->front = front;
		request_init(&exchange->reader, &limits);
	}
	front->open_n++;
	return exchange;
}

static void close_exchange(struct http_exchange *exchange)
{
	struct front *front = exchange->front;

	arena_release(&exchange->arena);
	front->open_n--;
	if (front->kept_n == KEPT_MAX) {
		request_release(&exchange->reader);
		free(exchange);
		return;
	}
	request_reset(&exchange->reader);
	exchange->next = front->kept;
	front->kept = exchange;
	front->kept_n++;
}

const struct http_request *http_exchange_request(struct http_exchange *exchange)
{
	return &exchange->reader.request;
}

struct arena *http_exchange_arena(struct http_exchange *exchange)
{
	return &exchange->arena;
}

bool http_exchange_is_wanted(const struct http_exchange *exchange)
{
	return exchange->front->is_heard;
}

static void read_source(const struct http_source *source, struct buf *text)
{
	while (source->fill(source->ctx, text))
		assert(!text->failed);
	if (source->close)
		source->close(source->ctx);
}

/* The client has gone when nobody hears; the exchange ends all the same. */
void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
	struct front *front = exchange->front;
	struct buf *text = &front->text;
	char date[ANSWER_DATE_BYTES] = { 0 };

	buf_clear(text);
	answer_format_head(
		text, &(struct answer){ .status = response->status,
					.date = { date, sizeof date },
					.headers = response->headers ? buf_str(response->headers) : (struct str){ 0 },
					.length = response->body ? response->body->n : 0 });
	size_t head_n = text->n;

	if (response->body)
		buf_add(text, buf_str(response->body));
	if (response->source)
		read_source(response->source, text);
	assert(!text->failed);
	if (front->is_heard)
		front->on_answer(front->ctx, exchange->request, response->status,
				 str_slice(buf_str(text), head_n, text->n));
	close_exchange(exchange);
}

static void refuse(struct http_exchange *exchange)
{
	struct buf headers, body;

	buf_init(&headers, ANSWER_BYTES_MAX);
	buf_init(&body, ANSWER_BYTES_MAX);
	api_refuse(exchange->reader.status, exchange->reader.reason, &headers, &body);
	http_respond(exchange,
		     &(struct http_response){ .status = exchange->reader.status, .headers = &headers, .body = &body });
	buf_release(&headers);
	buf_release(&body);
}

void front_send(struct front *front, struct str text, size_t split, void *request)
{
	struct http_exchange *exchange = open_exchange(front);
	struct request_reader *reader = &exchange->reader;

	exchange->request = request;
	size_t fed = request_feed(reader, str_slice(text, 0, split));

	if (reader->step == REQUEST_HEAD || reader->step == REQUEST_BODY)
		request_feed(reader, str_slice(text, fed, text.n));
	if (reader->step == REQUEST_REFUSED) {
		refuse(exchange);
		return;
	}
	assert(reader->step == REQUEST_COMPLETE);
	reader->request.peer_is_loopback = true;
	api_handle(front->api, exchange);
}
