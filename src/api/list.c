/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of records: {"count":…,"next":…,"previous":…,"results":[…]}.
 *
 * Up to LIST_BYTES_WHOLE the answer is made at once. Beyond, an http_source goes on below the last id sent, so that
 * neither the limit a client asks for nor what is written meanwhile can make memory grow or a row come twice. */
#include "api/list.h"

#include "api/page.h"
#include "base/log.h"

enum { STREAM_ROWS = 200, STREAM_BYTES = 256 << 10 };

struct list {
	const struct list_kind *kind;
	struct store *reader;
	struct links links;
	struct buf *out;    /* of the present step; borrowed */
	size_t bytes_stop;  /* the step ends when `out` has that many */
	uint64_t rows_left; /* wanted by the client */
	uint64_t rows_stop; /* of this step */
	int64_t last_id;
	bool has_rows, is_stopped;
	struct str begun; /* made before the stream started, and not yet sent */
};

struct buf *list_row_begin(struct list *list)
{
	if (list->has_rows)
		buf_add_char(list->out, ',');
	list->has_rows = true;
	return list->out;
}

bool list_row_end(struct list *list, int64_t id)
{
	list->last_id = id;
	list->rows_left--;
	list->rows_stop--;
	list->is_stopped = list->out->n >= list->bytes_stop || list->rows_stop == 0;
	return !list->is_stopped && list->rows_left > 0;
}

const struct links *list_links(const struct list *list)
{
	return &list->links;
}

static bool has_more(const struct list *list)
{
	return list->is_stopped && list->rows_left > 0;
}

static bool on_fill(void *ctx, struct buf *out)
{
	struct list *list = ctx;
	struct page page = { .limit = list->rows_left < STREAM_ROWS ? list->rows_left : STREAM_ROWS,
			     .before_id = list->last_id };
	enum err code;

	if (list->begun.n > 0) {
		struct str piece = str_slice(list->begun, 0, LIST_BYTES_WHOLE);

		buf_add(out, piece);
		list->begun = str_slice(list->begun, piece.n, list->begun.n);
		return true;
	}
	list->out = out;
	list->bytes_stop = STREAM_BYTES;
	list->rows_stop = page.limit;
	list->is_stopped = false;
	code = list->kind->rows(list->reader, page, list);
	if (code != ERR_OK) {
		/* The status has been sent. A failed buffer makes the server break the answer off, so that nobody takes
		 * it for whole. */
		log_event(LOG_ERROR, "list_broken_off", log_text("error", err_name(code)));
		out->failed = true;
		return false;
	}
	if (!has_more(list))
		buf_add(out, STR("]}"));
	return has_more(list);
}

void list_send(struct api_call *call, const struct list_kind *kind)
{
	struct store *reader = call->api->options.reader;
	struct page_request page = page_parse(call->arena, &call->query);
	struct list *list = arena_alloc(call->arena, sizeof *list);
	int64_t count = 0;
	enum err code = store_count(reader, kind->counted, &count);

	*list = (struct list){ .kind = kind,
			       .reader = reader,
			       .links = call->links,
			       .bytes_stop = LIST_BYTES_WHOLE,
			       .rows_left = page.limit.value,
			       .rows_stop = UINT64_MAX };
	list->out = call_body(call);
	buf_add(list->out, STR("{\"count\":"));
	buf_add_i64(list->out, count);
	page_add_links(list->out, call->arena, &page, (uint64_t)count,
		       arena_printf(call->arena, "%.*s%.*s", STR_ARG(call->links.base), STR_ARG(call->request->path)));
	buf_add(list->out, STR(",\"results\":["));
	if (code == ERR_OK && page.offset.value < (uint64_t)count)
		code = kind->rows(reader, (struct page){ .limit = page.limit.value, .offset = page.offset.value },
				  list);
	if (!call_found(call, code))
		return;
	if (has_more(list)) {
		list->begun = arena_copy(call->arena, buf_str(list->out));
		call_send_source(call, &(struct http_source){ .fill = on_fill, .ctx = list });
		return;
	}
	buf_add(list->out, STR("]}"));
	call_send(call, 200);
}
