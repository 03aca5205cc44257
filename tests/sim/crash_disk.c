/* SPDX-License-Identifier: BSD-3-Clause */
/* The VFS: names, handles, locks, shared memory and faults; the bytes are crash_file.c's.
 *
 * Calls answer as SQLite's unix VFS does on Linux, down to its habits: an empty file does not exist for xAccess, a full
 * disk is SQLITE_FULL after what still fitted, a new log's first sync syncs the directory, too. A handle from before a
 * cut belongs to a dead process: it reads and changes nothing any more, and its shared memory lives until it lets go.
 */
#include "crash_disk.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "crash_file.h"
#include "dice.h"

enum { PATH_BYTES_MAX = 512, SHM_REGIONS_MAX = 512, SHM_LOCKS_N = SQLITE_SHM_NLOCK };

struct shm {
	unsigned handles_n;
	int region_bytes;
	void *regions[SHM_REGIONS_MAX]; /* owned */
	int locks[SHM_LOCKS_N];		/* shared holders; -1: exclusive */
};

struct inode {
	struct inode *next;
	char path[PATH_BYTES_MAX];
	struct crash_file file;
	bool is_there;	/* has its name */
	bool was_there; /* has it on the medium */
	unsigned handles_n;
	unsigned readers_n; /* handles with a lock */
	const struct handle *writer;
	bool is_pending;
	struct shm *shm; /* of the living; NULL: nobody has mapped it */
};

struct crash_disk {
	sqlite3_vfs vfs; /* first: the calls cast */
	sqlite3_vfs *below;
	char prefix[PATH_BYTES_MAX];
	struct inode *inodes;
	unsigned life; /* of the process */
	bool is_off;
	int error; /* errno of the last failure */
	struct crash_disk_faults faults;
	struct crash_disk_sums sums;
};

struct handle {
	sqlite3_file base; /* first: the calls cast */
	struct crash_disk *disk;
	struct inode *inode;
	unsigned life;
	int lock;
	bool syncs_directory;
	bool goes_with_handle;
	struct shm *shm;
	unsigned shm_shared, shm_exclusive; /* bits of locks held */
};

/* --- faults ---------------------------------------------------------------------------------------------- */

static int fails(struct crash_disk *disk, int code, int error)
{
	disk->error = errno = error;
	return code;
}

/* Counts down to a fault. */
static bool is_hit(struct crash_disk *disk, uint64_t *in)
{
	if (*in == 0 || --*in > 0)
		return false;
	disk->sums.faults++;
	return true;
}

static bool is_dead(const struct handle *handle)
{
	return handle->disk->is_off || handle->life != handle->disk->life;
}

/* True: the power goes with this call. */
static bool count_call(struct crash_disk *disk)
{
	disk->sums.calls++;
	if (is_hit(disk, &disk->faults.off_in))
		disk->is_off = true;
	return disk->is_off;
}

static int64_t free_bytes(const struct crash_disk *disk)
{
	int64_t used = 0;

	if (disk->faults.room_bytes == 0)
		return INT64_MAX / 2;
	for (const struct inode *inode = disk->inodes; inode; inode = inode->next)
		used += inode->file.size;
	return used < disk->faults.room_bytes ? disk->faults.room_bytes - used : 0;
}

/* --- inodes ---------------------------------------------------------------------------------------------- */

static struct inode *find_inode(const struct crash_disk *disk, const char *path)
{
	struct inode *inode = disk->inodes;

	while (inode && (!inode->is_there || strcmp(inode->path, path) != 0))
		inode = inode->next;
	return inode;
}

static struct inode *add_inode(struct crash_disk *disk, const char *path)
{
	struct inode *inode = memory_new(sizeof *inode);

	assert(strlen(path) < sizeof inode->path);
	snprintf(inode->path, sizeof inode->path, "%s", path);
	inode->is_there = true;
	inode->next = disk->inodes;
	disk->inodes = inode;
	return inode;
}

/* Frees what has no name, neither now nor on the medium, and is not open. */
static void reap(struct crash_disk *disk)
{
	for (struct inode **at = &disk->inodes; *at;) {
		struct inode *inode = *at;

		if (inode->is_there || inode->was_there || inode->handles_n > 0) {
			at = &inode->next;
			continue;
		}
		*at = inode->next;
		crash_file_release(&inode->file);
		free(inode);
	}
}

