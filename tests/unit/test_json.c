/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON: what is accepted and refused (RFC 8259), what is said about it, where every value stands, and what is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* A text with zero bytes inside needs its length. */
#define TEXT(literal)                                                                                                  \
	{                                                                                                              \
		(literal), sizeof(literal) - 1                                                                         \
	}

static const struct str accepted[] = {
	/* structure */
	TEXT("[]"),
	TEXT("{}"),
	TEXT("[[]]"),
	TEXT("[[],[[]]]"),
	TEXT("[{}]"),
	TEXT("{\"a\":{}}"),
	TEXT("{\"a\":[]}"),
	TEXT("[1,2]"),
	TEXT("[1,\"a\",null,true,false,{},[]]"),
	TEXT("{\"a\":1,\"b\":2}"),
	TEXT("{\"\":0}"),
	TEXT("{\"a\":1,\"a\":1}"),
	TEXT("{\"a\":1,\"a\":2}"),
	TEXT("{\"a\\u0000b\":1}"),
	TEXT("{\"a\":[{\"b\":[{\"c\":null}]}]}"),
	/* white space */
	TEXT(" []"),
	TEXT("[] "),
	TEXT("\t\n\r []"),
	TEXT("[\n1\r\n,\t2 ]\n"),
	TEXT("{ \"a\" : 1 , \"b\" : 2 }"),
	TEXT(" 1 "),
	TEXT("\n\"a\"\n"),
	/* one value alone */
	TEXT("null"),
	TEXT("true"),
	TEXT("false"),
	TEXT("0"),
	TEXT("-0"),
	TEXT("12"),
	TEXT("\"\""),
	TEXT("\"a\""),
	/* numbers */
	TEXT("[0]"),
	TEXT("[-0]"),
	TEXT("[-1]"),
	TEXT("[123]"),
	TEXT("[0.0]"),
	TEXT("[-0.0]"),
	TEXT("[1.5]"),
	TEXT("[0e1]"),
	TEXT("[0e+1]"),
	TEXT("[1E22]"),
	TEXT("[1E-2]"),
	TEXT("[1E+2]"),
	TEXT("[123e45]"),
	TEXT("[123.456e78]"),
	TEXT("[1e400]"),
	TEXT("[-1e-400]"),
	TEXT("[18446744073709551617]"),
	TEXT("[0.10]"),
	TEXT("[100000000000000000000000000000000000000000000000001]"),
	TEXT("[1.00000000000000000000000000000000000000000000000000000001]"),
	/* strings */
	TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	TEXT("[\"\\u0041\"]"),
	TEXT("[\"\\u00e9\\uABCD\\uabcd\"]"),
	TEXT("[\"\\u0000\"]"),
	TEXT("[\"\\ud83d\\ude00\"]"),
	TEXT("[\"\\uD800\\uDC00\"]"),
	TEXT("[\"\\uDBFF\\uDFFF\"]"),
	TEXT("[\"\\\\ud800\"]"),
	TEXT("[\"\\\\\\ud83d\\ude00\"]"),
	TEXT("[\"\x7f\"]"),
	TEXT("[\"\xc3\xa9\"]"),
	TEXT("[\"\xe2\x82\xac\"]"),
	TEXT("[\"\xf0\x9f\x98\x80\"]"),
	TEXT("[\"\xf4\x8f\xbf\xbf\"]"),
	TEXT("[\"\xef\xbf\xbe\"]"),
	TEXT("[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
	TEXT("[\"\xef\xbb\xbf\"]"),
	TEXT("[\"/* no comment */ // nor this\"]"),
	TEXT("[\"\\uffff\"]"),
	TEXT("[\"\\u2028\"]"),
	TEXT("[\" a \"]"),
	TEXT("[\"[1,2}\"]"),
	TEXT("[\"\\u0022\\u005c\"]"),
};

struct refused {
	struct str text;
	size_t at;
	const char *words; /* the beginning of what is said */
};

#define NO_TOKEN "a character that cannot stand here"
#define NO_WORD "expected true, false or null"
#define NO_VALUE "expected a value"
#define NO_NAME "expected a member name in double quotes"
#define NO_COMMA "expected a comma or a closing bracket"
#define NO_COMMA_IN_OBJECT "expected a comma or a closing brace"
#define NO_COLON "expected a colon after the member name"
#define TOO_EARLY "the text ends too early"
#define TRAILING "something follows the end of the value"
#define CONTROL_IN_STRING "a control character in a string must be escaped"
#define NO_ESCAPE "no such escape exists"
#define NO_HEX "expected four hexadecimal digits after \\u"
#define NO_UTF8 "not valid UTF-8"
#define LONE "half of a surrogate pair without the other half"

static const struct refused refused[] = {
	/* nothing */
	{ TEXT(""), 0, "the text is empty" },
	{ TEXT(" "), 0, "the text is empty" },
	{ TEXT("\n\t\r "), 0, "the text is empty" },
	/* arrays */
	{ TEXT("["), 1, TOO_EARLY },
	{ TEXT("]"), 0, NO_VALUE },
	{ TEXT("[1"), 2, TOO_EARLY },
	{ TEXT("[1,"), 3, TOO_EARLY },
	{ TEXT("[1,]"), 3, NO_VALUE },
	{ TEXT("[,1]"), 1, NO_VALUE },
	{ TEXT("[,]"), 1, NO_VALUE },
	{ TEXT("[1,,2]"), 3, NO_VALUE },
	{ TEXT("[1 2]"), 3, NO_COMMA },
	{ TEXT("[1:2]"), 2, NO_COMMA },
	{ TEXT("[1}"), 2, NO_COMMA },
	{ TEXT("[\"a\" \"b\"]"), 5, NO_COMMA },
	{ TEXT("[[]"), 3, TOO_EARLY },
	{ TEXT("[}"), 1, NO_VALUE },
	{ TEXT("[:]"), 1, NO_VALUE },
	{ TEXT("[\"a\":1]"), 4, NO_COMMA },
	/* objects */
	{ TEXT("{"), 1, TOO_EARLY },
	{ TEXT("}"), 0, NO_VALUE },
	{ TEXT("{]"), 1, NO_NAME },
	{ TEXT("{\"a\""), 4, TOO_EARLY },
	{ TEXT("{\"a\":"), 5, TOO_EARLY },
	{ TEXT("{\"a\":1"), 6, TOO_EARLY },
	{ TEXT("{\"a\":1,"), 7, TOO_EARLY },
	{ TEXT("{\"a\":1,}"), 7, NO_NAME },
	{ TEXT("{,}"), 1, NO_NAME },
	{ TEXT("{\"a\":1,,\"b\":2}"), 7, NO_NAME },
	{ TEXT("{\"a\" 1}"), 5, NO_COLON },
	{ TEXT("{\"a\",1}"), 4, NO_COLON },
	{ TEXT("{\"a\"}"), 4, NO_COLON },
	{ TEXT("{\"a\"::1}"), 5, NO_VALUE },
	{ TEXT("{\"a\":}"), 5, NO_VALUE },
	{ TEXT("{\"a\":1 \"b\":2}"), 7, NO_COMMA_IN_OBJECT },
	{ TEXT("{\"a\":1]"), 6, NO_COMMA_IN_OBJECT },
	{ TEXT("{\"a\":1:2}"), 6, NO_COMMA_IN_OBJECT },
	{ TEXT("{a:1}"), 1, NO_TOKEN },
	{ TEXT("{'a':1}"), 1, NO_TOKEN },
	{ TEXT("{1:1}"), 1, NO_NAME },
	{ TEXT("{null:1}"), 1, NO_NAME },
	{ TEXT("{true}"), 1, NO_NAME },
	{ TEXT("{[1]:1}"), 1, NO_NAME },
	{ TEXT("{\"a\":1, // no\n}"), 8, "comments are not allowed" },
	/* words */
	{ TEXT("nul"), 0, NO_WORD },
	{ TEXT("[nul]"), 1, NO_WORD },
	{ TEXT("[tru]"), 1, NO_WORD },
	{ TEXT("[fals"), 1, NO_WORD },
	{ TEXT("[True]"), 1, NO_TOKEN },
	{ TEXT("[NULL]"), 1, NO_TOKEN },
	{ TEXT("[NaN]"), 1, NO_TOKEN },
	{ TEXT("[nan]"), 1, NO_WORD },
	{ TEXT("[Infinity]"), 1, NO_TOKEN },
	{ TEXT("[-Infinity]"), 2, "expected a digit after the minus sign" },
	{ TEXT("[inf]"), 1, NO_TOKEN },
	{ TEXT("undefined"), 0, NO_TOKEN },
	{ TEXT("truefalse"), 4, TRAILING },
	{ TEXT("[truex]"), 5, NO_TOKEN },
	/* numbers */
	{ TEXT("-"), 1, "expected a digit after the minus sign" },
	{ TEXT("[-]"), 2, "expected a digit after the minus sign" },
	{ TEXT("[--1]"), 2, "expected a digit after the minus sign" },
	{ TEXT("[- 1]"), 2, "expected a digit after the minus sign" },
	{ TEXT("[+1]"), 1, NO_TOKEN },
	{ TEXT("[01]"), 2, NO_COMMA },
	{ TEXT("[-01]"), 3, NO_COMMA },
	{ TEXT("01"), 1, TRAILING },
	{ TEXT("[1.]"), 3, "expected a digit after the decimal point" },
	{ TEXT("1."), 2, "expected a digit after the decimal point" },
	{ TEXT("[1.e1]"), 3, "expected a digit after the decimal point" },
	{ TEXT("[.5]"), 1, NO_TOKEN },
	{ TEXT("[-.5]"), 2, "expected a digit after the minus sign" },
	{ TEXT("[1e]"), 3, "expected a digit in the exponent" },
	{ TEXT("[1e+]"), 4, "expected a digit in the exponent" },
	{ TEXT("[1ee1]"), 3, "expected a digit in the exponent" },
	{ TEXT("[1e1.5]"), 4, NO_TOKEN },
	{ TEXT("[1.2.3]"), 4, NO_TOKEN },
	{ TEXT("[0x10]"), 2, NO_TOKEN },
	{ TEXT("[1_000]"), 2, NO_TOKEN },
	{ TEXT("[1 000]"), 3, NO_COMMA },
	{ TEXT("[1-2]"), 2, NO_COMMA },
	{ TEXT("[1a]"), 2, NO_TOKEN },
	{ TEXT("[\xef\xbc\x91]"), 1, NO_TOKEN }, /* a full-width digit */
	/* strings */
	{ TEXT("\""), 1, TOO_EARLY },
	{ TEXT("[\"a]"), 4, TOO_EARLY },
	{ TEXT("['a']"), 1, NO_TOKEN },
	{ TEXT("[\"a\tb\"]"), 3, CONTROL_IN_STRING },
	{ TEXT("[\"a\nb\"]"), 3, CONTROL_IN_STRING },
	{ TEXT("[\"a\0b\"]"), 3, CONTROL_IN_STRING },
	{ TEXT("[\"\x1f\"]"), 2, CONTROL_IN_STRING },
	{ TEXT("[\"\\a\"]"), 3, NO_ESCAPE },
	{ TEXT("[\"\\x00\"]"), 3, NO_ESCAPE },
	{ TEXT("[\"\\'\"]"), 3, NO_ESCAPE },
	{ TEXT("[\"\\\xc3\xa9\"]"), 3, NO_ESCAPE },
	{ TEXT("[\"\\U0041\"]"), 3, NO_ESCAPE },
	{ TEXT("[\"\\"), 3, NO_ESCAPE },
	{ TEXT("[\"\\u\"]"), 4, NO_HEX },
	{ TEXT("[\"\\u00\"]"), 6, NO_HEX },
	{ TEXT("[\"\\u00g0\"]"), 6, NO_HEX },
	{ TEXT("[\"\\u-001\"]"), 4, NO_HEX },
	{ TEXT("\"a"), 2, TOO_EARLY },
	/* halves of surrogate pairs */
	{ TEXT("[\"\\ud800\"]"), 2, LONE },
	{ TEXT("[\"\\udc00\"]"), 2, LONE },
	{ TEXT("[\"ab\\udfffcd\"]"), 4, LONE },
	{ TEXT("[\"\\ud800\\ud800\"]"), 2, LONE },
	{ TEXT("[\"\\ud83d\\ude00\\ud83d\"]"), 14, LONE },
	{ TEXT("[\"\\ude00\\ud83d\"]"), 2, LONE },
	{ TEXT("[\"\\ud83dx\\ude00\"]"), 2, LONE },
	{ TEXT("[\"\\ud83d\\u0041\"]"), 2, LONE },
	{ TEXT("[\"\\ud83d\\\\ude00\"]"), 2, LONE },
	{ TEXT("[\"\\\\\\ud83d\"]"), 4, LONE },
	{ TEXT("{\"\\ud800\":1}"), 2, LONE },
	{ TEXT("\"\\uDBFF\""), 1, LONE },
	/* bytes that are not UTF-8 */
	{ TEXT("[\"\xff\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\x80\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xc3\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xc0\xaf\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xe0\x80\xaf\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xf0\x80\x80\xaf\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xed\xa0\x80\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xed\xa0\xbd\xed\xb8\x80\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xf4\x90\x80\x80\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xf8\x88\x80\x80\x80\"]"), 2, NO_UTF8 },
	{ TEXT("[\"\xe9\"]"), 2, NO_UTF8 },
	{ TEXT("\xe9"), 0, NO_UTF8 },
	{ TEXT("[1\xe5]"), 2, NO_UTF8 },
	/* other encodings and marks */
	{ TEXT("\xef\xbb\xbf{}"), 0, "the text starts with a byte order mark" },
	{ TEXT("\xef\xbb\xbf"), 0, "the text starts with a byte order mark" },
	{ TEXT("\xff\xfe[\0]\0"), 0, NO_UTF8 },
	{ TEXT("\0[\0]"), 0, NO_TOKEN },
	{ TEXT("[\0]"), 1, NO_TOKEN },
	/* white space that is none */
	{ TEXT("[\f]"), 1, "a control character is not allowed" },
	{ TEXT("\f[]"), 0, "a control character is not allowed" },
	{ TEXT("[1]\v"), 3, "a control character is not allowed" },
	{ TEXT("[\xc2\xa0]"), 1, NO_TOKEN },
	{ TEXT("[\xe2\x81\xa0]"), 1, NO_TOKEN },
	{ TEXT("[\\u0020]"), 1, NO_TOKEN },
	{ TEXT("[\\n]"), 1, NO_TOKEN },
	/* comments */
	{ TEXT("/* a */ 1"), 0, "comments are not allowed" },
	{ TEXT("[1] // a"), 4, "something follows the end of the value" },
	{ TEXT("[1/* a */]"), 2, "comments are not allowed" },
	{ TEXT("# a\n1"), 0, NO_TOKEN },
	/* behind the value */
	{ TEXT("1 2"), 2, TRAILING },
	{ TEXT("[]]"), 2, TRAILING },
	{ TEXT("[],"), 2, TRAILING },
	{ TEXT("{}}"), 2, TRAILING },
	{ TEXT("{} {}"), 3, TRAILING },
	{ TEXT("[1]x"), 3, TRAILING },
	{ TEXT("[1]\"x"), 3, TRAILING },
	{ TEXT("[1] \""), 4, TRAILING },
	{ TEXT("[1]tru"), 3, TRAILING },
	{ TEXT("[1]-"), 3, TRAILING },
	{ TEXT("\"a\"b"), 3, TRAILING },
	{ TEXT("null,"), 4, TRAILING },
	{ TEXT("[]\0"), 2, TRAILING },
	{ TEXT("1\0"), 1, TRAILING },
	/* where it is said to be */
	{ TEXT("{\n  \"\xc3\xa9\": 1\n  \"b\": 2\n}"), 14, "expected a comma or a closing brace: line 3, column 3" },
	{ TEXT("[\"\xc3\xa9\xc3\xa9\" 1]"), 8, "expected a comma or a closing bracket: line 1, column 7" },
	{ TEXT("["), 1, "the text ends too early: line 1, column 2" },
};

static void expect_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
		struct arena arena = { 0 };
		struct json_problem problem = { 0 };
		const struct json *root = json_parse(&arena, accepted[i], &problem);

		if (!root)
			fail_msg("refused (%s): %s", problem.text, accepted[i].p);
		assert_true(str_equal(root->raw, str_trim(accepted[i])));
		arena_release(&arena);
	}
}

