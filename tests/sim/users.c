/* SPDX-License-Identifier: BSD-3-Clause */
/* Everybody who calls the API, and what they may rely on: a write that was answered 2xx is there, byte for byte (I3);
 * one that was refused is not; one that was never answered is there whole or not at all (I4).
 *
 * What they know of a schedule is the text of its last answer, but for the members that move by themselves. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "catch_up.h"
#include "core/timestamp.h"
#include "inside.h"
#include "record_text.h"
#include "wishes.h"

enum { TEXT_BYTES_MAX = 64 << 20 };

enum request_kind { CREATE, EDIT, DELETE, REQUEUE_ALL, SHOW, LIST, MISTAKE };

struct request {
	struct request *next;
	struct world *world;
	enum request_kind kind;
	unsigned index;	 /* of the schedule */
	unsigned status; /* of a mistake's answer */
	struct wall sent_at;
	uint64_t clock_steps; /* until it was sent */
	int64_t secrets;      /* that it gives the schedule; 0: none */
	struct buf members;   /* of the body: {"payload":…} */
};

struct known {
	uint8_t uuid[16];
	struct buf steady; /* the record's members that only an edit changes */
	bool is_deleted;
	bool is_busy;	 /* a write of it waits for its answer */
	int64_t secrets; /* the number in them; 0: none */
};

struct users {
	struct world *world;
	struct known *all; /* owned */
	unsigned n, room, living_n;
	struct request *open, **open_end; /* owned: writes without an answer, in the order of sending */
	int64_t payload;
	bool is_unchecked;  /* scenarios: too many to look at each */
	struct buf text;    /* of the request being made */
	struct buf listing; /* the last list's body */
};

/* --- what is known --------------------------------------------------------------------------------------- */

static unsigned know(struct users *users, const uint8_t uuid[16])
{
	if (users->n == users->room) {
		users->room = users->room ? 2 * users->room : 64;
		users->all = memory_resize(users->all, users->room * sizeof *users->all);
	}

	struct known *known = &users->all[users->n];

	*known = (struct known){ 0 };
	buf_init(&known->steady, TEXT_BYTES_MAX);
	memcpy(known->uuid, uuid, 16);
	users->living_n++;
	return users->n++;
}

/* Records are listed newest first, so the next one is most likely just below the last one found. */
static struct known *find(struct users *users, const uint8_t uuid[16], unsigned *below)
{
	for (unsigned tried = 0; tried < users->n; tried++) {
		*below = *below > 0 ? *below - 1 : users->n - 1;
		if (memcmp(users->all[*below].uuid, uuid, 16) == 0)
			return &users->all[*below];
	}
	return NULL;
}

static void read_uuid(struct str record, uint8_t uuid[16])
{
	struct str id = record_text_value(record, STR("id"));

	promise(id.n == UUID_TEXT_BYTES + 2 && uuid_parse(str_slice(id, 1, id.n - 2), uuid), "API", 0,
		"a record without an id");
}

/* The record is the last word now. */
static void learn(const struct request *request, unsigned index, struct str record)
{
	struct world *world = request->world;
	struct known *known = &world->users->all[index];
	struct wall now = now_of(world).wall, from = request->sent_at;
	struct arena arena = { 0 };
	struct schedule schedule;

	buf_clear(&known->steady);
	record_text_add_steady(&known->steady, record);
	promise(store_schedule_get(world->reader, known->uuid, &arena, &schedule) == ERR_OK, "I3", 0,
		"a record that was answered is gone");
	if (request->clock_steps != world->sums.clock_steps)
		from = wall_add_us(now, 1);
	audit_defined(world->audit, &schedule, from, now);
	if (request->secrets) {
		known->secrets = request->secrets;
		schedule.definition.auth_token = wish_auth_token(&arena, known->secrets);
		schedule.definition.signing_secret = wish_signing_secret(&arena, known->secrets);
	}
	ledger_defined(world->ledger, known->uuid, &schedule.definition, now);
	arena_release(&arena);
}

