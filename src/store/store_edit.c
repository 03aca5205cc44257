/* SPDX-License-Identifier: BSD-3-Clause */
/* Edits and deletes of schedules: what they change, and which recorded but unsent runs they take back (P13).
 *
 * An edit holds for every occurrence that is not recorded. A run that is recorded and not yet sent is taken back when
 * the edit concerns it: cancelled when its instant is no longer on the timing or has passed, given the new definition
 * when it is still to come. A leased one is asked for (store_recall.c). Attempted runs keep the snapshot they were sent
 * with. The present next instant survives an edit that does not touch the timing; a new one is always later than
 * everything planned before (P2). */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/internal.h"

struct edit {
	struct store *store;
	const struct store_schedule_row *before;
	struct store_schedule_row after;
	struct str auth_token, signing_secret; /* in the clear, of `after` */
	bool content_changed;		       /* what is sent */
	bool timing_changed;		       /* when */
	struct wall now;
};

static bool same(struct str a, struct str b)
{
	return str_equal(a, b) && (a.p == NULL) == (b.p == NULL);
}

/* A newly sent instant arms a one-shot; the instant that fired last does not, or a client that writes back what it has
 * read would fire it twice. */
static void merge_once(struct edit *edit, const struct schedule_definition *changes)
{
	struct schedule_definition *after = &edit->after.schedule.definition;
	struct schedule shown = store_schedule_shown(edit->before);
	int64_t last_us = edit->before->last_at.us;

	if (changes->has_once == shown.definition.has_once &&
	    (!changes->has_once || changes->once_at.us == shown.definition.once_at.us))
		return;
	if (changes->has_once && changes->once_at.us == last_us && !shown.definition.has_once)
		return;
	after->has_once = changes->has_once;
	after->once_at = changes->once_at;
	if (changes->has_once && changes->once_at.us <= last_us)
		after->once_at = store_rearmed(edit->before, edit->now);
}

static void merge_timing(struct edit *edit, unsigned set, const struct schedule_definition *changes)
{
	const struct schedule_definition *before = &edit->before->schedule.definition;
	struct schedule_definition *after = &edit->after.schedule.definition;

	if (set & SCHEDULE_FREQUENCY) {
		after->has_frequency = changes->has_frequency;
		after->frequency = changes->frequency;
	}
	if (set & SCHEDULE_CRON)
		after->cron = changes->cron;
	if (set & SCHEDULE_INTERVAL)
		after->interval = changes->interval;
	if (set & SCHEDULE_TIMEZONE)
		after->timezone = changes->timezone;
	if (set & SCHEDULE_ENABLED)
		after->enabled = changes->enabled;
	if (set & SCHEDULE_CATCH_UP)
		after->catch_up = changes->catch_up;
	if (set & SCHEDULE_OVERLAP)
		after->overlap = changes->overlap;
	if (!str_equal(before->interval, after->interval))
		edit->after.anchor_at = edit->now;
	if (store_is_set(after->cron) || store_is_set(after->interval))
		after->has_once = false;
	else if (set & SCHEDULE_ONCE_AT)
		merge_once(edit, changes);
	edit->timing_changed = !str_equal(before->cron, after->cron) || !str_equal(before->interval, after->interval) ||
			       (store_is_set(after->cron) && !str_equal(before->timezone, after->timezone)) ||
			       before->has_once != after->has_once ||
			       (after->has_once && before->once_at.us != after->once_at.us);
}

/* ERR_CORRUPT: the stored secret does not open. */
static enum err merge_secret(struct edit *edit, struct arena *arena, bool is_set, const char *field, struct str sealed,
			     struct str change, struct str *secret)
{
	struct str before;

	if (!store_unseal(edit->store, arena, edit->before->schedule.uuid, field, sealed, &before)) {
		snprintf(edit->store->db->error, sizeof edit->store->db->error, "the stored %s does not open", field);
		return ERR_CORRUPT;
	}
	*secret = is_set ? store_some(change) : before;
	edit->content_changed |= !same(*secret, before);
	return ERR_OK;
}

