/* SPDX-License-Identifier: BSD-3-Clause */
/* Wraps OpenSSL so that the rest of the program sees five results and a reason in words.
 *
 * A connection is open only after the chain and the host were verified; there is no path around that. Sessions are kept
 * per lane and host: a session resumed is a verification skipped, so it must never be offered to another host, even one
 * that shares the lane's number. */
#include "http/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

struct tls_session {
	int64_t lane;
	char host[TLS_HOST_BYTES_MAX + 1]; /* zero-terminated, lower case */
	SSL_SESSION *session;		   /* owned; NULL = free */
};

struct tls_context {
	SSL_CTX *ssl_ctx; /* owned */
	struct tls_session sessions[TLS_SESSIONS_MAX];
};

struct tls {
	SSL *ssl; /* owned */
	struct tls_context *context;
	int64_t lane;
	char host[TLS_HOST_BYTES_MAX + 1];
	const char *reason;
	bool has_failed, was_lost;
};

struct words {
	int code;
	const char *text;
};

static const struct words verify_words[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, "certificate has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "certificate is not yet valid" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, "certificate is for another host" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "certificate is for another address" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed certificate" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate of an unknown authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "certificate of an unknown authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	  "certificate of an unknown authority, or intermediate certificate missing" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
	  "certificate of an unknown authority, or intermediate certificate missing" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "certificate with a wrong signature" },
	{ X509_V_ERR_CERT_REVOKED, "certificate is revoked" },
	{ X509_V_ERR_INVALID_PURPOSE, "certificate is not meant for a server" },
	{ X509_V_ERR_INVALID_CA, "certificate of an authority that is none" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, "certificate key is too short" },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, "certificate authority's key is too short" },
	{ X509_V_ERR_CA_MD_TOO_WEAK, "certificate signature is too weak" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, "certificate chain is too long" },
};

static const struct words ssl_words[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "the endpoint does not speak TLS on this port" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "the endpoint does not speak TLS on this port" },
	{ SSL_R_HTTP_REQUEST, "the endpoint does not speak TLS on this port" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "no TLS version in common (1.2 is the least)" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "no TLS version in common (1.2 is the least)" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the endpoint refused the handshake" },
	{ SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY, "the endpoint refused the handshake: insufficient security" },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the endpoint refused the handshake: access denied" },
	{ SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "the endpoint refused the handshake: internal error" },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME, "the endpoint has no certificate for this host" },
	{ SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "the endpoint does not speak HTTP/1.1" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the endpoint asks for a client certificate" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the endpoint asks for a client certificate" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, "certificate chain is too long" },
	{ SSL_R_DH_KEY_TOO_SMALL, "the endpoint's key is too short" },
};

static const char *find_words(const struct words *words, size_t words_n, int code, const char *otherwise)
{
	for (size_t i = 0; i < words_n; i++)
		if (words[i].code == code)
			return words[i].text;
	return otherwise;
}

/* ---- Sessions ---- */

static bool is_same_peer(const struct tls_session *kept, const struct tls *tls)
{
	return kept->session && kept->lane == tls->lane && strcmp(kept->host, tls->host) == 0;
}

static struct tls_session *place_of(struct tls *tls)
{
	return &tls->context->sessions[(uint64_t)tls->lane % TLS_SESSIONS_MAX];
}

static void forget(struct tls_session *kept)
{
	SSL_SESSION_free(kept->session);
	kept->session = NULL;
}

/* OpenSSL's callback for each session or ticket that a verified peer gives us; 1 = we keep the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	struct tls_session *kept = place_of(tls);

	assert(tls->ssl == ssl);
	forget(kept);
	kept->lane = tls->lane;
	memcpy(kept->host, tls->host, sizeof kept->host);
	kept->session = session;
	return 1;
}

/* ---- Context ---- */

static bool is_set_up(SSL_CTX *ssl_ctx)
{
	static const unsigned char protocols[] = { 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };

	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl_ctx, on_session);
	return SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_default_verify_paths(ssl_ctx) == 1 &&
	       SSL_CTX_set_alpn_protos(ssl_ctx, protocols, sizeof protocols) == 0;
}

enum err tls_context_new(const char *ca_file, struct tls_context **context, struct error *error)
{
	SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
	const char *why;

	ERR_clear_error();
	if (!ssl_ctx || !is_set_up(ssl_ctx)) {
		why = ERR_reason_error_string(ERR_peek_last_error());
		SSL_CTX_free(ssl_ctx);
		return error_set(error, ERR_UNAVAILABLE, "TLS cannot be set up: %s; check OpenSSL's configuration",
				 why ? why : "no reason given");
	}
	if (ca_file && SSL_CTX_load_verify_file(ssl_ctx, ca_file) != 1) {
		why = ERR_reason_error_string(ERR_peek_last_error());
		SSL_CTX_free(ssl_ctx);
		return error_set(error, ERR_INVALID,
				 "%s: no certificate could be read: %s; it must hold PEM certificates", ca_file,
				 why ? why : "no reason given");
	}
	*context = memory_new(sizeof **context);
	(*context)->ssl_ctx = ssl_ctx;
	return ERR_OK;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	for (size_t i = 0; i < TLS_SESSIONS_MAX; i++)
		forget(&context->sessions[i]);
	SSL_CTX_free(context->ssl_ctx);
	free(context);
}

