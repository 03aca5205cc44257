/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides from headers alone whether JSON is welcome and how a body is to be read. */
#include "api/negotiate.h"

struct media {
	struct str main, sub;
	struct str parameters; /* what follows the first ';'; absent without */
};

static struct media media_parse(struct str text)
{
	struct media media;
	struct str type = str_trim(str_split(text, ';', &media.parameters));

	media.main = str_split(type, '/', &media.sub);
	return media;
}

static bool part_matches(struct str part, const char *ours)
{
	return str_equal(part, STR("*")) || str_equal_nocase(part, str_from(ours));
}

static bool media_matches(const struct media *media, const char *main_type, const char *sub_type)
{
	return part_matches(media->main, main_type) && part_matches(media->sub, sub_type);
}

/* The next parameter of *rest, its name and value; false at the end. A ';' inside quotes belongs to the value. */
static bool parameter_next(struct str *rest, struct str *name, struct str *value)
{
	if (!rest->p)
		return false;

	size_t end = 0;

	for (bool is_quoted = false; end < rest->n && (is_quoted || rest->p[end] != ';'); end++)
		if (rest->p[end] == '"')
			is_quoted = !is_quoted;

	struct str parameter = str_slice(*rest, 0, end);

	*rest = end < rest->n ? str_slice(*rest, end + 1, rest->n) : (struct str){ NULL, 0 };
	*name = str_trim(str_split(parameter, '=', value));
	*value = str_trim(*value);
	if (value->n >= 2 && value->p[0] == '"' && value->p[value->n - 1] == '"')
		*value = str_slice(*value, 1, value->n - 2);
	return true;
}

struct str negotiate_parameter(struct str media_type, struct str name)
{
	struct media media = media_parse(media_type);
	struct str rest = media.parameters, found, value;

	while (parameter_next(&rest, &found, &value))
		if (value.p && str_equal_nocase(found, name))
			return value;
	return (struct str){ NULL, 0 };
}

/* How much an element of Accept says: wildcards least, parameters most. Parameters other than `q` alone count. */
static int precedence(const struct media *media)
{
	struct str rest = media->parameters, name, value;

	if (str_equal(media->main, STR("*")))
		return 0;
	if (str_equal(media->sub, STR("*")))
		return 1;
	while (parameter_next(&rest, &name, &value))
		if (name.n && !str_equal_nocase(name, STR("q")))
			return 3;
	return 2;
}

bool negotiate_accept(struct str accept, unsigned *indent)
{
	struct str rest = accept.p ? accept : STR("*/*");
	int best = -1;

	*indent = 0;
	while (rest.p) {
		struct str element = str_split(rest, ',', &rest);
		struct media media = media_parse(element);
		int64_t wanted;

		if (!media_matches(&media, "application", "json") || precedence(&media) <= best)
			continue;
		best = precedence(&media);
		*indent = 0;
		if (str_to_i64(negotiate_parameter(element, STR("indent")), &wanted) && wanted > 0)
			*indent = wanted < NEGOTIATE_INDENT_MAX ? (unsigned)wanted : NEGOTIATE_INDENT_MAX;
	}
	return best >= 0;
}

bool negotiate_format(struct str format)
{
	return format.n == 0 || str_equal(format, STR("json"));
}

enum negotiate_body negotiate_body(struct str content_type)
{
	static const struct {
		const char *main_type, *sub_type;
		enum negotiate_body body;
	} readers[] = {
		{ "application", "json", BODY_JSON },
		{ "application", "x-www-form-urlencoded", BODY_FORM },
		{ "multipart", "form-data", BODY_MULTIPART },
	};
	struct media media = media_parse(content_type);

	for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
		if (media_matches(&media, readers[i].main_type, readers[i].sub_type))
			return readers[i].body;
	return BODY_UNSUPPORTED;
}
