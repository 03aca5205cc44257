/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides whether a password is right, and how often anybody may be wrong.
 *
 * A stranger learns nothing: an unknown name costs the same scrypt as a known one, an inactive user is refused in the
 * same words. A valid token is never held up by anybody's failures: only a failed one asks the throttle. */
#include "api/login.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/address.h"

enum { HASHING_NICENESS = 10 };

struct login {
	uv_work_t work;
	struct api_call *call;
	struct login *next;
	void (*done)(struct api_call *call, const struct user *user);
	struct user user;    /* id 0: no such user */
	struct str hash;     /* absent: none stored */
	struct str password; /* a secret; wiped after use */
	uint8_t mac[DIGEST_BYTES];
	uint64_t account;
	bool is_right; /* set by the worker */
};

/* ---- who failed ---- */

static uint64_t keyed_hash(const struct api *api, struct str about, struct str bytes)
{
	struct buf text;
	uint8_t mac[DIGEST_BYTES];
	uint64_t hash;

	buf_init(&text, about.n + bytes.n);
	buf_add(&text, about);
	buf_add(&text, bytes);
	hmac_sha256((struct str){ (const char *)api->key, sizeof api->key }, buf_str(&text), mac);
	buf_release(&text);
	memcpy(&hash, mac, sizeof hash);
	return hash;
}

static struct address peer_address(const struct http_request *request)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&request->peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&request->peer;

	if (request->peer.ss_family == AF_INET6)
		return address_from_bytes(v6->sin6_addr.s6_addr, true);
	return address_from_bytes((const uint8_t *)&v4->sin_addr, false);
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", the first and the last also with a port. */
static bool parse_address(struct str text, struct address *address)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	struct str rest;
	struct str before_colon = str_split(text, ':', &rest);

	if (str_starts_with(text, STR("[")))
		text = str_split(str_slice(text, 1, text.n), ']', &rest);
	else if (rest.p && str_find(rest, ':') == rest.n)
		text = before_colon;
	bool is_v6 = str_find(text, ':') < text.n;

	if (text.n >= sizeof copy)
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, bytes) != 1)
		return false;
	*address = address_from_bytes(bytes, is_v6);
	return true;
}

static bool is_loopback(const struct address *address)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return address->is_v6 ? memcmp(address->bytes, v6, sizeof v6) == 0 : address->bytes[0] == 127;
}

/* Who is asking: the peer, or whom the proxies on this machine speak for, which is the last address in X-Forwarded-For
 * that is not this machine's own. */
static struct address client_of(const struct http_request *request)
{
	struct str rest = http_request_header(request, STR("X-Forwarded-For"));
	struct address peer = peer_address(request), client = peer, named;

	if (!request->peer_is_loopback)
		return peer;
	while (rest.p)
		if (parse_address(str_trim(str_split(rest, ',', &rest)), &named) && !is_loopback(&named))
			client = named;
	return client;
}

/* IPv6 by its first 64 bits, which is what one site gets. */
static uint64_t client_key(const struct api_call *call, const struct address *client)
{
	return keyed_hash(call->api, STR("peer "), (struct str){ (const char *)client->bytes, client->is_v6 ? 8 : 4 });
}

static int64_t client_wait_us(const struct api_call *call)
{
	struct address client = client_of(call->request);

	return throttle_wait_us(&call->api->throttle, THROTTLE_PEER, client_key(call, &client), call->now.boot);
}

static void client_failed(struct api_call *call, const char *reason, struct boot now)
{
	char text[INET6_ADDRSTRLEN];
	struct address client = client_of(call->request);

	throttle_failed(&call->api->throttle, THROTTLE_PEER, client_key(call, &client), now);
	inet_ntop(client.is_v6 ? AF_INET6 : AF_INET, client.bytes, text, sizeof text);
	log_event(LOG_WARN, "auth_failed", log_text("reason", reason), log_text("peer", text));
}

bool login_refused(struct api_call *call, const char *reason)
{
	int64_t wait_us = client_wait_us(call);

	metric_add(METRIC_AUTH_FAILURES, 1);
	if (wait_us > 0) {
		call_throttled(call, wait_us);
		return true;
	}
	client_failed(call, reason, call->now.boot);
	return false;
}

/* ---- who was right a moment ago ---- */

static void make_mac(const struct login *login, struct str username, uint8_t mac[DIGEST_BYTES])
{
	struct buf text;

	buf_init(&text, username.n + login->hash.n + login->password.n + 2);
	buf_add(&text, username);
	buf_add_char(&text, '\0');
	buf_add(&text, login->hash);
	buf_add_char(&text, '\0');
	buf_add(&text, login->password);
	hmac_sha256((struct str){ (const char *)login->call->api->key, DIGEST_BYTES }, buf_str(&text), mac);
	crypto_wipe(text.p, text.n);
	buf_release(&text);
}

static struct login_memory *memory_slot(const struct login *login)
{
	return &login->call->api->logins.memory[login->mac[0] % LOGIN_CACHE_SIZE];
}

