// SPDX-License-Identifier: BSD-3-Clause
// graphile-worker on the benchmark's work: jobs with run_at, its local queue and batched completion on.
import { makeWorkerUtils, run, Logger } from 'graphile-worker';
import { deliver, wanted, chunks } from './common.mjs';

const [command, ...rest] = process.argv.slice(2);
const quiet = new Logger(() => () => {});
const connectionString = `postgres://${process.env.PGUSER}@/${process.env.PGDATABASE}?host=${process.env.PGHOST}`;

if (command === 'work') {
  const runner = await run({
    preset: {
      worker: {
        connectionString,
        maxPoolSize: 10,
        pollInterval: 500,
        concurrentJobs: 100,
        localQueue: { size: 500, refetchDelay: { durationMs: 0 } },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger: quiet,
      },
    },
    taskList: { deliver },
  });
  await runner.promise;
} else {
  const utils = await makeWorkerUtils({ connectionString, logger: quiet });
  await utils.migrate();
  if (command !== 'prepare')
    for (const chunk of chunks(wanted([command, ...rest]), 2000))
      await utils.addJobs(chunk.map((payload) => ({ identifier: 'deliver', payload, runAt: new Date(payload.planned) })));
  await utils.release();
}
