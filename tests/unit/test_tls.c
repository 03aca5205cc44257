/* SPDX-License-Identifier: BSD-3-Clause */
/* Client TLS against an OpenSSL server in the same process, over a socket pair, with certificates made here.
 *
 * Both ends are non-blocking and take turns until nothing moves, so no test waits for time to pass. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/tls.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define DAY_S (24 * 3600L)

enum { TURNS_MAX = 20000 };

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
};

/* ---- Certificates ---- */

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

struct certificate_options {
	const char *name, *names; /* names: subject alternative names, NULL = none */
	long from_s, until_s;	  /* from now */
	const char *usage;
};

static struct authority make_certificate(const struct authority *issuer, const struct certificate_options *options)
{
	struct authority made = { EVP_EC_gen("P-256"), X509_new() };
	X509_NAME *name;
	static long serial;

	assert_true(made.key && made.certificate);
	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), options->from_s);
	X509_gmtime_adj(X509_getm_notAfter(made.certificate), options->until_s);
	X509_set_pubkey(made.certificate, made.key);
	name = X509_get_subject_name(made.certificate);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)options->name, -1, -1, 0);
	X509_set_issuer_name(made.certificate, issuer ? X509_get_subject_name(issuer->certificate) : name);
	add_extension(made.certificate, issuer ? issuer->certificate : made.certificate, NID_basic_constraints,
		      issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (options->names)
		add_extension(made.certificate, made.certificate, NID_subject_alt_name, options->names);
	if (options->usage)
		add_extension(made.certificate, made.certificate, NID_ext_key_usage, options->usage);
	assert_true(X509_sign(made.certificate, issuer ? issuer->key : made.key, EVP_sha256()) > 0);
	return made;
}

static void free_certificate(struct authority *authority)
{
	EVP_PKEY_free(authority->key);
	X509_free(authority->certificate);
}

static const struct certificate_options ca_options = { .name = "Test Root", .from_s = -DAY_S, .until_s = DAY_S };
static const struct certificate_options good_options = {
	.name = "example.test",
	.names = "DNS:example.test,DNS:*.wild.test,DNS:other.test,IP:127.0.0.1,IP:2001:db8::1",
	.from_s = -DAY_S,
	.until_s = DAY_S,
};

/* ---- Both ends ---- */

struct world {
	struct authority root, stranger;
	char ca_file[64];
	struct tls_context *context;
};

struct pair {
	int fds[2]; /* client's, server's */
	SSL_CTX *ssl_ctx;
	SSL *server;
	struct tls *client;
	bool server_is_open;
	enum tls_result result; /* the handshake's last */
};

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
			   unsigned in_n, void *ctx)
{
	(void)ssl;
	(void)ctx;
	assert_int_equal(in_n, 9);
	assert_memory_equal(in, "\x08http/1.1", 9);
	*out = in + 1;
	*out_n = 8;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_server(const struct authority *leaf)
{
	SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_certificate(ssl_ctx, leaf->certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ssl_ctx, leaf->key), 1);
	SSL_CTX_set_alpn_select_cb(ssl_ctx, choose_protocol, NULL);
	SSL_CTX_set_session_id_context(ssl_ctx, (const unsigned char *)"t", 1);
	return ssl_ctx;
}

static const struct tls_peer example = { .host = { "example.test", 12 }, .lane = 7 };

/* `ssl_ctx`: NULL = nobody speaks TLS on the other side. */
static void open_pair(struct world *world, struct pair *pair, SSL_CTX *ssl_ctx, const struct tls_peer *peer)
{
	*pair = (struct pair){ .result = TLS_WANT_WRITE };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds), 0);
	if (ssl_ctx) {
		pair->server = SSL_new(ssl_ctx);
		SSL_set_fd(pair->server, pair->fds[1]);
		SSL_set_accept_state(pair->server);
	}
	pair->client = tls_new(world->context, pair->fds[0], peer);
	assert_non_null(pair->client);
}

static void close_pair(struct pair *pair)
{
	tls_free(pair->client);
	SSL_free(pair->server);
	for (unsigned i = 0; i < 2; i++)
		if (pair->fds[i] >= 0)
			close(pair->fds[i]);
}

