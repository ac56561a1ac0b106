// examples/worker in workerd: requests become records in real Kafka, whose own consumer must find each of them once and where it was
// told.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Bridge } from '../../wasm/js/test/bridge.js';
import { Producer } from '../../wasm/js/test/cluster.js';
import { Kafka, Workerd, many, need, unit } from './parts.mjs';

const REQUESTS = 1_000;
const AT_A_TIME = 8;
const TOPICS = ['tcp', 'websocket', 'kept', 'killed', 'secure', 'later', 'odd', 'batches', 'unit-sockets', 'unit-websocket', 'node'];
const TOKEN = 'a-token-of-these-tests';
const IMPATIENT = '{"delivery.timeout.ms":1500,"request.timeout.ms":1000,"max.block.ms":1000}';

const kafka = new Kafka();
/** What each topic must hold in the end: `{ key, value, partition, offset, timestamp }`. */
const told = Object.fromEntries(TOPICS.map((topic) => [topic, []]));
let bridge;
let plain;
let environment;

before(async () => {
  bridge = await Bridge.start({ token: TOKEN, args: ['--max-connections-per-ip', '1000'] });
  for (const topic of TOPICS) await kafka.ask('topic', topic, 3);
  environment = { KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrap, KAFKA_TOPICS: [...TOPICS, 'missing'].join(',') };
  plain = await Workerd.start(environment);
});

after(async () => {
  await Workerd.stopAll();
  await bridge?.stop();
  kafka.end();
});

/** Keeps what was told of a record. */
function note(topic, { key = null, value }, { status, body }) {
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.topic, topic);
  told[topic].push({ key, value, partition: body.partition, offset: body.offset, timestamp: body.timestamp });
  return body;
}

const record = (index) => ({ key: `key-${index % 97}`, value: { number: index, text: 'ü'.repeat(index % 40) } });
const stored = ({ key, value }) => ({ key, value: JSON.stringify(value) });

/** A record for each of many requests; says what that costs. */
async function flood(worker, path, topic) {
  await worker.post(path, record(0)).then((answer) => note(topic, stored(record(0)), answer)); // both sides get warm
  const before = await worker.cost();
  const start = performance.now();
  const { results, took } = await many(REQUESTS - 1, AT_A_TIME, (index) => worker.post(path, record(index + 1)));
  const seconds = (performance.now() - start) / 1_000;
  results.forEach((answer, index) => note(topic, stored(record(index + 1)), answer));
  const after = await worker.cost();
  const header = (name) => Math.max(...results.map(({ headers }) => Number(headers.get(name))));
  const [half, most] = [took[took.length >> 1], took[Math.floor(took.length * 0.99)]].map((ms) => ms.toFixed(1));
  console.log(
    `${path}: ${(REQUESTS / seconds).toFixed(0)} requests/s, ${half} ms (p99 ${most} ms), at most ${header('klamm-connections')} `
    + `connections and ${header('klamm-requests')} requests to brokers by one producer, ${(after.seconds - before.seconds)} s of CPU, `
    + `${after.mib} MiB`,
  );
  return results;
}

test('1 000 requests become 1 000 records by TCP', { timeout: 60_000 }, async () => {
  await flood(plain, '/topics/tcp', 'tcp');
});

test('1 000 requests become 1 000 records by WebSocket, through klamm-bridge', { timeout: 60_000 }, async () => {
  const worker = await Workerd.start({ ...environment, BRIDGE_URL: bridge.url, BRIDGE_TOKEN: TOKEN });
  await flood(worker, '/topics/websocket', 'websocket');
  await worker.stop();
  assert.ok(bridge.log.filter(({ message }) => message === 'tunnel opened').length >= REQUESTS);
});

test('1 000 requests become 1 000 records by one producer in a Durable Object', { timeout: 60_000 }, async () => {
  const results = await flood(plain, '/kept/topics/kept', 'kept');
  const connections = results.map(({ headers }) => Number(headers.get('klamm-connections')));
  assert.ok(Math.max(...connections) <= 3, `${Math.max(...connections)} connections`);
});

test('a broker is killed in between: every request has its answer, every record is there once', { timeout: 90_000 }, async () => {
  const [victim] = await kafka.ask('leader', 'killed', 0);
  let answered = 0;
  const flooding = many(200, AT_A_TIME, async (index) => {
    const path = index % 2 === 0 ? '/topics/killed' : '/kept/topics/killed';
    const answer = await plain.post(path, record(index));
    answered += 1;
    return answer;
  });
  while (answered < 50) await new Promise((resolve) => setTimeout(resolve, 1));
  await kafka.ask('kill', victim);
  const { results, took } = await flooding;
  results.forEach((answer, index) => note('killed', stored(record(index)), answer));
  console.log(`a broker killed: the longest request took ${(took.at(-1) / 1_000).toFixed(1)} s`);
  await kafka.ask('restart', victim);
});

