// What a producer is made of, and what became of records as JSON.

import { status } from './answers.js';

/**
 * `buffer` is how many bytes the producer holds at most: room for a body or two where it serves one request.
 */
export function settings(env, buffer = 2 << 20) {
  return {
    'bootstrap.servers': env.KAFKA_BOOTSTRAP_SERVERS ?? 'localhost:9092',
    'security.protocol': env.KAFKA_SECURITY_PROTOCOL ?? 'PLAINTEXT',
    'client.id': 'klamm-worker',
    'buffer.memory': buffer,
    // Nothing more is to come that a record could wait for; requests that meet in an object share batches all the same.
    'linger.ms': 0,
    // Whoever waits for an HTTP answer does not wait for minutes.
    'delivery.timeout.ms': 15_000,
    'request.timeout.ms': 5_000,
    'max.block.ms': 15_000,
    ...JSON.parse(env.KAFKA_PROPERTIES ?? '{}'),
    ...(env.BRIDGE_URL && { bridge: { url: env.BRIDGE_URL, token: env.BRIDGE_TOKEN ?? undefined } }),
  };
}

/** Publishes records, and answers with the place of each. */
export async function answer(producer, { list, isBatch }) {
  let [results, error] = [null, null];
  try {
    results = await producer.sendBatch(list);
  } catch (caught) {
    if (!caught.results) throw caught;
    ({ results } = caught);
    error = caught;
  }
  const { connectionsOpened, requests } = producer.metrics();
  const headers = { 'klamm-connections': String(connectionsOpened), 'klamm-requests': String(requests) };
  const shown = results.map(told);
  if (error && status(error) === 503) headers['retry-after'] = '1';
  return Response.json(isBatch ? shown : shown[0], { status: error ? status(error) : 200, headers });
}

// Offsets as text: they have 64 bits, and JSON's readers lose what is beyond 2^53.
function told(result) {
  if (!(result instanceof Error)) return { ...result, offset: String(result.offset) };
  const { name, code, message, retriable, fate } = result;
  return { error: { name, code, message, retriable, fate } };
}
