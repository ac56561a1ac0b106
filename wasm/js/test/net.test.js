// Records through node:net into the simulated cluster, read back from its log.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Cluster, KafkaError, Producer, net } from './cluster.js';

let cluster;
before(async () => (cluster = await Cluster.start()));
after(async () => {
  // Those that a failed test has left.
  for (const klamm of open) await klamm.close({ timeout: 0 });
  await cluster.stop();
});

let topics = 0;
async function topic(partitions) {
  const name = `t${(topics += 1)}`;
  await cluster.ask('topic', name, partitions);
  return name;
}

const open = [];
function producer(more) {
  const klamm = new Producer({ 'bootstrap.servers': [cluster.bootstrap], ...more });
  open.push(klamm);
  return klamm;
}
const noise = (length) => new Uint8Array(randomBytes(length));
const buffer = (content) => {
  if (content === null || content === undefined) return null;
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content);
};

test('records of all shapes arrive byte for byte', { timeout: 30_000 }, async () => {
  const name = await topic(3);
  const klamm = producer({ 'compression.type': 'lz4' });
  const records = [
    { value: 'text' },
    { key: 'clé ☕ 𝄞', value: 'ü'.repeat(500) },
    { key: '', value: '' },
    { key: new Uint8Array([0, 255, 128]), value: null },
    { value: { json: [1, 'zwei', null] } },
    { value: 21.5 },
    { key: 'headers', value: 'h', headers: { a: '1', b: new Uint8Array([1, 2]), '': null } },
    { value: 'pairs', headers: [['twice', 'x'], ['twice', 'y']] },
    { value: noise(200_000), partition: 2, timestamp: 1_700_000_000_123 },
    { value: new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2), timestamp: new Date(5) },
    { value: 'y'.repeat(900_000) },
    { key: 'only a key', value: null },
  ];
  const results = await Promise.all(records.map((record) => klamm.send({ topic: name, ...record })));
  const logs = await Promise.all([0, 1, 2].map((partition) => cluster.log(name, partition)));
  for (const [index, { partition, offset, timestamp, topic: where }] of results.entries()) {
    const { key, value, headers } = records[index];
    assert.equal(where, name);
    assert.equal(typeof offset, 'bigint');
    const found = logs[partition][Number(offset)];
    assert.equal(found.offset, offset);
    assert.equal(found.timestamp, timestamp);
    assert.deepEqual(found.key, buffer(key));
    const sent = ArrayBuffer.isView(value) && !(value instanceof Uint8Array) ? new Uint8Array([2, 3])
      : typeof value === 'number' || value?.json ? JSON.stringify(value) : value;
    assert.deepEqual(found.value, buffer(sent), `record ${index}`);
    const pairs = Array.isArray(headers) ? headers : Object.entries(headers ?? {});
    assert.deepEqual(found.headers, pairs.map(([header, content]) => [header, buffer(content)]));
  }
  assert.equal(results[8].partition, 2);
  assert.equal(results[8].timestamp, 1_700_000_000_123);
  assert.equal(results[9].timestamp, 5);
  assert.ok(Math.abs(results[0].timestamp - Date.now()) < 20_000);
  assert.equal(logs.flat().length, records.length);
  await klamm.close();
});

test('the caller may change its bytes as soon as send returns', { timeout: 30_000 }, async () => {
  const name = await topic(2);
  const klamm = producer();
  const bytes = Buffer.alloc(4); // its slice() copies nothing
  // Keyed records wait for the topic's partitions first.
  const sent = Array.from({ length: 200 }, (_, index) => {
    bytes.fill(index);
    return klamm.send({ topic: name, key: bytes, value: bytes, headers: { h: bytes } });
  });
  const results = await Promise.all(sent);
  const logs = [await cluster.log(name, 0), await cluster.log(name, 1)];
  results.forEach(({ partition, offset }, index) => {
    const { key, value, headers } = logs[partition][Number(offset)];
    for (const found of [key, value, headers[0][1]]) assert.deepEqual([...found], Array(4).fill(index));
  });
  await klamm.close();
});