/* ---- Connections ---- */

static bool copy_host(struct tls *tls, struct str host)
{
	if (str_ends_with(host, STR(".")))
		host.n--;
	if (host.n == 0 || host.n > TLS_HOST_BYTES_MAX || str_find(host, '\0') < host.n)
		return false;
	for (size_t i = 0; i < host.n; i++)
		tls->host[i] = host.p[i] >= 'A' && host.p[i] <= 'Z' ? (char)(host.p[i] - 'A' + 'a') : host.p[i];
	return true;
}

/* Says whom the certificate must name. SNI carries names only (RFC 6066 section 3). */
static bool expect_host(SSL *ssl, const struct tls *tls, const struct tls_peer *peer)
{
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (peer->address)
		return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), peer->address, peer->address_n) == 1;
	return SSL_set1_host(ssl, tls->host) == 1 && SSL_set_tlsext_host_name(ssl, tls->host) == 1;
}

struct tls *tls_new(struct tls_context *context, int fd, const struct tls_peer *peer)
{
	struct tls *tls = memory_new(sizeof *tls);

	assert(!peer->address || peer->address_n == 4 || peer->address_n == 16);
	ERR_clear_error();
	tls->context = context;
	tls->lane = peer->lane;
	tls->reason = "TLS failed";
	tls->ssl = SSL_new(context->ssl_ctx);
	if (!tls->ssl || SSL_set_app_data(tls->ssl, tls) != 1 || SSL_set_fd(tls->ssl, fd) != 1 ||
	    !copy_host(tls, peer->host) || !expect_host(tls->ssl, tls, peer)) {
		tls_free(tls);
		return NULL;
	}
	SSL_set_connect_state(tls->ssl);
	if (is_same_peer(place_of(tls), tls))
		SSL_set_session(tls->ssl, place_of(tls)->session);
	return tls;
}

static const char *words_for_failure(const SSL *ssl, unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return "TLS failed";
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return find_words(verify_words, sizeof verify_words / sizeof verify_words[0],
				  (int)SSL_get_verify_result(ssl), "certificate is not trusted");
	return find_words(ssl_words, sizeof ssl_words / sizeof ssl_words[0], reason, "TLS failed");
}

static enum tls_result fail(struct tls *tls, const char *reason)
{
	tls->has_failed = true;
	tls->reason = reason;
	/* A session that the peer could not take up is not tried again. */
	if (!SSL_is_init_finished(tls->ssl) && is_same_peer(place_of(tls), tls))
		forget(place_of(tls));
	return TLS_FAILED;
}

/* `problem` is errno as the call left it. */
static enum tls_result result_of(struct tls *tls, int returned, int problem)
{
	unsigned long code = ERR_peek_last_error(); /* TLS's own word; deeper ones come before it */

	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_NONE:
		return TLS_OK;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_SYSCALL:
		if (code == 0 && problem == 0)
			return TLS_CLOSED;
		tls->was_lost = true;
		return fail(tls, problem == ECONNRESET || problem == EPIPE ? "connection reset" : "connection failed");
	default:
		break;
	}
	/* The socket ended without a goodbye, as many servers do it; whether the answer is whole is for its framing to
	 * say. */
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return TLS_CLOSED;
	return fail(tls, words_for_failure(tls->ssl, code));
}

/* OpenSSL's error queue belongs to the thread: what an earlier connection left there would be taken for ours. */
static void prepare(struct tls *tls)
{
	assert(!tls->has_failed);
	ERR_clear_error();
	errno = 0;
}

enum tls_result tls_handshake(struct tls *tls)
{
	prepare(tls);

	int returned = SSL_do_handshake(tls->ssl);
	enum tls_result result = result_of(tls, returned, errno);

	if (result == TLS_CLOSED)
		tls->reason = "the endpoint closed the connection during the handshake";
	assert(result != TLS_OK || SSL_get_verify_result(tls->ssl) == X509_V_OK);
	return result;
}

enum tls_result tls_read(struct tls *tls, char *p, size_t room, size_t *n)
{
	assert(room > 0);
	prepare(tls);

	int returned = SSL_read_ex(tls->ssl, p, room, n);

	return returned == 1 ? TLS_OK : result_of(tls, returned, errno);
}

enum tls_result tls_write(struct tls *tls, struct str bytes, size_t *n)
{
	assert(bytes.n > 0);
	prepare(tls);

	int returned = SSL_write_ex(tls->ssl, bytes.p, bytes.n, n);

	return returned == 1 ? TLS_OK : result_of(tls, returned, errno);
}

enum tls_result tls_shutdown(struct tls *tls)
{
	if (tls->has_failed || !SSL_is_init_finished(tls->ssl))
		return TLS_FAILED;
	prepare(tls);

	int returned = SSL_shutdown(tls->ssl);

	return returned >= 0 ? TLS_OK : result_of(tls, returned, errno);
}

bool tls_was_lost(const struct tls *tls)
{
	return tls->was_lost;
}

const char *tls_reason(const struct tls *tls)
{
	return tls->reason;
}

bool tls_was_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	/* Without both goodbyes OpenSSL would mark the session as not resumable. */
	if (tls->ssl && !tls->has_failed)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	free(tls);
}
