/* SPDX-License-Identifier: BSD-3-Clause */
/* Bodies of the API, from bytes and Content-Type to a schedule: refusals are well-formed lists of messages; what is
 * accepted keeps every limit and can be stored, and sent again as JSON it is accepted and means the same. */
#include "fuzz.h"

#include "api/input.h"
#include "api/routes.h"
#include "api/schedule_fields.h"
#include "base/text.h"
#include "core/cron.h"
#include "core/interval.h"
#include "core/signature.h"
#include "core/timestamp.h"
#include "core/url.h"

enum { MEMORY_FACTOR = 400, BYTES_MAX = 1 << 23, VALUES_MAX = 16 };

#define NOW_US INT64_C(1764000000000000)

static const struct zone *find_zone(void *zones, struct str name)
{
	(void)zones;
	return str_equal(name, STR("UTC")) || str_equal(name, STR("Europe/Berlin")) ? zone_utc() : NULL;
}

static void check_text(struct str text, size_t characters_max)
{
	assert(utf8_is_valid(text) && str_find(text, '\0') == text.n);
	assert(!text.p || utf8_count(text) <= characters_max);
}

static void check_endpoint(const struct schedule_rules *rules, struct str endpoint)
{
	struct url url;

	check_text(endpoint, 2048);
	assert(url_parse(endpoint, &url));
	if (url.host_kind != URL_HOST_NAME) {
		struct address address = address_from_bytes(url.address, url.host_kind == URL_HOST_IPV6);

		assert(address_judge(rules->egress, address, url.port) == ADDRESS_ALLOWED);
	}
}

static void check_timing(const struct schedule_rules *rules, const struct schedule_definition *definition)
{
	struct cron_problem problem;
	struct cron cron;
	int64_t period_us;
	struct wall at;

	check_text(definition->cron, 500);
	check_text(definition->interval, 100);
	if (definition->cron.n > 0)
		assert(cron_parse(definition->cron, 7, &cron, &problem) && cron_ever_occurs(&cron) &&
		       cron_next(&cron, zone_utc(), rules->now, &at));
	if (definition->interval.n > 0)
		assert(interval_parse(definition->interval, &period_us) == INTERVAL_OK &&
		       period_us >= rules->interval_us_min);
	if (definition->has_once)
		assert(definition->once_at.us >= WALL_US_MIN && definition->once_at.us <= WALL_US_MAX);
	assert(!definition->has_once || (definition->cron.n == 0 && definition->interval.n == 0));
	assert(!definition->has_frequency || (definition->frequency >= 1 && definition->frequency <= INT32_MAX));
}

/* JSON alone, no blank around it. */
static void check_payload(struct str payload)
{
	struct arena arena = { 0 };
	struct json_problem problem;
	const struct json *root = json_parse(&arena, payload, &problem);

	assert(root && str_equal(root->raw, payload));
	arena_release(&arena);
}

/* A whole definition of a new schedule. */
static void check_definition(const struct schedule_rules *rules, const struct schedule_definition *definition)
{
	check_endpoint(rules, definition->endpoint);
	check_timing(rules, definition);
	check_payload(definition->payload);
	check_text(definition->auth_token, 500);
	for (size_t i = 0; i < definition->auth_token.n; i++)
		assert((unsigned char)definition->auth_token.p[i] >= 0x20 && definition->auth_token.p[i] != 0x7f);
	assert(!definition->auth_token.p || definition->auth_token.n > 0);
	assert(!definition->signing_secret.p || signature_secret_is_valid(definition->signing_secret));
	assert(find_zone(NULL, definition->timezone));
}

static void add_text(struct buf *json, const char *name, struct str text)
{
	json_key(json, name);
	json_add_string_or_null(json, text);
}

static void write_out(const struct schedule_definition *definition, struct buf *json)
{
	buf_add_char(json, '{');
	json_key(json, "frequency");
	if (definition->has_frequency)
		buf_add_i64(json, definition->frequency);
	else
		buf_add(json, STR("null"));
	add_text(json, "cron_definition", definition->cron);
	add_text(json, "inteval_definition", definition->interval);
	add_text(json, "endpoint", definition->endpoint);
	json_key(json, "payload");
	buf_add(json, definition->payload);
	add_text(json, "auth_token", definition->auth_token);
	add_text(json, "signing_secret", definition->signing_secret);
	add_text(json, "timezone", definition->timezone);
	json_key(json, "enabled");
	buf_add(json, definition->enabled ? STR("true") : STR("false"));
	json_key(json, "next_send_at");
	buf_add_char(json, '"');
	timestamp_add(json, definition->has_once ? definition->once_at : (struct wall){ 0 });
	buf_add(json, STR("\"}"));
}

static bool is_same(struct str a, struct str b)
{
	return !a.p == !b.p && str_equal(a, b);
}

