/* SPDX-License-Identifier: BSD-3-Clause */
/* What will happen in a virtual world and when: a heap by instant, ties in the order of making. */
#ifndef SIM_HAPPENINGS_H
#define SIM_HAPPENINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/outcome.h"
#include "receiver.h"

enum happening_kind {
	STORE_TURN,  /* the store thread runs what waits */
	HEAR_JOB,    /* the dispatcher hears the answer to a claim or to records */
	END_ATTEMPT, /* an endpoint answers, or nobody does */
	REQUEST,     /* a user sends something */
	REQUEUE,
	STEP_CLOCK,
	CRASH,
	DRAIN,
	DISK_FAULT,
	DISK_WELL,  /* there is room again */
	HOST_TURNS, /* a host falls ill, or is well again */
	COME_BACK,  /* the process is started */
	BUSY,	    /* a dense time begins */
	QUIET,	    /* … and ends */
	PURGE,
	HEAL,	 /* nothing fails any more */
	SETTLED, /* … and has not for a while */
	HAPPENING_KINDS_N
};

struct engine_job;

struct attempt_end {
	uint32_t slot;
	int64_t run_id;
	bool has_answer;
	struct answer_plan answer;
	struct outcome outcome; /* what the product makes of it */
};

struct happening {
	int64_t at_us;	 /* boot clock */
	uint64_t number; /* ties in the order of making */
	enum happening_kind kind;
	bool is_of_busy; /* belongs to a dense time */
	unsigned life;	 /* of the process: what belongs to an earlier one is void */
	union {
		struct engine_job *job;	 /* HEAR_JOB; owned */
		struct attempt_end *end; /* END_ATTEMPT; owned */
		unsigned host;		 /* HOST_TURNS */
	};
};

struct happenings {
	struct happening *heap; /* owned */
	size_t n, room;
	uint64_t made;
};

void happenings_add(struct happenings *happenings, struct happening happening);
/* The earliest; there must be one. */
struct happening happenings_take(struct happenings *happenings);
/* When the earliest is; INT64_MAX: there is none. */
int64_t happenings_next_us(const struct happenings *happenings);

#endif
