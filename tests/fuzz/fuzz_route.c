/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths: any bytes find one route, lack a slash, or are unknown; ids and suffixes are parts of the path; a path that
 * only lacks its slash is found with it. */
#include "fuzz.h"

#include "api/form.h"
#include "api/routes.h"

static void check_path(struct str path)
{
	struct route_match match = route_find(path);
	struct buf longer;

	assert((match.verdict == ROUTE_FOUND) <= (match.route != NULL));
	if (match.verdict == ROUTE_FOUND) {
		size_t route_n = strlen(match.route->path);
		bool has_id = route_n > 2 && match.route->path[route_n - 2] == ':';

		assert((match.id.p != NULL) == has_id && (!match.id.p || fuzz_is_inside(match.id, path)));
		assert(!match.id.p || (match.id.n > 0 && str_find(match.id, '/') == match.id.n));
		assert(!match.suffix.p || (match.route->has_suffix && fuzz_is_inside(match.suffix, path)));
		assert(str_starts_with(path, str_slice(str_from(match.route->path), 0, route_n - (has_id ? 2 : 1))));
	}
	if (match.verdict != ROUTE_LACKS_SLASH)
		return;
	buf_init(&longer, path.n + 1);
	buf_add(&longer, path);
	buf_add_char(&longer, '/');
	assert(route_find(buf_str(&longer)).verdict == ROUTE_FOUND);
	buf_release(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_copy((struct str){ (const char *)data, size });
	struct arena arena = { 0 };

	check_path(text);
	check_path(form_unescape(&arena, text));
	arena_release(&arena);
	fuzz_free(text);
	return 0;
}