/* Until the client's handshake is over one way or the other, and the server has done its part. */
static void shake_hands(struct pair *pair)
{
	for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
		if (pair->result == TLS_WANT_READ || pair->result == TLS_WANT_WRITE)
			pair->result = tls_handshake(pair->client);
		ERR_clear_error();
		if (pair->server && !pair->server_is_open)
			pair->server_is_open = SSL_do_handshake(pair->server) == 1;
		if (pair->result == TLS_FAILED || pair->result == TLS_CLOSED ||
		    (pair->result == TLS_OK && pair->server_is_open))
			return;
	}
	fail_msg("the handshake does not end");
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct error error;
	FILE *file;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	world->root = make_certificate(NULL, &ca_options);
	world->stranger = make_certificate(NULL, &ca_options);
	strcpy(world->ca_file, "/tmp/test_tls_XXXXXX");
	fd = mkstemp(world->ca_file);
	file = fdopen(fd, "w");
	PEM_write_X509(file, world->root.certificate);
	fclose(file);
	if (tls_context_new(world->ca_file, &world->context, &error))
		fail_msg("%s", error.text);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	tls_context_free(world->context);
	unlink(world->ca_file);
	free_certificate(&world->root);
	free_certificate(&world->stranger);
	free(world);
	return 0;
}

/* ---- Tests ---- */

static void assert_handshake(struct world *world, const char *case_name, const struct authority *leaf,
			     const struct tls_peer *peer, const char *reason)
{
	SSL_CTX *ssl_ctx = make_server(leaf);
	struct pair pair;

	open_pair(world, &pair, ssl_ctx, peer);
	shake_hands(&pair);
	if (pair.result != (reason ? TLS_FAILED : TLS_OK))
		fail_msg("%s: result %d (%s)", case_name, (int)pair.result, tls_reason(pair.client));
	if (reason && strcmp(tls_reason(pair.client), reason) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", case_name, tls_reason(pair.client), reason);
	close_pair(&pair);
	SSL_CTX_free(ssl_ctx);
}

static void test_whom_we_believe(void **state)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v4_other[4] = { 127, 0, 0, 2 };
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	static const char *const other = "certificate is for another host";
	static const struct {
		struct tls_peer peer;
		const char *reason;
	} rows[] = {
		{ { .host = { "example.test", 12 } }, NULL },
		{ { .host = { "EXAMPLE.Test.", 13 } }, NULL },
		{ { .host = { "other.test", 10 } }, NULL },
		{ { .host = { "a.wild.test", 11 } }, NULL },
		{ { .host = { "127.0.0.1", 9 }, .address = v4, .address_n = 4 }, NULL },
		{ { .host = { "2001:db8::1", 11 }, .address = v6, .address_n = 16 }, NULL },
		{ { .host = { "a.b.wild.test", 13 } }, other },
		{ { .host = { "wild.test", 9 } }, other },
		{ { .host = { "www.example.test", 16 } }, other },
		{ { .host = { "example.tes", 11 } }, other },
		{ { .host = { "127.0.0.2", 9 }, .address = v4_other, .address_n = 4 },
		  "certificate is for another address" },
	};
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);

	for (size_t i = 0; i < N(rows); i++) {
		struct tls_peer peer = rows[i].peer;

		peer.lane = 1000 + (int64_t)i;
		assert_handshake(world, peer.host.p, &leaf, &peer, rows[i].reason);
	}
	free_certificate(&leaf);
}

