/* SPDX-License-Identifier: BSD-3-Clause */
/* What each field of a record may be sent as, and what is shown then. */
#include "api_fields.h"

#include "record_text.h"

enum { BODY_BYTES_MAX = 1 << 20 };

#define MASK "\"********\""
#define WHSEC "\"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""

const struct member schedule_members[SCHEDULE_MEMBERS_N] = {
	[FREQUENCY] = { "frequency",
			"null",
			{ { "null", "null" },
			  { "3", "3" },
			  { "\" 7 \"", "7" },
			  { "1.0", "1" },
			  { "0", NULL },
			  { "true", NULL } } },
	[CRON] = { "cron_definition",
		   "null",
		   { { "null", "null" },
		     { "\"*/5 * * * *\"", "\"*/5 * * * *\"" },
		     { "\" @daily\"", "\"@daily\"" },
		     { "\"* * * * * * *\"", "\"* * * * * * *\"" },
		     { "\"0 0 30 2 *\"", NULL },
		     { "\"61 * * * *\"", NULL } } },
	[INTERVAL] = { "interval_definition",
		       "null",
		       { { "null", "null" },
			 { "\"5 seconds\"", "\"5 seconds\"" },
			 { "\"1  minutes \"", "\"1  minutes\"" },
			 { "\"1 seconds\"", "\"1 seconds\"" },
			 { "\"0 seconds\"", NULL },
			 { "[5]", NULL } } },
	[ENDPOINT] = { "endpoint",
		       NULL,
		       { { "\"http://a.example/x\"", "\"http://a.example/x\"" },
			 { "\"https://b.example:8443/?q=1\"", "\"https://b.example:8443/?q=1\"" },
			 { "\"http://93.184.216.34\"", "\"http://93.184.216.34\"" },
			 { "\"http://127.0.0.1/\"", NULL },
			 { "\"ftp://a.example/\"", NULL },
			 { "null", NULL } } },
	/* The last one is a string out of the input. */
	[PAYLOAD] = { "payload",
		      "{}",
		      { { "{}", "{}" },
			{ "[1,2.50,1e400,-0]", "[1,2.50,1e400,-0]" },
			{ "{\"b\":null,\"a\":{\"b\":[]}}", "{\"b\":null,\"a\":{\"b\":[]}}" },
			{ "\"\xe2\x82\xac\\u20ac\"", "\"\xe2\x82\xac\xe2\x82\xac\"" },
			{ "null", "null" },
			{ NULL, NULL } } },
	[AUTH_TOKEN] = { "auth_token",
			 "null",
			 { { "null", "null" },
			   { "\"secret\"", MASK },
			   { "\"\"", "null" },
			   { "5", MASK },
			   { MASK, MASK },
			   { "\"a\\tb\"", NULL } } },
	[SIGNING_SECRET] = { "signing_secret",
			     "null",
			     { { "null", "null" },
			       { WHSEC, MASK },
			       { "\"\"", "null" },
			       { WHSEC, MASK },
			       { MASK, MASK },
			       { "\"whsec_A\"", NULL } } },
	[ENABLED] = { "enabled",
		      "true",
		      { { "true", "true" },
			{ "false", "false" },
			{ "\"on\"", "true" },
			{ "0", "false" },
			{ "null", NULL },
			{ "2", NULL } } },
	[TIMEZONE] = { "timezone",
		       "\"UTC\"",
		       { { "\"UTC\"", "\"UTC\"" },
			 { "\"Europe/Berlin\"", "\"Europe/Berlin\"" },
			 { "\"America/Havana\"", "\"America/Havana\"" },
			 { "\"UTC\"", "\"UTC\"" },
			 { "\"Mars/Base\"", NULL },
			 { "\"../UTC\"", NULL } } },
	[CATCH_UP] = { "catch_up",
		       "\"latest\"",
		       { { "\"latest\"", "\"latest\"" },
			 { "\"all\"", "\"all\"" },
			 { "\"none\"", "\"none\"" },
			 { "\"all\"", "\"all\"" },
			 { "\"some\"", NULL },
			 { "1", NULL } } },
	[OVERLAP] = { "overlap",
		      "\"allow\"",
		      { { "\"allow\"", "\"allow\"" },
			{ "\"skip\"", "\"skip\"" },
			{ "\"queue\"", "\"queue\"" },
			{ "\"skip\"", "\"skip\"" },
			{ "\"\"", NULL },
			{ "{}", NULL } } },
};

