/* SPDX-License-Identifier: BSD-3-Clause */
/* A fast receiver of callbacks: answers 200 to every POST and keeps what a measurement needs to know of it.
 *
 *   receiver PORT [HOSTS [LOG]]   listens on 127.0.0.1, and with HOSTS also on 127.0.1.1 to 127.0.1.HOSTS
 *   POST /hang    is never answered; counted as "hanging" from the start on, and nowhere else
 *   GET /report
 * {"count":…,"ids":…,"duplicates":…,"early":…,"hanging":…,"lateness_us":{"p50":…,"p99":…,"p999":…,"max":…},
 *  "first_us":…,"last_us":…}
 *   GET /count    the same without the percentiles, which cost a sort
 *   POST /reset   forgets everything
 *   POST /window/FROM/UNTIL
 *                 counts anew, and only what is planned from FROM to before UNTIL (microseconds since 1970); ids are
 *                 kept, so that what is doubled later is seen
 *
 * "ids" are the different ids among "count". Lateness is the arrival here minus the request's Seed-Planned-At, both on
 * this machine's wall clock; first attempts only (Seed-Attempt: 1). One thread, epoll, keep-alive, loopback only. It
 * stops by SIGTERM.
 *
 * Three paths answer otherwise: /gone/ 410 and /flaky/ 500 to a first attempt, /slow/ 200 after SLOW_US. With LOG every
 * callback is a line there: arrival in microseconds, run, attempt, schedule, planned instant, status, path and body,
 * with tabs between. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16384, BUFFER_BYTES = 16384, EVENTS_MAX = 512, SLOW_US = 20000, LOG_BUFFER_BYTES = 1 << 20 };

struct connection {
	size_t n;
	bool is_slow; /* its answer waits in `slow` */
	char bytes[BUFFER_BYTES];
};

struct id {
	uint64_t high, low;
};

static struct {
	uint64_t count, ids_n, duplicates, early, hanging;
	int64_t first_us, last_us;
	int64_t from_us, until_us; /* the window */
	int64_t *lateness_us;
	size_t lateness_n, lateness_room;
	struct id *ids; /* all that ever came: open addressing, power of two */
	size_t ids_used, ids_room;
} seen = { .until_us = INT64_MAX };

static struct connection *connections[CONNECTIONS_MAX];
static int listener_last; /* listeners are opened first, so no connection has a descriptor up to this */
static FILE *log_file;	  /* NULL: no log */

/* Answers that wait, oldest first: a ring with a place for every connection. */
static struct {
	struct {
		int fd;
		struct connection *connection;
		int64_t due_us;
	} list[CONNECTIONS_MAX];
	size_t first, n;
} slow;

static const char ok_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char gone_answer[] = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
static const char broken_answer[] = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";

static volatile sig_atomic_t stopped;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t hex_run(const char *p, unsigned digits)
{
	uint64_t value = 0;

	for (unsigned got = 0; got < digits; p++) {
		if (*p == '-')
			continue;
		value = value << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
		got++;
	}
	return value;
}

static bool insert_id(struct id *table, size_t room, struct id id)
{
	size_t at = (size_t)((id.high ^ id.low) * UINT64_C(0x9e3779b97f4a7c15)) & (room - 1);

	for (; table[at].high || table[at].low; at = (at + 1) & (room - 1))
		if (table[at].high == id.high && table[at].low == id.low)
			return false;
	table[at] = id;
	return true;
}

static void note_id(struct id id)
{
	if (seen.ids_used * 2 >= seen.ids_room) {
		size_t room = seen.ids_room ? seen.ids_room * 2 : 1 << 16;
		struct id *table = calloc(room, sizeof *table);

		if (!table)
			die("receiver: memory");
		for (size_t i = 0; i < seen.ids_room; i++)
			if (seen.ids[i].high || seen.ids[i].low)
				insert_id(table, room, seen.ids[i]);
		free(seen.ids);
		seen.ids = table;
		seen.ids_room = room;
	}
	if (insert_id(seen.ids, seen.ids_room, id)) {
		seen.ids_used++;
		seen.ids_n++;
	} else {
		seen.duplicates++;
	}
}