static bool is_remembered(const struct login *login, struct boot now)
{
	const struct login_memory *memory = memory_slot(login);

	return boot_is_after(memory->until, now) &&
	       crypto_equal((struct str){ (const char *)memory->mac, DIGEST_BYTES },
			    (struct str){ (const char *)login->mac, DIGEST_BYTES });
}

static void remember(const struct login *login, struct boot now)
{
	struct login_memory *memory = memory_slot(login);

	memcpy(memory->mac, login->mac, DIGEST_BYTES);
	memory->until = boot_add_us(now, LOGIN_CACHE_S * US_PER_SECOND);
}

/* ---- the queue for the workers ---- */

static void start_next(struct api *api);

/* Hashing is heavy on purpose; guesses by the dozen must not make a delivery late. Linux has priorities of threads,
 * setpriority(2). */
static void step_back(void)
{
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), HASHING_NICENESS);
}

static void on_work(uv_work_t *work)
{
	struct login *login = work->data;

	step_back();
	login->is_right = password_matches(login->hash, login->password);
}

static void finish(struct login *login)
{
	struct api_call *call = login->call;
	struct throttle *throttle = &call->api->throttle;
	struct boot now = clock_read().boot;

	crypto_wipe((char *)login->password.p, login->password.n);
	if (login->is_right && login->user.id && login->user.is_active) {
		remember(login, now);
		throttle_succeeded(throttle, login->account);
		login->done(call, &login->user);
		return;
	}
	metric_add(METRIC_AUTH_FAILURES, 1);
	throttle_failed(throttle, THROTTLE_ACCOUNT, login->account, now);
	client_failed(call, "password", now);
	login->done(call, NULL);
}

static void on_work_done(uv_work_t *work, int status)
{
	struct login *login = work->data;
	struct api *api = login->call->api;

	assert(status == 0);
	api->logins.running_n--;
	start_next(api);
	finish(login);
	api_wait_end(api);
}

/* Whose client has gone makes room: neither a crowd that comes and goes nor the end of the service waits for hashes
 * that nobody will see. */
static void drop_unwanted(struct api *api)
{
	struct login **at = &api->logins.first, *last = NULL;

	while (*at) {
		struct login *login = *at;

		if (http_exchange_is_wanted(login->call->exchange)) {
			last = login;
			at = &login->next;
			continue;
		}
		*at = login->next;
		api->logins.waiting_n--;
		crypto_wipe((char *)login->password.p, login->password.n);
		call_throttled(login->call, US_PER_SECOND);
		api_wait_end(api);
	}
	api->logins.last = last;
}

static void start_next(struct api *api)
{
	struct logins *logins = &api->logins;

	drop_unwanted(api);
	while (logins->first && logins->running_n < LOGIN_RUNNING_MAX) {
		struct login *login = logins->first;
		int status;

		logins->first = login->next;
		if (!logins->first)
			logins->last = NULL;
		logins->waiting_n--;
		logins->running_n++;
		login->work.data = login;
		status = uv_queue_work(api->options.loop, &login->work, on_work, on_work_done);
		assert(status == 0);
	}
}

static bool enqueue(struct login *login)
{
	struct api *api = login->call->api;
	struct logins *logins = &api->logins;

	if (logins->waiting_n == LOGIN_WAITING_MAX)
		drop_unwanted(api);
	if (logins->waiting_n == LOGIN_WAITING_MAX)
		return false;
	if (logins->last)
		logins->last->next = login;
	else
		logins->first = login;
	logins->last = login;
	logins->waiting_n++;
	api_wait_begin(api);
	start_next(api);
	return true;
}

static int64_t wait_us(const struct login *login)
{
	const struct api_call *call = login->call;
	int64_t client = client_wait_us(call);
	int64_t account = throttle_wait_us(&call->api->throttle, THROTTLE_ACCOUNT, login->account, call->now.boot);

	return client > account ? client : account;
}

void login_start(struct api_call *call, struct str username, struct str password,
		 void (*done)(struct api_call *call, const struct user *user))
{
	struct login *login = arena_alloc(call->arena, sizeof *login);
	enum err code = store_user_by_name(call->api->options.reader, username, call->arena, &login->user);

	login->call = call;
	login->done = done;
	login->password = arena_copy(call->arena, password);
	login->account = keyed_hash(call->api, STR("account "), username);
	if (code != ERR_OK && code != ERR_NOT_FOUND) {
		call_unavailable(call, "login", code);
		return;
	}
	if (code == ERR_NOT_FOUND)
		login->user = (struct user){ 0 };
	login->hash = login->user.password_hash;
	make_mac(login, username, login->mac);
	if (login->user.id && login->user.is_active && is_remembered(login, call->now.boot)) {
		done(call, &login->user);
		return;
	}

	int64_t wait = wait_us(login);

	if (wait > 0)
		call_throttled(call, wait);
	else if (!enqueue(login))
		call_throttled(call, US_PER_SECOND);
}