/* Sent again as JSON: accepted, and the same. */
static void check_again(const struct schedule_rules *rules, const struct schedule_definition *a)
{
	struct arena arena = { 0 };
	struct problems problems = { .arena = &arena };
	struct schedule_change change;
	struct input input;
	struct str problem;
	struct buf json;

	buf_init(&json, BYTES_MAX);
	write_out(a, &json);
	assert(input_read(&arena, STR("application/json"), buf_str(&json), &input, &problem) == INPUT_OK);
	assert(schedule_fields_read(rules, &input, NULL, false, &change, &problems));

	const struct schedule_definition *b = &change.definition;

	assert(a->has_frequency == b->has_frequency && (!a->has_frequency || a->frequency == b->frequency));
	assert(is_same(a->cron, b->cron) && is_same(a->interval, b->interval) && is_same(a->endpoint, b->endpoint));
	assert(is_same(a->payload, b->payload) && is_same(a->auth_token, b->auth_token));
	assert(is_same(a->signing_secret, b->signing_secret) && is_same(a->timezone, b->timezone));
	assert(a->enabled == b->enabled && (!a->has_once || (b->has_once && a->once_at.us == b->once_at.us)));
	buf_release(&json);
	arena_release(&arena);
}

/* {"field":["message",…],…} with every field at most once. */
static void check_problems(const struct problems *problems)
{
	struct arena arena = { 0 };
	struct json_problem json_problem;
	struct buf json;

	buf_init(&json, BYTES_MAX);
	problems_render(problems, &json);

	const struct json *root = json_parse(&arena, buf_str(&json), &json_problem);

	assert(!json.failed && root && root->type == JSON_OBJECT && root->child);
	for (const struct json *member = root->child; member; member = member->next) {
		assert(member->type == JSON_ARRAY && member->child && json_member(root, member->name) == member);
		for (const struct json *message = member->child; message; message = message->next)
			assert(message->type == JSON_STRING && message->text.n > 0);
	}
	buf_release(&json);
	arena_release(&arena);
}

static void check_schedule(struct arena *arena, const struct input *input, unsigned mode)
{
	static const struct egress_policy closed = { 0 };
	static struct egress_policy open;
	const struct schedule_rules rules = { .egress = mode & 8 ? &closed : &open,
					      .interval_us_min = mode & 4 ? 1 : US_PER_SECOND,
					      .find_zone = find_zone,
					      .now = { NOW_US } };
	struct schedule current = { .definition = { .cron = STR("* * * * *"),
						    .endpoint = STR("https://example.com/"),
						    .payload = STR("{}"),
						    .enabled = true,
						    .timezone = STR("UTC") },
				    .has_auth_token = true };
	struct problems problems = { .arena = arena };
	struct schedule_change change;
	bool is_new = !(mode & 3), is_partial = (mode & 3) == 1;

	if (open.allowed_n == 0)
		assert(egress_allow(&open, STR("127.0.0.0/8")) && egress_allow(&open, STR("10.0.0.0/8")));
	if (!schedule_fields_read(&rules, input, is_new ? NULL : &current, is_partial, &change, &problems)) {
		check_problems(&problems);
		return;
	}
	assert(!problems.first);
	if (is_new) {
		check_definition(&rules, &change.definition);
		check_again(&rules, &change.definition);
	} else {
		if (change.set & SCHEDULE_ENDPOINT)
			check_endpoint(&rules, change.definition.endpoint);
		if (change.set & SCHEDULE_PAYLOAD)
			check_payload(change.definition.payload);
	}
}

static void check_table(struct arena *arena, const struct field *fields, size_t n, const struct input *input)
{
	struct fields_request request = { .fields = fields, .fields_n = n, .input = input };
	struct problems problems = { .arena = arena };
	struct value values[VALUES_MAX];

	assert(n <= VALUES_MAX);
	fields_read(&request, values, &problems);
	if (problems.first)
		check_problems(&problems);
	for (size_t i = 0; i < n; i++) {
		if (values[i].state != VALUE_GIVEN || fields[i].kind != FIELD_TEXT)
			continue;
		check_text(values[i].text, fields[i].characters_max ? fields[i].characters_max : SIZE_MAX);
		assert(values[i].text.n > 0 || fields[i].may_be_blank);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str types[] = { { "application/json", 16 },
					    { "application/x-www-form-urlencoded", 33 },
					    { "multipart/form-data; boundary=b", 31 } };
	struct fuzz_input in = { data, size };
	unsigned mode = (unsigned)fuzz_take(&in, 1), which = mode >> 4 & 3;
	struct str text = fuzz_rest(&in), body = text, type, problem = { NULL, 0 };
	size_t before = fuzz_memory_bytes();
	struct arena arena = { 0 };
	struct input input;

	type = which < 3 ? types[which] : str_split(text, '\n', &body);
	switch (input_read(&arena, type, body, &input, &problem)) {
	case INPUT_OK:
		assert(!input.object != !input.form && (!input.object || input.object->type == JSON_OBJECT));
		check_schedule(&arena, &input, mode);
		check_table(&arena, webhook_fields, WEBHOOK_VALUES_N, &input);
		check_table(&arena, email_fields, EMAIL_VALUES_N, &input);
		check_table(&arena, login_fields, LOGIN_VALUES_N, &input);
		break;
	case INPUT_MALFORMED:
	case INPUT_NOT_OBJECT:
		assert(problem.n > 0);
		break;
	case INPUT_UNSUPPORTED:
		assert(body.n > 0 && which == 3);
		break;
	}
	fuzz_check_memory(before, text.n, MEMORY_FACTOR);
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
