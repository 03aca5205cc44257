/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the simulator share: the world, and who does what in it.
 *
 * world.c keeps the time and lets things happen; service.c plays the process (serve.c, delivery_loop.c); users.c is
 * everybody who calls the API; hosts.c the endpoints; faults.c what goes wrong. */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include <uv.h>

#include "api/api.h"
#include "crash_disk.h"
#include "dice.h"
#include "front.h"
#include "happenings.h"
#include "world.h"

/* What every simulated client authenticates with; rig.c puts it into the new database. */
#define SIM_TOKEN "0123456789abcdef0123456789abcdef01234567"

struct users;
struct catch_up_books;

struct rig {
	char directory[64];
	uv_loop_t loop;
	struct zonefile_cache *zones;
	struct egress_policy egress;
	uint8_t *image; /* owned: a new database */
	size_t image_n;
};

enum { DOUBTFUL_JOBS_MAX = 64 };

/* A commit of which nobody knows whether it is on disk. */
struct doubt {
	bool is_open;
	struct wall mark;			    /* what its last job wrote */
	struct engine_job *jobs[DOUBTFUL_JOBS_MAX]; /* owned; in the order in which they ran */
	unsigned jobs_n;
};

/* What happens in the store's next turn. */
enum turn {
	TURN_PLAIN,
	TURN_LOSES_POWER,
	TURN_SYNC_FAILS,
	TURN_WRITE_FAILS,
	TURN_IS_UNHEARD, /* it commits, and the process dies before anybody is told */
	TURNS_N
};

struct world {
	const struct world_options *options;
	struct rig *rig;
	uint64_t told_n, told_max; /* lines of the story */
	uint64_t dice;

	int64_t boot_us, offset_us; /* wall = boot + offset */
	int64_t offset_us_max;	    /* so far */
	int64_t slew_ppm;
	struct happenings happenings;
	bool is_busy, is_healed;
	unsigned settling_n;
	bool heals_after_start; /* it was down when it should have healed */

	/* The process. */
	bool is_up, is_draining;
	unsigned life;
	struct crash_disk *disk;
	struct store *store, *reader;
	struct store_thread *writer;
	struct mailbox notices, answers;
	struct api *api;
	struct dispatcher *dispatcher;
	struct dispatch_actions actions;
	struct instant before; /* the last look at the clocks */
	struct wall missed_before, wake_at;
	int64_t set_back_us, set_back_us_told; /* as in delivery_loop.c */
	int64_t heard_at_us;		       /* answers are heard in order */
	bool is_turn_planned;
	unsigned waiting_rows;
	bool is_idle;	/* the last claim brought nothing and nothing is to come */
	bool is_behind; /* the last claim left something */
	struct doubt doubt;
	enum turn next_turn;
	int64_t marks;
	bool has_failed_write; /* in the turn whose answers are heard */
	int64_t room_bytes;    /* of the disk; 0: no end of it */

	struct front *front;
	struct users *users;
	struct catch_up_books *catch_up; /* NULL but in T24's histories */
	struct audit *audit;
	struct audit_claim planned; /* the last claim that was committed */
	bool is_group_purged;	    /* the last commit deleted history */
	struct ledger *ledger;
	int64_t lanes[HOSTS_MAX];
	bool is_ill[HOSTS_MAX]; /* answers nobody just now */
	struct world_sums sums;
};

/* --- world.c --------------------------------------------------------------------------------------------- */

struct instant now_of(const struct world *world);
void trace(struct world *world, int64_t what, int64_t about);
/* A line of the story, when somebody listens. */
void tell(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void plan(struct world *world, enum happening_kind kind, int64_t in_us);
void plan_of(struct world *world, struct happening happening, int64_t in_us);
void step_clock_by(struct world *world, int64_t by_us);

/* --- service.c ------------------------------------------------------------------------------------------- */

/* Tries to start the process; a disk that fails just then puts it off. */
void service_start(struct world *world);
/* The process dies as it stands, and the power with it. */
void service_crash(struct world *world, int64_t down_us);
void service_look_at_clocks(struct world *world);
void service_step(struct world *world, struct dispatch_event event);
void service_turn_store(struct world *world);
void service_hear(struct world *world, struct engine_job *job);
void service_submit_purge(struct world *world);
/* What the disk does from now on; its room stays as it is. */
void service_set_disk(struct world *world, struct crash_disk_faults faults);
/* One commit of its own, straight into the store. */
void service_write(struct world *world, enum err (*run)(struct store *store, struct store_job *job), void *ctx);
/* Runs what an API call submitted some time from now. */
void service_expect_turn(struct world *world, unsigned rows);
void service_end(struct world *world);
void engine_job_free(struct engine_job *job);

/* --- hosts.c --------------------------------------------------------------------------------------------- */

void hosts_name(struct world *world);
/* What outbound.c says when there is no descriptor left. */
void hosts_find_no_socket(struct attempt_end *end, struct wall now);
/* Reads the request of the attempt that has just started, and draws what becomes of it. */
void hosts_receive(struct world *world, const struct run *run, uint32_t attempt, struct attempt_end *end);
void hosts_turn(struct world *world, unsigned host);

/* --- users.c --------------------------------------------------------------------------------------------- */

struct users *users_new(struct world *world);
void users_free(struct users *users);
/* Scenarios: straight into the store, in one commit. */
void users_insert(struct world *world, unsigned n, struct schedule_definition definition);
void users_create_some(struct world *world, unsigned n);
void users_create_for_catch_up(struct world *world);
void users_request(struct world *world);
void users_requeue(struct world *world);
bool users_are_waiting(const struct world *world);
/* Straight into the store: switches every schedule off. */
void users_switch_off(struct world *world);
/* Every record is as they were told (I3), and there is no other (I4). */
void users_audit(struct world *world);
/* The same after a death; what had no answer then is there when `is_committed`, else it is not. */
void users_resolve(struct world *world, bool is_committed);

/* --- faults.c -------------------------------------------------------------------------------------------- */

void faults_crash(struct world *world);
void faults_step_clock(struct world *world);
void faults_disk(struct world *world);

#endif