static void test_what_we_do_not_believe(void **state)
{
	static const struct {
		const char *name;
		enum { BY_ROOT, BY_STRANGER, BY_ITSELF } by;
		struct certificate_options options;
		const char *reason;
	} rows[] = {
		{ "expired",
		  BY_ROOT,
		  { "x", "DNS:example.test", -2 * DAY_S, -DAY_S, NULL },
		  "certificate has expired" },
		{ "from the future",
		  BY_ROOT,
		  { "x", "DNS:example.test", DAY_S, 2 * DAY_S, NULL },
		  "certificate is not yet valid" },
		{ "self-signed",
		  BY_ITSELF,
		  { "x", "DNS:example.test", -DAY_S, DAY_S, NULL },
		  "self-signed certificate" },
		{ "the name in the subject only",
		  BY_ROOT,
		  { "example.test", NULL, -DAY_S, DAY_S, NULL },
		  "certificate is for another host" },
		{ "for clients",
		  BY_ROOT,
		  { "x", "DNS:example.test", -DAY_S, DAY_S, "clientAuth" },
		  "certificate is not meant for a server" },
		/* The stranger bears our root's name, but not its key. */
		{ "by a stranger",
		  BY_STRANGER,
		  { "x", "DNS:example.test", -DAY_S, DAY_S, NULL },
		  "certificate with a wrong signature" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		const struct authority *issuers[] = { &world->root, &world->stranger, NULL };
		struct authority leaf = make_certificate(issuers[rows[i].by], &rows[i].options);

		assert_handshake(world, rows[i].name, &leaf, &example, rows[i].reason);
		free_certificate(&leaf);
	}
}

static void test_unknown_authority(void **state)
{
	static const struct certificate_options unknown = { .name = "Nobody", .from_s = -DAY_S, .until_s = DAY_S };
	struct world *world = *state;
	struct authority nobody = make_certificate(NULL, &unknown), leaf = make_certificate(&nobody, &good_options);

	assert_handshake(world, "unknown authority", &leaf, &example,
			 "certificate of an unknown authority, or intermediate certificate missing");
	free_certificate(&leaf);
	free_certificate(&nobody);
}

static void test_old_versions_are_refused(void **state)
{
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);
	SSL_CTX *ssl_ctx = make_server(&leaf);
	struct pair pair;

	SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(ssl_ctx, "DEFAULT:@SECLEVEL=0");
	open_pair(world, &pair, ssl_ctx, &example);
	shake_hands(&pair);
	assert_int_equal(pair.result, TLS_FAILED);
	assert_string_equal(tls_reason(pair.client), "no TLS version in common (1.2 is the least)");
	close_pair(&pair);
	SSL_CTX_free(ssl_ctx);
	free_certificate(&leaf);
}

static void test_other_ends_that_are_no_server(void **state)
{
	static const struct {
		const char *sent;
		enum tls_result result;
		const char *reason;
	} rows[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", TLS_FAILED, "the endpoint does not speak TLS on this port" },
		{ "", TLS_CLOSED, "the endpoint closed the connection during the handshake" },
		{ "\x15\x03\x03\x00\x02\x02\x28", TLS_FAILED, "the endpoint refused the handshake" },
		{ "\x15\x03\x03\x00\x02\x02\x70", TLS_FAILED, "the endpoint has no certificate for this host" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < N(rows); i++) {
		/* An alert has zero bytes; its length is known. */
		size_t n = rows[i].sent[0] == '\x15' ? 7 : strlen(rows[i].sent);
		struct pair pair;
		char unread[4096];

		open_pair(world, &pair, NULL, &example);
		assert_int_equal(tls_handshake(pair.client), TLS_WANT_READ);
		assert_int_equal(write(pair.fds[1], rows[i].sent, n), n);
		/* What is closed with bytes unread counts as reset. */
		assert_true(read(pair.fds[1], unread, sizeof unread) > 0);
		close(pair.fds[1]);
		pair.fds[1] = -1;
		shake_hands(&pair);
		assert_int_equal(pair.result, rows[i].result);
		assert_string_equal(tls_reason(pair.client), rows[i].reason);
		assert_int_equal(tls_shutdown(pair.client), TLS_FAILED);
		close_pair(&pair);
	}
}

static void test_name_indication(void **state)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 };
	const struct tls_peer literal = { .host = { "127.0.0.1", 9 }, .address = v4, .address_n = 4, .lane = 8 };
	const struct tls_peer name = { .host = { "Example.TEST.", 13 }, .lane = 9 };
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);
	SSL_CTX *ssl_ctx = make_server(&leaf);
	const unsigned char *protocol;
	unsigned protocol_n;
	struct pair pair;

	open_pair(world, &pair, ssl_ctx, &name);
	shake_hands(&pair);
	assert_string_equal(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name), "example.test");
	SSL_get0_alpn_selected(pair.server, &protocol, &protocol_n);
	assert_int_equal(protocol_n, 8);
	close_pair(&pair);
	open_pair(world, &pair, ssl_ctx, &literal);
	shake_hands(&pair);
	assert_int_equal(pair.result, TLS_OK);
	assert_null(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name));
	close_pair(&pair);
	SSL_CTX_free(ssl_ctx);
	free_certificate(&leaf);
}

