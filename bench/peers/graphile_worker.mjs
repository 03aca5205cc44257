// SPDX-License-Identifier: BSD-3-Clause
// graphile-worker on the benchmark's work: jobs with run_at, set up as on its own performance page (local queue, batched
// completion). In its favour: it sees a due job only at a poll, so it polls often; the jobs are told ahead, none repeats.
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
        pollInterval: 20,
        concurrentJobs: 100,
        localQueue: { size: 500 },
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
  await utils.withPgClient((client) => client.query('analyze')); // else a fetch reads and sorts every waiting job
  await utils.release();
}