static void expect_refused(void **state)
{
	(void)state;
	size_t failed_n = 0;

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		const struct refused *row = &refused[i];
		struct arena arena = { 0 };
		struct json_problem problem = { 0 };

		bool was_accepted = json_parse(&arena, row->text, &problem) != NULL;

		if (was_accepted || problem.at != row->at ||
		    !str_starts_with(str_from(problem.text), str_from(row->words))) {
			print_error("row %zu: %s\n  %s \"%s\" at %zu, want \"%s\" at %zu\n", i, row->text.p,
				    was_accepted ? "ACCEPTED" : "said", problem.text, problem.at, row->words, row->at);
			failed_n++;
		}
		arena_release(&arena);
	}
	assert_int_equal(failed_n, 0);
}

/* Every beginning of a valid text, and every text with one byte changed, ends with an answer and reads nothing beyond
 * its end. */
static void expect_answer_for_each_cut_and_change(void **state)
{
	(void)state;
	static const char text[] = "{\"a\\u00e9\":[1,-2.5e3,null,true,false,\"\\ud83d\\ude00\xc3\xa9\"],\"b\":{}}";
	static const char changes[] = "\"\\[]{},:0e-\0\f\xc3 u";

	for (size_t n = 0; n < sizeof text - 1; n++) {
		struct arena arena = { 0 };
		struct json_problem problem = { 0 };
		char *cut = memory_new(n);

		memcpy(cut, text, n);
		assert_null(json_parse(&arena, (struct str){ cut, n }, &problem));
		assert_true(problem.at <= n);
		assert_true(problem.text[0] != '\0');
		free(cut);
		arena_release(&arena);
	}
	for (size_t at = 0; at < sizeof text - 1; at++) {
		for (size_t change = 0; change < sizeof changes - 1; change++) {
			struct arena arena = { 0 };
			struct json_problem problem = { 0 };
			char *changed = memory_new(sizeof text - 1);

			memcpy(changed, text, sizeof text - 1);
			changed[at] = changes[change];
			const struct json *root =
				json_parse(&arena, (struct str){ changed, sizeof text - 1 }, &problem);

			assert_true(root ? root->raw.n == sizeof text - 1
					 : problem.text[0] != '\0' && problem.at < sizeof text);
			free(changed);
			arena_release(&arena);
		}
	}
}