/* Every member that was asked for is as asked; of an edit, every other one is as it was. */
static void check_reflects(const struct request *request, struct str record, const struct known *before)
{
	struct str rest = record, key, value;

	while (record_text_next(&rest, &key, &value)) {
		struct str asked = record_text_value(buf_str(&request->members), key);

		if (record_text_is_moving(key) || str_equal(key, STR("updated_at")) ||
		    str_equal(key, STR("updated_by")))
			continue;
		if (str_equal(key, STR("auth_token")) || str_equal(key, STR("signing_secret"))) {
			promise(str_equal(value, STR("null")) || str_equal(value, STR("\"********\"")), "API", 0,
				"an answer shows a secret");
			continue;
		}
		if (!asked.p && before)
			asked = record_text_value(buf_str(&before->steady), key);
		if (asked.p && !str_equal(asked, value)) {
			fprintf(stderr, "%.*s: asked %.*s, is %.*s\n", STR_ARG(key), STR_ARG(asked), STR_ARG(value));
			promise(false, before ? "I4" : "I3", 0, "a write that is neither whole nor absent");
		}
	}
}

/* --- a write has taken effect ---------------------------------------------------------------------------- */

static void created(struct request *request, struct str record)
{
	struct world *world = request->world;
	uint8_t uuid[16];

	check_reflects(request, record, NULL);
	read_uuid(record, uuid);
	learn(request, know(world->users, uuid), record);
	catch_up_created(world->catch_up, uuid, record);
}

static void edited(struct request *request, struct str record)
{
	check_reflects(request, record, &request->world->users->all[request->index]);
	learn(request, request->index, record);
}

static void deleted(struct request *request)
{
	struct users *users = request->world->users;
	struct known *known = &users->all[request->index];

	known->is_deleted = true;
	users->living_n--;
	ledger_deleted(request->world->ledger, known->uuid);
	audit_deleted(request->world->audit, known->uuid);
}

/* `steady` is scratch. */
static void check_is_same(const struct known *known, struct str record, struct buf *steady)
{
	buf_clear(steady);
	record_text_add_steady(steady, record);
	if (str_equal(buf_str(steady), buf_str(&known->steady)))
		return;
	fprintf(stderr, "told %.*s\nreads %.*s\n", STR_ARG(buf_str(&known->steady)), STR_ARG(buf_str(steady)));
	promise(false, "I3", 0, "a record reads as another");
}

static void shown(const struct request *request, unsigned status, struct str record)
{
	struct known *known = &request->world->users->all[request->index];
	struct buf steady;

	promise(status == (known->is_deleted ? 404 : 200), "I3", status, "a record that is there reads as gone");
	if (known->is_deleted)
		return;
	buf_init(&steady, TEXT_BYTES_MAX);
	check_is_same(known, record, &steady);
	buf_release(&steady);
}

/* --- requests -------------------------------------------------------------------------------------------- */

static struct request *new_request(struct world *world, enum request_kind kind, unsigned index)
{
	struct request *request = memory_new(sizeof *request);

	request->world = world;
	request->kind = kind;
	request->index = index;
	buf_init(&request->members, TEXT_BYTES_MAX);
	return request;
}

static void free_request(struct request *request)
{
	struct users *users = request->world->users;

	if (request->kind == EDIT || request->kind == DELETE) {
		users->all[request->index].is_busy = false;
		audit_unchanged(request->world->audit, users->all[request->index].uuid);
	}
	buf_release(&request->members);
	free(request);
}

static void close_request(struct request *request)
{
	struct users *users = request->world->users;
	struct request **link = &users->open;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	if (!*link)
		users->open_end = link;
	free_request(request);
}

static void take_effect(struct request *request, struct str record)
{
	struct world *world = request->world;

	switch (request->kind) {
	case CREATE:
		created(request, record);
		break;
	case EDIT:
		edited(request, record);
		break;
	case DELETE:
		deleted(request);
		break;
	case REQUEUE_ALL:
		ledger_requeued(world->ledger);
		break;
	case LIST:
		buf_clear(&world->users->listing);
		buf_add(&world->users->listing, record);
		break;
	case SHOW:
	case MISTAKE:
		break;
	}
}

