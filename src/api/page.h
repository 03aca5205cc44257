/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of a list: reading limit and offset, writing the links to the pages before and after (docs/api.md,
 * Lists). Pure. */
#ifndef API_PAGE_H
#define API_PAGE_H

#include "api/form.h"

enum { PAGE_LIMIT_DEFAULT = 1000 };

/* Numbers may be of any size: they are kept as digits, too, so that links are exact. */
struct page_number {
	uint64_t value;	   /* stops at INT64_MAX */
	struct str digits; /* without sign and leading zeros */
};

struct page_request {
	const struct form *query; /* all parameters of the request; borrowed */
	struct page_number limit, offset;
};

/* `query` must outlive the page. */
struct page_request page_parse(struct arena *arena, const struct form *query);
/* The two links as JSON text: `"next":"…","previous":null`. `url` is the request's own without its query. */
void page_add_links(struct buf *json, struct arena *arena, const struct page_request *page, uint64_t count,
		    struct str url);

#endif
