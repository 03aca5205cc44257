/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules for each field of a schedule, and from values to a definition: defaults for a new one, only what was sent
 * for a change.
 *
 * The messages are the original service's; where it had none, a message names the value and the remedy. */
#include "api/schedule_fields.h"

#include "base/text.h"
#include "core/cron.h"
#include "core/interval.h"
#include "core/signature.h"
#include "core/url.h"

enum {
	ENDPOINT_CHARACTERS_MAX = 2048,
	CRON_CHARACTERS_MAX = 500,
	INTERVAL_CHARACTERS_MAX = 100,
	TOKEN_CHARACTERS_MAX = 500
};

#define FREQUENCY_MAX INT64_C(2147483647)
#define FREQUENCY_INT32_MIN INT64_C(-2147483648)
/* Any seed: whether an entry is valid does not depend on what H stands for. */
#define ANY_SEED 0

static void add(struct problems *problems, const struct field *field, const char *words)
{
	problems_add(problems, field->name, str_from(words));
}

static void check_frequency(const void *rules, const struct field *field, const struct value *value,
			    struct problems *problems)
{
	(void)rules;
	if (value->integer > FREQUENCY_MAX)
		add(problems, field, "Ensure this value is less than or equal to 2147483647.");
	else if (value->integer < FREQUENCY_INT32_MIN)
		add(problems, field, "Ensure this value is greater than or equal to -2147483648.");
	else if (value->integer < 1)
		add(problems, field, "Ensure this value is greater than or equal to 1.");
}

static void add_bad_cron(struct problems *problems, struct str text, const char *reason)
{
	problems_add_about(problems, schedule_fields[SCHEDULE_VALUE_CRON].name, text,
			   arena_printf(problems->arena, " is not a valid crontab string: %s", reason));
}

static void check_cron(const void *rules, const struct field *field, const struct value *value,
		       struct problems *problems)
{
	struct cron cron;
	struct cron_problem problem;

	(void)rules;
	(void)field;
	if (!cron_parse(value->text, ANY_SEED, &cron, &problem))
		add_bad_cron(problems, value->text, problem.text);
	else if (!cron_ever_occurs(&cron))
		add_bad_cron(problems, value->text, "never occurs");
}

static struct str too_short(struct arena *arena, int64_t least_us)
{
	bool is_seconds = least_us % US_PER_SECOND == 0;

	return arena_printf(arena, " is too short. Ensure the interval is at least %lld %s.",
			    (long long)(is_seconds ? least_us / US_PER_SECOND : least_us),
			    is_seconds ? "seconds" : "microseconds");
}

static void check_interval(const void *rules, const struct field *field, const struct value *value,
			   struct problems *problems)
{
	int64_t least_us = ((const struct schedule_rules *)rules)->interval_us_min;
	int64_t period_us;
	struct str words = { NULL, 0 };

	switch (interval_parse(value->text, &period_us)) {
	case INTERVAL_OK:
		if (period_us < least_us || period_us <= 0)
			words = too_short(problems->arena, least_us);
		break;
	case INTERVAL_BAD_TEXT:
		words = STR(
			" is not a valid interval string: integer and period (from: days, hours, minutes, seconds, microseconds)"
			" e.g. 1 minutes");
		break;
	case INTERVAL_BAD_PERIOD:
		words = STR(" is not a valid period. Accepted: days, hours, minutes, seconds, microseconds)");
		break;
	case INTERVAL_TOO_LARGE:
		words = STR(" is too long. Ensure the integer is at most 2147483647.");
		break;
	}
	if (words.p)
		problems_add_about(problems, field->name, value->text, words);
}

/* What to tell about a name that is refused without a lookup: metadata hosts stand for the metadata address, the rest
 * for loopback. */
static struct address address_of_name(enum address_verdict verdict)
{
	static const uint8_t metadata[4] = { 169, 254, 169, 254 }, loopback[4] = { 127, 0, 0, 1 };

	return address_from_bytes(verdict == ADDRESS_DENIED_METADATA ? metadata : loopback, false);
}

static void check_endpoint(const void *rules, const struct field *field, const struct value *value,
			   struct problems *problems)
{
	const struct egress_policy *egress = ((const struct schedule_rules *)rules)->egress;
	enum address_verdict verdict;
	struct address address;
	struct url url;
	char remedy[80];

