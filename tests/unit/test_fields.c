/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the reading of fields: the contract's coercions and messages (section 4), word by word, from JSON and from
 * forms. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/input.h"
#include "api/schedule_fields.h"

#define NOT_DATETIME                                                                                                   \
	"Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
#define BAD_CRON " is not a valid crontab string: "
#define BAD_INTERVAL                                                                                                      \
	" is not a valid interval string: integer and period (from: days, hours, minutes, seconds, microseconds) e.g. 1 " \
	"minutes"
#define BAD_PERIOD " is not a valid period. Accepted: days, hours, minutes, seconds, microseconds)"
#define X100 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define NINES "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
#define NINES_1000 NINES NINES NINES NINES NINES NINES NINES NINES NINES NINES
#define FORM "application/x-www-form-urlencoded"

static const struct zone *find_zone(void *zones, struct str name)
{
	(void)zones;
	return str_equal(name, STR("Europe/Berlin")) || str_equal(name, STR("UTC")) ? zone_utc() : NULL;
}

#define NOW_US INT64_C(1900000000000000) /* March 2030 */

struct read {
	struct arena arena;
	struct problems problems;
	struct schedule_change change;
	bool is_valid;
	char text[8192]; /* the problems as JSON */
};

static struct read *read_as(const char *type, const char *body, const struct schedule *current, bool is_partial)
{
	static struct read read;
	static const struct egress_policy egress;
	struct schedule_rules rules = {
		.egress = &egress, .interval_us_min = US_PER_SECOND, .find_zone = find_zone, .now = { NOW_US }
	};
	struct input input;
	struct str problem;
	struct buf json;

	arena_release(&read.arena);
	memset(&read, 0, sizeof read);
	read.problems.arena = &read.arena;
	if (input_read(&read.arena, str_from(type), str_from(body), &input, &problem) != INPUT_OK)
		fail_msg("body not read: %s", body);
	read.is_valid = schedule_fields_read(&rules, &input, current, is_partial, &read.change, &read.problems);
	buf_init(&json, sizeof read.text - 1);
	problems_render(&read.problems, &json);
	assert_false(json.failed);
	memcpy(read.text, json.p, json.n);
	buf_release(&json);
	assert_int_equal(read.is_valid, strcmp(read.text, "{}") == 0);
	return &read;
}

static struct read *patch(const char *member)
{
	static char body[4096];
	static const struct schedule current;

	snprintf(body, sizeof body, "{%s}", member);
	return read_as("application/json", body, &current, true);
}

/* A member of a body, and the messages it gets: NULL = accepted. */
struct refusal {
	const char *member, *field, *messages;
};

static void expect(const struct refusal *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct read *read = patch(rows[i].member);
		char expected[4096] = "{}";

		if (rows[i].messages)
			snprintf(expected, sizeof expected, "{\"%s\":[%s]}", rows[i].field, rows[i].messages);
		if (strcmp(read->text, expected) != 0)
			fail_msg("%.200s\n got %s\nwant %s", rows[i].member, read->text, expected);
	}
}

