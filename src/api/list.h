/* SPDX-License-Identifier: BSD-3-Clause */
/* Answering a list of any length in bounded memory: whole when it is short, streamed by key when it is long. */
#ifndef API_LIST_H
#define API_LIST_H

#include "api/call.h"

struct list;

/* What differs from one resource to another. */
struct list_kind {
	enum store_counted counted;
	/* Calls the store's list verb; its callback appends one record between list_row_begin and list_row_end. */
	enum err (*rows)(struct store *store, struct page page, struct list *list);
};

/* Answers the call with the page that its query asks for. */
void list_send(struct api_call *call, const struct list_kind *kind);

/* Where the next record goes. */
struct buf *list_row_begin(struct list *list);
/* The record is complete; `id` is its key in the list's order. Returns what the store's callback has to return. */
bool list_row_end(struct list *list, int64_t id);
const struct links *list_links(const struct list *list);

#endif