static void note_lateness(int64_t us)
{
	if (us < 0)
		seen.early++;
	if (seen.lateness_n == seen.lateness_room) {
		seen.lateness_room = seen.lateness_room ? seen.lateness_room * 2 : 1 << 16;
		seen.lateness_us = realloc(seen.lateness_us, seen.lateness_room * sizeof *seen.lateness_us);
		if (!seen.lateness_us)
			die("receiver: memory");
	}
	seen.lateness_us[seen.lateness_n++] = us;
}

/* "2026-11-24T21:04:07.123456Z" to microseconds since 1970. Requests of one second come together, so its reading is
 * kept. */
static int64_t parse_planned(const char *p)
{
	enum { SECOND_CHARS = 19 };
	static char second[SECOND_CHARS];
	static int64_t second_us;
	struct tm tm = { 0 };
	int64_t micro = 0;

	if (memcmp(second, p, SECOND_CHARS) != 0) {
		if (sscanf(p, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
			   &tm.tm_sec) != 6)
			return 0;
		tm.tm_year -= 1900;
		tm.tm_mon--;
		second_us = (int64_t)timegm(&tm) * 1000000;
		memcpy(second, p, SECOND_CHARS);
	}
	if (p[SECOND_CHARS] == '.')
		for (int64_t digit = 100000, i = 1; digit && p[SECOND_CHARS + i] >= '0' && p[SECOND_CHARS + i] <= '9';
		     i++, digit /= 10)
			micro += digit * (p[SECOND_CHARS + i] - '0');
	return second_us + micro;
}

static void note_callback(const char *head, int64_t now)
{
	const char *id = strstr(head, "\r\nIdempotency-Key: \""), *planned = strstr(head, "\r\nSeed-Planned-At: ");
	const char *attempt = strstr(head, "\r\nSeed-Attempt: ");
	int64_t planned_us = planned ? parse_planned(planned + 19) : 0;

	if (planned_us < seen.from_us || planned_us >= seen.until_us)
		return;
	seen.count++;
	if (!seen.first_us)
		seen.first_us = now;
	seen.last_us = now;
	if (id)
		note_id((struct id){ hex_run(id + 20, 16), hex_run(id + 39, 16) });
	if (planned && attempt && attempt[16] == '1' && attempt[17] == '\r')
		note_lateness(now - planned_us);
}

static bool has_path(const char *head, const char *prefix)
{
	return strncmp(head, "POST ", 5) == 0 && strncmp(head + 5, prefix, strlen(prefix)) == 0;
}

/* The value of a header that the service writes, up to its line's end or the closing quote. */
static void log_header(const char *head, const char *name)
{
	const char *value = strstr(head, name);

	value = value ? value + strlen(name) : "";
	fprintf(log_file, "%.*s\t", (int)strcspn(value, "\"\r"), value);
}

static void log_callback(const char *head, size_t head_n, size_t whole_n, int64_t now, const char *status)
{
	const char *path = strchr(head, ' ');

	fprintf(log_file, "%" PRId64 "\t", now);
	log_header(head, "\r\nIdempotency-Key: \"");
	log_header(head, "\r\nSeed-Attempt: ");
	log_header(head, "\r\nSeed-Schedule-Id: ");
	log_header(head, "\r\nSeed-Planned-At: ");
	fprintf(log_file, "%.3s\t%.*s\t", status, path ? (int)strcspn(path + 1, " \r") : 0, path ? path + 1 : "");
	fwrite(head + head_n, 1, whole_n - head_n, log_file);
	putc('\n', log_file);
}