	if (!url_parse(value->text, &url)) {
		if (utf8_count(value->text) <= ENDPOINT_CHARACTERS_MAX)
			add(problems, field, "Enter a valid URL.");
		return;
	}
	if (url.host_kind == URL_HOST_NAME) {
		verdict = address_judge_name(egress, url.host);
		address = address_of_name(verdict);
	} else {
		address = address_from_bytes(url.address, url.host_kind == URL_HOST_IPV6);
		verdict = address_judge(egress, address, url.port);
	}
	if (verdict == ADDRESS_ALLOWED)
		return;
	if (verdict == ADDRESS_DENIED_OWN) {
		add(problems, field, "This is an address of the service itself, which it does not call.");
		return;
	}
	address_remedy(address, remedy);
	problems_add(problems, field->name,
		     arena_printf(problems->arena,
				  "The egress policy refuses this %s; start the service with %s to allow it.",
				  verdict == ADDRESS_DENIED_PORT ? "port" : "address", remedy));
}

/* NUL has a message of its own. C1 controls are C2 80 to C2 9F in UTF-8. */
static void check_auth_token(const void *rules, const struct field *field, const struct value *value,
			     struct problems *problems)
{
	(void)rules;
	for (size_t i = 0; i < value->text.n; i++) {
		unsigned char c = (unsigned char)value->text.p[i];
		unsigned char next = i + 1 < value->text.n ? (unsigned char)value->text.p[i + 1] : 0;

		if ((c > 0 && c < 0x20) || c == 0x7F || (c == 0xC2 && next < 0xA0)) {
			add(problems, field, "Control characters are not allowed.");
			return;
		}
	}
}

static void check_timezone(const void *rules, const struct field *field, const struct value *value,
			   struct problems *problems)
{
	const struct schedule_rules *r = rules;

	if (zone_name_is_plausible(value->text) && r->find_zone(r->zones, value->text))
		return;
	problems_add_about(problems, field->name, arena_printf(problems->arena, "\"%.*s", STR_ARG(value->text)),
			   STR("\" is not a known time zone. Use an IANA name such as Europe/Berlin."));
}

static void check_signing_secret(const void *rules, const struct field *field, const struct value *value,
				 struct problems *problems)
{
	(void)rules;
	if (!str_equal(value->text, STR(SCHEDULE_SECRET_MASK)) && !signature_secret_is_valid(value->text))
		add(problems, field, "Enter a valid secret: whsec_ followed by 24 to 64 base64-encoded bytes.");
}

const struct choice schedule_catch_ups[] = {
	[CATCH_UP_LATEST] = { "latest", "Latest" },
	[CATCH_UP_ALL] = { "all", "All" },
	[CATCH_UP_NONE] = { "none", "None" },
	{ NULL, NULL },
};

const struct choice schedule_overlaps[] = {
	[OVERLAP_ALLOW] = { "allow", "Allow" },
	[OVERLAP_SKIP] = { "skip", "Skip" },
	[OVERLAP_QUEUE] = { "queue", "Queue" },
	{ NULL, NULL },
};