static void sync_directory(struct crash_disk *disk)
{
	for (struct inode *inode = disk->inodes; inode; inode = inode->next)
		inode->was_there = inode->is_there;
	reap(disk);
}

/* --- reading and writing --------------------------------------------------------------------------------- */

static struct handle *self(sqlite3_file *file)
{
	return (struct handle *)file;
}

static int on_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	struct handle *handle = self(file);
	const struct crash_file *data = &handle->inode->file;

	if (is_dead(handle) || count_call(handle->disk) || is_hit(handle->disk, &handle->disk->faults.read_in))
		return fails(handle->disk, SQLITE_IOERR_READ, EIO);
	int64_t got = data->size - at;

	if (got > n)
		got = n;
	if (got > 0)
		memcpy(to, data->bytes + at, (size_t)got);
	if (got == n)
		return SQLITE_OK;
	if (got < 0)
		got = 0;
	memset((char *)to + got, 0, (size_t)(n - got));
	return SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	struct handle *handle = self(file);
	struct crash_disk *disk = handle->disk;
	struct crash_file *data = &handle->inode->file;

	if (is_dead(handle) || is_hit(disk, &disk->faults.write_in))
		return fails(disk, SQLITE_IOERR_WRITE, EIO);
	int64_t fits = at + n <= data->size ? n : data->size + free_bytes(disk) - at;

	if (fits > 0)
		crash_file_write(data, from, fits < n ? fits : n, at);
	if (count_call(disk))
		return fails(disk, SQLITE_IOERR_WRITE, EIO);
	if (fits >= n)
		return SQLITE_OK;
	disk->sums.faults++;
	return fails(disk, SQLITE_FULL, ENOSPC);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct handle *handle = self(file);

	if (is_dead(handle))
		return fails(handle->disk, SQLITE_IOERR_TRUNCATE, EIO);
	crash_file_resize(&handle->inode->file, size);
	return count_call(handle->disk) ? fails(handle->disk, SQLITE_IOERR_TRUNCATE, EIO) : SQLITE_OK;
}

static int on_sync(sqlite3_file *file, int flags)
{
	struct handle *handle = self(file);
	struct crash_disk *disk = handle->disk;

	(void)flags;
	if (is_dead(handle) || count_call(disk))
		return fails(disk, SQLITE_IOERR_FSYNC, EIO);
	disk->sums.syncs++;
	if (is_hit(disk, &disk->faults.off_at_sync_in)) {
		disk->is_off = true;
		return fails(disk, SQLITE_IOERR_FSYNC, EIO);
	}
	if (is_hit(disk, &disk->faults.sync_in)) {
		crash_file_sync_fails(&handle->inode->file);
		return fails(disk, SQLITE_IOERR_FSYNC, EIO);
	}
	crash_file_sync(&handle->inode->file);
	if (handle->syncs_directory) {
		handle->syncs_directory = false;
		sync_directory(disk);
	}
	return SQLITE_OK;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct handle *handle = self(file);

	if (is_dead(handle))
		return fails(handle->disk, SQLITE_IOERR_FSTAT, EIO);
	*size = handle->inode->file.size;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int op, void *argument)
{
	struct handle *handle = self(file);

	if (op == SQLITE_FCNTL_LAST_ERRNO)
		*(int *)argument = handle->disk->error;
	else if (op == SQLITE_FCNTL_HAS_MOVED)
		*(int *)argument = !handle->inode->is_there;
	else
		return SQLITE_NOTFOUND;
	return SQLITE_OK;
}

