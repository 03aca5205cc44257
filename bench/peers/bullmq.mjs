// SPDX-License-Identifier: BSD-3-Clause
// BullMQ on the benchmark's work: one job scheduler for each schedule; its steady work repeats every second.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { deliver, wanted, chunks } from './common.mjs';

const [command, ...rest] = process.argv.slice(2);
const connection = new Redis(process.env.REDIS_SOCKET, { maxRetriesPerRequest: null });
const keep = { removeOnComplete: true, removeOnFail: true };
const DAY_MS = 24 * 3600 * 1000;

if (command === 'work') {
  // A job of a scheduler carries its own instant: the time it was made plus its delay.
  const worker = new Worker(
    'deliver',
    (job) => deliver({ id: randomUUID(), n: job.data.n, planned: job.timestamp + (job.opts.delay ?? 0) }),
    { connection, concurrency: 200, ...keep },
  );
  worker.on('error', (error) => console.error(error));
} else {
  const queue = new Queue('deliver', { connection });
  // A steady second repeats itself, so only the first one is told.
  const isSteady = command === 'steady';
  const work = isSteady ? ['steady', rest[0], rest[1], '1'] : [command, ...rest];
  const repeat = (planned) =>
    isSteady ? { every: 1000, startDate: planned, offset: planned % 1000 } : { every: DAY_MS, startDate: planned };
  const add = ({ n, planned }) =>
    queue.upsertJobScheduler(`s${n}`, repeat(planned), { name: 'deliver', data: { n }, opts: keep });
  if (command !== 'prepare') for (const chunk of chunks(wanted(work), 500)) await Promise.all(chunk.map(add));
  await queue.close();
  await connection.quit();
}