test('one killed broker, and another: every record is there once and in order', { timeout: 60_000 }, async () => {
  const name = await topic(6);
  const klamm = producer({ 'request.timeout.ms': 2_000, 'retry.backoff.ms': 20, 'reconnect.backoff.ms': 10 });
  const results = [];
  const pump = async (from) => {
    for (let at = 0; at < 20; at += 1) {
      const batch = Array.from({ length: 100 }, (_, index) => {
        const number = from + at * 100 + index;
        return { topic: name, key: `key-${number % 41}`, value: `value-${number}` };
      });
      results.push(...(await klamm.sendBatch(batch)));
    }
  };
  await pump(0);
  const [leader] = await cluster.ask('leader', name, 0);
  const during = pump(2_000);
  await cluster.ask('kill', leader);
  await during;
  await cluster.ask('restart', leader);
  const [second] = await cluster.ask('leader', name, 1);
  const again = pump(4_000);
  await cluster.ask('kill', second);
  await again;
  await cluster.ask('restart', second);
  const seen = new Set();
  for (let partition = 0; partition < 6; partition += 1) {
    const last = new Map();
    for (const { key, value } of await cluster.log(name, partition)) {
      const number = Number(value.toString().slice('value-'.length));
      assert.equal(key.toString(), `key-${number % 41}`);
      assert.ok(!seen.has(number), `${number} is there twice`);
      assert.ok((last.get(key.toString()) ?? -1) < number, `${number} is out of order`);
      seen.add(number);
      last.set(key.toString(), number);
    }
  }
  assert.equal(seen.size, 6_000);
  assert.equal(results.length, 6_000);
  const { recordsDelivered, recordsFailed, connectionsClosed } = klamm.metrics();
  assert.deepEqual([recordsDelivered, recordsFailed], [6_000, 0]);
  assert.ok(connectionsClosed >= 2, 'both were met');
  await klamm.close();
});

test('a full buffer holds senders back, and nothing is lost', { timeout: 60_000 }, async () => {
  const name = await topic(2);
  const klamm = producer({ 'buffer.memory': 1 << 18, 'batch.size': 8192 });
  assert.equal(klamm.bufferedAmount, 0);
  const value = noise(1_000);
  const sent = Array.from({ length: 2_000 }, (_, index) => klamm.send({ topic: name, value, key: String(index) }));
  assert.ok(klamm.bufferedAmount > 2_000_000, String(klamm.bufferedAmount));
  let ready = false;
  const waited = klamm.ready.then(() => (ready = true));
  await Promise.race(sent);
  assert.equal(ready, false);
  await waited;
  assert.ok(klamm.bufferedAmount <= 1 << 18);
  await klamm.flush();
  assert.equal(klamm.bufferedAmount, 0);
  const results = await Promise.all(sent);
  assert.equal(new Set(results.map(({ partition, offset }) => `${partition}/${offset}`)).size, 2_000);
  assert.ok(klamm.metrics().bufferFull > 0);
  assert.deepEqual(await cluster.ask('count', name, 2), ['2000']);
  await klamm.close();
});

test('a signal gives up waiting, but not what was accepted', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const klamm = producer({ 'buffer.memory': 1 << 17 });
  const abort = new AbortController();
  const value = noise(1_000);
  const sent = Array.from({ length: 400 }, () => klamm.send({ topic: name, value }, { signal: abort.signal }));
  abort.abort(new Error('enough'));
  const outcomes = await Promise.allSettled(sent);
  const rejected = outcomes.filter(({ status }) => status === 'rejected');
  assert.ok(rejected.length > 100 && rejected.length < 400, String(rejected.length));
  assert.ok(rejected.every(({ reason }) => reason.message === 'enough'));
  assert.deepEqual(await cluster.ask('count', name, 1), [String(400 - rejected.length)]);
  await assert.rejects(klamm.send({ topic: name, value }, { signal: abort.signal }), { message: 'enough' });
  // Those who gave up are in nobody's way.
  assert.equal((await klamm.send({ topic: name, value: 'after' })).offset, BigInt(400 - rejected.length));
  await klamm.close();
});

test('close delivers what was sent, and refuses the rest', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const klamm = producer({ 'linger.ms': 10_000, 'buffer.memory': 1 << 17 });
  const sent = Array.from({ length: 300 }, (_, index) => klamm.send({ topic: name, value: noise(1_000), key: `${index}` }));
  const closed = klamm.close();
  await assert.rejects(klamm.send({ topic: name, value: 'late' }), { name: 'CLOSED', fate: 'not-written' });
  await closed;
  assert.equal((await Promise.all(sent)).length, 300);
  assert.deepEqual(await cluster.ask('count', name, 1), ['300']);
  await klamm.close();
  await klamm.flush();
});