/* Notes one callback and returns its answer. */
static const char *take_callback(const char *head, size_t head_n, size_t whole_n)
{
	const char *attempt = strstr(head, "\r\nSeed-Attempt: ");
	bool is_first = attempt && attempt[16] == '1' && attempt[17] == '\r';
	const char *answer = ok_answer;
	int64_t now = now_us();

	if (is_first && has_path(head, "/gone/"))
		answer = gone_answer;
	else if (is_first && has_path(head, "/flaky/"))
		answer = broken_answer;
	note_callback(head, now);
	if (log_file)
		log_callback(head, head_n, whole_n, now, answer + strlen("HTTP/1.1 "));
	return answer;
}

static void answer_later(int fd, struct connection *connection)
{
	size_t at = (slow.first + slow.n++) % CONNECTIONS_MAX;

	connection->is_slow = true;
	slow.list[at].fd = fd;
	slow.list[at].connection = connection;
	slow.list[at].due_us = now_us() + SLOW_US;
}

/* Sends what is due; returns how long epoll may wait for the next, in ms. */
static int answer_slow(void)
{
	for (; slow.n > 0; slow.n--, slow.first = (slow.first + 1) % CONNECTIONS_MAX) {
		int fd = slow.list[slow.first].fd;
		int64_t wait_us = slow.list[slow.first].due_us - now_us();
		struct connection *connection = slow.list[slow.first].connection;

		if (wait_us > 0)
			return (int)(wait_us / 1000) + 1;
		if (connections[fd] != connection || !connection->is_slow)
			continue;
		connection->is_slow = false;
		if (send(fd, ok_answer, sizeof ok_answer - 1, MSG_NOSIGNAL) < 0)
			perror("receiver: a slow answer");
	}
	return -1;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t percentile(double share)
{
	return seen.lateness_n ? seen.lateness_us[(size_t)((double)(seen.lateness_n - 1) * share)] : 0;
}

static int report(char *out, size_t room, bool is_sorted)
{
	char body[512];

	if (seen.lateness_n && is_sorted)
		qsort(seen.lateness_us, seen.lateness_n, sizeof *seen.lateness_us, by_size);
	int n = snprintf(body, sizeof body,
			 "{\"count\":%" PRIu64 ",\"ids\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"early\":%" PRIu64
			 ",\"hanging\":%" PRIu64 ",\"lateness_us\":{\"p50\":%" PRId64 ",\"p99\":%" PRId64
			 ",\"p999\":%" PRId64 ",\"max\":%" PRId64 "},\"first_us\":%" PRId64 ",\"last_us\":%" PRId64 "}",
			 seen.count, seen.ids_n, seen.duplicates, seen.early, seen.hanging, percentile(0.5),
			 percentile(0.99), percentile(0.999), percentile(1.0), seen.first_us, seen.last_us);

	return snprintf(out, room, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			n, body);
}

static void open_window(int64_t from_us, int64_t until_us)
{
	seen.count = seen.ids_n = seen.duplicates = seen.early = 0;
	seen.first_us = seen.last_us = 0;
	seen.lateness_n = 0;
	seen.from_us = from_us;
	seen.until_us = until_us;
}

static void forget(void)
{
	if (seen.ids)
		memset(seen.ids, 0, seen.ids_room * sizeof *seen.ids);
	seen.ids_used = seen.hanging = 0;
	open_window(0, INT64_MAX);
}

/* Answers the request at the front of the buffer; returns the bytes to send, none when the answer waits or never comes.
 */
static int answer_one(int fd, struct connection *connection, size_t head_n, size_t whole, char *out, size_t room)
{
	const char *head = connection->bytes, *answer = ok_answer;
	int64_t from_us, until_us;

	if (strncmp(head, "GET /report ", 12) == 0)
		return report(out, room, true);
	if (strncmp(head, "GET /count ", 11) == 0)
		return report(out, room, false);
	if (has_path(head, "/hang ")) {
		seen.hanging++;
		return 0;
	}
	if (has_path(head, "/reset "))
		forget();
	else if (sscanf(head, "POST /window/%" SCNd64 "/%" SCNd64 " ", &from_us, &until_us) == 2)
		open_window(from_us, until_us);
	else
		answer = take_callback(head, head_n, whole);
	if (has_path(head, "/slow/")) {
		answer_later(fd, connection);
		return 0;
	}
	memcpy(out, answer, strlen(answer));
	return (int)strlen(answer);
}

/* Takes whole requests from the front of the buffer and answers them; returns what to send, or -1 to close. */
static int answer_all(int fd, struct connection *connection, char *out, size_t room)
{
	int sent = 0;

	for (;;) {
		connection->bytes[connection->n] = '\0';
		char *end = strstr(connection->bytes, "\r\n\r\n");

		if (!end)
			return connection->n == BUFFER_BYTES - 1 ? -1 : sent;
		*end = '\0';
		const char *length = strcasestr(connection->bytes, "\r\nContent-Length: ");
		size_t head_n = (size_t)(end + 4 - connection->bytes);
		size_t whole = head_n + (length ? (size_t)atol(length + 18) : 0);

		*end = '\r';
		if (whole > BUFFER_BYTES - 1)
			return -1;
		if (connection->n < whole || (size_t)sent + 1024 > room)
			return sent;
		sent += answer_one(fd, connection, head_n, whole, out + sent, room - (size_t)sent);
		memmove(connection->bytes, connection->bytes + whole, connection->n - whole);
		connection->n -= whole;
	}
}

static void drop(int fd)
{
	free(connections[fd]);
	connections[fd] = NULL;
	close(fd);
}

static void on_readable(int fd)
{
	struct connection *connection = connections[fd];
	char out[8192];
	ssize_t n = recv(fd, connection->bytes + connection->n, BUFFER_BYTES - 1 - connection->n, 0);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			drop(fd);
		return;
	}
	connection->n += (size_t)n;
	int answer;

	while ((answer = answer_all(fd, connection, out, sizeof out)) > 0 &&
	       send(fd, out, (size_t)answer, MSG_NOSIGNAL) == answer)
		;
	if (answer != 0)
		drop(fd);
}