static const struct json *parse(struct arena *arena, const char *text)
{
	struct json_problem problem;
	const struct json *root = json_parse(arena, str_from(text), &problem);

	if (!root)
		fail_msg("%s: %s", problem.text, text);
	return root;
}

static void expect_str(struct str got, const char *want)
{
	if (!str_equal(got, str_from(want)))
		fail_msg("got  \"%.*s\"\nwant \"%s\"", STR_ARG(got), want);
}

/* The spans of all values below `value`, in input order, each followed by a semicolon. */
static void add_spans(struct buf *out, const struct json *value)
{
	for (; value; value = value->next) {
		buf_add(out, value->raw);
		buf_add_char(out, ';');
		add_spans(out, value->child);
	}
}

static void expect_spans(void **state)
{
	(void)state;
	static const struct {
		const char *text, *spans;
	} rows[] = {
		{ "1", "1;" },
		{ "-0.50e+10", "-0.50e+10;" },
		{ " 12 ", "12;" },
		{ "\"a\"", "\"a\";" },
		{ " \"\\u00e9\\\"\" ", "\"\\u00e9\\\"\";" },
		{ "[ 1 ,2,3 ]", "[ 1 ,2,3 ];1;2;3;" },
		{ "[1,[2 , [ 3]] ,4]", "[1,[2 , [ 3]] ,4];1;[2 , [ 3]];2;[ 3];3;4;" },
		{ "{\"a\" : 1.0 , \"b\":{ \"c\" : [ ] }}",
		  "{\"a\" : 1.0 , \"b\":{ \"c\" : [ ] }};1.0;{ \"c\" : [ ] };[ ];" },
		{ "[true,false,null]\n", "[true,false,null];true;false;null;" },
		{ "{\",:\" : \",:\"}", "{\",:\" : \",:\"};\",:\";" },
		{ "[[],{}, [ ] ,{ }]", "[[],{}, [ ] ,{ }];[];{};[ ];{ };" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena = { 0 };
		struct buf out;

		buf_init(&out, 4096);
		add_spans(&out, parse(&arena, rows[i].text));
		expect_str(buf_str(&out), rows[i].spans);
		buf_release(&out);
		arena_release(&arena);
	}
}

static void expect_meaning(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	const struct json *root = parse(
		&arena,
		"{\"a\\u0062\": \"\\ud83d\\ude00\\u0000\\/\", \"n\": 0.10, \"e\": \"\", \"n\": 1e400, \"k\": null}");

	assert_int_equal(root->type, JSON_OBJECT);
	const struct json *text = json_member(root, STR("ab"));

	assert_non_null(text);
	assert_int_equal(text->type, JSON_STRING);
	assert_true(str_equal(text->text, (struct str){ "\xf0\x9f\x98\x80\0/", 6 }));
	expect_str(json_member(root, STR("n"))->text, "1e400");
	expect_str(root->child->next->text, "0.10");
	assert_non_null(json_member(root, STR("e"))->text.p);
	assert_int_equal(json_member(root, STR("e"))->text.n, 0);
	assert_int_equal(json_member(root, STR("k"))->type, JSON_NULL);
	assert_null(json_member(root, STR("a")));
	assert_null(json_member(root, STR("")));
	assert_null(json_member(text, STR("ab")));
	arena_release(&arena);
}

static void expect_last_member(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	const struct json *root = parse(&arena, "[{\"\":5},{\"a\":1,\"a\":{\"b\":2}}]");

	assert_null(json_member(root, STR("a")));
	expect_str(json_member(root->child, STR(""))->raw, "5");
	expect_str(json_member(root->child->next, STR("a"))->raw, "{\"b\":2}");
	arena_release(&arena);
}

static void expect_integers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
		int64_t number;
	} rows[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "42", true, 42 },
		{ "-42", true, -42 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "18446744073709551617", false, 0 },
		{ "1.0", false, 0 },
		{ "1e2", false, 0 },
		{ "1E2", false, 0 },
		{ "\"1\"", false, 0 },
		{ "true", false, 0 },
		{ "null", false, 0 },
		{ "[1]", false, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena = { 0 };
		int64_t number = 7;

		assert_int_equal(json_to_i64(parse(&arena, rows[i].text), &number), rows[i].ok);
		assert_true(number == (rows[i].ok ? rows[i].number : 7));
		arena_release(&arena);
	}
}

