/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and makes the key file; its contents are wiped from the stack. */
#include "store/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

enum { DIGITS_N = 2 * SEAL_KEY_BYTES };

enum err key_file_load(const char *path, uint8_t key[SEAL_KEY_BYTES], struct error *error)
{
	char text[DIGITS_N + 8];
	struct stat file = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return error_set(error, ERR_NOT_FOUND,
				 "the key file %s is missing; restore it from a backup, or name it with --key-file",
				 path);
	if (fd < 0)
		return error_set(error, ERR_IO, "cannot read the key file %s: %s", path, strerror(errno));
	ssize_t n = read(fd, text, sizeof text);

	fstat(fd, &file);
	close(fd);
	struct str digits = str_trim((struct str){ text, n > 0 ? (size_t)n : 0 });
	bool is_key = digits.n == DIGITS_N && hex_parse(digits, key, SEAL_KEY_BYTES);

	crypto_wipe(text, sizeof text);
	if (!is_key)
		return error_set(error, ERR_CORRUPT,
				 "%s is no key: 64 hexadecimal digits are expected; restore it from a backup", path);
	if (file.st_mode & 077)
		log_event(LOG_WARN, "key_file_open_to_others", log_text("path", path), log_text("remedy", "chmod 600"));
	return ERR_OK;
}

/* The name is on disk, too: a database whose key vanished with a power cut would be lost. */
static bool sync_directory(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof copy, "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

enum err key_file_make(const char *path, uint8_t key[SEAL_KEY_BYTES], struct error *error)
{
	char text[DIGITS_N + 1];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(error, ERR_IO, "cannot make the key file %s: %s", path, strerror(errno));
	random_bytes(key, SEAL_KEY_BYTES);
	hex_format(key, SEAL_KEY_BYTES, text);
	text[DIGITS_N] = '\n';
	bool done = write(fd, text, sizeof text) == (ssize_t)sizeof text && fsync(fd) == 0;
	int why = errno;

	done = close(fd) == 0 && done && sync_directory(path);
	crypto_wipe(text, sizeof text);
	if (done)
		return ERR_OK;
	unlink(path);
	return error_set(error, ERR_IO, "cannot write the key file %s: %s", path, strerror(why));
}
