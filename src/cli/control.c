/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries account commands into the serving process: there they are jobs of the store thread like every other write. */
#include "cli/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/metrics.h"

enum {
	REQUEST_BYTES_MAX = 64 << 10,
	CONNECTIONS_MAX = 16,
	CALL_TIMEOUT_S = 60,
	PEER_US_MAX = 5 * 1000000,
	SWEEP_MS = 1000
};

struct control {
	uv_pipe_t listener;
	uv_async_t answered;
	uv_timer_t sweeper;
	struct mailbox answers;
	struct store_thread *writer; /* borrowed */
	char path[PATH_MAX];
	struct connection *connections[CONNECTIONS_MAX]; /* owned until closed; NULL: free place */
	unsigned connections_n;
	bool closing, closed;
};

/* READING (until the peer's end) → RUNNING (a job owns it) → WRITING → closed. The peer has PEER_US_MAX for its parts.
 */
enum connection_state { READING, RUNNING, WRITING };

struct connection {
	enum connection_state state;
	struct boot since; /* of the state */
	uv_pipe_t pipe;
	uv_write_t write;
	struct store_job job;
	struct control *control;
	struct buf request, reply;
	struct arena arena;
	struct account_command command;
	struct account_answer answer;
};

/* Paths longer than sun_path are reached through their folder's descriptor. *folder is -1 or to be closed after use. */
static bool address_of(const char *path, struct sockaddr_un *address, int *folder)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*folder = -1;
	size_t n = strlen(path);

	if (n < sizeof address->sun_path) {
		memcpy(address->sun_path, path, n + 1);
		return true;
	}
	char copy[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (n >= sizeof copy || !slash)
		return false;
	memcpy(copy, path, n + 1);
	*folder = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int used = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%.80s", *folder, slash + 1);

	return *folder >= 0 && used > 0 && (size_t)used < sizeof address->sun_path;
}

/* False: the path is too long. */
static bool path_of(struct str database_path, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%.*s.control", STR_ARG(database_path)) < PATH_MAX;
}

/* What is left of a closing control when its last connection has ended. */
static void close_when_idle(struct control *control)
{
	if (!control->closing || control->closed || control->connections_n > 0)
		return;
	control->closed = true;
	uv_close((uv_handle_t *)&control->answered, NULL);
	uv_close((uv_handle_t *)&control->sweeper, NULL);
}

static void connection_move(struct connection *connection, enum connection_state state)
{
	connection->state = state;
	connection->since = clock_read().boot;
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct control *control = connection->control;

	buf_release(&connection->request);
	buf_release(&connection->reply);
	account_answer_release(&connection->answer);
	arena_release(&connection->arena);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (control->connections[i] == connection)
			control->connections[i] = NULL;
	control->connections_n--;
	free(connection);
	close_when_idle(control);
}

static void connection_close(struct connection *connection)
{
	if (!uv_is_closing((uv_handle_t *)&connection->pipe))
		uv_close((uv_handle_t *)&connection->pipe, on_connection_closed);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status;
	connection_close(write->data);
}

static void reply(struct connection *connection)
{
	struct account_answer *answer = &connection->answer;
	struct buf *out = &connection->reply;

	buf_printf(out, "{\"exit\":%d", answer->exit_code);
	json_key(out, "out");
	json_add_string(out, buf_str(&answer->out));
	json_key(out, "text");
	json_add_string(out, buf_str(&answer->text));
	buf_add_char(out, '}');
	connection->write.data = connection;
	connection_move(connection, WRITING);
	uv_buf_t bytes = uv_buf_init(out->p, (unsigned)out->n);

	if (uv_write(&connection->write, (uv_stream_t *)&connection->pipe, &bytes, 1, on_written))
		connection_close(connection);
}

static enum err run_command(struct store *store, struct store_job *job)
{
	struct connection *connection = job->ctx;

	return account_run(store, &connection->command, clock_read().wall, &connection->answer);
}

static void refuse(struct connection *connection, const char *text)
{
	connection->answer.exit_code = 1;
	buf_add(&connection->answer.text, str_from(text));
	reply(connection);
}