#define EXPECT(rows) expect(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_frequency(void **state)
{
	static const char field[] = "frequency", bad[] = "\"A valid integer is required.\"";
	static const struct refusal rows[] = {
		{ "\"frequency\":1", field, NULL },
		{ "\"frequency\":1.0", field, NULL },
		{ "\"frequency\":1e3", field, NULL },
		{ "\"frequency\":\"5\"", field, NULL },
		{ "\"frequency\":\" 7 \"", field, NULL },
		{ "\"frequency\":\"5.0\"", field, NULL },
		{ "\"frequency\":\"+4\"", field, NULL },
		{ "\"frequency\":\"5.\"", field, NULL },
		{ "\"frequency\":null", field, NULL },
		{ "\"frequency\":2147483647", field, NULL },
		{ "\"frequency\":true", field, bad },
		{ "\"frequency\":\"\"", field, bad },
		{ "\"frequency\":1.5", field, bad },
		{ "\"frequency\":\"x\"", field, bad },
		{ "\"frequency\":[]", field, bad },
		{ "\"frequency\":{}", field, bad },
		{ "\"frequency\":1e16", field, bad },
		{ "\"frequency\":\"1.5\"", field, bad },
		{ "\"frequency\":\".0\"", field, bad },
		{ "\"frequency\":2147483648", field, "\"Ensure this value is less than or equal to 2147483647.\"" },
		{ "\"frequency\":123456789012345678901234567890", field,
		  "\"Ensure this value is less than or equal to 2147483647.\"" },
		{ "\"frequency\":-2147483649", field,
		  "\"Ensure this value is greater than or equal to -2147483648.\"" },
		{ "\"frequency\":0", field, "\"Ensure this value is greater than or equal to 1.\"" },
		{ "\"frequency\":-2147483648", field, "\"Ensure this value is greater than or equal to 1.\"" },
		{ "\"frequency\":\"" NINES_1000 "\"", field,
		  "\"Ensure this value is less than or equal to 2147483647.\"" },
		{ "\"frequency\":\"" NINES_1000 "9\"", field, "\"String value too large.\"" },
	};

	(void)state;
	EXPECT(rows);
	assert_int_equal(patch("\"frequency\":\" 7 \"")->change.definition.frequency, 7);
	assert_int_equal(patch("\"frequency\":1e3")->change.definition.frequency, 1000);
	assert_int_equal(patch("\"frequency\":1e3")->change.set, SCHEDULE_FREQUENCY);
	assert_false(patch("\"frequency\":null")->change.definition.has_frequency);
	assert_int_equal(patch("\"frequency\":null")->change.set, SCHEDULE_FREQUENCY);
}

static void test_enabled(void **state)
{
	static const char *const yes[] = { "true",     "1",	 "1.0",	    "1e0",     "\"t\"",	   "\"T\"",
					   "\"y\"",    "\"Y\"",	 "\"yes\"", "\"YES\"", "\"true\"", "\"True\"",
					   "\"TRUE\"", "\"on\"", "\"On\"",  "\"ON\"",  "\"1\"" };
	static const char *const no[] = { "false",     "0",	  "0.0",     "-0",	"\"f\"",     "\"F\"",
					  "\"n\"",     "\"N\"",	  "\"no\"",  "\"NO\"",	"\"false\"", "\"False\"",
					  "\"FALSE\"", "\"off\"", "\"Off\"", "\"OFF\"", "\"0\"" };
	static const char *const neither[] = {
		"\"tRuE\"", "2", "\"\"", "\"true \"", "[]", "{}", "\"Yes\"", "0.5", "-1"
	};
	char member[64];

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		snprintf(member, sizeof member, "\"enabled\":%s", yes[i]);
		assert_true(patch(member)->is_valid && patch(member)->change.definition.enabled);
	}
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
		snprintf(member, sizeof member, "\"enabled\":%s", no[i]);
		assert_true(patch(member)->is_valid && !patch(member)->change.definition.enabled);
	}
	for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++) {
		snprintf(member, sizeof member, "\"enabled\":%s", neither[i]);
		assert_string_equal(patch(member)->text, "{\"enabled\":[\"Must be a valid boolean.\"]}");
	}
	assert_string_equal(patch("\"enabled\":null")->text, "{\"enabled\":[\"This field may not be null.\"]}");
}