test('close with a timeout ends in time where nobody answers', { timeout: 30_000 }, async () => {
  const klamm = producer({ 'bootstrap.servers': '127.0.0.1:1', 'buffer.memory': 1 << 17 });
  const problem = new Promise((resolve) => klamm.addEventListener('problem', resolve, { once: true }));
  const sent = Array.from({ length: 300 }, () => klamm.send({ topic: 'nowhere', value: noise(1_000) }));
  const keyed = klamm.send({ topic: 'nowhere', key: 'k', value: 'v' });
  const { error } = await problem;
  assert.equal(error.name, 'UNREACHABLE');
  assert.match(error.message, /\(refused\); trying on: connect ECONNREFUSED 127.0.0.1:1$/);
  assert.equal(error.cause.code, 'ECONNREFUSED');
  const before = performance.now();
  const closed = klamm.close({ timeout: 300 });
  const outcomes = await Promise.allSettled([...sent, keyed]);
  await closed;
  const took = performance.now() - before;
  assert.ok(took > 250 && took < 2_000, `${took} ms`);
  for (const { status, reason } of outcomes) {
    assert.equal(status, 'rejected');
    assert.ok(reason instanceof KafkaError);
    assert.deepEqual([reason.name, reason.fate, reason.retriable], ['CLOSED', 'not-written', true]);
  }
});

test('max.block.ms and delivery.timeout.ms bound every wait', { timeout: 30_000 }, async () => {
  const klamm = producer({
    'bootstrap.servers': '127.0.0.1:1', 'max.block.ms': 200, 'delivery.timeout.ms': 700, 'request.timeout.ms': 500,
  });
  const keyed = klamm.send({ topic: 'nowhere', key: 'k', value: 'v' });
  const plain = klamm.send({ topic: 'nowhere2', value: 'v' });
  await assert.rejects(keyed, { name: 'MAX_BLOCK_EXCEEDED', retriable: true, fate: 'not-written' });
  await assert.rejects(plain, { name: 'DELIVERY_TIMEOUT', retriable: true, fate: 'not-written' });
  await klamm.close();
});

test('bad options are refused by name', () => {
  const servers = { 'bootstrap.servers': 'a:1' };
  for (const [options, about] of [
    [{}, /bootstrap\.servers/],
    [undefined, /bootstrap\.servers/],
    [{ 'bootstrap.servers': ['a'] }, /bootstrap\.servers/],
    [{ ...servers, 'linger.sm': 5 }, /linger\.sm/],
    [{ ...servers, 'linger.ms': 'soon' }, /linger\.ms/],
    [{ ...servers, 'linger.ms': 0.5 }, /linger\.ms/],
    [{ ...servers, 'acks': 1, 'enable.idempotence': true }, /enable\.idempotence/],
    [{ ...servers, 'compression.type': 'zstd' }, /compression\.type/],
    [{ ...servers, 'client.id': {} }, /client\.id/],
    [{ ...servers, 'max.block.ms': -1 }, /max\.block\.ms/],
    [{ ...servers, 'buffer.memory': 1 }, /buffer\.memory/],
    [{ ...servers, transport: 'pigeon' }, /transport/],
    [{ ...servers, bridge: 'ws://b' }, /bridge/],
  ]) {
    assert.throws(() => new Producer(options), (error) => {
      assert.ok(error instanceof KafkaError, String(error));
      assert.deepEqual([error.name, error.code, error.retriable], ['INVALID_CONFIG', 40, false]);
      assert.match(error.message, about);
      return true;
    });
  }
});

test('bad records are refused, and harm no others', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const klamm = producer();
  await klamm.send({ topic: name, value: 'first' });
  const refused = (record, what) => assert.rejects(klamm.send({ topic: name, ...record }), { fate: 'not-written', ...what });
  await refused({ value: 'v', partition: 7 }, { name: 'UNKNOWN_TOPIC_OR_PARTITION', code: 3 });
  await refused({ value: 'x'.repeat(2 << 20) }, { name: 'MESSAGE_TOO_LARGE', code: 10 });
  await refused({ value: 'v', partition: -1 }, { name: 'INVALID_RECORD' });
  await refused({ value: 'v', timestamp: 0.5 }, { name: 'INVALID_RECORD' });
  await refused({ value: 1n }, { name: 'INVALID_RECORD' });
  await refused({ value: () => {} }, { name: 'INVALID_RECORD' });
  await refused({ value: 'v', headers: [1] }, { name: 'INVALID_RECORD' });
  await refused({ topic: '', value: 'v' }, { name: 'INVALID_TOPIC_EXCEPTION', code: 17 });
  await refused({ topic: 5, value: 'v' }, { name: 'INVALID_RECORD' });
  const batch = klamm.sendBatch([
    { topic: name, value: 'a' }, { topic: name, value: 'b', partition: 9 }, { topic: name, value: 'c' },
  ]);
  await assert.rejects(batch, (error) => {
    assert.equal(error.name, 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.deepEqual(error.results.map((result) => result.offset ?? result.name), [1n, 'UNKNOWN_TOPIC_OR_PARTITION', 2n]);
    return true;
  });
  assert.deepEqual(await klamm.sendBatch([]), []);
  await klamm.close();
});