test('TLS: workerd and Node, whom they trust and whom not', { timeout: 60_000 }, async () => {
  const { ca, client } = JSON.parse(need('KLAMM_CERTIFICATES'));
  // The example, but trusting the tests' own authority.
  const dir = need('KLAMM_EXAMPLE');
  const config = readFileSync(join(dir, 'config.capnp'), 'utf8');
  writeFileSync(join(dir, 'ca.pem'), ca.cert);
  const trusting = config.replace('trustBrowserCas = true', 'trustBrowserCas = true, trustedCertificates = [embed "ca.pem"]');
  assert.notEqual(trusting, config);
  writeFileSync(join(dir, 'trusting.capnp'), trusting);
  const env = { ...environment, KAFKA_BOOTSTRAP_SERVERS: kafka.tls, KAFKA_SECURITY_PROTOCOL: 'SSL' };
  const worker = await Workerd.start(env, { config: 'trusting.capnp' });
  for (let index = 0; index < 5; index += 1) {
    note('secure', stored(record(index)), await worker.post('/topics/secure', record(index)));
  }
  await worker.stop();
  const wary = await Workerd.start({ ...env, KAFKA_PROPERTIES: IMPATIENT });
  const { status, body } = await wary.post('/topics/secure', { value: 'secret' });
  assert.deepEqual([status, body.error.name, body.error.fate], [504, 'DELIVERY_TIMEOUT', 'not-written']);
  assert.match(wary.said, /certificate/);
  await wary.stop();

  const klamm = new Producer({
    'bootstrap.servers': kafka.tls, 'security.protocol': 'SSL', 'ssl.truststore.certificates': ca.cert,
    'ssl.keystore.certificate.chain': client.cert, 'ssl.keystore.key': client.locked, 'ssl.key.password': 'secret',
  });
  for (const result of await klamm.sendBatch(Array.from({ length: 500 }, (_, index) => ({ topic: 'node', ...record(index) })))) {
    note('node', stored(record(told.node.length)), { status: 200, body: { ...result, offset: String(result.offset) } });
  }
  await klamm.close();
});

test('batches are answered record by record', { timeout: 30_000 }, async () => {
  const values = ['text', 5, true, null, { a: [1] }, [], ''];
  const texts = ['text', '5', 'true', null, '{"a":[1]}', '[]', ''];
  const batch = values.map((value, index) => ({ value, partition: index % 3, timestamp: 1_700_000_000_000 + index, headers: { h: '1' } }));
  const { status, body } = await plain.post('/topics/batches', batch);
  assert.deepEqual([status, body.length], [200, values.length]);
  body.forEach((result, index) => note('batches', { value: texts[index] }, { status, body: result }));
  assert.ok(body.every(({ offset, timestamp }, index) => typeof offset === 'string' && timestamp === 1_700_000_000_000 + index));
  // One of them cannot be: the others are published all the same, and the answer says which.
  const mixed = await plain.post('/topics/batches', [{ value: 'a' }, { value: 'b', partition: 99 }, { value: 'c' }]);
  assert.equal(mixed.status, 404);
  assert.deepEqual(mixed.body[1].error, {
    name: 'UNKNOWN_TOPIC_OR_PARTITION', code: 3, retriable: false, fate: 'not-written', message: mixed.body[1].error.message,
  });
  note('batches', { value: 'a' }, { status: 200, body: mixed.body[0] });
  note('batches', { value: 'c' }, { status: 200, body: mixed.body[2] });
  assert.deepEqual(await plain.post('/topics/batches', []).then(({ status, body }) => [status, body]), [200, []]);
});

