/* SPDX-License-Identifier: BSD-3-Clause */
/* Sequences of calls of the API, with deliveries in between, against a model of what it must show afterwards.
 *
 * The bytes choose who asks for what with which fields; every answer, its status, every member of every record, the
 * order and the length of every list are as the model has them. What a refused call asked for is nowhere. */
#include <stdarg.h>
#include <stdio.h>

#include "fuzz.h"

#include "api_fields.h"
#include "api_rig.h"
#include "base/text.h"
#include "core/timestamp.h"
#include "record_text.h"

enum {
	OPS_MAX = 48,
	SCHEDULES_MAX = 8,
	WEBHOOKS_MAX = 6,
	FAILURES_MAX = 256,
	CLAIM_ROOM = 16,
	EMAILS_N = 3,
	OBJECT_MEMBERS_MAX = 32,
	TEXT_BYTES_MAX = 1 << 20
};

#define NOW_US INT64_C(1764000000000000)
#define RECORDS "http://" RIG_HOST "/api/v1/"

/* --- the model ------------------------------------------------------------------------------------------- */

struct record {
	bool is_gone;
	char id[UUID_TEXT_BYTES + 1]; /* or the digits of a number */
	struct str shown[MEMBERS_MAX];
	struct str payload; /* as it was sent */
	struct wall created_at, updated_at;
	int64_t created_by, updated_by;
	int64_t triggered_min;
};

struct failed {
	uint8_t run[RUN_UUID_BYTES];
	unsigned schedule;
	bool is_gone;
};

struct model {
	struct fuzz_input *in;
	struct arena arena;
	struct buf request;
	struct record schedules[SCHEDULES_MAX], webhooks[WEBHOOKS_MAX];
	unsigned schedules_n, webhooks_n;
	struct failed failures[FAILURES_MAX];
	unsigned failures_n;
	int64_t hook_runs; /* schedule.added, and not delivered yet */
	int64_t users_n, emails[EMAILS_N];
	char minted[41]; /* the last token made */
	int64_t minted_user;
	struct str answer;
};

/* Who asks. */
struct who {
	char header[80];
	int64_t user; /* 0: not let in */
	bool is_staff;
};

static struct who take_who(struct model *m)
{
	static const char *const words[] = { "Authorization: Token " RIG_ROOT_TOKEN,
					     "Authorization: bearer " RIG_ANN_TOKEN,
					     "Authorization: Token " RIG_GONE_TOKEN,
					     "Authorization: Token ffffffffffffffffffffffffffffffffffffffff",
					     "X-Nobody: here" };
	static const int64_t users[] = { RIG_ROOT_ID, RIG_ANN_ID, 0, 0, 0 };
	uint64_t byte = fuzz_take(m->in, 1);
	unsigned which = byte < 160 ? 0 : byte < 200 ? 1 : byte < 220 ? 5 : (unsigned)(byte % 3) + 2;
	struct who who = { .user = 0 };

	if (which == 5 && m->minted_user) {
		snprintf(who.header, sizeof who.header, "Authorization: Token %s", m->minted);
		who.user = m->minted_user;
		return who;
	}
	which = which == 5 ? 1 : which;
	snprintf(who.header, sizeof who.header, "%s", words[which]);
	who.user = users[which];
	who.is_staff = which == 0;
	return who;
}

/* --- requests -------------------------------------------------------------------------------------------- */