static void add_times(struct buf *buf, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		buf_add(buf, str_from(text));
}

static void expect_bounds(void **state)
{
	(void)state;
	struct arena arena = { 0 };
	struct json_problem problem = { 0 };
	struct buf text;

	buf_init(&text, 16 << 20);
	add_times(&text, "[", JSON_DEPTH_MAX);
	add_times(&text, "]", JSON_DEPTH_MAX);
	assert_non_null(json_parse(&arena, buf_str(&text), &problem));
	buf_clear(&text);
	add_times(&text, "{\"a\":", JSON_DEPTH_MAX);
	buf_add(&text, STR("1"));
	add_times(&text, "}", JSON_DEPTH_MAX);
	assert_non_null(json_parse(&arena, buf_str(&text), &problem));
	buf_clear(&text);
	add_times(&text, "[", 1000000);
	assert_null(json_parse(&arena, buf_str(&text), &problem));
	assert_int_equal(problem.at, JSON_DEPTH_MAX);
	assert_non_null(strstr(problem.text, "nested too deep"));
	arena_release(&arena);
	buf_clear(&text);
	buf_add_char(&text, '[');
	add_times(&text, "1,", JSON_VALUES_MAX - 2);
	buf_add(&text, STR("1 ]"));
	assert_non_null(json_parse(&arena, buf_str(&text), &problem));
	arena_release(&arena);
	text.p[text.n - 2] = ',';
	text.p[text.n - 1] = '2';
	buf_add_char(&text, ']');
	assert_null(json_parse(&arena, buf_str(&text), &problem));
	assert_int_equal(problem.at, text.n - 2);
	assert_non_null(strstr(problem.text, "too many values"));
	arena_release(&arena);
	buf_release(&text);
}

