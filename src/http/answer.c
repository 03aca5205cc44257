/* SPDX-License-Identifier: BSD-3-Clause */
/* Formats status lines, the headers the server itself is responsible for, dates and chunks. */
#include "http/answer.h"

#include <string.h>
#include <time.h>

static const struct {
	unsigned status;
	struct str reason;
} reasons[] = {
	{ 200, { "OK", 2 } },
	{ 201, { "Created", 7 } },
	{ 202, { "Accepted", 8 } },
	{ 204, { "No Content", 10 } },
	{ 301, { "Moved Permanently", 17 } },
	{ 302, { "Found", 5 } },
	{ 303, { "See Other", 9 } },
	{ 304, { "Not Modified", 12 } },
	{ 400, { "Bad Request", 11 } },
	{ 401, { "Unauthorized", 12 } },
	{ 403, { "Forbidden", 9 } },
	{ 404, { "Not Found", 9 } },
	{ 405, { "Method Not Allowed", 18 } },
	{ 406, { "Not Acceptable", 14 } },
	{ 408, { "Request Timeout", 15 } },
	{ 409, { "Conflict", 8 } },
	{ 412, { "Precondition Failed", 19 } },
	{ 413, { "Content Too Large", 17 } },
	{ 414, { "URI Too Long", 12 } },
	{ 415, { "Unsupported Media Type", 22 } },
	{ 417, { "Expectation Failed", 18 } },
	{ 422, { "Unprocessable Content", 21 } },
	{ 428, { "Precondition Required", 21 } },
	{ 429, { "Too Many Requests", 17 } },
	{ 431, { "Request Header Fields Too Large", 31 } },
	{ 500, { "Internal Server Error", 21 } },
	{ 501, { "Not Implemented", 15 } },
	{ 503, { "Service Unavailable", 19 } },
	{ 505, { "HTTP Version Not Supported", 26 } },
};

static struct str reason_of(unsigned status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return STR("Unknown");
}

bool answer_has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

void answer_format_head(struct buf *out, const struct answer *answer)
{
	static const struct str connections[] = {
		[ANSWER_KEEPS] = { "", 0 },
		[ANSWER_KEEPS_1_0] = { "Connection: keep-alive\r\n", 24 },
		[ANSWER_CLOSES] = { "Connection: close\r\n", 19 },
	};

	buf_add(out, STR("HTTP/1.1 "));
	buf_add_u64(out, answer->status);
	buf_add_char(out, ' ');
	buf_add(out, reason_of(answer->status));
	buf_add(out, STR("\r\nDate: "));
	buf_add(out, answer->date);
	buf_add(out, STR("\r\n"));
	buf_add(out, answer->headers);
	buf_add(out, connections[answer->connection]);
	if (!answer_has_body(answer->status)) {
		buf_add(out, STR("\r\n"));
	} else if (answer->framing == ANSWER_CHUNKED) {
		buf_add(out, STR("Transfer-Encoding: chunked\r\n\r\n"));
	} else if (answer->framing == ANSWER_UNTIL_CLOSE) {
		buf_add(out, STR("\r\n"));
	} else {
		buf_add(out, STR("Content-Length: "));
		buf_add_u64(out, answer->length);
		buf_add(out, STR("\r\n\r\n"));
	}
}

void answer_format_date(char date[ANSWER_DATE_BYTES], struct wall now)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(now.us / US_PER_SECOND - (now.us % US_PER_SECOND < 0));
	struct tm tm = { 0 };
	struct buf text;

	/* The instants of the product end in 9999, so a year has four digits. */
	gmtime_r(&seconds, &tm);
	buf_init(&text, 64);
	buf_printf(&text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
		   months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	memcpy(date, text.p, ANSWER_DATE_BYTES);
	buf_release(&text);
}

void answer_format_chunk(struct buf *out, struct str data)
{
	if (data.n == 0)
		return;
	buf_printf(out, "%zx\r\n", data.n);
	buf_add(out, data);
	buf_add(out, STR("\r\n"));
}

void answer_format_end(struct buf *out)
{
	buf_add(out, STR("0\r\n\r\n"));
}