static enum err merge_content(struct edit *edit, struct arena *arena, unsigned set,
			      const struct schedule_definition *changes)
{
	const struct schedule_definition *before = &edit->before->schedule.definition;
	struct schedule_definition *after = &edit->after.schedule.definition;

	if (set & SCHEDULE_ENDPOINT)
		after->endpoint = changes->endpoint;
	if (set & SCHEDULE_PAYLOAD)
		after->payload = changes->payload;
	edit->content_changed =
		!str_equal(before->endpoint, after->endpoint) || !str_equal(before->payload, after->payload);
	enum err err = merge_secret(edit, arena, set & SCHEDULE_AUTH_TOKEN, "auth_token", edit->before->auth_token,
				    changes->auth_token, &edit->auth_token);

	if (err == ERR_OK)
		err = merge_secret(edit, arena, set & SCHEDULE_SIGNING_SECRET, "signing_secret",
				   edit->before->signing_secret, changes->signing_secret, &edit->signing_secret);
	return err;
}

/* --- taking back ----------------------------------------------------------------------------------------- */

struct unsent {
	struct unsent *next;
	int64_t id;
	struct wall planned_at;
	bool is_leased;
	bool may_be_sent; /* an earlier process had it when it died */
};

static enum err list_unsent(struct store *store, int64_t schedule_id, struct arena *arena, struct unsent **list)
{
	struct db_cursor row = db_query(store->db, SQL_RUNS_UNSENT, DB_ARGS(db_int(schedule_id)));

	*list = NULL;
	while (db_next(&row)) {
		struct unsent *run = arena_alloc(arena, sizeof *run);

		*run = (struct unsent){ .next = *list,
					.id = db_get_int(&row, 0),
					.planned_at = db_get_wall(&row, 1),
					.is_leased = !db_is_null(&row, 2),
					.may_be_sent = !db_is_null(&row, 3) };
		*list = run;
	}
	return db_end(&row);
}

static bool is_occurrence(const struct timing *timing, struct wall at)
{
	struct wall found;

	if (timing->has_once)
		return timing->once_at.us == at.us;
	return timing_previous(timing, at, &found) && found.us == at.us;
}

enum verdict { KEEP, CANCEL, REDEFINE };

static enum verdict judge(const struct edit *edit, const struct timing *timing, const struct unsent *run)
{
	if (!edit->after.schedule.definition.enabled ||
	    (edit->timing_changed && !is_occurrence(timing, run->planned_at)))
		return CANCEL;
	if (!edit->content_changed || run->may_be_sent)
		return KEEP;
	if (run->planned_at.us <= edit->now.us)
		return CANCEL;
	return REDEFINE;
}

static enum err redefine(struct edit *edit, const struct unsent *run)
{
	if (run->is_leased)
		return store_recall_ask(edit->store, run->id, STORE_RECALL_REDEFINE);
	store_tell_due(edit->store, run->planned_at);
	return db_run(edit->store->db, SQL_RUN_REDEFINE,
		      DB_ARGS(db_int(run->id), db_int(edit->after.definition_id), db_int(run->planned_at.us),
			      db_int(edit->now.us)));
}

static enum err cancel(struct edit *edit, const struct unsent *run)
{
	if (run->is_leased)
		return store_recall_ask(edit->store, run->id, STORE_RECALL_CANCEL);
	struct schedule_definition *after = &edit->after.schedule.definition;

	if (run->may_be_sent)
		return store_run_cancel(edit->store, run->id, false, 0, edit->now);
	/* It never ran, so it is none of the runs that `frequency` counts; and a one-shot is still to be delivered
	 * (P7). */
	edit->after.schedule.triggered--;
	if (after->has_once && after->once_at.us == run->planned_at.us) {
		after->once_at = store_rearmed(&edit->after, edit->now);
		edit->timing_changed = true;
	}
	return store_run_cancel(edit->store, run->id, false, 0, edit->now);
}

static enum err take_back(struct edit *edit, struct arena *arena)
{
	struct store_timing_source source = store_timing_source(&edit->after);
	struct timing timing = { 0 };
	struct unsent *list;
	enum err err = list_unsent(edit->store, edit->before->schedule.row, arena, &list);

	if (err == ERR_OK && list && edit->timing_changed && !store_timing(edit->store, &source, &timing))
		err = ERR_INVALID;
	for (struct unsent *run = list; run && err == ERR_OK; run = run->next) {
		enum verdict verdict = judge(edit, &timing, run);

		if (verdict == REDEFINE)
			err = redefine(edit, run);
		else if (verdict == CANCEL)
			err = cancel(edit, run);
	}
	return err;
}

