/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole API in one process: a real server, the real store on a new SQLite file, a client with a plain socket.
 *
 * The contract has a black-box suite of its own; here stands what each file of src/api does when it meets the others.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"

/* Half of the limit per minute that the rig sets. */
enum { ACCOUNT_FAILURES_FREE = 12 };

#define ADMIN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define USER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define INACTIVE "cccccccccccccccccccccccccccccccccccccccc"
#define PASSWORD "correct horse battery"
#define JSON "Content-Type: application/json\r\n"
#define AS(token) "Authorization: Token " token "\r\n"

enum { ANSWER_BYTES_MAX = 8 << 20 };

struct world {
	char directory[64];
	uv_loop_t loop;
	uv_async_t stop;
	struct store *reader;
	struct store_thread *writer;
	struct zonefile_cache *zones;
	struct egress_policy egress;
	struct http_server *server;
	struct api *api;
	pthread_t thread;
	uint16_t port, metrics_port;
	bool is_ready;
	struct buf answer;
};

static struct world world;

/* ---- accounts ---- */

static enum err add_user(struct store *store, const char *token, const struct user *draft)
{
	struct wall now = clock_read().wall;
	uint8_t digest[DIGEST_BYTES];
	int64_t id;
	enum err code = store_user_insert(store, draft, now, &id);

	sha256(str_from(token), digest);
	return code ? code : store_token_insert(store, id, digest, token, now);
}

static enum err add_users(struct store *store, struct store_job *job)
{
	struct arena arena = { 0 };
	struct user admin = {
		.username = STR("admin"), .email = STR("admin@example.org"), .is_staff = true, .is_active = true
	};
	struct user user = { .username = STR("alice"), .email = STR("alice@example.org"), .is_active = true };
	struct user inactive = { .username = STR("carol"), .email = STR("carol@example.org") };
	enum err code;

	(void)job;
	user.password_hash = inactive.password_hash = password_hash(&arena, STR(PASSWORD));
	code = add_user(store, ADMIN, &admin);
	if (!code)
		code = add_user(store, USER, &user);
	if (!code)
		code = add_user(store, INACTIVE, &inactive);
	arena_release(&arena);
	return code;
}

/* ---- the service ---- */

static void on_stop(uv_async_t *stop)
{
	http_server_drain(world.server);
	http_server_close(world.server);
	api_drain(world.api);
	uv_close((uv_handle_t *)stop, NULL);
}

static void *run_loop(void *ctx)
{
	(void)ctx;
	uv_run(&world.loop, UV_RUN_DEFAULT);
	return NULL;
}

static bool is_ready(void *ctx, struct error *error)
{
	(void)ctx;
	if (!world.is_ready)
		error_set(error, ERR_UNAVAILABLE, "the disk is \"full\"");
	return world.is_ready;
}