static void test_texts(void **state)
{
	static const struct refusal rows[] = {
		{ "\"endpoint\":null", "endpoint", "\"This field may not be null.\"" },
		{ "\"endpoint\":\" \\u00a0\\u2003\\t\"", "endpoint", "\"This field may not be blank.\"" },
		{ "\"endpoint\":true", "endpoint", "\"Not a valid string.\"" },
		{ "\"endpoint\":[]", "endpoint", "\"Not a valid string.\"" },
		{ "\"endpoint\":5", "endpoint", "\"Enter a valid URL.\"" },
		{ "\"endpoint\":\"http://e.org/\\u0000\"", "endpoint",
		  "\"Enter a valid URL.\",\"Null characters are not allowed.\"" },
		{ "\"endpoint\":\"http://user:pw@e.org/\"", "endpoint", "\"Enter a valid URL.\"" },
		{ "\"endpoint\":\" http://e.org/ \"", "endpoint", NULL },
		{ "\"endpoint\":\"http://10.1.2.3/\"", "endpoint",
		  "\"The egress policy refuses this address; start the service with --egress-allow 10.1.2.3/32 to allow it.\"" },
		{ "\"endpoint\":\"http://localhost/\"", "endpoint",
		  "\"The egress policy refuses this address; start the service with --egress-allow 127.0.0.0/8 to allow it.\"" },
		{ "\"auth_token\":false", "auth_token", "\"Not a valid string.\"" },
		{ "\"auth_token\":\"" X100 X100 X100 X100 X100 "\"", "auth_token", NULL },
		{ "\"auth_token\":\" " X100 X100 X100 X100 X100 " \"", "auth_token", NULL },
		{ "\"auth_token\":\"" X100 X100 X100 X100 X100 "x\"", "auth_token",
		  "\"Ensure this field has no more than 500 characters.\"" },
		{ "\"auth_token\":\"a\\u0000b\"", "auth_token", "\"Null characters are not allowed.\"" },
		{ "\"auth_token\":\"a\\nb\"", "auth_token", "\"Control characters are not allowed.\"" },
		{ "\"auth_token\":\"a\\u0085b\"", "auth_token", "\"Control characters are not allowed.\"" },
		{ "\"auth_token\":\"a\\u00a0b\"", "auth_token", NULL },
		{ "\"timezone\":\"\"", "timezone", "\"This field may not be blank.\"" },
		{ "\"timezone\":null", "timezone", "\"This field may not be null.\"" },
		{ "\"timezone\":\"Mars/Base\"", "timezone",
		  "\"\\\"Mars/Base\\\" is not a known time zone. Use an IANA name such as Europe/Berlin.\"" },
		{ "\"timezone\":\" Europe/Berlin \"", "timezone", NULL },
		{ "\"signing_secret\":\"x\"", "signing_secret",
		  "\"Enter a valid secret: whsec_ followed by 24 to 64 base64-encoded bytes.\"" },
		{ "\"signing_secret\":\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", "signing_secret", NULL },
	};

	(void)state;
	EXPECT(rows);
	assert_true(
		str_equal(patch("\"endpoint\":\" http://e.org/ \"")->change.definition.endpoint, STR("http://e.org/")));
	assert_true(str_equal(patch("\"auth_token\":5")->change.definition.auth_token, STR("5")));
	assert_null(patch("\"auth_token\":\"  \"")->change.definition.auth_token.p);
	assert_int_equal(patch("\"auth_token\":\"\"")->change.set, SCHEDULE_AUTH_TOKEN);
}

static void test_number_texts(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "5", "5" },
		{ "-0", "0" },
		{ "1.50", "1.5" },
		{ "1e3", "1000.0" },
		{ "0.1", "0.1" },
		{ "1e16", "1e+16" },
		{ "123456789012345678901234567890", "123456789012345678901234567890" },
		{ "1e400", "inf" },
		{ "-1e400", "-inf" },
		{ "0.00001", "1e-05" },
		{ "0.0001", "0.0001" },
		{ "1e15", "1000000000000000.0" },
		{ "100.125", "100.125" },
		{ "0.30000000000000004", "0.30000000000000004" },
		{ "-0.0", "-0.0" },
		{ "1e22", "1e+22" },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct str text = fields_number_text(&arena, str_from(rows[i].json));

		if (!str_equal(text, str_from(rows[i].text)))
			fail_msg("%s gives %.*s", rows[i].json, STR_ARG(text));
	}
	arena_release(&arena);
}

