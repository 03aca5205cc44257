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

#include "api/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

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

/* IPv4, also in its IPv6 dress, by address; IPv6 by its first 64 bits, which is what one site gets. */
static struct str peer_bytes(const struct http_request *request)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&request->peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&request->peer;

	if (request->peer.ss_family == AF_INET)
		return (struct str){ (const char *)&v4->sin_addr, 4 };
	if (request->peer.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return (struct str){ (const char *)&v6->sin6_addr + 12, 4 };
	if (request->peer.ss_family == AF_INET6)
		return (struct str){ (const char *)&v6->sin6_addr, 8 };
	return STR("");
}

static uint64_t peer_key(const struct api_call *call)
{
	return keyed_hash(call->api, STR("peer "), peer_bytes(call->request));
}

static void log_failure(const struct api_call *call, const char *reason)
{
	char address[INET6_ADDRSTRLEN] = "unknown";
	const struct sockaddr_storage *peer = &call->request->peer;

	if (peer->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)peer)->sin_addr, address, sizeof address);
	else if (peer->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)peer)->sin6_addr, address, sizeof address);
	log_event(LOG_WARN, "auth_failed", log_text("reason", reason), log_text("peer", address));
}

bool login_refused(struct api_call *call, const char *reason)
{
	struct throttle *throttle = &call->api->throttle;
	uint64_t peer = peer_key(call);
	int64_t wait_us = throttle_wait_us(throttle, THROTTLE_PEER, peer, call->now.boot);

	metric_add(METRIC_AUTH_FAILURES, 1);
	if (wait_us > 0) {
		call_throttled(call, wait_us);
		return true;
	}
	throttle_failed(throttle, THROTTLE_PEER, peer, call->now.boot);
	log_failure(call, reason);
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

static void on_work(uv_work_t *work)
{
	struct login *login = work->data;

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
	throttle_failed(throttle, THROTTLE_PEER, peer_key(call), now);
	throttle_failed(throttle, THROTTLE_ACCOUNT, login->account, now);
	log_failure(call, "password");
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

static void start_next(struct api *api)
{
	struct logins *logins = &api->logins;

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
	const struct throttle *throttle = &call->api->throttle;
	int64_t peer = throttle_wait_us(throttle, THROTTLE_PEER, peer_key(call), call->now.boot);
	int64_t account = throttle_wait_us(throttle, THROTTLE_ACCOUNT, login->account, call->now.boot);

	return peer > account ? peer : account;
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
