// SPDX-License-Identifier: BSD-3-Clause
// BullMQ on the benchmark's work: a burst is delayed jobs, added in bulk; steady work is one job scheduler for each
// schedule. In its favour: Redis syncs once a second, and what a late scheduler leaves out is not counted as late.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createHash } from 'node:crypto';
import { deliver, wanted, chunks } from './common.mjs';

const [command, ...rest] = process.argv.slice(2);
const connection = new Redis(process.env.REDIS_SOCKET, { maxRetriesPerRequest: null });

/** A scheduler's job has the planned instant in its id: "repeat:s7:1796045000000". */
function occurrence({ id, data }) {
  const key = createHash('md5').update(id).digest('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { n: data.n, planned: Number(id.split(':').pop()), id: key };
}

if (command === 'work') {
  const worker = new Worker('deliver', (job) => deliver(job.repeatJobKey ? occurrence(job) : job.data), {
    connection,
    concurrency: 200,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  worker.on('error', (error) => console.error(error));
} else {
  const queue = new Queue('deliver', { connection });
  const delayed = (data) => ({ name: 'deliver', data, opts: { delay: data.planned - Date.now() } });
  const repeat = ({ n, planned }) =>
    queue.upsertJobScheduler(
      `s${n}`,
      { every: 1000, startDate: planned, offset: planned % 1000 },
      { name: 'deliver', data: { n } },
    );
  // A worker waits in Redis for the next due job, and Redis ends a wait only at a tick: by default 10 a second.
  if (command === 'prepare') await connection.config('SET', 'hz', 100);
  if (command === 'burst')
    for (const chunk of chunks(wanted([command, ...rest]), 500)) await queue.addBulk(chunk.map(delayed));
  // A steady second repeats itself, so only the first one is told.
  if (command === 'steady')
    for (const chunk of chunks(wanted([command, rest[0], rest[1], '1']), 500)) await Promise.all(chunk.map(repeat));
  await queue.close();
  await connection.quit();
}