static void expect_written_strings(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		const char *want;
	} rows[] = {
		{ TEXT(""), "\"\"" },
		{ TEXT("plain text /"), "\"plain text /\"" },
		{ TEXT("\"\\"), "\"\\\"\\\\\"" },
		{ TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
		{ TEXT("bfnrt"), "\"bfnrt\"" },
		{ TEXT("a\0b\x01\x1f\x7f"), "\"a\\u0000b\\u0001\\u001f\x7f\"" },
		{ TEXT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ TEXT("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"),
		  "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"" },
		{ TEXT("a\xff"
		       "b"),
		  "\"a\xef\xbf\xbd"
		  "b\"" },
		{ TEXT("\xc3"), "\"\xef\xbf\xbd\"" },
		{ TEXT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ TEXT("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ TEXT("\xe2\x82\""), "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\"" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;

		buf_init(&out, 4096);
		json_add_string(&out, rows[i].text);
		expect_str(buf_str(&out), rows[i].want);
		buf_release(&out);
	}
}

/* Every byte at every place among others that are plain, whether it is looked at with seven more or alone. */
static void expect_plain_bytes(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++)
		for (size_t place = 0; place < 20; place++) {
			char bytes[20];
			struct str text = { bytes, sizeof bytes };
			bool is_plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

			memset(bytes, "a~ !#[]\x7f"[c % 8], sizeof bytes);
			bytes[place] = (char)c;
			assert_int_equal(json_plain_n(text, 0), is_plain ? sizeof bytes : place);
			assert_int_equal(json_plain_n(text, place), is_plain ? sizeof bytes - place : 0);
			assert_int_equal(json_plain_n(text, place + 1), sizeof bytes - place - 1);
		}
}

/* Whatever the bytes, what is written is JSON, and valid UTF-8 comes back as it was. */
static void expect_round_trip(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b += b < 0x80 ? 7 : 1) {
			char bytes[] = { (char)a, (char)b, 'x' };
			struct str text = { bytes, sizeof bytes };
			struct arena arena = { 0 };
			struct json_problem problem;
			struct buf out;

			buf_init(&out, 256);
			json_add_string(&out, text);
			const struct json *root = json_parse(&arena, buf_str(&out), &problem);

			assert_non_null(root);
			if (a < 0x80 && b < 0x80)
				assert_true(str_equal(root->text, text));
			buf_release(&out);
			arena_release(&arena);
		}
	}
}

