// SPDX-License-Identifier: BSD-3-Clause
// pg-boss on the benchmark's work: deferred jobs (its cron schedules are bound to minutes and a monitor), in large batches.
// In its favour: four pollers at its shortest interval take turns; the jobs are told ahead, none repeats.
import { PgBoss } from 'pg-boss';
import { setTimeout } from 'node:timers/promises';
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
  for (let i = 0; i < 4; i++) {
    await boss.work('deliver', options, (jobs) => Promise.all(jobs.map((job) => deliver(job.data))));
    await setTimeout(125);
  }
} else {
  await boss.createQueue('deliver');
  if (command !== 'prepare')
    for (const chunk of chunks(wanted([command, ...rest]), 2000))
      await boss.insert('deliver', chunk.map((data) => ({ data, startAfter: new Date(data.planned) })));
  await boss.getDb().executeSql('analyze'); // else a fetch reads and sorts every waiting job
  await boss.stop({ graceful: false });
  process.exit(0);
}
