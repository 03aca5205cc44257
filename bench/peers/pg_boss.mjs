// SPDX-License-Identifier: BSD-3-Clause
// pg-boss on the benchmark's work: deferred jobs (its cron schedules are bound to minutes and a monitor), fetched in batches.
import { PgBoss } from 'pg-boss';
import { deliver, wanted, chunks } from './common.mjs';

const [command, ...rest] = process.argv.slice(2);
const boss = new PgBoss({
  host: process.env.PGHOST,
  user: process.env.PGUSER,
  database: process.env.PGDATABASE,
  max: 10,
  supervise: command === 'work',
  schedule: false,
});
boss.on('error', (error) => console.error(error));
await boss.start();
if (command === 'work') {
  const options = { batchSize: 500, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true };
  for (let i = 0; i < 4; i++) await boss.work('deliver', options, (jobs) => Promise.all(jobs.map((job) => deliver(job.data))));
} else {
  await boss.createQueue('deliver');
  if (command !== 'prepare')
    for (const chunk of chunks(wanted([command, ...rest]), 2000))
      await boss.insert('deliver', chunk.map((data) => ({ data, startAfter: new Date(data.planned) })));
  await boss.stop({ graceful: false });
  process.exit(0);
}
