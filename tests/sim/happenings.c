/* SPDX-License-Identifier: BSD-3-Clause */
/* A binary heap. */
#include "happenings.h"

#include <assert.h>

#include "base/arena.h"

static bool is_before(const struct happening *a, const struct happening *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void happenings_add(struct happenings *all, struct happening happening)
{
	size_t at = all->n++;

	happening.number = all->made++;
	if (at == all->room) {
		all->room = all->room ? 2 * all->room : 256;
		all->heap = memory_resize(all->heap, all->room * sizeof *all->heap);
	}
	for (; at > 0 && is_before(&happening, &all->heap[(at - 1) / 2]); at = (at - 1) / 2)
		all->heap[at] = all->heap[(at - 1) / 2];
	all->heap[at] = happening;
}

struct happening happenings_take(struct happenings *all)
{
	assert(all->n);

	struct happening first = all->heap[0], last = all->heap[--all->n];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= all->n)
			break;
		if (child + 1 < all->n && is_before(&all->heap[child + 1], &all->heap[child]))
			child++;
		if (!is_before(&all->heap[child], &last))
			break;
		all->heap[at] = all->heap[child];
		at = child;
	}
	if (all->n)
		all->heap[at] = last;
	return first;
}

int64_t happenings_next_us(const struct happenings *all)
{
	return all->n ? all->heap[0].at_us : INT64_MAX;
}