test('a transport of the caller\'s own, which stalls, splits and fails', { timeout: 30_000 }, async () => {
  const name = await topic(2);
  const tcp = net.transport({});
  let [opened, stalls] = [0, 0];
  const transport = {
    connect(host, port, on) {
      opened += 1;
      if (opened === 1) throw new Error('not today');
      const stream = tcp.connect(host, port, {
        ...on,
        ondata: (bytes) => bytes.forEach((_, at) => on.ondata(bytes.subarray(at, at + 1))),
        ondrain() {},
      });
      return {
        close: () => stream.close(),
        write(bytes) {
          stalls += 1;
          if (stalls === 3) throw new Error('write fails');
          stream.write(bytes);
          setTimeout(on.ondrain, 1);
          return false;
        },
      };
    },
  };
  const klamm = producer({ transport, 'batch.size': 4096 });
  const results = await klamm.sendBatch(Array.from({ length: 500 }, (_, at) => ({ topic: name, value: `v${at}` })));
  assert.equal(results.length, 500);
  assert.deepEqual(await cluster.ask('count', name, 2), ['500']);
  assert.ok(opened >= 3 && stalls > 3, `${opened} ${stalls}`);
  await klamm.close();
});

test('streams that are another request\'s, as workerd has them, end the producer and say why', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const tcp = net.transport({});
  let isOver = false;
  const foreign = () => new Error('Cannot perform I/O on behalf of a different request. I/O objects …');
  const transport = {
    connect(...call) {
      const stream = tcp.connect(...call);
      return {
        write(bytes) {
          if (isOver) throw foreign();
          return stream.write(bytes);
        },
        close() {
          stream.close();
          if (isOver) throw foreign();
        },
      };
    },
  };
  const klamm = producer({ transport });
  await klamm.send({ topic: name, value: 'v' });
  isOver = true;
  const told = new Promise((resolve) => klamm.addEventListener('problem', resolve, { once: true }));
  await assert.rejects(klamm.send({ topic: name, value: 'v' }), { name: 'CLOSED', message: /another request/ });
  assert.equal((await told).error.name, 'CLOSED');
  await assert.rejects(klamm.send({ topic: name, value: 'v' }), { name: 'CLOSED', message: /Durable Object/ });
  await klamm.close();
});

test('an idle producer lets the host sleep', { timeout: 30_000 }, async (context) => {
  const klamm = producer();
  await klamm.send({ topic: await topic(1), value: 'v' });
  await sleep(100);
  let timers = 0;
  const { setTimeout: real } = globalThis;
  globalThis.setTimeout = (...call) => {
    timers += 1;
    return real(...call);
  };
  context.after(() => (globalThis.setTimeout = real));
  await sleep(1_000);
  assert.ok(timers <= 3, `${timers} timers within a second`);
  await klamm.close();
});

test('leaving its scope closes it', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const klamm = producer({ 'linger.ms': 5_000 });
  const sent = klamm.send({ topic: name, value: 'v' });
  await klamm[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]();
  assert.equal((await sent).offset, 0n);
  await assert.rejects(klamm.send({ topic: name, value: 'v' }), { name: 'CLOSED' });
});

test('timestamps follow the calendar when it is set', { timeout: 30_000 }, async (context) => {
  const klamm = producer();
  const name = await topic(1);
  await klamm.send({ topic: name, value: 'v' });
  const { now: real } = Date;
  Date.now = () => real() + 3_600_000;
  context.after(() => (Date.now = real));
  const { timestamp } = await klamm.send({ topic: name, value: 'v' });
  assert.ok(Math.abs(timestamp - Date.now()) < 20_000, String(timestamp));
  await klamm.close();
});