static uint16_t listen_on(bool for_metrics)
{
	struct error error = { 0 };
	char bound[64];

	if (http_server_listen(world.server, STR("127.0.0.1:0"), for_metrics, bound, &error))
		fail_msg("%s", error.text);
	return (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
}

static int set_up(void **state)
{
	static const struct api_library libraries[] = { { "sqlite", "3" }, { "libuv", "1" } };
	struct error error = { 0 };
	char url[128];
	struct store *store;

	(void)state;
	strcpy(world.directory, "/tmp/seed-api-XXXXXX");
	assert_non_null(mkdtemp(world.directory));
	snprintf(url, sizeof url, "sqlite:%s/scheduler.db", world.directory);

	struct store_settings settings = { .url = str_from(url), .interval_us_min = US_PER_SECOND };

	if (store_open_writer(&settings, &store, &error) || store_run_now(store, add_users, NULL, &error) ||
	    store_open_reader(&settings, &world.reader, &error))
		fail_msg("%s", error.text);
	world.writer = store_thread_start(store, NULL);
	world.zones = zonefile_cache_new(NULL);
	uv_loop_init(&world.loop);
	uv_async_init(&world.loop, &world.stop, on_stop);
	assert_true(egress_allow(&world.egress, STR("127.0.0.0/8")));
	world.api = api_new(&(struct api_options){ .loop = &world.loop,
						   .reader = world.reader,
						   .writer = world.writer,
						   .egress = &world.egress,
						   .zones = world.zones,
						   .interval_us_min = US_PER_SECOND,
						   .auth_failures_per_minute = 2 * ACCOUNT_FAILURES_FREE,
						   .has_metrics_listener = true,
						   .is_ready = is_ready,
						   .libraries = libraries,
						   .libraries_n = 2 });
	world.server = http_server_new(&world.loop, &http_limits_default, api_handle, world.api, api_refuse);
	world.port = listen_on(false);
	world.metrics_port = listen_on(true);
	buf_init(&world.answer, ANSWER_BYTES_MAX);
	world.is_ready = true;
	return pthread_create(&world.thread, NULL, run_loop, NULL);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	uv_async_send(&world.stop);
	pthread_join(world.thread, NULL);
	assert_true(api_is_idle(world.api));
	store_close(store_thread_stop(world.writer));
	http_server_free(world.server);
	api_free(world.api);
	store_close(world.reader);
	zonefile_cache_free(world.zones);
	assert_int_equal(uv_loop_close(&world.loop), 0);
	buf_release(&world.answer);
	snprintf(command, sizeof command, "rm -r '%s'", world.directory);
	return system(command);
}

/* ---- the client ---- */

/* One request on a connection of its own; the whole answer, head and body, until the server closes. */
static const char *ask_at(uint16_t port, const char *method, const char *target, const char *headers, const char *body)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct buf request;
	ssize_t n;

	buf_init(&request, 4 << 20);
	buf_printf(&request, "%s %s HTTP/1.1\r\nHost: h.example:80\r\nConnection: close\r\n%s", method, target,
		   headers);
	if (body)
		buf_printf(&request, "Content-Length: %zu\r\n", strlen(body));
	buf_add(&request, STR("\r\n"));
	buf_add(&request, str_from(body));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(write(fd, request.p, request.n), request.n);
	buf_release(&request);
	buf_clear(&world.answer);
	do {
		char *room = buf_reserve(&world.answer, 65537);

		assert_non_null(room);
		n = read(fd, room, 65536);
		if (n > 0)
			world.answer.n += (size_t)n;
	} while (n > 0);
	close(fd);
	world.answer.p[world.answer.n] = '\0';
	return world.answer.p;
}

static const char *ask(const char *method, const char *target, const char *headers, const char *body)
{
	return ask_at(world.port, method, target, headers, body);
}

static int status_of(const char *answer)
{
	return (int)strtol(answer + strlen("HTTP/1.1 "), NULL, 10);
}

static const char *body_of(const char *answer)
{
	return strstr(answer, "\r\n\r\n") + 4;
}

static void assert_has(const char *answer, const char *text)
{
	if (!strstr(answer, text))
		fail_msg("lacks %s:\n%.2000s", text, answer);
}

static void assert_answer(const char *answer, int status, const char *text)
{
	if (status_of(answer) != status)
		fail_msg("not %d:\n%.2000s", status, answer);
	if (text)
		assert_has(answer, text);
}

/* ---- the tests ---- */