static unsigned ask(struct model *m, const struct who *who, const char *method, const char *path, struct str body)
{
	buf_clear(&m->request);
	buf_printf(&m->request, "%s %s HTTP/1.1\r\nHost: " RIG_HOST "\r\n%s\r\n", method, path, who->header);
	if (body.n > 0)
		buf_printf(&m->request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
	buf_add(&m->request, STR("\r\n"));
	buf_add(&m->request, body);

	unsigned status = rig_ask(buf_str(&m->request), &m->answer);

	if (!who->user)
		assert(status == 401 && str_starts_with(m->answer, STR("{\"detail\":\"")));
	return status;
}

static bool is_instant(struct str value, struct wall at)
{
	struct buf text;
	bool same;

	buf_init(&text, 64);
	buf_add_char(&text, '"');
	timestamp_add(&text, at);
	buf_add_char(&text, '"');
	same = str_equal(value, buf_str(&text));
	buf_release(&text);
	return same;
}

static bool is_text(struct str value, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool is_text(struct str value, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return str_equal(value, str_from(text));
}

/* The members of an object, found once. */
struct object {
	struct str keys[OBJECT_MEMBERS_MAX], values[OBJECT_MEMBERS_MAX];
	unsigned n;
};

static struct object object_of(struct str text)
{
	struct object object;

	for (object.n = 0; record_text_next(&text, &object.keys[object.n], &object.values[object.n]); object.n++)
		assert(object.n + 1 < OBJECT_MEMBERS_MAX);
	return object;
}

static struct str member_of(const struct object *object, const char *name)
{
	unsigned i = 0;

	while (i < object->n && !str_equal(object->keys[i], str_from(name)))
		i++;
	assert(i < object->n);
	return object->values[i];
}

static void check_members(const struct record *record, const struct member *members, unsigned n,
			  const struct object *object)
{
	for (unsigned i = 0; i < n; i++)
		assert(str_equal(member_of(object, members[i].name), record->shown[i]));
}

static void check_schedule(const struct record *record, const struct object *object)
{
	uint64_t triggered;
	bool is_timed =
		!str_equal(record->shown[CRON], STR("null")) || !str_equal(record->shown[INTERVAL], STR("null"));

	check_members(record, schedule_members, SCHEDULE_MEMBERS_N, object);
	assert(is_text(member_of(object, "url"), "\"" RECORDS "schedule/%s/\"", record->id));
	assert(is_text(member_of(object, "id"), "\"%s\"", record->id));
	assert(is_instant(member_of(object, "created_at"), record->created_at));
	assert(is_instant(member_of(object, "updated_at"), record->updated_at));
	assert(is_text(member_of(object, "created_by"), "\"" RECORDS "user/%lld/\"", (long long)record->created_by));
	assert(is_text(member_of(object, "updated_by"), "\"" RECORDS "user/%lld/\"", (long long)record->updated_by));
	assert(str_equal(member_of(object, "put_off"), STR("false")));
	assert(str_to_u64(member_of(object, "triggered"), &triggered) && (int64_t)triggered >= record->triggered_min);
	if (!str_equal(record->shown[ENABLED], STR("true")) || !is_timed)
		assert(str_equal(member_of(object, "next_send_at"), STR("null")));
	else if (str_equal(record->shown[FREQUENCY], STR("null")))
		assert(!str_equal(member_of(object, "next_send_at"), STR("null")));
}

static void check_webhook(const struct record *record, const struct object *object)
{
	check_members(record, webhook_members, WEBHOOK_MEMBERS_N, object);
	assert(is_text(member_of(object, "id"), "%s", record->id));
	assert(is_instant(member_of(object, "created"), record->created_at));
	assert(is_instant(member_of(object, "updated"), record->updated_at));
	assert(is_text(member_of(object, "user"), "%lld", (long long)record->created_by));
}

static void apply(struct record *record, const struct edit *edit, const struct who *who)
{
	for (unsigned i = 0; i < edit->n; i++)
		if (edit->is_set[i])
			record->shown[i] = edit->shown[i];
	if (edit->payload.p)
		record->payload = edit->payload;
	record->updated_at = rig_now();
	record->updated_by = who->user;
}

static void create(struct record *record, const struct edit *edit, const struct who *who, struct str id)
{
	*record = (struct record){ .created_at = rig_now(), .created_by = who->user, .payload = STR("{}") };
	for (unsigned i = 0; i < edit->n; i++)
		record->shown[i] = str_from(edit->members[i].first ? edit->members[i].first : "");
	apply(record, edit, who);
	assert(id.n < sizeof record->id);
	memcpy(record->id, id.p, id.n);
}

/* --- schedules and webhooks: the same five calls ---------------------------------------------------------- */

struct kind {
	const char *path;
	const struct member *members;
	unsigned members_n, max;
	void (*check)(const struct record *record, const struct object *object);
	const char *unknown; /* an id that nothing has */
};

static const struct kind schedule_kind = {
	"/api/v1/schedule/", schedule_members, SCHEDULE_MEMBERS_N,
	SCHEDULES_MAX,	     check_schedule,   "01234567-89ab-4cde-8f01-23456789abcd"
};
static const struct kind webhook_kind = { "/api/v1/webhook/", webhook_members, WEBHOOK_MEMBERS_N,
					  WEBHOOKS_MAX,	      check_webhook,   "4711" };

struct shelf {
	const struct kind *kind;
	struct record *records;
	unsigned *n;
};

static struct shelf take_shelf(struct model *m)
{
	if (fuzz_take(m->in, 1) % 3 == 0)
		return (struct shelf){ &webhook_kind, m->webhooks, &m->webhooks_n };
	return (struct shelf){ &schedule_kind, m->schedules, &m->schedules_n };
}

/* NULL: an id that is not there. */
static struct record *take_record(struct model *m, const struct shelf *shelf, char path[96])
{
	uint64_t which = fuzz_take(m->in, 1) % (shelf->kind->max + 1);
	struct record *record = which < *shelf->n ? &shelf->records[which] : NULL;

	snprintf(path, 96, "%s%s/", shelf->kind->path, record ? record->id : shelf->kind->unknown);
	return record && !record->is_gone ? record : NULL;
}

static void count_hooks(struct model *m)
{
	for (unsigned i = 0; i < m->webhooks_n; i++)
		m->hook_runs +=
			!m->webhooks[i].is_gone && str_equal(m->webhooks[i].shown[EVENT], STR("\"schedule.added\""));
}

static void op_create(struct model *m)
{
	struct shelf shelf = take_shelf(m);
	struct who who = take_who(m);
	struct edit edit = { .members = shelf.kind->members, .n = shelf.kind->members_n };

	if (*shelf.n == shelf.kind->max)
		return;
	edit_take(&edit, m->in, &m->arena, NULL);
	unsigned status = ask(m, &who, "POST", shelf.kind->path, buf_str(&edit.body));

	if (who.user && edit_is_refused(&edit, true)) {
		assert(status == 400);
		edit_check_problems(&edit, m->answer);
	} else if (who.user) {
		struct object answer = object_of(m->answer);
		struct str id = member_of(&answer, "id");
		struct record *record = &shelf.records[(*shelf.n)++];

		assert(status == 201);
		create(record, &edit, &who, id.p[0] == '"' ? str_slice(id, 1, id.n - 2) : id);
		shelf.kind->check(record, &answer);
		if (shelf.kind == &schedule_kind)
			count_hooks(m);
	}
	buf_release(&edit.body);
}

static void op_edit(struct model *m)
{
	struct shelf shelf = take_shelf(m);
	struct who who = take_who(m);
	bool is_put = fuzz_take(m->in, 1) & 1;
	char path[96];
	struct record *record = take_record(m, &shelf, path);
	struct edit edit = { .members = shelf.kind->members, .n = shelf.kind->members_n };

	edit_take(&edit, m->in, &m->arena, record ? record->shown : NULL);
	unsigned status = ask(m, &who, is_put ? "PUT" : "PATCH", path, buf_str(&edit.body));

	if (who.user && !record) {
		assert(status == 404);
	} else if (who.user && edit_is_refused(&edit, is_put)) {
		assert(status == 400);
		edit_check_problems(&edit, m->answer);
	} else if (who.user) {
		struct object answer = object_of(m->answer);

		assert(status == 200);
		apply(record, &edit, &who);
		shelf.kind->check(record, &answer);
	}
	buf_release(&edit.body);
}

static void op_delete(struct model *m)
{
	struct shelf shelf = take_shelf(m);
	struct who who = take_who(m);
	char path[96];
	struct record *record = take_record(m, &shelf, path);
	unsigned status = ask(m, &who, "DELETE", path, (struct str){ 0 });

	if (!who.user)
		return;
	assert(status == (record ? 204 : 404));
	if (!record)
		return;
	record->is_gone = true;
	for (unsigned i = 0; i < m->failures_n; i++)
		if (&m->schedules[m->failures[i].schedule] == record)
			m->failures[i].is_gone = true;
}

static void op_show(struct model *m)
{
	struct shelf shelf = take_shelf(m);
	struct who who = take_who(m);
	char path[96];
	const struct record *record = take_record(m, &shelf, path);
	unsigned status = ask(m, &who, "GET", path, (struct str){ 0 });

	if (!who.user)
		return;
	assert(status == (record ? 200 : 404));
	if (!record)
		return;

	struct object answer = object_of(m->answer);

	shelf.kind->check(record, &answer);
}

/* --- lists ----------------------------------------------------------------------------------------------- */

/* Asks for a page and checks what is about it; `count` rows there are. Each row is handed out with the number of rows
 * before it in the whole list. */
static void check_list(struct model *m, const struct who *who, const char *path, unsigned count,
		       void (*check)(struct model *m, unsigned nth, const struct object *row))
{
	unsigned limit = (unsigned)fuzz_take(m->in, 1) % 8, offset = (unsigned)fuzz_take(m->in, 1) % 12, n = 0;
	char target[128];

	snprintf(target, sizeof target, "%s?limit=%u&offset=%u", path, limit, offset);
	unsigned status = ask(m, who, "GET", target, (struct str){ 0 });

	if (!who->user)
		return;
	struct object answer = object_of(m->answer);

	limit = limit ? limit : 1000;
	assert(status == 200 && is_text(member_of(&answer, "count"), "%u", count));
	assert(str_equal(member_of(&answer, "next"), STR("null")) == (offset + limit >= count));
	assert(str_equal(member_of(&answer, "previous"), STR("null")) == (offset == 0));

	struct str rows = member_of(&answer, "results");

	while (rows.n > 2) {
		struct str row = record_text_object(str_slice(rows, 1, rows.n)); /* behind the bracket or the comma */
		struct object object = object_of(row);

		check(m, offset + n++, &object);
		rows = str_slice(rows, 1 + row.n, rows.n);
	}
	assert(n == (offset >= count ? 0 : count - offset < limit ? count - offset : limit));
}

/* The nth of the living from the newest. */
static const struct record *nth_living(const struct record *records, unsigned n, unsigned nth)
{
	while (n > 0)
		if (!records[--n].is_gone && nth-- == 0)
			return &records[n];
	return NULL;
}

static void check_schedule_row(struct model *m, unsigned nth, const struct object *row)
{
	const struct record *record = nth_living(m->schedules, m->schedules_n, nth);

	assert(record);
	check_schedule(record, row);
}

static void check_webhook_row(struct model *m, unsigned nth, const struct object *row)
{
	const struct record *record = nth_living(m->webhooks, m->webhooks_n, nth);

	assert(record);
	check_webhook(record, row);
}

static unsigned count_living(const struct record *records, unsigned n)
{
	unsigned living = 0;

	for (unsigned i = 0; i < n; i++)
		living += !records[i].is_gone;
	return living;
}

static void check_failed_row(struct model *m, unsigned nth, const struct object *row)
{
	unsigned i = m->failures_n;
	char uuid[UUID_TEXT_BYTES];

	while (i > 0 && (m->failures[i - 1].is_gone || nth-- > 0))
		i--;
	assert(i > 0);
	uuid_format(m->failures[i - 1].run, uuid);
	assert(is_text(member_of(row, "task_id"), "\"%.*s\"", UUID_TEXT_BYTES, uuid));
	assert(is_text(member_of(row, "schedule"), "\"" RECORDS "schedule/%s/\"",
		       m->schedules[m->failures[i - 1].schedule].id));
}

static unsigned count_failed(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->failures_n; i++)
		n += !m->failures[i].is_gone;
	return n;
}

static void check_user_row(struct model *m, unsigned nth, const struct object *row)
{
	assert(is_text(member_of(row, "url"), "\"" RECORDS "user/%lld/\"", (long long)(m->users_n - nth)));
}

static void list(struct model *m, const struct who *who, unsigned which)
{
	if (which == 0)
		check_list(m, who, "/api/v1/webhook/", count_living(m->webhooks, m->webhooks_n), check_webhook_row);
	else if (which == 1)
		check_list(m, who, "/api/v1/failed-tasks/", count_failed(m), check_failed_row);
	else if (which == 2)
		check_list(m, who, "/api/v1/user/", (unsigned)m->users_n, check_user_row);
	else
		check_list(m, who, "/api/v1/schedule/", count_living(m->schedules, m->schedules_n), check_schedule_row);
}

static void op_list(struct model *m)
{
	struct who who = take_who(m);

	list(m, &who, (unsigned)fuzz_take(m->in, 1) % 5);
}

/* --- the rest of the API --------------------------------------------------------------------------------- */

static void op_requeue(struct model *m)
{
	struct who who = take_who(m);
	unsigned status = ask(m, &who, "POST", "/api/v1/failed-tasks/", STR("null"));

	if (who.user)
		assert(status == 201 && str_equal(m->answer, STR("{\"requeued_failed_tasks\":true}")));
}

/* A token for an address: of the user who has it, or of a new one. */
static void op_token(struct model *m)
{
	struct who who = take_who(m);
	unsigned which = (unsigned)fuzz_take(m->in, 1) % EMAILS_N;
	char body[64];

	snprintf(body, sizeof body, "{\"email\":\"u%u@c.example\"}", which);
	unsigned status = ask(m, &who, "POST", "/api/v1/user/token/", str_from(body));

	if (!who.user)
		return;
	assert(status == (who.is_staff ? 201 : 403));
	if (status != 201)
		return;

	struct object answer = object_of(m->answer);
	struct str token = member_of(&answer, "token");

	assert(token.n == sizeof m->minted + 1 && !str_equal(str_slice(token, 1, 40), str_from(m->minted)));
	memcpy(m->minted, token.p + 1, 40);
	if (m->emails[which] == 0)
		m->emails[which] = ++m->users_n;
	m->minted_user = m->emails[which];
}

/* Calls that are answered in one way, whatever was before. */
static void op_fixed(struct model *m)
{
	static const struct {
		const char *method, *path, *body;
		unsigned status;
		bool is_open; /* answered so whoever asks */
	} rows[] = {
		{ "GET", "/api/v1/nothing/", "", 404, true },
		{ "POST", "/api/v1/schedule", "", 301, true },
		{ "GET", "/api/v1/schedule/?format=xml", "", 404, true },
		{ "PUT", "/api/v1/schedule/", "{}", 405, false },
		{ "DELETE", "/api/v1/user/1/", "", 405, false },
		{ "POST", "/api/v1/schedule/", "{\"endpoint\":", 400, false },
		{ "POST", "/api/v1/schedule/", "[]", 400, false },
		{ "POST", "/api/v1/webhook/", "null", 400, false },
		{ "PATCH", "/api/v1/schedule/no-uuid/", "{}", 404, false },
		{ "GET", "/api/v1/failed-tasks/999999/", "", 404, false },
		{ "POST", "/api/metrics/", "", 200, false },
		{ "GET", "/api/health/", "", 200, false },
		{ "GET", "/api/v1/user/2/", "", 200, false },
		{ "OPTIONS", "/api/v1/webhook/", "", 200, false },
	};
	struct who who = take_who(m);
	uint64_t i = fuzz_take(m->in, 1) % (sizeof rows / sizeof *rows);
	struct who asked = who;

	if (rows[i].is_open)
		asked.user = RIG_ROOT_ID; /* nothing is said about who it is */
	unsigned status = ask(m, &asked, rows[i].method, rows[i].path, str_from(rows[i].body));

	if (asked.user)
		assert(status == rows[i].status);
}

/* --- deliveries ------------------------------------------------------------------------------------------ */

struct turn {
	struct model *m;
	uint32_t runs_n;
	bool more;
};

static unsigned schedule_of(const struct model *m, const struct run *run)
{
	char id[UUID_TEXT_BYTES];
	unsigned i = 0;

	uuid_format(run->schedule_uuid, id);
	while (i < m->schedules_n && memcmp(m->schedules[i].id, id, sizeof id) != 0)
		i++;
	assert(i < m->schedules_n && !m->schedules[i].is_gone);
	return i;
}

static struct failed *failed_of(struct model *m, const struct run *run)
{
	for (unsigned i = 0; i < m->failures_n; i++)
		if (!m->failures[i].is_gone && memcmp(m->failures[i].run, run->uuid, sizeof run->uuid) == 0)
			return &m->failures[i];
	return NULL;
}

/* One that was never sent has what the record says now (P13). */
static void check_new_run(const struct run *run, struct record *record)
{
	assert(str_equal(record->shown[ENABLED], STR("true")));
	assert(is_text(record->shown[ENDPOINT], "\"%.*s\"", STR_ARG(run->endpoint)));
	assert(str_equal(run->body, record->payload));
	assert(!run->authorization.p == str_equal(record->shown[AUTH_TOKEN], STR("null")));
	assert(!run->signing_secret.p == str_equal(record->shown[SIGNING_SECRET], STR("null")));
	assert(run->planned_at.us > record->created_at.us && run->planned_at.us <= rig_now().us);
	record->triggered_min++;
}

/* What becomes of it: the next bits say. */
static enum store_record_kind deliver(struct model *m, const struct run *run)
{
	if (run->kind == RUN_WEBHOOK) {
		assert(m->hook_runs-- > 0);
		return STORE_DELIVERED;
	}
	unsigned schedule = schedule_of(m, run), die = (unsigned)fuzz_take(m->in, 1) % 8;
	struct failed *failed = failed_of(m, run);

	assert(run->kind == RUN_SCHEDULE && run->was_failed == (failed != NULL));
	if (run->attempts == 0)
		check_new_run(run, &m->schedules[schedule]);
	if (die < 3 && !failed && m->failures_n < FAILURES_MAX) {
		failed = &m->failures[m->failures_n++];
		*failed = (struct failed){ .schedule = schedule };
		memcpy(failed->run, run->uuid, sizeof run->uuid);
		return STORE_FAILED;
	}
	if (die < 3)
		return failed ? STORE_FAILED : STORE_DELIVERED;
	if (die == 3)
		return STORE_RETRY;
	if (failed)
		failed->is_gone = true;
	return STORE_DELIVERED;
}

static enum err turn(struct store *store, struct store_job *job)
{
	static const struct outcome outcomes[] = {
		[STORE_DELIVERED] = { .class = OUTCOME_DELIVERED, .status = 200 },
		[STORE_RETRY] = { .class = OUTCOME_HTTP, .status = 503, .answer_n = 4, .answer = "busy" },
		[STORE_FAILED] = { .class = OUTCOME_HTTP, .status = 410 },
	};
	struct turn *turn = job->ctx;
	struct store_record records[CLAIM_ROOM];
	struct claim_batch batch = { 0 };
	enum err err = store_claim(
		store, &(struct store_claim){ .now = rig_now(), .until = rig_now(), .room = CLAIM_ROOM }, &batch);

	assert(err == ERR_OK && batch.runs_n <= CLAIM_ROOM);
	for (uint32_t i = 0; i < batch.runs_n; i++) {
		const struct run *run = &batch.runs[i];
		enum store_record_kind kind = deliver(turn->m, run);

		records[i] = (struct store_record){ .run_id = run->id,
						    .lease = run->lease,
						    .schedule_row = run->schedule_row,
						    .lane = run->lane,
						    .run_kind = run->kind,
						    .kind = kind,
						    .was_failed = run->was_failed,
						    .attempts = run->attempts + 1,
						    .eligible_at = wall_add_us(rig_now(), 10 * US_PER_SECOND),
						    .outcome = &outcomes[kind] };
	}
	err = store_record(store, records, batch.runs_n, rig_now());
	for (uint32_t i = 0; i < batch.runs_n; i++)
		assert(!records[i].was_fenced);
	turn->runs_n = batch.runs_n;
	turn->more = batch.more;
	arena_release(&batch.arena);
	return err;
}

static void op_deliver(struct model *m)
{
	static const int64_t waits_us[] = { 0,
					    1,
					    US_PER_SECOND,
					    5 * US_PER_SECOND,
					    30 * US_PER_SECOND,
					    61 * US_PER_SECOND,
					    300 * US_PER_SECOND,
					    90000 * US_PER_SECOND };
	struct turn one = { .m = m };

	rig_pass(waits_us[fuzz_take(m->in, 1) % (sizeof waits_us / sizeof *waits_us)]);
	rig_write(turn, &one);
}

/* --- one input ------------------------------------------------------------------------------------------- */

/* Everything is as the model has it, and P3's sum holds. */
static void check_all(struct model *m)
{
	const struct who root = { "Authorization: Token " RIG_ROOT_TOKEN, RIG_ROOT_ID, true };
	struct store_check check;
	struct error error;
	enum err err = store_check(rig_reader(), &check, &error);

	m->in->n = 0; /* whole lists */
	for (unsigned which = 0; which < 4; which++)
		list(m, &root, which);
	assert(err == ERR_OK && check.sum_holds && check.integrity_ok);
	assert(check.schedules == (int64_t)count_living(m->schedules, m->schedules_n));
	assert(check.failures == (int64_t)count_failed(m));
}

/* Webhooks are told, each once, when everything due has gone. */
static void check_hooks(struct model *m)
{
	struct turn last = { .m = m, .more = true };

	for (unsigned i = 0; i < 4 && last.more; i++)
		rig_write(turn, &last);
	assert(last.more || m->hook_runs == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct model * m) = { op_create,  op_create,	 op_create,  op_edit,
							 op_edit,    op_edit,	 op_delete,  op_show,
							 op_list,    op_requeue, op_token,   op_fixed,
							 op_deliver, op_deliver, op_deliver, op_deliver };
	struct fuzz_input in = { data, size };
	struct model m = { .in = &in, .users_n = RIG_USERS_N };

	buf_init(&m.request, TEXT_BYTES_MAX);
	rig_open((struct wall){ NOW_US });
	for (unsigned i = 0; i < OPS_MAX && in.n > 0; i++) {
		ops[fuzz_take(&in, 1) % (sizeof ops / sizeof *ops)](&m);
		rig_pass(US_PER_MS);
	}
	check_hooks(&m);
	check_all(&m);
	rig_close();
	buf_release(&m.request);
	arena_release(&m.arena);
	return 0;
}