static void test_hosts_that_no_certificate_can_name(void **state)
{
	static char long_name[TLS_HOST_BYTES_MAX + 1];
	const struct str hosts[] = { { "", 0 }, { ".", 1 }, { "a\0b", 3 }, { long_name, sizeof long_name } };
	struct world *world = *state;

	memset(long_name, 'a', sizeof long_name);
	for (size_t i = 0; i < N(hosts); i++)
		assert_null(tls_new(world->context, 0, &(struct tls_peer){ .host = hosts[i] }));
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 131 + at / 251);
}

/* Far more than the socket's buffers hold, so that both directions meet WANT_READ and WANT_WRITE; from another address
 * each time. */
static void exchange(struct pair *pair, size_t total, int max_version)
{
	unsigned char *bytes = malloc(total), *moved = malloc(total), block[5000];
	size_t sent = 0, received = 0, returned = 0, back = 0, n;
	unsigned waits = 0;

	for (size_t i = 0; i < total; i++)
		bytes[i] = pattern(i);
	for (unsigned turn = 0; turn < TURNS_MAX && back < total; turn++) {
		memcpy(moved, bytes, total);
		enum tls_result result =
			sent < total
				? tls_write(pair->client,
					    (struct str){ (char *)(turn & 1 ? moved : bytes) + sent, total - sent }, &n)
				: TLS_WANT_WRITE;

		if (result == TLS_OK)
			sent += n;
		else
			waits += result == TLS_WANT_WRITE;
		assert_true(result == TLS_OK || result == TLS_WANT_WRITE);
		if (SSL_read_ex(pair->server, block, sizeof block, &n)) {
			for (size_t i = 0; i < n; i++)
				assert_int_equal(block[i], pattern(received + i));
			received += n;
		}
		ERR_clear_error();
		if (received == total && returned < total &&
		    SSL_write_ex(pair->server, bytes + returned, total - returned < 5000 ? total - returned : 5000, &n))
			returned += n;
		ERR_clear_error();
		result = tls_read(pair->client, (char *)block, sizeof block, &n);
		assert_true(result == TLS_OK || result == TLS_WANT_READ);
		for (size_t i = 0; result == TLS_OK && i < n; i++)
			assert_int_equal(block[i], pattern(back + i));
		back += result == TLS_OK ? n : 0;
	}
	assert_int_equal(back, total);
	assert_true(waits > 0);
	assert_int_equal(SSL_version(pair->server), max_version);
	free(bytes);
	free(moved);
}

static void test_data_both_ways(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);

	for (size_t i = 0; i < N(versions); i++) {
		SSL_CTX *ssl_ctx = make_server(&leaf);
		struct pair pair;

		SSL_CTX_set_max_proto_version(ssl_ctx, versions[i]);
		SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		open_pair(world, &pair, ssl_ctx,
			  &(struct tls_peer){ .host = STR("example.test"), .lane = 100 + versions[i] });
		shake_hands(&pair);
		assert_int_equal(pair.result, TLS_OK);
		exchange(&pair, 700000, versions[i]);
		close_pair(&pair);
		SSL_CTX_free(ssl_ctx);
	}
	free_certificate(&leaf);
}

/* One short exchange, so that TLS 1.3's tickets are read; then the goodbye. Says whether an earlier session was taken
 * up. */
static bool visit(struct world *world, SSL_CTX *ssl_ctx, const struct tls_peer *peer)
{
	struct pair pair;
	char text[16];
	size_t n = 0;
	bool was_resumed;

	open_pair(world, &pair, ssl_ctx, peer);
	shake_hands(&pair);
	assert_int_equal(pair.result, TLS_OK);
	was_resumed = tls_was_resumed(pair.client);
	assert_int_equal(SSL_session_reused(pair.server), was_resumed);
	assert_int_equal(SSL_write(pair.server, "hello", 5), 5);
	while (n == 0) {
		enum tls_result result = tls_read(pair.client, text, sizeof text, &n);

		assert_true(result == TLS_OK || result == TLS_WANT_READ);
	}
	assert_int_equal(tls_shutdown(pair.client), TLS_OK);
	assert_int_equal(SSL_read(pair.server, text, sizeof text), 0);
	assert_int_equal(SSL_get_shutdown(pair.server), SSL_RECEIVED_SHUTDOWN);
	SSL_shutdown(pair.server);
	close_pair(&pair);
	return was_resumed;
}