static void test_order_of_checks(void **state)
{
	static const struct {
		const char *method, *target, *headers, *body;
		int status;
		const char *text;
	} rows[] = {
		{ "GET", "/nothing", "", NULL, 404, "Content-Type: text/html" },
		{ "GET", "/api/v1//user/", AS(USER), NULL, 404, "Content-Type: text/html" },
		{ "GET", "/metrics", AS(USER), NULL, 404, "Content-Type: text/html" },
		{ "DELETE", "/api/v1/schedule?a=%20b", "Accept: text/plain\r\n", NULL, 301,
		  "Location: /api/v1/schedule/?a=%20b\r\n" },
		{ "GET", "/api/v1/user/token", "", NULL, 301, "Location: /api/v1/user/token/\r\n" },
		{ "GET", "/api/v1/user/7", "", NULL, 301, "Location: /api/v1/user/7/\r\n" },
		{ "GET", "/api/v1/schedule/", "Accept: text/plain\r\n", NULL, 406,
		  "{\"detail\":\"Could not satisfy the request Accept header.\"}" },
		{ "GET", "/api/v1/schedule/?format=xml", "", NULL, 404, "{\"detail\":\"Not found.\"}" },
		{ "GET", "/api/v1/schedule/", "", NULL, 401, "WWW-Authenticate: Basic realm=\"api\"\r\n" },
		{ "GET", "/api/v1/schedule/", "", NULL, 401, "Authentication credentials were not provided." },
		{ "GET", "/api/v1/schedule/", AS("x"), NULL, 401, "{\"detail\":\"Invalid token.\"}" },
		{ "GET", "/api/v1/schedule/", AS("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"), NULL, 401,
		  "Invalid token." },
		{ "GET", "/api/v1/schedule/", AS(USER) AS(USER), NULL, 401, "Token string should not contain spaces." },
		{ "GET", "/api/v1/schedule/", AS(INACTIVE), NULL, 401, "{\"detail\":\"User inactive or deleted.\"}" },
		{ "GET", "/api/v1/user/token/", AS(USER), NULL, 403,
		  "You do not have permission to perform this action." },
		{ "PUT", "/api/v1/user/token/", AS(ADMIN), NULL, 405,
		  "{\"detail\":\"Method \\\"PUT\\\" not allowed.\"}" },
		{ "HEAD", "/api/token-auth/", "", NULL, 405, "Allow: POST, OPTIONS\r\n" },
		{ "POST", "/api/v1/user/", AS(USER), "{", 405, "Allow: GET, HEAD, OPTIONS\r\n" },
		{ "PATCH", "/api/v1/schedule/00000000-0000-4000-8000-000000000000/", AS(USER) JSON, "{", 404,
		  "Not found." },
		{ "DELETE", "/api/v1/webhook/99999999999999999999/", AS(USER), NULL, 404, "Not found." },
		{ "GET", "/api/v1/user/1.5/", AS(USER), NULL, 404, "Not found." },
		{ "POST", "/api/v1/schedule/", AS(USER) "Content-Type: text/plain\r\n", "x", 415,
		  "{\"detail\":\"Unsupported media type \\\"text/plain\\\" in request.\"}" },
		{ "POST", "/api/v1/schedule/", AS(USER) JSON, "{", 400, "{\"detail\":\"JSON parse error - " },
		{ "POST", "/api/v1/schedule/", AS(USER) JSON, "null", 400,
		  "{\"non_field_errors\":[\"No data provided\"]}" },
		{ "POST", "/api/v1/schedule/", AS(USER), NULL, 400, "{\"endpoint\":[\"This field is required.\"]}" },
		{ "OPTIONS", "/api/v1/schedule/", AS(USER), NULL, 200, "\"actions\":{\"POST\":{\"frequency\":{" },
		{ "OPTIONS", "/api/v1/schedule/", AS(USER), NULL, 200,
		  "\"overlap\":{\"type\":\"choice\",\"required\":false,\"read_only\":false,\"label\":\"Overlap\","
		  "\"choices\":[{\"value\":\"allow\",\"display_name\":\"Allow\"},{\"value\":\"skip\",\"display_name\":"
		  "\"Skip\"},{\"value\":\"queue\",\"display_name\":\"Queue\"}]}" },
		{ "OPTIONS", "/api/v1/schedule/", "", NULL, 401, NULL },
		{ "OPTIONS", "/api/token-auth/", "", NULL, 200, "\"name\":\"Obtain Auth Token\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *answer = ask(rows[i].method, rows[i].target, rows[i].headers, rows[i].body);

		if (status_of(answer) != rows[i].status || (rows[i].text && !strstr(answer, rows[i].text)))
			fail_msg("%s %s is not %d, %s:\n%s", rows[i].method, rows[i].target, rows[i].status,
				 rows[i].text, answer);
	}
}

static void test_headers(void **state)
{
	const char *answer = ask("GET", "/api/v1/", AS(USER), NULL);

	(void)state;
	assert_answer(answer, 200, "Content-Type: application/json\r\n");
	assert_has(answer, "Allow: GET, HEAD, OPTIONS\r\n");
	assert_has(answer, "Vary: Accept\r\n");
	assert_has(answer, "X-Frame-Options: SAMEORIGIN\r\n");
	assert_has(answer, "X-Content-Type-Options: nosniff\r\n");
	assert_string_equal(
		body_of(answer),
		"{\"user\":\"http://h.example:80/api/v1/user/\",\"group\":\"http://h.example:80/api/v1/group/\","
		"\"schedule\":\"http://h.example:80/api/v1/schedule/\","
		"\"webhook\":\"http://h.example:80/api/v1/webhook/\","
		"\"failed-tasks\":\"http://h.example:80/api/v1/failed-tasks/\"}");
	answer = ask("GET", "/api/v1/?format=json", AS(USER) "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n",
		     NULL);
	assert_answer(answer, 200, "\"https://h.example:80/api/v1/user/?format=json\"");
	assert_answer(ask("GET", "/api/v1/", AS(USER) "Accept: application/json; indent=2\r\n", NULL), 200,
		      "{\n  \"user\": \"http");
	assert_null(strstr(ask("POST", "/api/token-auth/", "", NULL), "Vary:"));
	answer = ask("HEAD", "/api/v1/user/", AS(USER), NULL);
	assert_answer(answer, 200, "Content-Length: ");
	assert_string_equal(body_of(answer), "");
}

/* The id of the record in the last answer. */
static void copy_id(const char *answer, char id[UUID_TEXT_BYTES + 1])
{
	const char *at = strstr(answer, "\"id\":\"");

	assert_non_null(at);
	memcpy(id, at + strlen("\"id\":\""), UUID_TEXT_BYTES);
	id[UUID_TEXT_BYTES] = '\0';
}

static void test_a_schedule_lives(void **state)
{
	char id[UUID_TEXT_BYTES + 1], path[128], first[4096], text[256];
	const char *answer = ask(
		"POST", "/api/v1/schedule/", AS(USER) JSON,
		"{\"endpoint\":\" http://127.0.0.1:9/x \",\"interval_definition\":\"3 hours\",\"payload\":{\"a\" : [1e400, "
		"\"\xE2\x80\xA8\"]},\"auth_token\":\"secret\",\"frequency\":\"5\"}");

	(void)state;
	assert_answer(answer, 201,
		      "\"frequency\":5,\"cron_definition\":null,\"interval_definition\":\"3 hours\","
		      "\"endpoint\":\"http://127.0.0.1:9/x\",\"payload\":{\"a\":[1e400,\"\\u2028\"]},"
		      "\"auth_token\":\"********\",\"next_send_at\":\"");
	assert_has(answer, "\",\"enabled\":true,\"created_at\":\"");
	assert_has(
		answer,
		",\"created_by\":\"http://h.example:80/api/v1/user/2/\",\"updated_by\":\"http://h.example:80/api/v1/user/2/\","
		"\"timezone\":\"UTC\",\"triggered\":0,\"signing_secret\":null,\"catch_up\":\"latest\","
		"\"overlap\":\"allow\",\"put_off\":false}");
	copy_id(answer, id);
	snprintf(text, sizeof text, "Location: http://h.example:80/api/v1/schedule/%s/\r\n", id);
	assert_has(answer, text);
	snprintf(first, sizeof first, "%s", body_of(answer));
	snprintf(path, sizeof path, "/api/v1/schedule/%s/", id);
	assert_string_equal(body_of(ask("GET", path, AS(USER), NULL)), first);
	assert_has(ask("GET", "/api/v1/schedule/?limit=1", AS(USER), NULL), first);

	answer = ask("PATCH", path, AS(ADMIN) JSON,
		     "{\"auth_token\":\"********\",\"interval_definition\":null,\"timezone\":\"Europe/Berlin\"}");
	assert_answer(answer, 200, "\"interval_definition\":null");
	assert_has(answer, "\"auth_token\":\"********\",\"next_send_at\":null");
	assert_has(answer, "\"updated_by\":\"http://h.example:80/api/v1/user/1/\",\"timezone\":\"Europe/Berlin\"");
	assert_answer(
		ask("PATCH", path, AS(ADMIN) JSON, "{\"timezone\":\"Mars/Base\",\"interval_definition\":\"1 x\"}"), 400,
		"\"timezone\":[\"\\\"Mars/Base\\\" is not a known time zone.");
	assert_answer(ask("PUT", path, AS(ADMIN) JSON, "{}"), 400, "{\"endpoint\":[\"This field is required.\"]}");
	answer = ask("PUT", path, AS(ADMIN) JSON, "{\"endpoint\":\"http://example.org/\",\"auth_token\":null}");
	assert_answer(answer, 200, "\"endpoint\":\"http://example.org/\"");
	assert_has(answer, "\"auth_token\":null");
	assert_has(answer, "\"frequency\":5");

	answer = ask("DELETE", path, AS(USER) "Content-Type: text/plain\r\n", "{broken");
	assert_answer(answer, 204, "Allow: GET, PUT, PATCH, DELETE, HEAD, OPTIONS\r\n");
	assert_null(strstr(answer, "\r\nContent-Type:"));
	assert_string_equal(body_of(answer), "");
	assert_answer(ask("DELETE", path, AS(USER), NULL), 404, "{\"detail\":\"Not found.\"}");
}

static void test_webhooks_and_pages(void **state)
{
	const char *answer =
		ask("POST", "/api/v1/webhook/", AS(USER) "Content-Type: application/x-www-form-urlencoded\r\n",
		    "event=first&target=http%3A%2F%2Fexample.org%2F");

	(void)state;
	assert_answer(answer, 201, "{\"id\":1,\"created\":\"");
	assert_has(answer, "\"event\":\"first\",\"target\":\"http://example.org/\",\"user\":2}");
	assert_null(strstr(answer, "Location:"));
	for (int i = 0; i < 3; i++)
		assert_answer(ask("POST", "/api/v1/webhook/", AS(ADMIN) JSON,
				  "{\"event\":\"e\",\"target\":\"http://localhost/\"}"),
			      201, NULL);
	assert_answer(ask("POST", "/api/v1/webhook/", AS(ADMIN) JSON, "{\"event\":null,\"target\":\"x\"}"), 400,
		      "{\"event\":[\"This field may not be null.\"],\"target\":[\"Enter a valid URL.\"]}");
	answer = ask("GET", "/api/v1/webhook/?limit=2&offset=1&x=y", AS(USER), NULL);
	assert_answer(answer, 200,
		      "{\"count\":4,\"next\":\"http://h.example:80/api/v1/webhook/?limit=2&offset=3&x=y\","
		      "\"previous\":\"http://h.example:80/api/v1/webhook/?limit=2&x=y\",\"results\":[{\"id\":3,");
	assert_answer(ask("PATCH", "/api/v1/webhook/%2001/", AS(ADMIN) JSON, "{\"event\":\"second\"}"), 200,
		      "\"event\":\"second\",\"target\":\"http://example.org/\",\"user\":2}");
	assert_answer(ask("DELETE", "/api/v1/webhook/1/", AS(USER), NULL), 204, NULL);
	assert_answer(ask("GET", "/api/v1/webhook/1/", AS(USER), NULL), 404, NULL);
}

static void test_accounts(void **state)
{
	char basic[256] = "Authorization: Basic ";
	struct buf encoded;
	const char *answer;

	(void)state;
	answer = ask("GET", "/api/v1/user/2/", AS(USER), NULL);
	assert_string_equal(body_of(answer), "{\"url\":\"http://h.example:80/api/v1/user/2/\",\"username\":\"alice\","
					     "\"email\":\"alice@example.org\",\"groups\":[]}");
	assert_string_equal(body_of(ask("GET", "/api/v1/group/", AS(USER), NULL)),
			    "{\"count\":0,\"next\":null,\"previous\":null,\"results\":[]}");
	answer = ask("POST", "/api/v1/user/token/", AS(ADMIN) JSON, "{\"email\":\"Bob@Example.ORG\"}");
	assert_answer(answer, 201, "{\"token\":\"");

	char header[128];

	snprintf(header, sizeof header, "Authorization: bearer %.40s\r\n", body_of(answer) + strlen("{\"token\":\""));
	assert_answer(ask("GET", "/api/v1/user/?limit=1", header, NULL), 200,
		      "\"username\":\"Bob@Example.ORG\",\"email\":\"Bob@example.org\"");
	assert_answer(ask("POST", "/api/v1/user/token/", AS(ADMIN) JSON, "{\"email\":5}"), 400,
		      "{\"email\":[\"Enter a valid email address.\"]}");

	buf_init(&encoded, 256);
	base64_add(&encoded, STR("alice:" PASSWORD));
	snprintf(basic + strlen(basic), sizeof basic - strlen(basic), "%.*s\r\n", STR_ARG(buf_str(&encoded)));
	buf_release(&encoded);
	for (int i = 0; i < 2; i++)
		assert_answer(ask("GET", "/api/v1/", basic, NULL), 200, NULL);
	assert_answer(ask("GET", "/api/v1/", "Authorization: Basic YWxpY2U6eA==\r\n", NULL), 401,
		      "Invalid username/password.");
	assert_answer(ask("POST", "/api/token-auth/", JSON, "{\"username\":\"alice\",\"password\":\"" PASSWORD "\"}"),
		      200, "{\"token\":\"");
	assert_answer(ask("POST", "/api/token-auth/", JSON, "{\"username\":\"carol\",\"password\":\"" PASSWORD "\"}"),
		      400, "{\"non_field_errors\":[\"Unable to log in with provided credentials.\"]}");
	assert_answer(ask("POST", "/api/token-auth/", JSON AS("x"), "{}"), 401, "Invalid token.");
	for (int i = 0; i < ACCOUNT_FAILURES_FREE; i++)
		answer = ask("POST", "/api/token-auth/", JSON, "{\"username\":\"ghost\",\"password\":\"x\"}");
	assert_answer(answer, 400, NULL);
	answer = ask("POST", "/api/token-auth/", JSON, "{\"username\":\"ghost\",\"password\":\"x\"}");
	assert_answer(answer, 429, "{\"detail\":\"Request was throttled. Expected available in 1 seconds.\"}");
	assert_has(answer, "Retry-After: 1\r\n");
}

static void test_helpers_and_probes(void **state)
{
	(void)state;
	assert_answer(ask("POST", "/api/v1/failed-tasks/", AS(USER) JSON, "{broken"), 201,
		      "{\"requeued_failed_tasks\":true}");
	assert_answer(ask("GET", "/api/metrics/", AS(USER), NULL), 200,
		      "{\"metrics_available\":[\"schedules.created.sum\",");
	assert_answer(ask("POST", "/api/metrics/", AS(USER), "x"), 200, "{\"scheduled_metrics_initiated\":true}");
	assert_answer(ask("GET", "/api/health/", AS(USER), NULL), 200,
		      "{\"up\":true,\"result\":{\"database\":\"Accessible\",\"version\":\"");
	assert_has(ask("GET", "/api/health/", AS(USER), NULL), "\"libraries\":{\"sqlite\":\"3\",\"libuv\":\"1\"}}}");
	assert_answer(ask("GET", "/healthz", "", NULL), 200, "{\"status\":\"ok\"}");
	assert_answer(ask("GET", "/readyz/", "Accept: text/plain\r\n", NULL), 200, "{\"status\":\"ready\"}");
	world.is_ready = false;
	assert_answer(ask("GET", "/readyz", "", NULL), 503,
		      "{\"status\":\"not ready\",\"reason\":\"the disk is \\\"full\\\"\"}");
	world.is_ready = true;
	assert_answer(ask("POST", "/healthz", "", NULL), 405, "Allow: GET, HEAD\r\n");
	assert_answer(ask_at(world.metrics_port, "GET", "/metrics", "", NULL), 200,
		      "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_has(world.answer.p, "seed_schedules{state=\"enabled\"}");
	assert_answer(ask_at(world.metrics_port, "GET", "/readyz", "", NULL), 200, NULL);
	assert_answer(ask_at(world.metrics_port, "GET", "/api/v1/", AS(USER), NULL), 404, "text/html");
}

static size_t count_of(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

/* More than a megabyte: streamed in chunks, each row once, in order. */
static void test_a_long_list(void **state)
{
	enum { ROWS = 30, PAYLOAD = 100000 };
	static char body[PAYLOAD + 200];
	char number[32];
	const char *answer;

	(void)state;
	for (int i = 0; i < ROWS; i++) {
		snprintf(body, sizeof body,
			 "{\"endpoint\":\"http://e.org/%d/\",\"enabled\":false,\"payload\":\"%0*d\"}", i, PAYLOAD, 0);
		assert_answer(ask("POST", "/api/v1/schedule/", AS(USER) JSON, body), 201, NULL);
	}
	answer = ask("GET", "/api/v1/schedule/", AS(USER), NULL);
	assert_answer(answer, 200, "Transfer-Encoding: chunked\r\n");
	assert_int_equal(count_of(answer, "\"timezone\""), ROWS);
	assert_int_equal(count_of(answer, "]}\r\n0\r\n\r\n"), 1);
	for (int i = ROWS - 1; i >= 0; i--) {
		snprintf(number, sizeof number, "http://e.org/%d/", i);
		assert_int_equal(count_of(answer, number), 1);
		answer = strstr(answer, number);
	}
	answer = ask("GET", "/api/v1/schedule/?limit=15&offset=10", AS(USER), NULL);
	assert_int_equal(count_of(answer, "\"timezone\""), 15);
	assert_answer(ask("HEAD", "/api/v1/schedule/", AS(USER), NULL), 200, "Transfer-Encoding: chunked\r\n");
	assert_string_equal(body_of(world.answer.p), "");
	answer = ask("GET", "/api/v1/schedule/?limit=5", AS(USER), NULL);
	assert_answer(answer, 200, "Content-Length: ");
	assert_int_equal(count_of(answer, "\"timezone\""), 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_checks),	 cmocka_unit_test(test_headers),
		cmocka_unit_test(test_a_schedule_lives), cmocka_unit_test(test_webhooks_and_pages),
		cmocka_unit_test(test_accounts),	 cmocka_unit_test(test_helpers_and_probes),
		cmocka_unit_test(test_a_long_list),
	};

	return cmocka_run_group_tests_name("api", tests, set_up, tear_down);
}