static void test_cron_and_interval(void **state)
{
	static const struct refusal rows[] = {
		{ "\"cron_definition\":\"* * * * *\"", "cron_definition", NULL },
		{ "\"cron_definition\":\"\"", "cron_definition", NULL },
		{ "\"cron_definition\":null", "cron_definition", NULL },
		{ "\"cron_definition\":\"99 * * * *\"", "cron_definition",
		  "\"99 * * * *" BAD_CRON "item value 99 out of range [0, 59]\"" },
		{ "\"cron_definition\":\"* *\"", "cron_definition",
		  "\"* *" BAD_CRON "improper number of cron entries specified; got 2 need 5 to 7\"" },
		{ "\"cron_definition\":\"0 0 30 2 *\"", "cron_definition", "\"0 0 30 2 *" BAD_CRON "never occurs\"" },
		{ "\"cron_definition\":5", "cron_definition",
		  "\"5" BAD_CRON "improper number of cron entries specified; got 1 need 5 to 7\"" },
		{ "\"cron_definition\":\"" X100 X100 X100 X100 X100 "x\"", "cron_definition",
		  "\"" X100 X100 X100 X100 X100 "x" BAD_CRON
		  "improper number of cron entries specified; got 1 need 5 to 7\","
		  "\"Ensure this field has no more than 500 characters.\"" },
		{ "\"interval_definition\":\"5  minutes\"", "interval_definition", NULL },
		{ "\"interval_definition\":\"1 minute\"", "interval_definition", NULL },
		{ "\"inteval_definition\":\"1 minute\"", "interval_definition", NULL },
		{ "\"interval_definition\":\"minutes\"", "interval_definition", "\"minutes" BAD_INTERVAL "\"" },
		{ "\"inteval_definition\":\"x\"", "interval_definition", "\"x" BAD_INTERVAL "\"" },
		{ "\"interval_definition\":\"1 Minutes\"", "interval_definition", "\"1 Minutes" BAD_PERIOD "\"" },
		{ "\"interval_definition\":\"0 seconds\"", "interval_definition",
		  "\"0 seconds is too short. Ensure the interval is at least 1 seconds.\"" },
		{ "\"interval_definition\":\"-1 days\"", "interval_definition",
		  "\"-1 days is too short. Ensure the interval is at least 1 seconds.\"" },
		{ "\"interval_definition\":\"999999 microseconds\"", "interval_definition",
		  "\"999999 microseconds is too short. Ensure the interval is at least 1 seconds.\"" },
		{ "\"interval_definition\":\"2147483648 days\"", "interval_definition",
		  "\"2147483648 days is too long. Ensure the integer is at most 2147483647.\"" },
	};

	(void)state;
	EXPECT(rows);
	assert_true(str_equal(patch("\"interval_definition\":\" 5  minutes\"")->change.definition.interval,
			      STR("5  minutes")));
	/* Over already; but a record that has come to its end may be sent back as it is. */
	struct schedule ended = { .definition = { .cron = STR("0 0 1 1 * 2029"), .timezone = STR("UTC") } };

	assert_string_equal(patch("\"cron_definition\":\"0 0 1 1 * 2029\",\"timezone\":\"UTC\"")->text,
			    "{\"cron_definition\":[\"0 0 1 1 * 2029" BAD_CRON "never occurs\"]}");
	assert_true(patch("\"cron_definition\":\"0 0 1 1 * 2031\",\"timezone\":\"UTC\"")->is_valid);
	assert_true(read_as("application/json", "{\"cron_definition\":\"0 0 1 1 * 2029\"}", &ended, true)->is_valid);
	assert_false(read_as("application/json", "{\"cron_definition\":\"0 0 1 1 * 2028\"}", &ended, true)->is_valid);
	assert_non_null(patch("\"cron_definition\":\"\"")->change.definition.cron.p);
	assert_null(patch("\"cron_definition\":null")->change.definition.cron.p);
}