static void on_answer(void *ctx, void *asked, unsigned status, struct str body)
{
	static const unsigned expected[] = {
		[CREATE] = 201, [EDIT] = 200, [DELETE] = 204, [REQUEUE_ALL] = 201, [LIST] = 200
	};
	struct world *world = ctx;
	struct request *request = asked;

	trace(world, 6, status);
	if (status >= 400)
		tell(world, "%.*s is answered %u %.*s", STR_ARG(buf_str(&request->members)), status, STR_ARG(body));
	world->sums.answers_2xx += status < 300;
	world->sums.answers_4xx += status >= 400 && status < 500;
	world->sums.answers_503 += status == 503;
	if (status == 503)
		promise(world->room_bytes || world->has_failed_write, "P14", 0, "503 while the disk is well");
	else if (request->kind == SHOW)
		shown(request, status, body);
	else if (request->kind == MISTAKE)
		promise(status == request->status, "API", status, "a mistake got another answer");
	else
		promise(status == expected[request->kind], "API", status, "a good request got another answer");
	if (status < 300)
		take_effect(request, body);
	close_request(request);
}

/* "http://h/api/v1/schedule/<id>/" without the beginning. */
static void add_path(struct buf *text, const struct users *users, unsigned index)
{
	char id[UUID_TEXT_BYTES];

	uuid_format(users->all[index].uuid, id);
	buf_add(text, STR("/api/v1/schedule/"));
	buf_add(text, (struct str){ id, sizeof id });
	buf_add_char(text, '/');
}