static void on_acceptable(int epoll, int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

		if (fd >= CONNECTIONS_MAX || !(connections[fd] = malloc(sizeof *connections[fd]))) {
			close(fd);
			continue;
		}
		connections[fd]->n = 0;
		connections[fd]->is_slow = false;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
	if (errno == EMFILE || errno == ENFILE)
		die("receiver: accept"); /* what nobody accepts would count as late */
}

static void on_stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

/* Returns the port. */
static int listen_on(int epoll, uint32_t host, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(host) };
	socklen_t n = sizeof address;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)&address, n) || listen(fd, 4096))
		die("receiver: listen");
	getsockname(fd, (struct sockaddr *)&address, &n);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	if (fd > listener_last)
		listener_last = fd;
	return ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];
	struct sigaction action = { .sa_handler = on_stop };
	struct rlimit descriptors;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: receiver PORT [HOSTS [LOG]] (port 0 takes a free one; it is printed)\n");
		return 2;
	}
	if (argc == 4 && (!(log_file = fopen(argv[3], "a")) || setvbuf(log_file, NULL, _IOFBF, LOG_BUFFER_BYTES)))
		die("receiver: log");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
		descriptors.rlim_cur = descriptors.rlim_max; /* the usual 1,024 are too few for hosts that hang */
		setrlimit(RLIMIT_NOFILE, &descriptors);
	}
	int epoll = epoll_create1(EPOLL_CLOEXEC), port = listen_on(epoll, INADDR_LOOPBACK, atoi(argv[1]));

	for (int host = 1; argc >= 3 && host <= atoi(argv[2]) && host < 256; host++)
		listen_on(epoll, (uint32_t)(0x7f000100 + host), port);
	printf("%d\n", port);
	fflush(stdout);
	while (!stopped) {
		int n = epoll_wait(epoll, events, EVENTS_MAX, answer_slow());

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd <= listener_last)
				on_acceptable(epoll, events[i].data.fd);
			else
				on_readable(events[i].data.fd);
		}
		if (log_file && fflush(log_file))
			die("receiver: log");
	}
	return 0;
}