static void expect_written_members(void **state)
{
	(void)state;
	struct buf out;

	buf_init(&out, 4096);
	buf_add_char(&out, '{');
	json_key(&out, "a");
	buf_add_i64(&out, -1);
	json_key(&out, "b");
	buf_add_char(&out, '{');
	json_key(&out, "c");
	json_add_string_or_null(&out, (struct str){ NULL, 0 });
	buf_add_char(&out, '}');
	json_key(&out, "{");
	json_add_string_or_null(&out, STR("{"));
	json_key(&out, "d");
	json_add_string_or_null(&out, STR(""));
	buf_add_char(&out, '}');
	expect_str(buf_str(&out), "{\"a\":-1,\"b\":{\"c\":null},\"{\":\"{\",\"d\":\"\"}");
	buf_release(&out);
}

static void expect_layouts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *compact, *indented;
	} rows[] = {
		{ " 1 ", "1", "1" },
		{ "\" a \\\" , : [ \\\\\"", "\" a \\\" , : [ \\\\\"", "\" a \\\" , : [ \\\\\"" },
		{ "{ }", "{}", "{}" },
		{ "[\n]", "[]", "[]" },
		{ "[1, 2]", "[1,2]", "[\n    1,\n    2\n]" },
		{ "{\"a\" : 1.50,\n\"b\":[ ] , \"c\":{\"d\":\"x y\"}}", "{\"a\":1.50,\"b\":[],\"c\":{\"d\":\"x y\"}}",
		  "{\n    \"a\": 1.50,\n    \"b\": [],\n    \"c\": {\n        \"d\": \"x y\"\n    }\n}" },
		{ "[[[1],{}],\t\"\\u0041\"]", "[[[1],{}],\"\\u0041\"]",
		  "[\n    [\n        [\n            1\n        ],\n        {}\n    ],\n    \"\\u0041\"\n]" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;

		buf_init(&out, 4096);
		json_compact(&out, str_from(rows[i].text));
		expect_str(buf_str(&out), rows[i].compact);
		buf_clear(&out);
		json_indent(&out, str_from(rows[i].text), 4);
		expect_str(buf_str(&out), rows[i].indented);
		buf_clear(&out);
		json_indent(&out, str_from(rows[i].compact), 4);
		expect_str(buf_str(&out), rows[i].indented);
		buf_release(&out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(expect_accepted),
		cmocka_unit_test(expect_refused),
		cmocka_unit_test(expect_answer_for_each_cut_and_change),
		cmocka_unit_test(expect_spans),
		cmocka_unit_test(expect_meaning),
		cmocka_unit_test(expect_last_member),
		cmocka_unit_test(expect_integers),
		cmocka_unit_test(expect_bounds),
		cmocka_unit_test(expect_written_strings),
		cmocka_unit_test(expect_plain_bytes),
		cmocka_unit_test(expect_round_trip),
		cmocka_unit_test(expect_written_members),
		cmocka_unit_test(expect_layouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