static void on_command_done(struct store_job *job)
{
	struct connection *connection = job->ctx;

	FAILPOINT("control.commanded");
	if (!job->result)
		reply(connection);
	else if (metric_get(METRIC_STORE_RESERVE_SPENT))
		refuse(connection, "the database's disk is full; nothing was written: free space, or raise the quota "
				   "or the file size limit, then try again\n");
	else
		refuse(connection, "the database refused the change; nothing was written, try again\n");
}

static void start_command(struct connection *connection)
{
	struct json_problem problem;
	const struct json *words = json_parse(&connection->arena, buf_str(&connection->request), &problem);

	if (!words || words->type != JSON_ARRAY) {
		refuse(connection, "the command could not be read; are both programs of one version?\n");
		return;
	}
	for (const struct json *word = words->child; word && connection->command.words_n < ACCOUNT_WORDS_MAX;
	     word = word->next)
		connection->command.words[connection->command.words_n++] = word->text;
	connection->job = (struct store_job){ .class = STORE_JOB_API,
					      .can_wait = !str_equal(connection->command.words[1], STR("list")),
					      .run = run_command,
					      .done = on_command_done,
					      .answer_to = &connection->control->answers,
					      .rows = 1,
					      .ctx = connection };
	connection_move(connection, RUNNING);
	FAILPOINT("control.command");
	if (!store_thread_submit(connection->control->writer, &connection->job))
		refuse(connection, "the service is too busy; try again\n");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
	struct connection *connection = handle->data;
	char *at = buf_reserve(&connection->request, 4096);

	(void)suggested;
	*bytes = uv_buf_init(at, at ? 4096 : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct connection *connection = stream->data;

	(void)bytes;
	if (n > 0) {
		connection->request.n += (size_t)n;
		return;
	}
	if (n == 0)
		return;
	uv_read_stop(stream);
	if (n == UV_EOF)
		start_command(connection);
	else
		connection_close(connection);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	unsigned place = 0;

	if (status < 0)
		return;
	struct connection *connection = memory_new(sizeof *connection);

	while (place < CONNECTIONS_MAX && control->connections[place])
		place++;
	if (place < CONNECTIONS_MAX)
		control->connections[place] = connection;
	connection->control = control;
	connection_move(connection, READING);
	connection->pipe.data = connection;
	buf_init(&connection->request, REQUEST_BYTES_MAX);
	buf_init(&connection->reply, 2 * ACCOUNT_ANSWER_BYTES_MAX);
	account_answer_init(&connection->answer);
	uv_pipe_init(listener->loop, &connection->pipe, 0);
	control->connections_n++;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) || place == CONNECTIONS_MAX || control->closing ||
	    uv_read_start((uv_stream_t *)&connection->pipe, on_alloc, on_read))
		connection_close(connection);
}

static void on_answered(uv_async_t *async)
{
	struct control *control = async->data;

	store_jobs_done(&control->answers);
}

static void on_sweep(uv_timer_t *timer)
{
	struct control *control = timer->data;
	struct boot now = clock_read().boot;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = control->connections[i];

		if (connection && connection->state != RUNNING && boot_since_us(now, connection->since) > PEER_US_MAX)
			connection_close(connection);
	}
}

static void wake(void *ctx)
{
	uv_async_send(ctx);
}

static enum err bind_socket(const char *path, int *listening, struct error *error)
{
	struct sockaddr_un address;
	int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool fits = address_of(path, &address, &folder);

	if (fits)
		unlink(path);
	FAILPOINT("control.unlinked");
	if (fd < 0 || !fits || bind(fd, (const struct sockaddr *)&address, sizeof address)) {
		error_set(error, ERR_IO, "%s: cannot make the control socket: %s", path,
			  fits ? strerror(errno) : "the path is too long");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	FAILPOINT("control.bound");
	if (folder >= 0)
		close(folder);
	*listening = fd;
	return fd >= 0 ? ERR_OK : ERR_IO;
}

enum err control_listen(struct uv_loop_s *loop, struct store_thread *writer, struct str database_path,
			struct control **out, struct error *error)
{
	struct control *control = memory_new(sizeof *control);
	int fd = -1;

