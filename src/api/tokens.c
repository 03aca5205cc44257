/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/user/token/ and /api/token-auth/: minting tokens.
 *
 * A token is 160 random bits as 40 hex digits and is shown once; the store keeps its SHA-256 and the first digits, to
 * tell tokens apart. */
#include <string.h>

#include "api/call.h"
#include "api/email.h"

#define BAD_EMAIL "Enter a valid email address."
#define BAD_LOGIN "Unable to log in with provided credentials."

static void check_email(const void *rules, const struct field *field, const struct value *value,
			struct problems *problems)
{
	(void)rules;
	if (!email_is_valid(value->text))
		problems_add(problems, field->name, STR(BAD_EMAIL));
}

const struct field email_fields[EMAIL_VALUES_N] = {
	{ .name = "email",
	  .label = "Email",
	  .kind = FIELD_TEXT,
	  .required = true,
	  .characters_max = EMAIL_CHARACTERS_MAX,
	  .not_string = BAD_EMAIL,
	  .check_last = true,
	  .check = check_email },
};

const struct field login_fields[LOGIN_VALUES_N] = {
	[LOGIN_VALUE_USERNAME] = { .name = "username", .label = "Username", .kind = FIELD_TEXT, .required = true },
	[LOGIN_VALUE_PASSWORD] = { .name = "password",
				   .label = "Password",
				   .kind = FIELD_TEXT,
				   .required = true,
				   .keeps_blanks = true },
};

struct token_work {
	unsigned status; /* of the answer */
	int64_t user_id; /* whose token; 0: find or make the user named `email` */
	struct str email;
	char token[TOKEN_DIGITS]; /* a secret */
	uint8_t digest[DIGEST_BYTES];
};

/* The user whose name is that address; made without a password when there is none. */
static enum err find_or_make_user(struct store *store, struct api_call *call, struct str email, int64_t *id)
{
	struct user user;
	enum err code = store_user_by_name(store, email, &call->job_arena, &user);

	if (code == ERR_OK)
		*id = user.id;
	if (code != ERR_NOT_FOUND)
		return code;

	struct user draft = { .username = email, .email = email_normalise(&call->job_arena, email), .is_active = true };

	return store_user_insert(store, &draft, call->now.wall, id);
}

static enum err run_mint(struct store *store, struct store_job *job)
{
	struct api_call *call = job->ctx;
	struct token_work *work = call->work;
	int64_t user_id = work->user_id;
	enum err code = user_id ? ERR_OK : find_or_make_user(store, call, work->email, &user_id);

	return code ? code : store_token_insert(store, user_id, work->digest, work->token, call->now.wall);
}

static void send_token(struct api_call *call)
{
	struct token_work *work = call->work;
	unsigned status = work->status;
	struct buf *body = call_body(call);

	buf_add(body, STR("{\"token\":\""));
	buf_add(body, (struct str){ work->token, TOKEN_DIGITS });
	buf_add(body, STR("\"}"));
	crypto_wipe(work->token, sizeof work->token);
	call_send(call, status);
}

static void start_mint(struct api_call *call, struct token_work draft)
{
	struct token_work *work = arena_alloc(call->arena, sizeof *work);

	*work = draft;
	token_mint(work->token, work->digest);
	call->work = work;
	call_write(call, run_mint, send_token);
}

void token_for_email(struct api_call *call)
{
	struct value email;

	if (call_read_fields(call, email_fields, EMAIL_VALUES_N, false, &email))
		start_mint(call, (struct token_work){ .status = 201, .email = email.text });
}

static void on_login(struct api_call *call, const struct user *user)
{
	if (!user) {
		problems_add(&call->problems, "non_field_errors", STR(BAD_LOGIN));
		call_problems(call);
		return;
	}
	start_mint(call, (struct token_work){ .status = 200, .user_id = user->id });
}

void token_for_password(struct api_call *call)
{
	struct value values[LOGIN_VALUES_N];

	if (call_read_fields(call, login_fields, LOGIN_VALUES_N, false, values))
		login_start(call, values[LOGIN_VALUE_USERNAME].text, values[LOGIN_VALUE_PASSWORD].text, on_login);
}
