/* SPDX-License-Identifier: BSD-3-Clause */
/* The yardstick for https: libcurl's multi interface sending the same callbacks, with nothing to plan or to record.
 *
 *   curl_client URL CA_FILE REQUESTS CONCURRENCY
 *
 * Prints how long it took and CPU microseconds a request of this process. Handles are reused, DNS is not asked, and
 * CAPATH is off (with Debian's default every new connection reads 140 certificates again). */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { CONCURRENCY_MAX = 1024 };

static size_t swallow(char *bytes, size_t size, size_t n, void *ctx)
{
	(void)bytes;
	(void)ctx;
	return size * n;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static CURL *new_handle(const char *url, const char *ca_file, struct curl_slist *headers, const char *body)
{
	CURL *handle = curl_easy_init();

	curl_easy_setopt(handle, CURLOPT_URL, url);
	curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file);
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(handle, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, swallow);
	return handle;
}

int main(int argc, char **argv)
{
	if (argc != 5 || atoi(argv[4]) < 1 || atoi(argv[4]) > CONCURRENCY_MAX) {
		fprintf(stderr, "usage: curl_client URL CA_FILE REQUESTS CONCURRENCY\n");
		return 2;
	}
	long left = atol(argv[3]), done = 0, failed = 0;
	int concurrency = atoi(argv[4]), running;
	char body[201];
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

	headers = curl_slist_append(headers, "Authorization: Token bench-token");
	headers = curl_slist_append(headers, "Idempotency-Key: \"019367aa-1234-8abc-8def-0123456789ab\"");
	headers = curl_slist_append(headers, "Expect:");
	memset(body, 'x', sizeof body - 1);
	body[sizeof body - 1] = '\0';
	curl_global_init(CURL_GLOBAL_DEFAULT);

	CURLM *multi = curl_multi_init();
	double began = now_s(), cpu_began = cpu_s();

	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)concurrency);
	for (int i = 0; i < concurrency && left > 0; i++, left--)
		curl_multi_add_handle(multi, new_handle(argv[1], argv[2], headers, body));
	do {
		CURLMsg *message;
		int waiting;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &waiting))) {
			CURL *handle = message->easy_handle;
			long status = 0;

			curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
			failed += message->data.result != CURLE_OK || status != 200;
			done++;
			curl_multi_remove_handle(multi, handle);
			if (left-- > 0)
				curl_multi_add_handle(multi, handle);
			else
				curl_easy_cleanup(handle);
			running = 1;
		}
		if (running)
			curl_multi_poll(multi, NULL, 0, 100, NULL);
	} while (running);

	double took = now_s() - began;

	printf("{\"requests\": %ld, \"failed\": %ld, \"took_s\": %.4f, \"cpu_us\": %.1f}\n", done, failed, took,
	       (cpu_s() - cpu_began) * 1e6 / (double)done);
	return failed != 0;
}