const struct member webhook_members[WEBHOOK_MEMBERS_N] = {
	[EVENT] = { "event",
		    NULL,
		    { { "\"schedule.added\"", "\"schedule.added\"" },
		      { "\"other\"", "\"other\"" },
		      { "5", "\"5\"" },
		      { "\" schedule.added \"", "\"schedule.added\"" },
		      { "null", NULL },
		      { "\" \"", NULL } } },
	[TARGET] = { "target",
		     NULL,
		     { { "\"http://hook.example/a\"", "\"http://hook.example/a\"" },
		       { "\"https://u:p@hook.example/\"", "\"https://u:p@hook.example/\"" },
		       { "\"ftp://hook.example\"", "\"ftp://hook.example\"" },
		       { "\"http://hook.example/a\"", "\"http://hook.example/a\"" },
		       { "\"nope\"", NULL },
		       { "true", NULL } } },
};

/* A string of visible characters, and what it is in JSON. */
static struct str take_string(struct fuzz_input *in, struct arena *arena)
{
	size_t n = fuzz_take(in, 1) % 32;
	char *p = arena_alloc(arena, n + 2);

	p[0] = p[n + 1] = '"';
	for (size_t i = 1; i <= n; i++) {
		char c = (char)(0x20 + fuzz_take(in, 1) % 0x5f);

		p[i] = c == '"' || c == '\\' ? '_' : c;
	}
	return (struct str){ p, n + 2 };
}

void edit_take(struct edit *edit, struct fuzz_input *in, struct arena *arena, const struct str *before)
{
	const struct member *members = edit->members;
	uint64_t mask = fuzz_take(in, 2);

	buf_init(&edit->body, BODY_BYTES_MAX);
	buf_add_char(&edit->body, '{');
	for (unsigned i = 0; i < edit->n; i++) {
		/* What a new record needs is mostly there. */
		bool is_wanted = members[i].first || before ? mask >> i & 1 : (mask & 0xf000) != 0xf000;

		if (!is_wanted)
			continue;

		const struct choice *choice = &members[i].choices[fuzz_take(in, 1) % CHOICES_N];
		bool is_mask = choice->sent && strcmp(choice->sent, MASK) == 0;
		struct str sent = choice->sent ? str_from(choice->sent) : take_string(in, arena);

		edit->is_set[i] = true;
		edit->is_bad[i] = choice->sent && (!choice->shown || (is_mask && !before));
		edit->shown[i] = !choice->sent ? sent : choice->shown ? str_from(choice->shown) : (struct str){ 0 };
		if (is_mask && before)
			edit->shown[i] = before[i];
		if (members == schedule_members && i == PAYLOAD)
			edit->payload = sent;
		buf_printf(&edit->body, "%s\"%s\":%.*s", edit->body.n > 1 ? "," : "", members[i].name, STR_ARG(sent));
	}
	buf_add_char(&edit->body, '}');
}

bool edit_is_refused(struct edit *edit, bool needs_all)
{
	bool refused = false;

	for (unsigned i = 0; i < edit->n; i++) {
		if (needs_all && !edit->members[i].first && !edit->is_set[i])
			edit->is_bad[i] = true;
		refused |= edit->is_bad[i];
	}
	return refused;
}

void edit_check_problems(const struct edit *edit, struct str answer)
{
	struct str rest = answer, key, value;
	unsigned n = 0, bad = 0;

	for (unsigned i = 0; i < edit->n; i++)
		bad += edit->is_bad[i];
	while (record_text_next(&rest, &key, &value)) {
		unsigned i = 0;

		while (i < edit->n && !str_equal(key, str_from(edit->members[i].name)))
			i++;
		assert(i < edit->n && edit->is_bad[i] && str_starts_with(value, STR("[\"")));
		n++;
	}
	assert(n == bad);
}