const struct field schedule_fields[SCHEDULE_VALUES_N] = {
	[SCHEDULE_VALUE_FREQUENCY] = { .name = "frequency",
				       .label = "Frequency",
				       .kind = FIELD_INTEGER,
				       .may_be_null = true,
				       .check = check_frequency },
	[SCHEDULE_VALUE_CRON] = { .name = "cron_definition",
				  .label = "Cron definition",
				  .kind = FIELD_TEXT,
				  .may_be_null = true,
				  .may_be_blank = true,
				  .characters_max = CRON_CHARACTERS_MAX,
				  .check = check_cron },
	[SCHEDULE_VALUE_INTERVAL] = { .name = "interval_definition",
				      .alias = "inteval_definition",
				      .label = "Interval definition",
				      .kind = FIELD_TEXT,
				      .may_be_null = true,
				      .may_be_blank = true,
				      .characters_max = INTERVAL_CHARACTERS_MAX,
				      .check = check_interval },
	[SCHEDULE_VALUE_ENDPOINT] = { .name = "endpoint",
				      .label = "Endpoint",
				      .kind = FIELD_TEXT,
				      .required = true,
				      .characters_max = ENDPOINT_CHARACTERS_MAX,
				      .check = check_endpoint },
	[SCHEDULE_VALUE_PAYLOAD] = { .name = "payload", .label = "Payload", .kind = FIELD_JSON, .may_be_null = true },
	[SCHEDULE_VALUE_AUTH_TOKEN] = { .name = "auth_token",
					.label = "Auth token",
					.kind = FIELD_TEXT,
					.may_be_null = true,
					.may_be_blank = true,
					.characters_max = TOKEN_CHARACTERS_MAX,
					.check = check_auth_token },
	[SCHEDULE_VALUE_NEXT_SEND_AT] = { .name = "next_send_at",
					  .label = "Next send at",
					  .kind = FIELD_DATETIME,
					  .may_be_null = true },
	[SCHEDULE_VALUE_ENABLED] = { .name = "enabled",
				     .label = "Enabled",
				     .kind = FIELD_BOOLEAN,
				     .is_off_without = true },
	[SCHEDULE_VALUE_TIMEZONE] = { .name = "timezone",
				      .label = "Timezone",
				      .kind = FIELD_TEXT,
				      .check = check_timezone },
	[SCHEDULE_VALUE_SIGNING_SECRET] = { .name = "signing_secret",
					    .label = "Signing secret",
					    .kind = FIELD_TEXT,
					    .may_be_null = true,
					    .may_be_blank = true,
					    .check = check_signing_secret },
	[SCHEDULE_VALUE_CATCH_UP] = { .name = "catch_up",
				      .label = "Catch up",
				      .kind = FIELD_CHOICE,
				      .choices = schedule_catch_ups },
	[SCHEDULE_VALUE_OVERLAP] = { .name = "overlap",
				     .label = "Overlap",
				     .kind = FIELD_CHOICE,
				     .choices = schedule_overlaps },
};

/* Which bit of a change each value sets. */
static const unsigned bits[SCHEDULE_VALUES_N] = {
	[SCHEDULE_VALUE_FREQUENCY] = SCHEDULE_FREQUENCY,  [SCHEDULE_VALUE_CRON] = SCHEDULE_CRON,
	[SCHEDULE_VALUE_INTERVAL] = SCHEDULE_INTERVAL,	  [SCHEDULE_VALUE_ENDPOINT] = SCHEDULE_ENDPOINT,
	[SCHEDULE_VALUE_PAYLOAD] = SCHEDULE_PAYLOAD,	  [SCHEDULE_VALUE_AUTH_TOKEN] = SCHEDULE_AUTH_TOKEN,
	[SCHEDULE_VALUE_NEXT_SEND_AT] = SCHEDULE_ONCE_AT, [SCHEDULE_VALUE_ENABLED] = SCHEDULE_ENABLED,
	[SCHEDULE_VALUE_TIMEZONE] = SCHEDULE_TIMEZONE,	  [SCHEDULE_VALUE_SIGNING_SECRET] = SCHEDULE_SIGNING_SECRET,
	[SCHEDULE_VALUE_CATCH_UP] = SCHEDULE_CATCH_UP,	  [SCHEDULE_VALUE_OVERLAP] = SCHEDULE_OVERLAP,
};

static bool is_mask(const struct value *value)
{
	return value->state == VALUE_GIVEN && str_equal(value->text, STR(SCHEDULE_SECRET_MASK));
}

/* The mask keeps a stored secret; a new schedule has none to keep, and sending the mask to an endpoint would help
 * nobody. */
static void read_masks(struct value values[SCHEDULE_VALUES_N], bool is_new, struct problems *problems)
{
	static const enum schedule_value secrets[] = { SCHEDULE_VALUE_AUTH_TOKEN, SCHEDULE_VALUE_SIGNING_SECRET };

	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
		struct value *value = &values[secrets[i]];

		if (!is_mask(value))
			continue;
		if (is_new)
			add(problems, &schedule_fields[secrets[i]],
			    "This is the mask of a stored secret. Send the secret itself.");
		value->state = VALUE_ABSENT;
	}
}

/* Absent for null and, in secrets, for blank. */
static struct str text_of(const struct value *value, bool blank_is_null)
{
	bool is_null = value->state != VALUE_GIVEN || (blank_is_null && value->text.n == 0);

	return is_null ? (struct str){ NULL, 0 } : value->text;
}