test('what cannot become a record is refused, and says why', { timeout: 30_000 }, async () => {
  const refused = async (expected, path, body, options) => {
    const { status, body: { error } } = await plain.post(path, body, options);
    assert.deepEqual([status, error.name], expected, `${path} ${String(JSON.stringify(body)).slice(0, 60)}`);
    assert.ok(error.message.length > 0);
  };
  for (const path of ['/topics/odd', '/kept/topics/odd']) {
    for (const bad of ['{', '', 'nothing', new Uint8Array([34, 255, 34])]) await refused([400, 'BAD_JSON'], path, bad);
    for (const bad of [5, 'text', null, [[]], {}, { key: 'k' }, { value: 1, values: 2 }, { value: 1, topic: 'tcp' }, [{ value: 1 }, 2]]) {
      await refused([400, 'BAD_RECORD'], path, JSON.stringify(bad));
    }
    for (const bad of [{ value: 1, partition: -1 }, { value: 1, timestamp: 'now' }, { value: 1, headers: ['a'] }, { value: 1, headers: 5 }]) {
      await refused([400, 'INVALID_RECORD'], path, bad);
    }
    await refused([404, 'UNKNOWN_TOPIC_OR_PARTITION'], path, { value: 1, partition: 3 });
    await refused([415, 'UNSUPPORTED_MEDIA_TYPE'], path, { value: 1 }, { headers: { 'content-type': 'text/plain' } });
    await refused([413, 'BODY_TOO_LARGE'], path, { value: 'x'.repeat(1 << 20) });
    await refused([413, 'TOO_MANY_RECORDS'], path, Array.from({ length: 1_001 }, () => ({ value: 1 })));
  }
  for (const path of ['/', '/topics', '/topics/', '/topics/odd/', '/topics/odd/1', '/topics/private', '/topics/%ff', '/topics/tcp,odd']) {
    await refused([404, 'NOT_FOUND'], path, { value: 1 });
  }
  const get = await fetch(`${plain.url}/topics/odd`);
  assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST']);
  await get.body.cancel();
  // Without a length, in pieces; it may be hung up on.
  async function* pieces() {
    for (let piece = 0; piece < 30; piece += 1) {
      yield new Uint8Array(100_000).fill(32);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  const endless = await fetch(`${plain.url}/topics/odd`, {
    method: 'POST', body: ReadableStream.from(pieces()), duplex: 'half', headers: { 'content-type': 'application/json' },
  }).catch((error) => error);
  if (!(endless instanceof Error)) assert.equal(endless.status, 413);
});

test('a token is wanted where one is set', { timeout: 30_000 }, async () => {
  const worker = await Workerd.start({ ...environment, API_TOKEN: 'correct horse' });
  for (const authorization of [undefined, 'Bearer wrong', 'Bearer correct horsf', 'Basic correct horse']) {
    const { status, body } = await worker.post('/topics/odd', { value: 1 }, { headers: authorization ? { authorization } : {} });
    assert.deepEqual([status, body.error.name], [401, 'UNAUTHORIZED']);
  }
  const answer = await worker.post('/topics/odd', { value: 'authorised' }, { headers: { authorization: 'Bearer correct horse' } });
  note('odd', { value: 'authorised' }, answer);
  await worker.stop();
});

test('nobody is there: an answer in bounded time that says that trying again may help', { timeout: 30_000 }, async () => {
  await Promise.all([
    { KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' },
    { BRIDGE_URL: bridge.url, BRIDGE_TOKEN: 'another-token-entirely' },
    { BRIDGE_URL: 'ws://127.0.0.1:1' },
  ].map(async (env) => {
    const worker = await Workerd.start({ ...environment, ...env, KAFKA_PROPERTIES: IMPATIENT });
    const start = performance.now();
    for (const path of ['/topics/odd', '/kept/topics/odd']) {
      const { status, body: { error } } = await worker.post(path, { value: 'nobody' });
      assert.deepEqual([status, error.name, error.retriable, error.fate], [504, 'DELIVERY_TIMEOUT', true, 'not-written']);
    }
    const keyed = await worker.post('/topics/odd', { key: 'k', value: 'nobody' });
    assert.deepEqual([keyed.status, keyed.body.error.name], [503, 'MAX_BLOCK_EXCEEDED']);
    assert.equal(keyed.headers.get('retry-after'), '1');
    assert.ok(performance.now() - start < 10_000);
    await worker.stop();
  }));
});

test('settings that cannot work are for the log, not for the caller', { timeout: 30_000 }, async () => {
  const worker = await Workerd.start({ ...environment, KAFKA_PROPERTIES: '{"linger.sm":5}' });
  const { status, body: { error } } = await worker.post('/topics/odd', { value: 'v' });
  assert.deepEqual([status, error.name], [500, 'INVALID_CONFIG']);
  assert.ok(!error.message.includes('linger.sm') && worker.said.includes('linger.sm'));
  await worker.stop();
});

test('who does not wait is answered at once, and the record is published all the same', { timeout: 30_000 }, async () => {
  for (const path of ['/topics/later', '/kept/topics/later']) {
    const { results } = await many(20, 4, (index) => plain.post(`${path}?wait=false`, { value: `${path} ${index}` }));
    for (const { status, body } of results) assert.deepEqual([status, body], [202, { accepted: 1 }]);
    for (let index = 0; index < 20; index += 1) told.later.push({ key: null, value: `${path} ${index}` });
  }
});

test('a client that goes away harms nobody', { timeout: 30_000 }, async () => {
  for (const path of ['/topics/odd', '/kept/topics/odd']) {
    const { results } = await many(40, 8, (index) => {
      const signal = AbortSignal.timeout(index % 10);
      return plain.post(path, { value: `gone ${path} ${index}` }, { signal }).catch((error) => error);
    });
    assert.ok(results.some((result) => result instanceof Error), 'some went away');
    results.forEach((answer, index) => {
      if (!(answer instanceof Error)) note('odd', { value: `gone ${path} ${index}` }, answer);
    });
    note('odd', { value: `stayed ${path}` }, await plain.post(path, { value: `stayed ${path}` }));
  }
});

test('a producer that is kept between requests says that it cannot be', { timeout: 30_000 }, async () => {
  const dir = join(need('KLAMM_EXAMPLE'), '../mistake');
  cpSync(need('KLAMM_EXAMPLE'), dir, { recursive: true });
  cpSync(new URL('./mistake.js', import.meta.url), join(dir, 'src/worker.js'));
  for (const env of [environment, { ...environment, BRIDGE_URL: bridge.url, BRIDGE_TOKEN: TOKEN }]) {
    const worker = await Workerd.start(env, { dir });
    const first = await worker.post('/topics/odd', { value: 'first' });
    note('odd', { value: 'first' }, first);
    for (let again = 0; again < 2; again += 1) {
      const { status, body: { error } } = await worker.post('/topics/odd', { value: 'second' });
      assert.deepEqual([status, error.name], [500, 'CLOSED']);
      assert.match(error.message, /another request.*Durable Object/);
    }
    await worker.stop();
  }
});

test('`workerd test`: the package by itself, over both transports', { timeout: 60_000 }, async () => {
  const dir = join(need('KLAMM_EXAMPLE'), '../unit');
  cpSync(need('KLAMM_EXAMPLE'), dir, { recursive: true });
  cpSync(new URL('./unit.js', import.meta.url), join(dir, 'src/worker.js'));
  const said = await unit(dir, 'config.capnp', { ...environment, BRIDGE_URL: bridge.url, BRIDGE_TOKEN: TOKEN });
  for (const line of said.split('\n').filter((line) => line.startsWith('told '))) {
    const [, topic, index, length, partition, offset] = line.split(' ');
    told[topic].push({ key: `k${index}`, value: `${index}-${'v'.repeat(length)}`, partition: Number(partition), offset });
  }
  assert.deepEqual([told['unit-sockets'].length, told['unit-websocket'].length], [2_000, 2_000], said);
});

test('Kafka\'s own consumer finds every record once, where it was told', { timeout: 60_000 }, async () => {
  const logs = await kafka.logs(TOPICS);
  for (const topic of TOPICS) {
    const at = ({ partition, offset }) => `${partition}/${offset}`;
    const found = new Map(logs[topic].map((record) => [at(record), record]));
    assert.equal(found.size, logs[topic].length);
    for (const { timestamp, ...expected } of told[topic]) {
      // Of those that did not wait nobody was told where they are.
      const record = expected.offset === undefined ? logs[topic].find(({ value }) => value === expected.value) : found.get(at(expected));
      assert.ok(record, `${topic}: ${JSON.stringify(expected)} is missing`);
      assert.deepEqual({ ...record, timestamp: undefined }, { ...record, ...expected, timestamp: undefined });
      if (timestamp !== undefined) assert.equal(record.timestamp, timestamp);
      found.delete(at(record));
    }
    // Whose client went away may be there, once; nothing else.
    const rest = [...found.values()].map(({ value }) => value);
    assert.ok(rest.every((value) => topic === 'odd' && value.startsWith('gone ')), `${topic}: ${rest.slice(0, 5).join(', ')}`);
    assert.equal(new Set(rest).size, rest.length);
    const gone = new Set(told[topic].map(({ value }) => value));
    assert.ok(!rest.some((value) => gone.has(value)), `${topic}: twice`);
  }
  assert.deepEqual([told.tcp.length, told.websocket.length, told.kept.length], [REQUESTS, REQUESTS, REQUESTS]);
});