static void test_next_send_at(void **state)
{
	static const struct refusal rows[] = {
		{ "\"next_send_at\":\"2030-01-01T00:00:00Z\"", "next_send_at", NULL },
		{ "\"next_send_at\":null", "next_send_at", NULL },
		{ "\"next_send_at\":\"2030-01-01\"", "next_send_at", "\"" NOT_DATETIME "\"" },
		{ "\"next_send_at\":\"\"", "next_send_at", "\"" NOT_DATETIME "\"" },
		{ "\"next_send_at\":5", "next_send_at", "\"" NOT_DATETIME "\"" },
		{ "\"next_send_at\":true", "next_send_at", "\"" NOT_DATETIME "\"" },
		{ "\"next_send_at\":\"0001-01-01T00:00:00+01:00\"", "next_send_at",
		  "\"Datetime value out of range.\"" },
	};
	static const char instant[] = "\"next_send_at\":\"1970-01-01T00:00:01Z\"";
	struct schedule with_cron = { .definition = { .cron = STR("* * * * *") } };
	struct read *read;

	(void)state;
	EXPECT(rows);
	assert_int_equal(patch(instant)->change.set, SCHEDULE_ONCE_AT);
	assert_int_equal(patch(instant)->change.definition.once_at.us, US_PER_SECOND);
	read = read_as("application/json", "{\"next_send_at\":\"1970-01-01T00:00:01Z\"}", &with_cron, true);
	assert_int_equal(read->change.set, 0);
	read = read_as("application/json", "{\"next_send_at\":\"1970-01-01T00:00:01Z\",\"cron_definition\":null}",
		       &with_cron, true);
	assert_int_equal(read->change.set, SCHEDULE_ONCE_AT | SCHEDULE_CRON);
	read = read_as(
		"application/json",
		"{\"endpoint\":\"http://e.org\",\"interval_definition\":\"1 days\",\"next_send_at\":\"1970-01-01T00:00:01Z\"}",
		NULL, false);
	assert_true(read->is_valid && !read->change.definition.has_once);
}