/* What is left of its runs, one at a time or all at once. */
static enum err settle_queue(struct edit *edit)
{
	int64_t id = edit->after.schedule.row;
	bool was_serial = edit->before->schedule.definition.overlap != OVERLAP_ALLOW;
	bool is_serial = edit->after.schedule.definition.overlap != OVERLAP_ALLOW;
	enum err err = ERR_OK;

	if (!is_serial)
		return was_serial ? store_queue_dissolve(edit->store, id, edit->now) : ERR_OK;
	if (!was_serial)
		err = store_queue_gather(edit->store, id);
	return err == ERR_OK ? store_queue_advance(edit->store, id, edit->now) : err;
}

/* --- writing --------------------------------------------------------------------------------------------- */

static enum err write_definition(struct edit *edit)
{
	const struct schedule *schedule = &edit->after.schedule;
	struct store_definition_draft draft = {
		.owner = schedule->uuid,
		.endpoint = schedule->definition.endpoint,
		.payload = schedule->definition.payload,
		.auth_token = edit->auth_token,
		.signing_secret = edit->signing_secret,
	};
	enum err err = db_run(edit->store->db, SQL_DEFINITION_SUPERSEDE,
			      DB_ARGS(db_int(edit->before->definition_id), db_int(edit->store->next_run_id - 1)));

	return err == ERR_OK ? store_definition_insert(edit->store, &draft, &edit->after.definition_id) : err;
}

/* An instant that is due and not yet recorded stays due unless the timing itself changed. */
static enum err plan(struct edit *edit)
{
	struct schedule *after = &edit->after.schedule;
	const struct schedule *before = &edit->before->schedule;
	bool was_enabled = before->definition.enabled, is_enabled = after->definition.enabled;
	bool used_up = after->definition.has_frequency && after->triggered >= after->definition.frequency;

	if (!is_enabled || used_up) {
		after->has_next = false;
		return ERR_OK;
	}
	if (!edit->timing_changed && was_enabled && before->has_next)
		return ERR_OK;
	return store_plan_next(edit->store, &edit->after, edit->now, &after->has_next, &after->next_at);
}

static enum err write_rows(struct edit *edit, int64_t user_id)
{
	struct store *store = edit->store;
	const struct schedule *before = &edit->before->schedule, *after = &edit->after.schedule;
	const struct schedule_definition *definition = &after->definition;
	bool no_ahead = definition->overlap != OVERLAP_ALLOW;
	bool next_moved =
		before->has_next != after->has_next || (after->has_next && before->next_at.us != after->next_at.us);
	enum err err = db_run(
		store->db, SQL_SCHEDULE_UPDATE,
		DB_ARGS(db_int(after->row), db_int(edit->after.definition_id),
			db_int_or_null(definition->has_frequency, definition->frequency), db_text(definition->cron),
			db_text(definition->interval), db_int(edit->after.anchor_at.us),
			db_int_or_null(definition->has_once, definition->once_at.us), db_int(definition->enabled),
			db_text(definition->timezone), db_int(edit->now.us), db_int_or_null(user_id != 0, user_id),
			db_int(definition->catch_up), db_int(definition->overlap)));

	if (err == ERR_OK && no_ahead != (before->definition.overlap != OVERLAP_ALLOW)) {
		err = db_run(store->db, SQL_TIMER_SET_NO_AHEAD, DB_ARGS(db_int(after->row), db_int(no_ahead)));
		next_moved = true;
	}
	if (err == ERR_OK && next_moved)
		err = db_run(store->db, SQL_TIMER_SET_NEXT,
			     DB_ARGS(db_int(after->row), db_int_or_null(after->has_next, after->next_at.us)));
	if (err == ERR_OK && before->triggered != after->triggered)
		err = db_run(store->db, SQL_TIMER_SET_TRIGGERED, DB_ARGS(db_int(after->row), db_int(after->triggered)));
	if (err == ERR_OK)
		err = store_counter_add(store, "schedules_enabled",
					(int)definition->enabled - (int)before->definition.enabled);
	if (err == ERR_OK && store_is_set(definition->cron))
		err = store_note_zone(store, definition->timezone);
	if (err == ERR_OK && next_moved && after->has_next)
		store_tell_due(store, after->next_at);
	return err;
}