	control->writer = writer;
	enum err err =
		path_of(database_path, control->path)
			? bind_socket(control->path, &fd, error)
			: error_set(error, ERR_INVALID,
				    "the database's path is too long for a socket beside it; give a shorter one");

	if (err) {
		free(control);
		return err;
	}
	uv_pipe_init(loop, &control->listener, 0);
	uv_pipe_open(&control->listener, fd);
	uv_async_init(loop, &control->answered, on_answered);
	uv_timer_init(loop, &control->sweeper);
	control->listener.data = control->answered.data = control->sweeper.data = control;
	uv_timer_start(&control->sweeper, on_sweep, SWEEP_MS, SWEEP_MS);
	mailbox_init(&control->answers, CONNECTIONS_MAX, wake, &control->answered);
	uv_listen((uv_stream_t *)&control->listener, CONNECTIONS_MAX, on_connection);
	*out = control;
	return ERR_OK;
}

void control_close(struct control *control)
{
	if (!control || control->closing)
		return;
	control->closing = true;
	unlink(control->path);
	uv_close((uv_handle_t *)&control->listener, NULL);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (control->connections[i] && control->connections[i]->state == READING)
			connection_close(control->connections[i]);
	close_when_idle(control);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	assert(control->closed && control->connections_n == 0);
	mailbox_release(&control->answers);
	free(control);
}

static bool send_all(int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n <= 0 && errno != EINTR)
			return false;
		if (n > 0)
			bytes = str_slice(bytes, (size_t)n, bytes.n);
	}
	return shutdown(fd, SHUT_WR) == 0;
}

static bool receive_all(int fd, struct buf *bytes)
{
	for (;;) {
		char *at = buf_reserve(bytes, 65536);
		ssize_t n = at ? recv(fd, at, 65536, 0) : -1;

		if (n == 0)
			return true;
		if (n < 0 && !(at && errno == EINTR))
			return false;
		if (n > 0)
			bytes->n += (size_t)n;
	}
}

static enum err read_reply(struct str bytes, struct account_answer *answer, struct error *error)
{
	struct arena arena = { 0 };
	struct json_problem problem;
	const struct json *reply = json_parse(&arena, bytes, &problem);
	const struct json *code = reply ? json_member(reply, STR("exit")) : NULL;
	const struct json *out = reply ? json_member(reply, STR("out")) : NULL;
	const struct json *text = reply ? json_member(reply, STR("text")) : NULL;
	int64_t number;
	enum err err = ERR_OK;

	if (!code || !out || !text || !json_to_i64(code, &number)) {
		err = error_set(error, ERR_IO,
				"the service's answer could not be read; are both programs of one version?");
	} else {
		answer->exit_code = (int)number;
		buf_add(&answer->out, out->text);
		buf_add(&answer->text, text->text);
	}
	arena_release(&arena);
	return err;
}

enum err control_call(struct str database_path, const struct account_command *command, struct account_answer *answer,
		      struct error *error)
{
	char path[PATH_MAX] = "";
	struct sockaddr_un address;
	struct timeval patience = { .tv_sec = CALL_TIMEOUT_S };
	struct buf bytes;
	int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = fd >= 0 && path_of(database_path, path) && address_of(path, &address, &folder);

	if (connected) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
		if (folder >= 0)
			close(folder);
	}
	buf_init(&bytes, 2 * ACCOUNT_ANSWER_BYTES_MAX);
	buf_add_char(&bytes, '[');
	for (unsigned i = 0; i < command->words_n; i++) {
		if (i)
			buf_add_char(&bytes, ',');
		json_add_string(&bytes, command->words[i]);
	}
	buf_add_char(&bytes, ']');
	enum err err = ERR_OK;

	if (!connected) {
		err = error_set(error, ERR_NOT_FOUND, "%s: nobody answers there", path);
	} else if (!send_all(fd, buf_str(&bytes))) {
		err = error_set(error, ERR_IO, "%s: %s", path, strerror(errno));
	} else {
		buf_clear(&bytes);
		err = receive_all(fd, &bytes)
			      ? read_reply(buf_str(&bytes), answer, error)
			      : error_set(error, ERR_IO, "%s: no whole answer; see the service's log", path);
	}
	if (fd >= 0)
		close(fd);
	buf_release(&bytes);
	return err;
}