static int on_sector_size(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

static int on_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- locks of the rollback mode -------------------------------------------------------------------------- */

static int on_lock(sqlite3_file *file, int level)
{
	struct handle *handle = self(file);
	struct inode *inode = handle->inode;
	bool is_writer = inode->writer == handle;

	if (handle->life != handle->disk->life || handle->lock >= level)
		return SQLITE_OK;
	if (inode->writer && !is_writer && (level > SQLITE_LOCK_SHARED || inode->is_pending))
		return SQLITE_BUSY;
	if (handle->lock == SQLITE_LOCK_NONE)
		inode->readers_n++;
	if (level > SQLITE_LOCK_SHARED)
		inode->writer = handle;
	if (level == SQLITE_LOCK_EXCLUSIVE) {
		inode->is_pending = true;
		handle->lock = SQLITE_LOCK_PENDING;
		if (inode->readers_n > 1)
			return SQLITE_BUSY;
	}
	handle->lock = level;
	return SQLITE_OK;
}

static int on_unlock(sqlite3_file *file, int level)
{
	struct handle *handle = self(file);
	struct inode *inode = handle->inode;

	if (handle->life != handle->disk->life || handle->lock <= level)
		return SQLITE_OK;
	if (inode->writer == handle) {
		inode->writer = NULL;
		inode->is_pending = false;
	}
	if (level == SQLITE_LOCK_NONE)
		inode->readers_n--;
	handle->lock = level;
	return SQLITE_OK;
}

static int on_check_reserved(sqlite3_file *file, int *is_reserved)
{
	*is_reserved = self(file)->inode->writer != NULL;
	return SQLITE_OK;
}

/* --- shared memory --------------------------------------------------------------------------------------- */

static int on_shm_map(sqlite3_file *file, int index, int bytes, int extend, void volatile **region)
{
	struct handle *handle = self(file);
	struct inode *inode = handle->inode;

	*region = NULL;
	if (!handle->shm) {
		if (is_dead(handle))
			return fails(handle->disk, SQLITE_IOERR_SHMOPEN, EIO);
		if (!inode->shm)
			inode->shm = memory_new(sizeof *inode->shm);
		handle->shm = inode->shm;
		handle->shm->handles_n++;
		handle->shm->region_bytes = bytes;
	}
	assert(index < SHM_REGIONS_MAX && bytes == handle->shm->region_bytes);
	if (!handle->shm->regions[index] && extend) {
		if (free_bytes(handle->disk) < bytes)
			return fails(handle->disk, SQLITE_IOERR_SHMSIZE, ENOSPC);
		handle->shm->regions[index] = memory_new((size_t)bytes);
	}
	*region = handle->shm->regions[index];
	return SQLITE_OK;
}

static void shm_unlock(struct handle *handle, unsigned bits)
{
	for (int i = 0; i < SHM_LOCKS_N; i++) {
		if (handle->shm_exclusive & bits & 1u << i)
			handle->shm->locks[i] = 0;
		if (handle->shm_shared & bits & 1u << i)
			handle->shm->locks[i]--;
	}
	handle->shm_exclusive &= ~bits;
	handle->shm_shared &= ~bits;
}

static int on_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
	struct handle *handle = self(file);
	unsigned bits = ((1u << n) - 1) << first;

	if (flags & SQLITE_SHM_UNLOCK) {
		shm_unlock(handle, bits);
		return SQLITE_OK;
	}
	bool is_exclusive = flags & SQLITE_SHM_EXCLUSIVE;

	for (int i = first; i < first + n; i++) {
		bool is_mine = (handle->shm_shared | handle->shm_exclusive) & 1u << i;
		int held = handle->shm->locks[i];

		if (!is_mine && (is_exclusive ? held != 0 : held < 0))
			return SQLITE_BUSY;
	}
	for (int i = first; i < first + n; i++) {
		if ((handle->shm_shared | handle->shm_exclusive) & 1u << i)
			continue;
		handle->shm->locks[i] += is_exclusive ? -1 : 1;
		*(is_exclusive ? &handle->shm_exclusive : &handle->shm_shared) |= 1u << i;
	}
	return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *file)
{
	(void)file;
}

/* When nobody has it mapped it is gone: who maps it first begins anew in any case. */
static int on_shm_unmap(sqlite3_file *file, int deletes)
{
	struct handle *handle = self(file);
	struct shm *shm = handle->shm;

	(void)deletes;
	if (!shm)
		return SQLITE_OK;
	shm_unlock(handle, ~0u);
	handle->shm = NULL;
	if (--shm->handles_n > 0)
		return SQLITE_OK;
	for (int i = 0; i < SHM_REGIONS_MAX; i++)
		free(shm->regions[i]);
	if (handle->inode->shm == shm)
		handle->inode->shm = NULL;
	free(shm);
	return SQLITE_OK;
}

/* --- opening and closing --------------------------------------------------------------------------------- */