static void test_payload(void **state)
{
	static const struct {
		const char *member, *payload;
	} rows[] = {
		{ "\"payload\":null", "null" },
		{ "\"payload\": { \"b\" : [1,\n2], \"a\":1e400 }", "{ \"b\" : [1,\n2], \"a\":1e400 }" },
		{ "\"payload\":\"{\\u0000 }\"", "\"{\\u0000 }\"" },
		{ "\"payload\":18446744073709551617", "18446744073709551617" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct read *read = patch(rows[i].member);

		assert_true(read->is_valid);
		assert_true(str_equal(read->change.definition.payload, str_from(rows[i].payload)));
	}
}

static void test_required_and_defaults(void **state)
{
	static const struct schedule current;
	struct read *read = read_as("application/json", "{}", NULL, false);

	(void)state;
	assert_string_equal(read->text, "{\"endpoint\":[\"This field is required.\"]}");
	assert_string_equal(read_as("", "", &current, false)->text, "{\"endpoint\":[\"This field is required.\"]}");
	assert_true(read_as("application/json", "{}", &current, true)->is_valid);
	read = read_as("application/json", "{\"endpoint\":\"http://e.org\",\"id\":5,\"created_at\":[],\"other\":1}",
		       NULL, false);
	assert_true(read->is_valid);
	assert_int_equal(read->change.set, SCHEDULE_ENDPOINT);
	assert_true(read->change.definition.enabled && !read->change.definition.has_frequency);
	assert_true(str_equal(read->change.definition.payload, STR("{}")));
	assert_true(str_equal(read->change.definition.timezone, STR("UTC")));
	read = read_as("application/json", "{\"frequency\":\"x\",\"enabled\":null,\"cron_definition\":[]}", NULL,
		       false);
	assert_string_equal(
		read->text,
		"{\"frequency\":[\"A valid integer is required.\"],\"cron_definition\":[\"Not a valid string.\"],"
		"\"endpoint\":[\"This field is required.\"],\"enabled\":[\"This field may not be null.\"]}");
}

static void test_masks(void **state)
{
	struct read *read = patch("\"auth_token\":\"********\",\"signing_secret\":\" ******** \"");

	(void)state;
	assert_true(read->is_valid);
	assert_int_equal(read->change.set, 0);
	read = read_as("application/json", "{\"endpoint\":\"http://e.org\",\"auth_token\":\"********\"}", NULL, false);
	assert_false(read->is_valid);
	assert_int_equal(patch("\"auth_token\":\"*******\"")->change.set, SCHEDULE_AUTH_TOKEN);
}

static void test_forms(void **state)
{
	static const struct schedule current;
	struct read *read = read_as(
		FORM,
		"endpoint=x&endpoint=http%3A%2F%2Fe.org%2F&payload=%7B%22a%22%3A+1%7D&frequency=&next_send_at=", NULL,
		false);

	(void)state;
	assert_true(read->is_valid);
	assert_true(str_equal(read->change.definition.endpoint, STR("http://e.org/")));
	assert_true(str_equal(read->change.definition.payload, STR("{\"a\": 1}")));
	assert_false(read->change.definition.enabled);
	assert_int_equal(read->change.set, SCHEDULE_ENDPOINT | SCHEDULE_PAYLOAD | SCHEDULE_FREQUENCY |
						   SCHEDULE_ONCE_AT | SCHEDULE_ENABLED);
	assert_false(read->change.definition.has_frequency || read->change.definition.has_once);

	assert_true(read_as(FORM, "endpoint=http://e.org/&enabled=", NULL, false)->change.definition.enabled);
	assert_true(read_as(FORM, "endpoint=http://e.org/&enabled=on", NULL, false)->change.definition.enabled);
	assert_int_equal(read_as(FORM, "frequency=4", &current, true)->change.set, SCHEDULE_FREQUENCY);
	assert_int_equal(read_as(FORM, "enabled=", &current, true)->change.set, 0);
	assert_true(read_as(FORM, "endpoint=http://e.org/", &current, false)->change.set & SCHEDULE_ENABLED);
	assert_string_equal(read_as(FORM, "payload=x", &current, true)->text,
			    "{\"payload\":[\"Value must be valid JSON.\"]}");
	assert_string_equal(read_as(FORM, "payload=", &current, true)->text,
			    "{\"payload\":[\"Value must be valid JSON.\"]}");
	assert_string_equal(read_as(FORM, "endpoint=", &current, true)->text,
			    "{\"endpoint\":[\"This field may not be blank.\"]}");
	assert_int_equal(read_as(FORM, "cron_definition=&timezone=", &current, true)->change.set, SCHEDULE_CRON);
	read = read_as(
		"multipart/form-data; boundary=b",
		"--b\r\nContent-Disposition: form-data; name=\"endpoint\"; filename=\"f\"\r\n\r\nhttp://e.org/\r\n--b--\r\n",
		&current, true);
	assert_string_equal(read->text, "{\"endpoint\":[\"Not a valid string.\"]}");
	assert_int_equal(read_as("multipart/form-data", "--b\r\n", &current, true)->change.set, 0);
}

static void test_bodies(void **state)
{
	static const struct {
		const char *type, *body;
		enum input_verdict verdict;
		const char *problem; /* its beginning */
	} rows[] = {
		{ NULL, "", INPUT_OK, NULL },
		{ "text/plain", "", INPUT_OK, NULL },
		{ "application/json", " {} ", INPUT_OK, NULL },
		{ "*/*", "{}", INPUT_OK, NULL },
		{ "APPLICATION/JSON; x=y", "{}", INPUT_OK, NULL },
		{ NULL, "{}", INPUT_UNSUPPORTED, NULL },
		{ "text/plain", "{}", INPUT_UNSUPPORTED, NULL },
		{ "application/json", "{", INPUT_MALFORMED, "JSON parse error - " },
		{ "application/json", "\xEF\xBB\xBF{}", INPUT_MALFORMED, "JSON parse error - " },
		{ "application/json; charset=ascii", "{\"a\":\"\xC3\xA9\"}", INPUT_MALFORMED, "JSON parse error - " },
		{ "application/json; charset=\"ISO-8859-1\"", "{\"a\":\"\xE9\"}", INPUT_OK, NULL },
		{ "application/json", "{\"a\":\"\xE9\"}", INPUT_MALFORMED, "JSON parse error - " },
		{ "application/json", "null", INPUT_NOT_OBJECT, "No data provided" },
		{ "application/json", "[]", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got list." },
		{ "application/json", "\"x\"", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got str." },
		{ "application/json", "5", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got int." },
		{ "application/json", "5.0", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got float." },
		{ "application/json", "5e1", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got float." },
		{ "application/json", "true", INPUT_NOT_OBJECT, "Invalid data. Expected a dictionary, but got bool." },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct input input;
		struct str problem = STR("");
		enum input_verdict verdict =
			input_read(&arena, str_from(rows[i].type), str_from(rows[i].body), &input, &problem);

		if (verdict != rows[i].verdict ||
		    (rows[i].problem && !str_starts_with(problem, str_from(rows[i].problem))))
			fail_msg("%s %s: %d %.*s", rows[i].type, rows[i].body, (int)verdict, STR_ARG(problem));
	}

	struct input input;
	struct str problem, utf16 = STR("\xFF\xFE{\0\"\0a\0\"\0:\0\"\0\x3D\xD8\x00\xDE\"\0}\0");

	assert_int_equal(input_read(&arena, STR("application/json;charset=utf-16"), utf16, &input, &problem), INPUT_OK);
	assert_true(str_equal(json_member(input.object, STR("a"))->text, STR("\xF0\x9F\x98\x80")));
	arena_release(&arena);
}

/* As Django REST framework's ChoiceField puts it; a blank is a blank all the same. */
static void test_choices(void **state)
{
	static const char catch_up[] = "catch_up", overlap[] = "overlap";
	static const struct refusal rows[] = {
		{ "\"catch_up\":\"latest\"", catch_up, NULL },
		{ "\"catch_up\":\"all\"", catch_up, NULL },
		{ "\"catch_up\":\"none\"", catch_up, NULL },
		{ "\"overlap\":\"allow\"", overlap, NULL },
		{ "\"overlap\":\"skip\"", overlap, NULL },
		{ "\"overlap\":\"queue\"", overlap, NULL },
		{ "\"overlap\":null", overlap, "\"This field may not be null.\"" },
		{ "\"overlap\":\"\"", overlap, "\"This field may not be blank.\"" },
		{ "\"overlap\":\" \"", overlap, "\"\\\" \\\" is not a valid choice.\"" },
		{ "\"overlap\":\"Skip\"", overlap, "\"\\\"Skip\\\" is not a valid choice.\"" },
		{ "\"overlap\":\"skip \"", overlap, "\"\\\"skip \\\" is not a valid choice.\"" },
		{ "\"overlap\":\"all\"", overlap, "\"\\\"all\\\" is not a valid choice.\"" },
		{ "\"overlap\":\"a\\u0000\\\"\"", overlap, "\"\\\"a\\u0000\\\"\\\" is not a valid choice.\"" },
		{ "\"overlap\":1.50", overlap, "\"\\\"1.5\\\" is not a valid choice.\"" },
		{ "\"overlap\":0", overlap, "\"\\\"0\\\" is not a valid choice.\"" },
		{ "\"overlap\":true", overlap, "\"\\\"True\\\" is not a valid choice.\"" },
		{ "\"overlap\":false", overlap, "\"\\\"False\\\" is not a valid choice.\"" },
		{ "\"overlap\":[1]", overlap, "\"\\\"[1]\\\" is not a valid choice.\"" },
		{ "\"overlap\":{}", overlap, "\"\\\"{}\\\" is not a valid choice.\"" },
	};
	struct read *read;

	(void)state;
	EXPECT(rows);
	read = patch("\"catch_up\":\"none\"");
	assert_int_equal(read->change.set, SCHEDULE_CATCH_UP);
	assert_int_equal(read->change.definition.catch_up, CATCH_UP_NONE);
	read = patch("\"overlap\":\"queue\",\"catch_up\":\"all\"");
	assert_int_equal(read->change.set, SCHEDULE_CATCH_UP | SCHEDULE_OVERLAP);
	assert_int_equal(read->change.definition.overlap, OVERLAP_QUEUE);
	assert_int_equal(read->change.definition.catch_up, CATCH_UP_ALL);
	read = read_as("application/json", "{\"endpoint\":\"http://e.org/\"}", NULL, false);
	assert_int_equal(read->change.definition.catch_up, CATCH_UP_LATEST);
	assert_int_equal(read->change.definition.overlap, OVERLAP_ALLOW);
	assert_false(read->change.set & (SCHEDULE_CATCH_UP | SCHEDULE_OVERLAP));
	/* An empty part of a form says nothing. */
	read = read_as(FORM, "endpoint=http%3A%2F%2Fe.org%2F&overlap=&catch_up=none", NULL, false);
	assert_true(read->is_valid);
	assert_int_equal(read->change.definition.catch_up, CATCH_UP_NONE);
	assert_false(read->change.set & SCHEDULE_OVERLAP);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frequency),
		cmocka_unit_test(test_enabled),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_number_texts),
		cmocka_unit_test(test_cron_and_interval),
		cmocka_unit_test(test_next_send_at),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_required_and_defaults),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_bodies),
	};

	return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
