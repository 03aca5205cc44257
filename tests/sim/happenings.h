/* SPDX-License-Identifier: BSD-3-Clause */
/* What will happen in a virtual world and when: a heap by instant, ties in the order of making. */
#ifndef SIM_HAPPENINGS_H
#define SIM_HAPPENINGS_H

#include "core/outcome.h"
#include "store/store.h"

enum happening_kind { RUN_JOB, HEAR_JOB, END_ATTEMPT, EDIT, REQUEUE, STEP_CLOCK, CRASH, DRAIN, COME_BACK, HEAL };

struct job {
	bool is_claim;
	struct store_claim claim;
	struct claim_batch batch;
	struct store_record *records;
	uint32_t *slots;
	uint32_t n;
	bool ok;
};

struct happening {
	int64_t at_us;	 /* boot clock */
	uint64_t number; /* ties in the order of making */
	enum happening_kind kind;
	unsigned life; /* of the process: what belongs to an earlier one is void */
	struct job *job;
	uint32_t slot;
	int64_t run_id;
	struct outcome outcome;
};

struct happenings {
	struct happening **heap; /* owned */
	size_t n, room;
	uint64_t made;
};

/* A new one, to be filled in by the caller; the heap owns it until happenings_take. */
struct happening *happenings_add(struct happenings *happenings, enum happening_kind kind, int64_t at_us);
/* The earliest; there must be one. free() it. */
struct happening *happenings_take(struct happenings *happenings);
void happenings_release(struct happenings *happenings);
void job_free(struct job *job);

#endif