static void test_sessions(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);

	for (size_t i = 0; i < N(versions); i++) {
		SSL_CTX *ssl_ctx = make_server(&leaf);
		struct tls_peer peer = { .host = STR("example.test"), .lane = 200 + (int64_t)i };
		struct tls_peer namesake = { .host = STR("other.test"), .lane = peer.lane };
		struct tls_peer neighbour = { .host = peer.host, .lane = peer.lane + TLS_SESSIONS_MAX };

		SSL_CTX_set_max_proto_version(ssl_ctx, versions[i]);
		assert_false(visit(world, ssl_ctx, &peer));
		assert_true(visit(world, ssl_ctx, &peer));
		assert_true(visit(world, ssl_ctx, &peer));
		/* Another host, although the lane's number is the same; then another lane in the same place. */
		assert_false(visit(world, ssl_ctx, &namesake));
		assert_false(visit(world, ssl_ctx, &neighbour));
		assert_true(visit(world, ssl_ctx, &neighbour));
		SSL_CTX_free(ssl_ctx);

		/* A server that does not know the session gets a whole handshake, with the verification that belongs to
		 * it. */
		ssl_ctx = make_server(&leaf);
		assert_false(visit(world, ssl_ctx, &neighbour));
		SSL_CTX_free(ssl_ctx);
	}
	free_certificate(&leaf);
}

static void test_ends(void **state)
{
	enum end { GOODBYE, SILENT_CLOSE, GARBAGE };
	static const struct {
		enum end end;
		enum tls_result result;
	} rows[] = { { GOODBYE, TLS_CLOSED }, { SILENT_CLOSE, TLS_CLOSED }, { GARBAGE, TLS_FAILED } };
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);
	SSL_CTX *ssl_ctx = make_server(&leaf);

	for (size_t i = 0; i < N(rows); i++) {
		struct pair pair;
		enum tls_result result;
		char text[16];
		size_t n;

		open_pair(world, &pair, ssl_ctx, &example);
		shake_hands(&pair);
		assert_int_equal(pair.result, TLS_OK);
		if (rows[i].end == GOODBYE)
			SSL_shutdown(pair.server);
		if (rows[i].end == GARBAGE)
			assert_int_equal(write(pair.fds[1], "HTTP/1.1 200 OK\r\n\r\n", 19), 19);
		close(pair.fds[1]);
		pair.fds[1] = -1;
		while ((result = tls_read(pair.client, text, sizeof text, &n)) == TLS_WANT_READ)
			;
		assert_int_equal(result, rows[i].result);
		close_pair(&pair);
	}
	SSL_CTX_free(ssl_ctx);
	free_certificate(&leaf);
}

static void test_writing_to_a_closed_peer(void **state)
{
	struct world *world = *state;
	struct authority leaf = make_certificate(&world->root, &good_options);
	SSL_CTX *ssl_ctx = make_server(&leaf);
	struct pair pair;
	size_t n;

	open_pair(world, &pair, ssl_ctx, &example);
	shake_hands(&pair);
	close(pair.fds[1]);
	pair.fds[1] = -1;
	assert_int_equal(tls_write(pair.client, STR("hello"), &n), TLS_FAILED);
	assert_string_equal(tls_reason(pair.client), "connection reset");
	close_pair(&pair);
	SSL_CTX_free(ssl_ctx);
	free_certificate(&leaf);
}

static void test_files_that_are_no_roots(void **state)
{
	static const char *const files[] = { "/nonexistent/roots.pem", "/dev/null" };

	(void)state;
	for (size_t i = 0; i < N(files); i++) {
		struct tls_context *context = NULL;
		struct error error = { 0 };

		assert_int_equal(tls_context_new(files[i], &context, &error), ERR_INVALID);
		assert_non_null(strstr(error.text, files[i]));
		assert_null(context);
	}
	tls_context_free(NULL);
	tls_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whom_we_believe),
		cmocka_unit_test(test_what_we_do_not_believe),
		cmocka_unit_test(test_unknown_authority),
		cmocka_unit_test(test_old_versions_are_refused),
		cmocka_unit_test(test_other_ends_that_are_no_server),
		cmocka_unit_test(test_name_indication),
		cmocka_unit_test(test_hosts_that_no_certificate_can_name),
		cmocka_unit_test(test_data_both_ways),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_writing_to_a_closed_peer),
		cmocka_unit_test(test_files_that_are_no_roots),
	};

	return cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
}
