// The package in workerd, without a Worker around it: `workerd test`.

import { DurableObject } from 'cloudflare:workers';

import { KafkaError, Producer } from 'klamm';

/** The configuration names it. */
export class Publisher extends DurableObject {}

const RECORDS = 2_000;

function equal(found, expected) {
  const [a, b] = [found, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${a}, not ${b}`);
}

async function rejects(promise, name) {
  const error = await promise.then(() => new Error('resolved'), (error) => error);
  if (!(error instanceof KafkaError) || error.name !== name) throw new Error(`${error.name}: ${error.message}, not ${name}`);
  return error;
}

const plain = (env) => ({ 'bootstrap.servers': env.KAFKA_BOOTSTRAP_SERVERS });
const bridged = (env) => ({ ...plain(env), bridge: { url: env.BRIDGE_URL, token: async () => env.BRIDGE_TOKEN } });

/** More than a buffer holds, large ones among them, by lz4; prints where each is. */
async function flow(options, topic) {
  const klamm = new Producer({ ...options, 'buffer.memory': 2 << 20, 'compression.type': 'lz4' });
  const length = (index) => (index % 500 === 0 ? 900_000 : 1_000);
  const sent = Array.from({ length: RECORDS }, (_, index) => {
    return klamm.send({ topic, key: `k${index}`, value: `${index}-${'v'.repeat(length(index))}` });
  });
  for (const [index, { partition, offset }] of (await Promise.all(sent)).entries()) {
    console.log(`told ${topic} ${index} ${length(index)} ${partition} ${offset}`);
  }
  const { recordsDelivered, recordsFailed, bufferFull } = klamm.metrics();
  equal([recordsDelivered, recordsFailed, bufferFull > 0], [RECORDS, 0, true]);
  await klamm.close();
}

/** Waiting can be given up; what was accepted has its outcome. */
async function givenUp(options) {
  const klamm = new Producer({ ...options, 'bootstrap.servers': '127.0.0.1:1', 'buffer.memory': 1 << 17 });
  const abort = new AbortController();
  const sent = Array.from({ length: 300 }, () => klamm.send({ topic: 't', value: new Uint8Array(1_000) }, { signal: abort.signal }));
  setTimeout(() => abort.abort(new Error('enough')), 50);
  await new Promise((resolve) => abort.signal.addEventListener('abort', resolve));
  const closed = klamm.close({ timeout: 100 });
  const outcomes = await Promise.allSettled(sent);
  await closed;
  const reasons = new Set(outcomes.map(({ reason }) => reason?.name === 'CLOSED' ? 'CLOSED' : reason?.message));
  equal([...reasons].sort(), ['CLOSED', 'enough']);
}

export const sockets = { test: (_controller, env) => flow(plain(env), 'unit-sockets') };
export const websocket = { test: (_controller, env) => flow(bridged(env), 'unit-websocket') };
export const givenUpBySockets = { test: (_controller, env) => givenUp(plain(env)) };
export const givenUpByWebSocket = { test: (_controller, env) => givenUp(bridged(env)) };

export const refused = {
  test(_controller, env) {
    for (const [options, about] of [
      [{ transport: 'net' }, 'transport'],
      [{ 'ssl.truststore.certificates': 'x' }, 'ssl.truststore.certificates'],
      [{ 'security.protocol': 'SASL_PLAINTEXT' }, 'security.protocol'],
      [{ bridge: 'wss://b.example', 'security.protocol': 'SSL' }, 'security.protocol'],
      [{ bridge: 'wss://b.example', transport: 'sockets' }, 'bridge'],
      [{ transport: 'websocket' }, 'bridge'],
    ]) {
      let error;
      try {
        new Producer({ ...plain(env), ...options });
      } catch (caught) {
        error = caught;
      }
      equal([error?.name, error?.message.split(':')[0]], ['INVALID_CONFIG', about]);
    }
  },
};

export const nobody = {
  async test(_controller, env) {
    for (const servers of ['127.0.0.1:1', '[::1]:1', 'no.such.host.invalid:9092']) {
      const klamm = new Producer({ ...plain(env), 'bootstrap.servers': servers, 'delivery.timeout.ms': 600, 'request.timeout.ms': 500 });
      const problem = new Promise((resolve) => klamm.addEventListener('problem', ({ error }) => resolve(error.name)));
      await rejects(klamm.send({ topic: 't', value: 'v' }), 'DELIVERY_TIMEOUT');
      equal(await problem, 'UNREACHABLE');
      await klamm.close();
    }
  },
};