static int on_close(sqlite3_file *file)
{
	struct handle *handle = self(file);
	struct crash_disk *disk = handle->disk;

	on_shm_unmap(file, 0);
	on_unlock(file, SQLITE_LOCK_NONE);
	handle->inode->handles_n--;
	if (handle->goes_with_handle && !is_dead(handle))
		handle->inode->is_there = false;
	reap(disk);
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_check_reserved,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_characteristics,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static struct crash_disk *disk_of(sqlite3_vfs *vfs)
{
	return (struct crash_disk *)vfs;
}

static bool is_ours(const struct crash_disk *disk, const char *path)
{
	return path && strncmp(path, disk->prefix, strlen(disk->prefix)) == 0;
}

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct crash_disk *disk = disk_of(vfs);
	struct handle *handle = self(file);
	const int with_own_name = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL;

	if (!is_ours(disk, path))
		return disk->below->xOpen(disk->below, path, file, flags, out_flags);
	*handle = (struct handle){ .disk = disk, .life = disk->life };
	if (disk->is_off)
		return fails(disk, SQLITE_CANTOPEN, EIO);
	handle->inode = find_inode(disk, path);
	if (!handle->inode && !(flags & SQLITE_OPEN_CREATE))
		return fails(disk, SQLITE_CANTOPEN, ENOENT);
	if (!handle->inode) {
		handle->inode = add_inode(disk, path);
		if (count_call(disk))
			return fails(disk, SQLITE_CANTOPEN, EIO);
	}
	handle->syncs_directory = flags & SQLITE_OPEN_CREATE && flags & with_own_name;
	handle->goes_with_handle = flags & SQLITE_OPEN_DELETEONCLOSE;
	handle->inode->handles_n++;
	handle->base.pMethods = &methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int syncs)
{
	struct crash_disk *disk = disk_of(vfs);
	struct inode *inode = find_inode(disk, path);

	if (!is_ours(disk, path))
		return disk->below->xDelete(disk->below, path, syncs);
	if (disk->is_off)
		return fails(disk, SQLITE_IOERR_DELETE, EIO);
	if (!inode)
		return fails(disk, SQLITE_IOERR_DELETE_NOENT, ENOENT);
	inode->is_there = false;
	if (count_call(disk))
		return fails(disk, SQLITE_IOERR_DELETE, EIO);
	if (syncs && count_call(disk))
		return fails(disk, SQLITE_IOERR_DIR_FSYNC, EIO);
	if (syncs)
		sync_directory(disk);
	reap(disk);
	return SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *is_there)
{
	struct crash_disk *disk = disk_of(vfs);

	if (!is_ours(disk, path))
		return disk->below->xAccess(disk->below, path, flags, is_there);
	const struct inode *inode = find_inode(disk, path);

	*is_there = inode && (flags != SQLITE_ACCESS_EXISTS || inode->file.size > 0);
	return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int n, char *full)
{
	struct crash_disk *disk = disk_of(vfs);

	if (!is_ours(disk, path))
		return disk->below->xFullPathname(disk->below, path, n, full);
	return snprintf(full, (size_t)n, "%s", path) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int on_last_error(sqlite3_vfs *vfs, int n, char *text)
{
	(void)n;
	(void)text;
	return disk_of(vfs)->error;
}

/* Fixed: SQLite seeds its salts and row ids with it, once. */
static int on_randomness(sqlite3_vfs *vfs, int n, char *bytes)
{
	(void)vfs;
	memset(bytes, 0x5a, (size_t)n);
	return n;
}

struct crash_disk *crash_disk_new(const char *prefix)
{
	struct crash_disk *disk = memory_new(sizeof *disk);

	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* as db_sqlite.c wants it, which would come too late */
	disk->below = sqlite3_vfs_find(NULL);
	assert(disk->below && strlen(prefix) < sizeof disk->prefix);
	snprintf(disk->prefix, sizeof disk->prefix, "%s", prefix);
	disk->vfs = *disk->below;
	disk->vfs.pNext = NULL;
	disk->vfs.iVersion = 2;
	if (disk->vfs.szOsFile < (int)sizeof(struct handle))
		disk->vfs.szOsFile = sizeof(struct handle);
	disk->vfs.mxPathname = PATH_BYTES_MAX - 16;
	disk->vfs.zName = "crash_disk";
	disk->vfs.xOpen = on_open;
	disk->vfs.xDelete = on_delete;
	disk->vfs.xAccess = on_access;
	disk->vfs.xFullPathname = on_full_path;
	disk->vfs.xGetLastError = on_last_error;
	disk->vfs.xRandomness = on_randomness;
	sqlite3_vfs_register(&disk->vfs, 1);
	sqlite3_randomness(0, NULL); /* seeded by this disk */
	return disk;
}

void crash_disk_free(struct crash_disk *disk)
{
	if (!disk)
		return;
	sqlite3_vfs_unregister(&disk->vfs);
	sqlite3_vfs_register(disk->below, 1);
	sqlite3_randomness(0, NULL);
	for (struct inode *inode = disk->inodes; inode; inode = inode->next) {
		assert(inode->handles_n == 0);
		inode->is_there = inode->was_there = false;
	}
	reap(disk);
	free(disk);
}

void crash_disk_set_faults(struct crash_disk *disk, const struct crash_disk_faults *faults)
{
	disk->faults = *faults;
}

void crash_disk_turn_off(struct crash_disk *disk)
{
	disk->is_off = true;
}

bool crash_disk_is_off(const struct crash_disk *disk)
{
	return disk->is_off;
}

struct crash_disk_sums crash_disk_sum(const struct crash_disk *disk)
{
	return disk->sums;
}

/* --- the cut --------------------------------------------------------------------------------------------- */

/* Of two files with one name the newer has it, which comes first in the list. */
static void settle_name(struct crash_disk *disk, struct inode *inode)
{
	for (struct inode *newer = disk->inodes; newer != inode; newer = newer->next)
		if (newer->is_there && strcmp(newer->path, inode->path) == 0)
			inode->is_there = false;
	inode->was_there = inode->is_there;
}

void crash_disk_cut(struct crash_disk *disk, uint64_t *dice)
{
	struct crash_cut cut = { .dice = dice,
				 .survival = (enum crash_survival)between(dice, 0, CRASH_SURVIVALS_N - 1),
				 .percent = (unsigned)between(dice, 5, 95),
				 .leaves_garbage = chance(dice, 25) };

	for (struct inode *inode = disk->inodes; inode; inode = inode->next) {
		if (inode->is_there != inode->was_there && !crash_cut_survives(&cut)) {
			inode->is_there = inode->was_there;
			disk->sums.names_lost++;
		}
		settle_name(disk, inode);
		crash_file_cut(&inode->file, &cut);
		inode->readers_n = 0;
		inode->writer = NULL;
		inode->is_pending = false;
		inode->shm = NULL;
	}
	reap(disk);
	disk->sums.cuts++;
	disk->sums.sectors_lost += cut.sectors_lost_n;
	disk->faults = (struct crash_disk_faults){ 0 };
	disk->is_off = false;
	disk->life++;
}

/* --- files by hand --------------------------------------------------------------------------------------- */

const uint8_t *crash_disk_bytes(const struct crash_disk *disk, const char *path, size_t *n)
{
	const struct inode *inode = find_inode(disk, path);

	*n = inode ? (size_t)inode->file.size : 0;
	return inode ? inode->file.bytes ? inode->file.bytes : (const uint8_t *)"" : NULL;
}

void crash_disk_put(struct crash_disk *disk, const char *path, const uint8_t *bytes, size_t n)
{
	struct inode *inode = find_inode(disk, path);

	assert(is_ours(disk, path) && (bytes || !inode || inode->handles_n == 0));
	if (!bytes) {
		if (inode)
			inode->is_there = inode->was_there = false;
		reap(disk);
		return;
	}
	if (!inode)
		inode = add_inode(disk, path);
	inode->was_there = true;
	crash_file_resize(&inode->file, (int64_t)n);
	if (n > 0)
		crash_file_write(&inode->file, bytes, (int64_t)n, 0);
	crash_file_sync(&inode->file);
	for (int i = 0; inode->shm && i < SHM_LOCKS_N; i++)
		assert(inode->shm->locks[i] == 0);
	for (int i = 0; inode->shm && i < SHM_REGIONS_MAX && inode->shm->regions[i]; i++)
		memset(inode->shm->regions[i], 0, (size_t)inode->shm->region_bytes);
}
