/* SPDX-License-Identifier: BSD-3-Clause */
/* A binary heap of pointers. */
#include "happenings.h"

#include <stdlib.h>

#include "base/arena.h"

static bool is_before(const struct happening *a, const struct happening *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

struct happening *happenings_add(struct happenings *all, enum happening_kind kind, int64_t at_us)
{
	struct happening *happening = memory_new(sizeof *happening);
	size_t at = all->n++;

	*happening = (struct happening){ .at_us = at_us, .number = all->made++, .kind = kind };
	if (at == all->room) {
		all->room = all->room ? 2 * all->room : 256;
		all->heap = memory_resize(all->heap, all->room * sizeof *all->heap);
	}
	for (; at > 0 && is_before(happening, all->heap[(at - 1) / 2]); at = (at - 1) / 2)
		all->heap[at] = all->heap[(at - 1) / 2];
	all->heap[at] = happening;
	return happening;
}

struct happening *happenings_take(struct happenings *all)
{
	struct happening *first = all->heap[0], *last = all->heap[--all->n];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= all->n)
			break;
		if (child + 1 < all->n && is_before(all->heap[child + 1], all->heap[child]))
			child++;
		if (!is_before(all->heap[child], last))
			break;
		all->heap[at] = all->heap[child];
		at = child;
	}
	if (all->n)
		all->heap[at] = last;
	return first;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	arena_release(&job->batch.arena);
	free(job->records);
	free(job->slots);
	free(job);
}

void happenings_release(struct happenings *all)
{
	while (all->n) {
		struct happening *happening = happenings_take(all);

		job_free(happening->job);
		free(happening);
	}
	free(all->heap);
	all->heap = NULL;
}
