// SPDX-License-Identifier: BSD-3-Clause
// What the Node.js peers share: the callback itself, and what their command line says.
import { Agent, request } from 'undici';
import { randomUUID } from 'node:crypto';

const dispatcher = new Agent({ connections: 200, pipelining: 1, keepAliveTimeout: 60000 });
const text = process.env.PAYLOAD_TEXT;

/** One delivery: `planned` in milliseconds, `id` the same for every attempt. */
export async function deliver({ planned, id, n }) {
  const answer = await request(process.env.ENDPOINT, {
    method: 'POST',
    dispatcher,
    headers: {
      'content-type': 'application/json',
      authorization: 'Token bench-token',
      'Idempotency-Key': `"${id}"`,
      'Seed-Planned-At': new Date(planned).toISOString(),
      'Seed-Attempt': '1',
    },
    body: JSON.stringify({ n, text }),
  });
  await answer.body.dump();
  if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`);
}

/** The jobs that the command line asks for: "burst N AT" or "steady RATE BEGINS SECONDS" (instants in seconds). */
export function* wanted([kind, count, at, seconds]) {
  const n = kind === 'burst' ? Number(count) : Number(count) * Number(seconds);
  for (let i = 0; i < n; i++) {
    const planned = Number(at) * 1000 + (kind === 'burst' ? 0 : (i * 1000) / Number(count));
    yield { planned: Math.ceil(planned), id: randomUUID(), n: i };
  }
}

export function* chunks(items, size) {
  let chunk = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length === size) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length) yield chunk;
}