static void send_text(struct request *request, const char *method, struct str path)
{
	struct world *world = request->world;
	struct users *users = world->users;
	struct buf *text = &users->text;
	struct str body = buf_str(&request->members);

	buf_clear(text);
	buf_printf(text, "%s %.*s HTTP/1.1\r\nHost: sim.example\r\nAuthorization: Token " SIM_TOKEN "\r\n", method,
		   STR_ARG(path));
	if (body.n)
		buf_printf(text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
	buf_add(text, STR("\r\n"));
	buf_add(text, body);
	world->sums.requests++;
	tell(world, "%s %.*s %.*s", method, STR_ARG(path), STR_ARG(body));
	request->sent_at = now_of(world).wall;
	request->clock_steps = world->sums.clock_steps;
	*users->open_end = request;
	users->open_end = &request->next;
	front_send(world->front, buf_str(text), (size_t)between(&world->dice, 1, (int64_t)text->n), request);
	if (users->open)
		service_expect_turn(world, 4);
	/* A turn of the loop ends: what is read next is read anew. */
	uv_run(&world->rig->loop, UV_RUN_NOWAIT);
}

static void send_about(struct request *request, const char *method)
{
	struct buf path;

	buf_init(&path, TEXT_BYTES_MAX);
	add_path(&path, request->world->users, request->index);
	send_text(request, method, buf_str(&path));
	buf_release(&path);
}

/* --- what they ask for ----------------------------------------------------------------------------------- */

static struct request *new_schedule(struct world *world)
{
	struct request *request = new_request(world, CREATE, 0);

	wish_endpoint(world, &request->members);
	wish_payload(&request->members, world->users->payload++);
	if (chance(&world->dice, 15)) {
		request->secrets = world->users->payload;
		wish_secrets(&request->members, request->secrets);
	}
	return request;
}

static void send_new(struct request *request)
{
	buf_add_char(&request->members, '}');
	send_text(request, "POST", STR("/api/v1/schedule/"));
}

static void create(struct world *world)
{
	struct request *request = new_schedule(world);

	wish_trigger(world, &request->members);
	wish_policies(world, &request->members);
	send_new(request);
}

/* T24: every kind with every policy, and nothing else that happens to them. */
void users_create_for_catch_up(struct world *world)
{
	bool is_day = world->options->busy_us_mean > 0;
	static const char *const policies[] = { "\"latest\"", "\"all\"", "\"none\"" };

	for (unsigned i = 0; i < 12; i++) {
		struct request *request = new_schedule(world);
		struct buf *members = &request->members;
		char text[40];
		int64_t n = between(&world->dice, 0, 59);

		switch (i < 9 && !wish_has_cron(world) ? 0 : i / 3) {
		case 0:
			snprintf(text, sizeof text, "\"%" PRId64 " seconds\"",
				 is_day ? between(&world->dice, 300, 40000) : between(&world->dice, 1, 15));
			wish_member(members, "interval_definition", str_from(text));
			break;
		case 1:
			if (is_day)
				snprintf(text, sizeof text, "\"%" PRId64 " * * * *\"", n);
			else
				snprintf(text, sizeof text, "\"* * * * *\"");
			wish_member(members, "cron_definition", str_from(text));
			break;
		case 2:
			snprintf(text, sizeof text, "\"%" PRId64 " %" PRId64 " * * *\"", n, n % 24);
			wish_member(members, "cron_definition", str_from(text));
			break;
		default:
			wish_instant(members,
				     wall_add_us(now_of(world).wall, n * (is_day ? 1600 : 10) * US_PER_SECOND));
		}
		wish_member(members, "catch_up", str_from(policies[i % 3]));
		send_new(request);
	}
}

/* Hundreds of one-shots for one instant. */
static void flood(struct world *world)
{
	int64_t n = between(&world->dice, 2, world->options->flood_max);
	struct wall at = wall_add_us(now_of(world).wall, between(&world->dice, 0, 90) * US_PER_SECOND);

	tell(world, "%" PRId64 " one-shots for one instant", n);
	for (int64_t i = 0; i < n; i++) {
		struct request *request = new_schedule(world);

		wish_instant(&request->members, at);
		send_new(request);
	}
}

static void be_busy(const struct request *request)
{
	struct known *known = &request->world->users->all[request->index];

	known->is_busy = true;
	audit_asked(request->world->audit, known->uuid);
}

static void edit(struct world *world, unsigned index)
{
	struct request *request = new_request(world, EDIT, index);
	struct buf *members = &request->members;
	const char *method = "PATCH";

	switch (between(&world->dice, 0, 9)) {
	case 0:
	case 1:
	case 2:
		wish_payload(members, world->users->payload++);
		break;
	case 3:
	case 4:
		wish_interval(world, members);
		if (world->options->busy_us_mean)
			wish_number(members, "frequency", between(&world->dice, 1, 40));
		break;
	case 5:
		wish_endpoint(world, members);
		break;
	case 6:
		wish_policies(world, members);
		break;
	case 7:
		wish_cron(world, members);
		break;
	case 8:
		wish_member(members, "enabled", chance(&world->dice, 75) ? STR("true") : STR("false"));
		break;
	default:
		method = "PUT";
		wish_endpoint(world, members);
		wish_payload(members, world->users->payload++);
		if (world->users->all[index].secrets)
			wish_secrets(members, world->users->all[index].secrets);
		wish_trigger(world, members);
		wish_policies(world, members);
	}
	buf_add_char(members, '}');
	be_busy(request);
	send_about(request, method);
}

static void remove_one(struct world *world, unsigned index)
{
	struct request *request = new_request(world, DELETE, index);

	be_busy(request);
	send_about(request, "DELETE");
}

static void show(struct world *world, unsigned index)
{
	send_about(new_request(world, SHOW, index), "GET");
}

/* Nothing of it may be found afterwards. */
static void make_mistake(struct world *world)
{
	static const struct {
		unsigned status;
		const char *method, *path, *body;
	} mistakes[] = {
		{ 400, "POST", "/api/v1/schedule/",
		  "{\"endpoint\":\"http://h0.example/x\",\"cron_definition\":\"61 * * * *\"}" },
		{ 400, "POST", "/api/v1/schedule/", "{\"interval_definition\":\"5 seconds\"}" },
		{ 400, "POST", "/api/v1/schedule/", "{\"endpoint\":\"http://127.0.0.1/x\"}" },
		{ 400, "POST", "/api/v1/schedule/", "{\"endpoint\":" },
		{ 404, "PATCH", "/api/v1/schedule/00000000-0000-4000-8000-000000000000/", "{\"enabled\":false}" },
		{ 404, "DELETE", "/api/v1/schedule/00000000-0000-4000-8000-000000000000/", "" },
		{ 405, "DELETE", "/api/v1/schedule/", "" },
		{ 404, "GET", "/api/v1/nothing/", "" },
	};
	int64_t which = between(&world->dice, 0, sizeof mistakes / sizeof mistakes[0] - 1);
	struct request *request = new_request(world, MISTAKE, 0);

	request->status = mistakes[which].status;
	buf_add(&request->members, str_from(mistakes[which].body));
	send_text(request, mistakes[which].method, str_from(mistakes[which].path));
}

void users_request(struct world *world)
{
	struct users *users = world->users;
	uint64_t *dice = &world->dice;
	int64_t what = between(dice, 0, 99);
	unsigned index = users->n ? (unsigned)between(dice, 0, users->n - 1) : 0;
	const struct known *known = users->n ? &users->all[index] : NULL;

	if (!world->is_up || world->is_draining) {
		world->sums.refused_connections++;
		return;
	}
	if (what < 3 && world->options->flood_max)
		flood(world);
	else if (!known || what < 20)
		users->living_n < world->options->schedules_max ? create(world) : make_mistake(world);
	else if (what < 28)
		make_mistake(world);
	else if (what < 40 || known->is_deleted || known->is_busy)
		show(world, index);
	else if (what < 48)
		remove_one(world, index);
	else
		edit(world, index);
}

bool users_are_waiting(const struct world *world)
{
	return world->users->open != NULL;
}

void users_requeue(struct world *world)
{
	if (world->is_up && !world->is_draining)
		send_text(new_request(world, REQUEUE_ALL, 0), "POST", STR("/api/v1/failed-tasks/"));
}

void users_create_some(struct world *world, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		create(world);
}

/* --- looking at everything ------------------------------------------------------------------------------- */

/* The records of the last list, each once. */
static bool next_record(struct str *rest, struct str *record)
{
	if (rest->n && rest->p[0] == ',')
		*rest = str_slice(*rest, 1, rest->n);
	if (!rest->n || rest->p[0] != '{')
		return false;
	*record = record_text_object(*rest);
	*rest = str_slice(*rest, record->n, rest->n);
	return true;
}

static struct str records_of(const struct users *users)
{
	struct str results = record_text_value(buf_str(&users->listing), STR("results"));

	promise(results.n >= 2, "API", 0, "a list without results");
	return str_slice(results, 1, results.n - 2);
}

static void list(struct world *world)
{
	buf_clear(&world->users->listing);
	send_text(new_request(world, LIST, 0), "GET", STR("/api/v1/schedule/?limit=100000"));
	promise(world->users->listing.n, "API", 0, "no list");
}

static struct str find_listed(struct users *users, const uint8_t uuid[16])
{
	struct str rest = records_of(users), record;
	uint8_t found[16];

	while (next_record(&rest, &record)) {
		read_uuid(record, found);
		if (memcmp(found, uuid, 16) == 0)
			return record;
	}
	return (struct str){ 0 };
}

/* The one that nobody had an answer about, by its payload. */
static struct str find_created(struct users *users, const struct request *request)
{
	struct str rest = records_of(users), record;
	struct str payload = record_text_value(buf_str(&request->members), STR("payload"));

	while (next_record(&rest, &record))
		if (str_equal(record_text_value(record, STR("payload")), payload))
			return record;
	return (struct str){ 0 };
}

/* What was on its way when the process died, and is on disk. */
static void resolve(struct request *request)
{
	struct users *users = request->world->users;
	struct str record = { 0 };

	if (request->kind == CREATE)
		record = find_created(users, request);
	else if (request->kind == EDIT)
		record = find_listed(users, users->all[request->index].uuid);
	if (request->kind == CREATE || request->kind == EDIT)
		promise(record.p, "I4", 0, "half of a commit is missing");
	take_effect(request, record);
}

static void count_failed_tasks(struct world *world)
{
	int64_t n;

	promise(store_count(world->reader, STORE_FAILURES, &n) == ERR_OK, "store", 0, "count");
	ledger_failed_tasks(world->ledger, n);
}

static void compare(struct world *world)
{
	struct users *users = world->users;
	struct str rest = records_of(users), record;
	struct buf steady;
	unsigned below = 0, n = 0;
	uint8_t uuid[16];

	buf_init(&steady, TEXT_BYTES_MAX);
	while (next_record(&rest, &record)) {
		read_uuid(record, uuid);

		const struct known *known = find(users, uuid, &below);

		promise(known && !known->is_deleted, "I4", 0, "a record that nobody was told of");
		check_is_same(known, record, &steady);
		n++;
	}
	promise(n == users->living_n, "I3", 0, "a record that was answered is gone");
	buf_release(&steady);
	if (!world->options->has_purge)
		count_failed_tasks(world);
	world->sums.audits++;
	world->sums.audited += n;
}

void users_audit(struct world *world)
{
	if (world->users->is_unchecked)
		return;
	list(world);
	compare(world);
}

void users_resolve(struct world *world, bool is_committed)
{
	struct users *users = world->users;

	if (users->is_unchecked)
		return;
	list(world);
	while (users->open) {
		struct request *request = users->open;

		world->sums.unanswered++;
		if (is_committed)
			resolve(request);
		close_request(request);
	}
	compare(world);
}

/* --- life, scenarios ------------------------------------------------------------------------------------- */

struct users *users_new(struct world *world)
{
	struct users *users = memory_new(sizeof *users);

	users->world = world;
	users->open_end = &users->open;
	buf_init(&users->text, TEXT_BYTES_MAX);
	buf_init(&users->listing, TEXT_BYTES_MAX);
	world->front = front_new(on_answer, world);
	return users;
}

void users_free(struct users *users)
{
	while (users->open)
		close_request(users->open);
	for (unsigned i = 0; i < users->n; i++)
		buf_release(&users->all[i].steady);
	free(users->all);
	buf_release(&users->text);
	buf_release(&users->listing);
	free(users);
}

struct many {
	struct world *world;
	struct schedule_definition definition;
	unsigned n;
};

static enum err insert_many(struct store *store, struct store_job *job)
{
	const struct many *many = job->ctx;
	struct world *world = many->world;
	struct arena arena = { 0 };
	struct schedule out;
	enum err err = ERR_OK;

	for (unsigned i = 0; err == ERR_OK && i < many->n; i++) {
		/* Of an interval the instants are spread over the second. */
		struct wall now = wall_add_us(now_of(world).wall,
					      many->definition.interval.p ? -(int64_t)i * US_PER_SECOND / many->n : 0);

		err = store_schedule_insert(store, &many->definition, 0, now, &arena, &out);
		know(world->users, out.uuid);
		ledger_edited(world->ledger, out.uuid, now_of(world).wall);
		ledger_set_overlap(world->ledger, out.uuid, out.definition.overlap);
	}
	arena_release(&arena);
	return err;
}

void users_insert(struct world *world, unsigned n, struct schedule_definition definition)
{
	if (n == 0)
		return;
	world->users->is_unchecked = true;
	service_write(world, insert_many, &(struct many){ world, definition, n });
}

static enum err switch_off(struct store *store, struct store_job *job)
{
	static const struct schedule_definition off = { .enabled = false };
	struct world *world = job->ctx;
	struct users *users = world->users;
	struct arena arena = { 0 };
	struct schedule out;
	enum err err = ERR_OK;

	for (unsigned i = 0; err == ERR_OK && i < users->n; i++) {
		if (users->all[i].is_deleted)
			continue;
		err = store_schedule_update(store, users->all[i].uuid, SCHEDULE_ENABLED, &off, 0, now_of(world).wall,
					    &arena, &out);
		ledger_edited(world->ledger, users->all[i].uuid, now_of(world).wall);
		arena_release(&arena);
	}
	return err;
}

void users_switch_off(struct world *world)
{
	service_write(world, switch_off, world);
}
