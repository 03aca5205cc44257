/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and makes the key file; its contents are wiped from the stack. */
#include "store/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
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

/* Writes under the other name and moves: what has the key's name is whole, wherever the process dies. */
static bool write_key(int fd, const char *made, const char *path, const uint8_t key[SEAL_KEY_BYTES])
{
	char text[DIGITS_N + 1];

	hex_format(key, SEAL_KEY_BYTES, text);
	text[DIGITS_N] = '\n';
	FAILPOINT("key.file.opened");
	bool done = ftruncate(fd, 0) == 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text;

	crypto_wipe(text, sizeof text);
	FAILPOINT("key.file.written");
	done = done && fsync(fd) == 0 && rename(made, path) == 0;
	FAILPOINT("key.file.named");
	return done && sync_directory(path);
}

enum err key_file_make(const char *path, uint8_t key[SEAL_KEY_BYTES], struct error *error)
{
	char made[PATH_MAX];
	bool fits = (size_t)snprintf(made, sizeof made, "%s.new", path) < sizeof made;
	int fd = fits ? open(made, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	int why = fits ? errno : ENAMETOOLONG;

	if (fd < 0)
		return error_set(error, ERR_IO, "cannot make the key file %s: %s; see to its directory", path,
				 strerror(why));
	/* Two services that share a key file make it once: the second finds it locked, or there. */
	bool is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && access(path, F_OK) < 0 && errno == ENOENT;

	random_bytes(key, SEAL_KEY_BYTES);
	bool done = is_ours && write_key(fd, made, path, key);

	why = errno;
	if (is_ours && !done)
		unlink(made);
	close(fd);
	if (done)
		return ERR_OK;
	return is_ours ? error_set(error, ERR_IO, "cannot write the key file %s: %s; see to the space on its disk",
				   path, strerror(why))
		       : error_set(error, ERR_LOCKED, "another process has just made the key file %s; start again",
				   path);
}