enum err store_schedule_update(struct store *store, const uint8_t uuid[16], unsigned set,
			       const struct schedule_definition *changes, int64_t user_id, struct wall now,
			       struct arena *arena, struct schedule *out)
{
	struct arena scratch = { 0 };
	struct store_schedule_row before;
	enum err err = store_schedule_load(store, uuid, &scratch, &before);

	if (err == ERR_OK) {
		struct edit edit = { .store = store, .before = &before, .after = before, .now = now };

		merge_timing(&edit, set, changes);
		err = merge_content(&edit, &scratch, set, changes);
		if (err == ERR_OK && edit.content_changed)
			err = write_definition(&edit);
		FAILPOINT("store.edit.definition");
		bool concerns_runs =
			edit.content_changed || edit.timing_changed || !edit.after.schedule.definition.enabled;

		if (err == ERR_OK && concerns_runs)
			err = take_back(&edit, &scratch);
		FAILPOINT("store.edit.taken_back");
		if (err == ERR_OK)
			err = settle_queue(&edit);
		if (err == ERR_OK)
			err = plan(&edit);
		if (err == ERR_OK)
			err = write_rows(&edit, user_id);
		FAILPOINT("store.edit.written");
	}
	arena_release(&scratch);
	return err == ERR_OK ? store_schedule_get(store, uuid, arena, out) : err;
}

/* --- deleting -------------------------------------------------------------------------------------------- */

static enum err cancel_open(struct store *store, int64_t schedule_id, struct wall now)
{
	struct arena arena = { 0 };
	struct open_run {
		struct open_run *next;
		int64_t id;
		uint32_t attempts;
		bool is_leased;
	} *list = NULL;
	struct db_cursor row = db_query(store->db, SQL_RUNS_OPEN_OF_SCHEDULE, DB_ARGS(db_int(schedule_id)));

	while (db_next(&row)) {
		struct open_run *run = arena_alloc(&arena, sizeof *run);

		*run = (struct open_run){ list, db_get_int(&row, 0), (uint32_t)db_get_int(&row, 1),
					  !db_is_null(&row, 2) };
		list = run;
	}
	enum err err = db_end(&row);

	for (; list && err == ERR_OK; list = list->next)
		err = store_run_cancel(store, list->id, list->is_leased, list->attempts, now);
	arena_release(&arena);
	return err;
}

enum err store_schedule_delete(struct store *store, const uint8_t uuid[16], struct wall now)
{
	struct arena arena = { 0 };
	struct store_schedule_row row = { 0 };
	int64_t planned = 0;
	enum err err = store_schedule_load(store, uuid, &arena, &row);
	struct db_value id = db_int(row.schedule.row);

	arena_release(&arena);
	if (err == ERR_OK)
		err = cancel_open(store, row.schedule.row, now);
	FAILPOINT("store.delete.cancelled");
	if (err == ERR_OK)
		err = db_run(store->db, SQL_FAILURE_DELETE_OF_SCHEDULE, DB_ARGS(id));
	if (err == ERR_OK)
		err = store_counter_add(store, "failures", -db_changes(store->db));
	FAILPOINT("store.delete.failures");
	if (err == ERR_OK)
		err = db_number(store->db, SQL_TIMER_PLANNED, DB_ARGS(id), &planned);
	if (err == ERR_OK)
		err = store_counter_add(store, "deleted_planned", planned);
	if (err == ERR_OK)
		err = db_run(store->db, SQL_TIMER_DELETE, DB_ARGS(id));
	FAILPOINT("store.delete.timer");
	if (err == ERR_OK)
		err = db_run(store->db, SQL_DEFINITION_SUPERSEDE,
			     DB_ARGS(db_int(row.definition_id), db_int(store->next_run_id - 1)));
	if (err == ERR_OK)
		err = db_run(store->db, SQL_SCHEDULE_DELETE, DB_ARGS(id));
	FAILPOINT("store.delete.schedule");
	if (err == ERR_OK)
		err = store_counter_add(store, "schedules", -1);
	if (err == ERR_OK)
		err = store_counter_add(store, "schedules_enabled", -(int64_t)row.schedule.definition.enabled);
	return err;
}
