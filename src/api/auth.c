/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks credentials up: a token by its digest, a name and password by login.c. */
#include "api/auth.h"

#include "api/call.h"
#include "api/credentials.h"

/* Several headers of that name are one, joined by commas, as the original's server made them; such a thing is never
 * valid. */
static struct str authorization(const struct api_call *call)
{
	const struct http_request *request = call->request;
	struct str joined = { NULL, 0 };

	if (http_request_header_count(request, STR("Authorization")) < 2)
		return http_request_header(request, STR("Authorization"));
	for (size_t i = 0; i < request->headers_n; i++) {
		const struct http_header *header = &request->headers[i];

		if (str_equal_nocase(header->name, STR("Authorization")))
			joined = joined.p ? arena_printf(call->arena, "%.*s,%.*s", STR_ARG(joined),
							 STR_ARG(header->value))
					  : header->value;
	}
	return joined;
}

static void send_401(struct api_call *call, const char *text)
{
	call_header(call, "WWW-Authenticate", STR("Basic realm=\"api\""));
	call_detail(call, 401, str_from(text));
}

void auth_missing(struct api_call *call)
{
	send_401(call, CREDENTIALS_MISSING);
}

static void refuse(struct api_call *call, const char *text, const char *reason)
{
	if (!login_refused(call, reason))
		send_401(call, text);
}

static void check_token(struct api_call *call, struct str token)
{
	uint8_t digest[DIGEST_BYTES];
	enum err code;

	sha256(token, digest);
	code = store_user_by_token(call->api->options.reader, digest, call->arena, &call->user);
	if (code == ERR_OK && call->user.is_active) {
		call->authenticated(call);
		return;
	}
	if (code == ERR_OK)
		refuse(call, CREDENTIALS_INACTIVE, "inactive");
	else if (code == ERR_NOT_FOUND)
		refuse(call, CREDENTIALS_WRONG_TOKEN, "token");
	else
		call_unavailable(call, "authentication", code);
}

static void on_login(struct api_call *call, const struct user *user)
{
	if (!user) {
		send_401(call, CREDENTIALS_WRONG_PASSWORD);
		return;
	}
	call->user = *user;
	call->authenticated(call);
}

void auth_start(struct api_call *call, void (*next)(struct api_call *call))
{
	struct credentials credentials = credentials_parse(call->arena, authorization(call));

	call->authenticated = next;
	switch (credentials.kind) {
	case CREDENTIALS_NONE:
		next(call);
		return;
	case CREDENTIALS_TOKEN:
		check_token(call, credentials.token);
		return;
	case CREDENTIALS_PASSWORD:
		login_start(call, credentials.username, credentials.password, on_login);
		return;
	case CREDENTIALS_MALFORMED:
		refuse(call, credentials.problem, "malformed");
		return;
	}
}