static unsigned choice_of(const struct value *value, unsigned otherwise)
{
	return value->state == VALUE_GIVEN ? (unsigned)value->integer : otherwise;
}

static void fill(const struct value v[SCHEDULE_VALUES_N], struct schedule_definition *definition)
{
	const struct value *timezone = &v[SCHEDULE_VALUE_TIMEZONE], *enabled = &v[SCHEDULE_VALUE_ENABLED];
	const struct value *payload = &v[SCHEDULE_VALUE_PAYLOAD], *once = &v[SCHEDULE_VALUE_NEXT_SEND_AT];

	*definition = (struct schedule_definition){
		.has_frequency = v[SCHEDULE_VALUE_FREQUENCY].state == VALUE_GIVEN,
		.frequency = v[SCHEDULE_VALUE_FREQUENCY].integer,
		.cron = text_of(&v[SCHEDULE_VALUE_CRON], false),
		.interval = text_of(&v[SCHEDULE_VALUE_INTERVAL], false),
		.endpoint = text_of(&v[SCHEDULE_VALUE_ENDPOINT], false),
		.payload = payload->state == VALUE_GIVEN ? payload->text : STR("{}"),
		.auth_token = text_of(&v[SCHEDULE_VALUE_AUTH_TOKEN], true),
		.signing_secret = text_of(&v[SCHEDULE_VALUE_SIGNING_SECRET], true),
		.has_once = once->state == VALUE_GIVEN,
		.once_at = once->at,
		.enabled = enabled->state == VALUE_GIVEN ? enabled->boolean : true,
		.timezone = timezone->state == VALUE_GIVEN ? timezone->text : STR("UTC"),
		.catch_up = choice_of(&v[SCHEDULE_VALUE_CATCH_UP], CATCH_UP_LATEST),
		.overlap = choice_of(&v[SCHEDULE_VALUE_OVERLAP], OVERLAP_ALLOW),
	};
}

/* Whether the record has a cron or an interval once the change is made. */
static bool has_trigger(const struct schedule *current, const struct schedule_change *change)
{
	const struct schedule_definition *old = current ? &current->definition : &change->definition;
	struct str cron = change->set & SCHEDULE_CRON ? change->definition.cron : old->cron;
	struct str interval = change->set & SCHEDULE_INTERVAL ? change->definition.interval : old->interval;

	return cron.n > 0 || interval.n > 0;
}

/* An entry whose last year is over never occurs either. One that the record has already may stay: it has just come to
 * its end. */
static void check_cron_is_to_come(const struct schedule_rules *rules, const struct schedule *current,
				  const struct schedule_change *change, struct problems *problems)
{
	struct str text = change->definition.cron, timezone = change->definition.timezone;
	const struct zone *zone;
	struct cron_problem ignored;
	struct cron cron;
	struct wall at;

	if (text.n == 0 || (current && str_equal(text, current->definition.cron)))
		return;
	if (current && !(change->set & SCHEDULE_TIMEZONE))
		timezone = current->definition.timezone;
	zone = rules->find_zone(rules->zones, timezone);
	if (zone && cron_parse(text, ANY_SEED, &cron, &ignored) && !cron_next(&cron, zone, rules->now, &at))
		add_bad_cron(problems, text, "never occurs");
}

bool schedule_fields_read(const struct schedule_rules *rules, const struct input *input, const struct schedule *current,
			  bool is_partial, struct schedule_change *change, struct problems *problems)
{
	struct fields_request request = { .fields = schedule_fields,
					  .fields_n = SCHEDULE_VALUES_N,
					  .input = input,
					  .is_partial = is_partial,
					  .rules = rules };
	struct value values[SCHEDULE_VALUES_N];
	struct problem *last = problems->last;

	fields_read(&request, values, problems);
	read_masks(values, !current, problems);
	fill(values, &change->definition);
	change->set = 0;
	for (size_t i = 0; i < SCHEDULE_VALUES_N; i++)
		if (values[i].state != VALUE_ABSENT)
			change->set |= bits[i];
	check_cron_is_to_come(rules, current, change, problems);
	/* Beside a cron or an interval the service computes this instant itself; what was sent is often just what was
	 * shown. */
	if (has_trigger(current, change)) {
		change->set &= ~(unsigned)SCHEDULE_ONCE_AT;
		change->definition.has_once = false;
	}
	return problems->last == last;
}
