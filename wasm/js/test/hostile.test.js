// Wrong types, races and misfortune: every promise settles, with words that help, and nothing escapes from inside.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContext, runInContext } from 'node:vm';

import { Cluster, KafkaError, Producer, net } from './cluster.js';

let cluster;
const escaped = [];
process.on('unhandledRejection', (error) => escaped.push(error));
before(async () => (cluster = await Cluster.start(1)));
after(async () => {
  for (const klamm of open) await klamm.close({ timeout: 0 });
  await cluster.stop();
});
afterEach(async () => {
  await sleep(0); // the host tells of them late
  assert.deepEqual(escaped, [], 'rejections that nobody could handle');
});

let topics = 0;
async function topic(partitions = 1) {
  const name = `hostile-${(topics += 1)}`;
  await cluster.ask('topic', name, partitions);
  return name;
}

const open = [];
function producer(more) {
  // What hangs is to be seen soon.
  const bounds = { 'max.block.ms': 20_000, 'delivery.timeout.ms': 20_000, 'request.timeout.ms': 10_000 };
  const klamm = new Producer({ 'bootstrap.servers': cluster.bootstrap, ...bounds, ...more });
  open.push(klamm);
  return klamm;
}

/** What lies in a topic of one partition. */
const values = async (name) => (await cluster.log(name, 0)).map(({ value }) => value.toString());

function given(buffer) {
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

/** A transport by TCP through which bytes go as `change` has it. */
const by = (change) => ({
  connect: (host, port, on) => change(net.transport({}).connect, host, port, on),
});

/** An instance of the module whose functions the test can put in the place of its own. */
function withExports(change) {
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class {
    constructor(...of) {
      const { exports } = new Instance(...of);
      this.exports = { ...exports, ...change(exports) };
    }
  };
  try {
    return producer();
  } finally {
    WebAssembly.Instance = Instance;
  }
}

const taken = new Uint8Array(4);
given(taken.buffer);
const cyclic = {};
cyclic.self = cyclic;

test('what cannot be a record is refused in words, and is in nobody\'s way', { timeout: 30_000 }, async () => {
  const name = await topic();
  const klamm = producer();
  const shapeless = Object.create(null);
  for (const [record, about] of [
    [undefined, /a record is an object/], [null, /a record is an object/], ['text', /a record is an object/], [{}, /value/], [{ value: undefined }, /value is missing/],
    [{ topic: Symbol('t') }, /topic/], [{ topic: new String(name) }, /topic/],
    [{ value: 5n }, /value.*BigInt/], [{ key: cyclic }, /key.*circular/], [{ value: Symbol('v') }, /value/],
    [{ value: new Map([[1, 2]]) }, /Map/], [{ value: new Set([1]) }, /Set/], [{ value: Promise.resolve(1) }, /Promise/],
    [{ value: new Error('e') }, /Error/], [{ value: new Blob(['b']) }, /Blob/], [{ value: NaN }, /NaN/], [{ value: -Infinity }, /Infinity/],
    [{ value: { toJSON() { throw new Error('mine'); } } }, /mine/], [{ value: { toJSON() {} } }, /value/],
    [{ value: given(new ArrayBuffer(4)) }, /given away/], [{ key: taken }, /given away/],
    [{ headers: 5 }, /headers/], [{ headers: 'ab' }, /headers/], [{ headers: Symbol('h') }, /headers/], [{ headers: [null] }, /header/],
    [{ headers: new Map([[1, 'v']]) }, /header/], [{ headers: { h: 1n } }, /header h/], [{ headers: [['h', Promise.resolve()]] }, /header h/],
    [{ partition: 1.5 }, /partition/], [{ partition: 2 ** 31 }, /partition/], [{ partition: '0' }, /partition/], [{ partition: 0n }, /partition/],
    [{ partition: Symbol('p') }, /Symbol\(p\)/], [{ partition: shapeless }, /partition/], [{ partition: NaN }, /NaN/],
    [{ timestamp: NaN }, /timestamp/], [{ timestamp: new Date(NaN) }, /timestamp/], [{ timestamp: -1 }, /timestamp/],
    [{ timestamp: new Date(-1) }, /timestamp/], [{ timestamp: 2 ** 60 }, /timestamp/], [{ timestamp: Symbol('t') }, /timestamp/],
  ]) {
    const whole = record && typeof record === 'object' && Object.keys(record).length > 0 ? { topic: name, value: 'v', ...record } : record;
    await assert.rejects(klamm.send(whole), (error) => {
      assert.ok(error instanceof KafkaError, String(error?.stack));
      assert.deepEqual([error.name, error.fate, error.retriable], ['INVALID_RECORD', 'not-written', false]);
      assert.match(error.message, about);
      return true;
    });
  }
  await klamm.send({ topic: name, value: 'fine' }, null);
  assert.deepEqual(await values(name), ['fine']);
  await klamm.close();
});

test('what is unusual but has a meaning arrives', { timeout: 30_000 }, async () => {
  const name = await topic();
  const klamm = producer();
  const realm = createContext({});
  await klamm.send({ topic: name, value: 'lone \ud800 surrogate', headers: null, key: null, partition: null, timestamp: null });
  await klamm.send({ topic: name, value: runInContext('new Uint8Array([49, 50])', realm) });
  await klamm.send({ topic: name, value: runInContext('new Uint8Array([51, 52]).buffer', realm), headers: new Map([['m', 1]]) });
  await klamm.send({ topic: name, value: new Uint8Array(new SharedArrayBuffer(2)).fill(53) });
  await klamm.send({ topic: name, value: new Date(0), timestamp: 0, headers: [['\ud800', '\udc00'], ['u', undefined]] });
  await klamm.send({ topic: name, value: new (class Empty {})() });
  await klamm.send(Object.freeze({ topic: name, value: Object.freeze([null, NaN]) }));
  assert.deepEqual(await values(name), [
    'lone \ufffd surrogate', '12', '34', '55', '"1970-01-01T00:00:00.000Z"', '{}', '[null,null]',
  ]);
  const { timestamp, headers } = (await cluster.log(name, 0))[4];
  assert.deepEqual([timestamp, headers], [0, [['\ufffd', Buffer.from('\ufffd')], ['u', null]]]);
  await klamm.close();
});

test('wrong arguments are rejections, not exceptions', { timeout: 30_000 }, async () => {
  const klamm = producer();
  const refused = async (call, what) => {
    let promise;
    assert.doesNotThrow(() => (promise = call()));
    await assert.rejects(promise, (error) => error instanceof KafkaError && error.name === what);
  };
  for (const records of [undefined, null, 5, 'ab', {}, [null], new Array(3), [, { topic: 't', value: null }]]) {
    await refused(() => klamm.sendBatch(records), 'INVALID_RECORD');
  }
  for (const signal of [{}, 5, new AbortController()]) await refused(() => klamm.send({ topic: 't', value: null }, { signal }), 'INVALID_CONFIG');
  for (const timeout of ['5', -1, NaN, 5n, Symbol('t'), {}]) await refused(() => klamm.close({ timeout }), 'INVALID_CONFIG');
  await assert.rejects(klamm.sendBatch((function* () { throw new Error('mine'); })()), { message: 'mine' });
  assert.deepEqual(await klamm.sendBatch([], null), []);
  await klamm.close(null);
});

test('wrong options are refused by name', () => {
  const servers = { 'bootstrap.servers': 'a:1' };
  for (const [options, about] of [
    ['a:1', /new Producer/], [() => {}, /new Producer/], [[], /bootstrap\.servers/],
    [{ 'bootstrap.servers': Symbol('s') }, /bootstrap\.servers/], [{ 'bootstrap.servers': [Symbol('s')] }, /bootstrap\.servers/],
    [{ 'bootstrap.servers': ['a:1', null] }, /bootstrap\.servers/],
    [{ ...servers, 'transport': Symbol('t') }, /transport/], [{ ...servers, 'transport': Object.create(null) }, /transport/],
    [{ ...servers, 'max.block.ms': Symbol('m') }, /max\.block\.ms/], [{ ...servers, 'max.block.ms': '' }, /max\.block\.ms/],
    [{ ...servers, 'max.block.ms': [] }, /max\.block\.ms/], [{ ...servers, 'acks': null }, /acks/],
    [{ ...servers, 'security.protocol': Symbol('p') }, /security\.protocol/], [{ ...servers, 'linger.ms': 5n }, /linger\.ms/],
    [{ ...servers, 'buffer.memory': 4_000_000_000 }, /buffer\.memory/],
  ]) {
    assert.throws(() => new Producer(options), (error) => {
      assert.ok(error instanceof KafkaError, String(error?.stack));
      assert.equal(error.name, 'INVALID_CONFIG');
      assert.match(error.message, about);
      return true;
    });
  }
});

test('a server that is no host:port is refused by its own text', () => {
  const right = ['a:1', ' b.example:65535 ', '10.0.0.1:9092', '[::1]:9092', 'b\u00fccher.example:9092', 'PLAINTEXT://a:1'];
  for (const wrong of [
    'http://localhost:9092', 'kafka://localhost:9092', 'https://localhost', 'SSL://localhost:9093', 'localhost:9092/path', 'localhost',
    'localhost:', ':9092', 'localhost:0', 'localhost:65536', 'localhost:9092x', '::1:9092', 'two words:9092', 'localhost:9092;b:1', '"localhost:9092"',
  ]) {
    for (const servers of [wrong, [...right, wrong], [...right, wrong].join()]) {
      assert.throws(() => new Producer({ 'bootstrap.servers': servers }), (error) => {
        assert.ok(error instanceof KafkaError, String(error?.stack));
        assert.deepEqual([error.name, error.message], ['INVALID_CONFIG', `bootstrap.servers: \`${wrong}\` is not host:port`]);
        return true;
      });
    }
  }
  // A URL may hold a password, which no log should have.
  assert.throws(() => new Producer({ 'bootstrap.servers': 'kafka://user:secret@localhost:9092' }), (error) => {
    assert.match(error.message, /^bootstrap\.servers: .*localhost:9092/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
  open.push(new Producer({ 'bootstrap.servers': right }), new Producer({ 'bootstrap.servers': `,${right.join()},` }));
});

test('bytes that are given away while others are looked at fail alone', { timeout: 30_000 }, async () => {
  const name = await topic();
  const klamm = producer();
  const bytes = new Uint8Array(8);
  const thief = { toJSON: () => given(bytes.buffer).byteLength };
  const batch = klamm.sendBatch([{ topic: name, value: 'a' }, { topic: name, value: bytes }, { topic: name, value: thief }]);
  await assert.rejects(batch, (error) => {
    assert.deepEqual(error.results.map((result) => result.name ?? result.offset), [0n, 'INVALID_RECORD', 1n]);
    return true;
  });
  assert.equal((await klamm.send({ topic: name, value: 'b' })).offset, 2n);
  // The same where all have to wait first: with keys, for the partitions of a topic that is new.
  const [fresh, more] = [await topic(), new Uint8Array(8)];
  const robber = { toJSON: () => given(more.buffer).byteLength };
  const waiting = [{ value: 'a' }, { value: more }, { value: robber }].map((record) => ({ topic: fresh, key: 'k', ...record }));
  await assert.rejects(klamm.sendBatch(waiting), (error) => {
    assert.deepEqual(error.results.map((result) => result.name ?? result.offset), [0n, 'INVALID_RECORD', 1n]);
    return true;
  });
  await klamm.close();
});

test('records too large for any request cost no memory, and fail alone', { timeout: 60_000 }, async () => {
  const name = await topic();
  const klamm = producer();
  await klamm.send({ topic: name, value: 'warm' });
  const memory = () => process.memoryUsage().external; // the module's included
  const before = memory();
  const large = new Uint8Array(300 << 20);
  const tooLarge = { name: 'MESSAGE_TOO_LARGE', code: 10, fate: 'not-written', retriable: false };
  await assert.rejects(klamm.send({ topic: name, value: large }), tooLarge);
  await assert.rejects(klamm.send({ topic: name, key: 'k', value: 'x'.repeat(300 << 20) }), tooLarge);
  await assert.rejects(klamm.send({ topic: name, value: null, headers: { h: large } }), tooLarge);
  const batch = klamm.sendBatch([{ topic: name, value: 'a' }, { topic: name, value: large }, { topic: name, value: 'b' }]);
  await assert.rejects(batch, (error) => {
    assert.deepEqual(error.results.map((result) => result.name ?? result.offset), [1n, 'MESSAGE_TOO_LARGE', 2n]);
    return true;
  });
  await assert.rejects(klamm.send({ topic: 'x'.repeat(100 << 20), value: null }), { name: 'INVALID_TOPIC_EXCEPTION' });
  const more = memory() - before - large.length;
  assert.ok(more < 16 << 20, `${more} B more than the record's own`);
  await klamm.close();
});

test('an abandoned batch says why, and what became of each record', { timeout: 30_000 }, async () => {
  const name = await topic();
  const klamm = producer({ 'buffer.memory': 1 << 17 });
  const records = Array.from({ length: 400 }, () => ({ topic: name, value: new Uint8Array(1_000) }));
  for (const [reason, wanted] of [
    [undefined, { name: 'AbortError' }], [new DOMException('late', 'TimeoutError'), { name: 'TimeoutError', message: 'late' }],
    [new RangeError('mine'), { name: 'RangeError', message: 'mine' }],
  ]) {
    const abort = new AbortController();
    const batch = klamm.sendBatch(records, { signal: abort.signal });
    abort.abort(reason);
    const error = await batch.then(() => assert.fail(), (error) => error);
    for (const [field, value] of Object.entries(wanted)) assert.equal(error[field], value);
    assert.ok(error instanceof (reason?.constructor ?? DOMException));
    assert.equal(error.results.length, 400);
    assert.ok(error.results.filter((result) => result === abort.signal.reason).length > 100);
    assert.ok(error.results.filter(({ offset }) => offset !== undefined).length > 0);
  }
  // One that the record itself aborts, too late for being refused.
  const abort = new AbortController();
  const full = Array.from({ length: 400 }, () => klamm.send({ topic: name, value: new Uint8Array(1_000) }));
  const nasty = { toJSON: () => abort.abort() ?? 1 };
  await assert.rejects(klamm.send({ topic: name, value: nasty }, { signal: abort.signal }), { name: 'AbortError' });
  await Promise.all(full);
  await klamm.close();
});

test('a trap anywhere settles everything', { timeout: 30_000 }, async () => {
  const [one, two] = [await topic(), await topic()];
  const broke = { name: 'INTERNAL_ERROR', message: /please report this/ };
  // No memory is so large: the module panics.
  const trap = (exports) => exports.stage(0xfff00000);
  // Three bytes are no list: not a trap, but a bug as well.
  const nonsense = () => 3;
  for (const [broken, act, way = trap] of [
    ['send', (klamm) => klamm.sendBatch([{ topic: one, value: null }, { topic: two, value: null }])],
    ['topic', (klamm) => klamm.send({ topic: 'never heard of', value: null })],
    ['metrics', async (klamm) => klamm.metrics()],
    ['held', async (klamm) => klamm.bufferedAmount],
    ['flush', (klamm) => klamm.flush()],
    ['input', (klamm) => klamm.send({ topic: one, key: 'k', value: null })],
    ['poll', (klamm) => klamm.send({ topic: one, value: null })],
    ['events', (klamm) => klamm.send({ topic: one, value: null }), nonsense],
  ]) {
    let armed = false;
    const klamm = withExports((exports) => ({ [broken]: (...of) => (armed ? way(exports) : exports[broken](...of)) }));
    const problems = [];
    klamm.addEventListener('problem', ({ error }) => problems.push(error.name));
    const waiting = [klamm.send({ topic: one, key: 'waits', value: null }), klamm.send({ topic: two, key: 'waits', value: null }), klamm.send({ topic: two, value: null })];
    armed = true;
    const acted = act(klamm);
    const outcomes = await Promise.allSettled([...waiting, acted]);
    for (const { status, reason } of outcomes) {
      assert.equal(status, 'rejected', broken);
      assert.equal(reason.name, broke.name, `${broken}: ${reason.stack}`);
      assert.match(reason.message, broke.message);
    }
    await assert.rejects(klamm.send({ topic: one, value: null }), broke);
    await klamm.ready;
    assert.throws(() => klamm.metrics(), broke);
    await assert.rejects(klamm.flush(), broke);
    assert.equal(klamm.bufferedAmount, 0);
    await klamm.close();
    assert.deepEqual(problems, ['INTERNAL_ERROR'], broken);
  }
  // Others are not harmed.
  const other = producer();
  await other.send({ topic: one, value: 'fine' });
  await other.close();
});

test('what the broker may have is told apart when a trap takes the rest', { timeout: 30_000 }, async () => {
  const name = await topic();
  let armed = false;
  const klamm = withExports((exports) => ({ send: (...of) => (armed ? exports.stage(0xfff00000) : exports.send(...of)) }));
  const held = klamm.send({ topic: name, value: 'held' });
  armed = true;
  await assert.rejects(klamm.send({ topic: name, value: 'never taken' }), { name: 'INTERNAL_ERROR', code: -104, fate: 'not-written' });
  await assert.rejects(held, { name: 'INTERNAL_ERROR', fate: 'unknown' });
});

test('transports that throw, lie or answer in other types', { timeout: 60_000 }, async () => {
  const name = await topic();
  let turn = 0;
  const ways = [
    () => { throw undefined; },
    () => ({ write: () => { throw null; }, close: () => { throw new Error('close'); } }),
    (connect, host, port, on) => connect(host, port, { ...on, ondata: (bytes) => on.ondata(new Uint8Array(bytes).buffer) }),
    (connect, host, port, on) => {
      const stream = connect(host, port, { ...on, onclose: () => { on.onclose('pigeon'); on.onclose('closed'); on.ondata(new Uint8Array(3)); } });
      return { write: (bytes) => stream.write(bytes), close: () => { stream.close(); throw new Error('close'); } };
    },
  ];
  const transport = by((...of) => ways[Math.min((turn += 1) - 1, ways.length - 1)](...of));
  const klamm = producer({ transport, 'reconnect.backoff.ms': 10, 'socket.connection.setup.timeout.ms': 200 });
  const sent = [];
  for (let at = 0; at < 5; at += 1) {
    sent.push(klamm.send({ topic: name, value: String(at) }));
    await sleep(50);
  }
  await Promise.all(sent);
  assert.deepEqual(await values(name), ['0', '1', '2', '3', '4']);
  assert.ok(turn >= 3, String(turn));
  await klamm.close();
});

test('a listener that throws is the host\'s business, and the producer goes on', { timeout: 30_000 }, async (context) => {
  // Before those of node:test, which would count it.
  const others = process.rawListeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const thrown = [];
  process.on('uncaughtException', (error) => thrown.push(error.message));
  context.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  const name = await topic();
  let turn = 0;
  const transport = by((connect, ...of) => {
    if ((turn += 1) === 1) throw new Error('not today');
    return connect(...of);
  });
  const klamm = producer({ transport, 'reconnect.backoff.ms': 10 });
  klamm.addEventListener('problem', () => { throw new Error('listener'); });
  klamm.addEventListener('problem', () => klamm.send({ topic: name, value: 'from a listener' }));
  assert.equal((await klamm.send({ topic: name, value: 'v' })).partition, 0);
  await klamm.flush();
  assert.deepEqual((await values(name)).sort(), ['from a listener', 'v']);
  await klamm.close();
  assert.deepEqual(thrown, ['listener']);
});

test('close at every moment of a start settles everything', { timeout: 60_000 }, async () => {
  const name = await topic(3);
  let delivered = 0;
  for (let step = 0; step < 40; step += 1) {
    // Each step of the dialogue takes a turn of the event loop: the close falls between two others each time.
    const transport = by((connect, host, port, on) => connect(host, port, { ...on, ondata: (bytes) => setTimeout(() => on.ondata(bytes), 2) }));
    const klamm = producer({ transport, 'buffer.memory': 1 << 17 });
    const abort = new AbortController();
    const sent = Array.from({ length: 200 }, (_, at) => klamm.send({ topic: name, key: at % 2 ? `k${at}` : undefined, value: new Uint8Array(1_000) }, { signal: abort.signal }));
    const flushed = klamm.flush();
    await sleep(step / 2);
    const closed = klamm.close({ timeout: step % 3 ? 0 : 5_000 });
    if (step % 4 === 0) abort.abort(new KafkaError('abandoned', { code: 0, name: 'MINE' }));
    const outcomes = await Promise.allSettled(sent);
    await Promise.all([closed, flushed, klamm.ready, klamm.close(), klamm.flush()]);
    for (const { reason } of outcomes) assert.ok(reason === undefined || ['CLOSED', 'MINE'].includes(reason.name), String(reason?.stack));
    delivered += outcomes.filter(({ status }) => status === 'fulfilled').length;
    assert.equal(klamm.bufferedAmount, 0);
  }
  const [count] = await cluster.ask('count', name, 3);
  // What failed as unknown can be there all the same.
  assert.ok(Number(count) >= delivered && delivered > 0, `${count} ${delivered}`);
});

test('flush is true for what was sent before it, also while other flushes run', { timeout: 30_000 }, async () => {
  const name = await topic();
  const transport = by((connect, host, port, on) => connect(host, port, { ...on, ondata: (bytes) => setTimeout(() => on.ondata(bytes), 5) }));
  const klamm = producer({ transport, 'linger.ms': 50, 'max.in.flight.requests.per.connection': 1, 'batch.size': 200 });
  let settled = 0;
  const flushes = [];
  for (let sent = 1; sent <= 60; sent += 1) {
    klamm.send({ topic: name, value: 'v'.repeat(50) }).then(() => (settled += 1));
    if (sent % 7 === 0) flushes.push(klamm.flush().then(() => assert.ok(settled >= sent, `${settled} of ${sent}`)));
    if (sent % 11 === 0) await sleep(3);
  }
  await Promise.all(flushes);
  await klamm.close();
});

test('100 000 records through a slow broker: all arrive, by two producers, in order', { timeout: 120_000 }, async () => {
  const name = await topic(2);
  const transport = by((connect, host, port, on) => connect(host, port, { ...on, ondata: (bytes) => setTimeout(() => on.ondata(bytes), 10) }));
  const pair = [0, 1].map(() => producer({ transport, 'buffer.memory': 1 << 20, 'compression.type': 'lz4' }));
  await Promise.all(pair.map(async (klamm, partition) => {
    const sent = Array.from({ length: 50_000 }, (_, at) => klamm.send({ topic: name, partition, value: String(at) }));
    const told = await Promise.all(sent);
    told.forEach(({ offset }, at) => assert.equal(offset, BigInt(at)));
    await klamm.close();
  }));
  for (const partition of [0, 1]) {
    const log = await cluster.log(name, partition);
    assert.equal(log.length, 50_000);
    log.forEach(({ value }, at) => assert.equal(value.toString(), String(at)));
  }
});

test('signals are let go of, whatever became of the records', { timeout: 30_000 }, async () => {
  const name = await topic();
  const klamm = producer({ 'buffer.memory': 1 << 17 });
  const abort = new AbortController();
  const signal = abort.signal;
  const sent = Array.from({ length: 1_000 }, () => klamm.send({ topic: name, value: new Uint8Array(1_000) }, { signal }));
  assert.equal(getEventListeners(signal, 'abort').length, 1, 'one for all of them');
  await Promise.all(sent);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  await klamm.close();
});

test('a topic too many is refused, and a topic that is not there fails in time; others go on', { timeout: 30_000 }, async () => {
  const klamm = producer({ 'max.block.ms': 1_500, 'delivery.timeout.ms': 2_500, 'request.timeout.ms': 1_000 });
  const names = await Promise.all(Array.from({ length: 511 }, () => topic()));
  await klamm.sendBatch(names.map((name) => ({ topic: name, value: 'v' })));
  const nowhere = [klamm.send({ topic: 'nowhere', value: 'v' }), klamm.send({ topic: 'nowhere', key: 'k', value: null })];
  const [plain, keyed] = (await Promise.allSettled(nowhere)).map(({ reason }) => reason);
  assert.deepEqual([plain.name, plain.fate, keyed.name, keyed.fate], ['DELIVERY_TIMEOUT', 'not-written', 'MAX_BLOCK_EXCEEDED', 'not-written']);
  assert.match(plain.message, /UNKNOWN_TOPIC_OR_PARTITION/);
  await assert.rejects(klamm.send({ topic: await topic(), value: 'v' }), { name: 'TOO_MANY_TOPICS', code: -105, retriable: false });
  assert.equal((await klamm.send({ topic: names[0], value: 'v' })).offset, 1n);
  await klamm.close();
});

test('a topic that is not there is told of at once, and again by the records that waited for it', { timeout: 30_000 }, async () => {
  const klamm = producer({ 'max.block.ms': 2_000, 'delivery.timeout.ms': 2_500, 'request.timeout.ms': 1_000 });
  const told = [];
  const from = performance.now();
  klamm.addEventListener('problem', ({ error }) => told.push({ error, after: performance.now() - from }));
  const [plain, keyed] = (await Promise.allSettled([
    klamm.send({ topic: 'missing', value: 'v' }), klamm.send({ topic: 'missing', key: 'k', value: 'v' }),
  ])).map(({ reason }) => reason);
  assert.equal(told.length, 1, 'once, however often it is asked about');
  const [{ error, after: waited }] = told;
  assert.deepEqual([error.name, error.code, error.retriable], ['UNKNOWN_TOPIC_OR_PARTITION', 3, true]);
  assert.match(error.message, /topic missing/);
  assert.ok(waited < 1_000, `after ${waited} ms`);
  assert.deepEqual([keyed.name, keyed.cause, plain.name], ['MAX_BLOCK_EXCEEDED', error, 'DELIVERY_TIMEOUT']);
  assert.match(keyed.message, /UNKNOWN_TOPIC_OR_PARTITION/);
  // It can come yet: there is nothing to tell then, and no reason left.
  const late = klamm.send({ topic: 'missing', key: 'k', value: 'v' });
  await cluster.ask('topic', 'missing', 1);
  assert.equal((await late).offset, 0n);
  assert.equal(told.length, 1);
  await klamm.close();
});

test('a topic that can never be is refused at once, with key and without', { timeout: 30_000 }, async () => {
  const klamm = producer();
  const told = [];
  klamm.addEventListener('problem', ({ error }) => told.push(error.name));
  const from = performance.now();
  const records = [{ value: 'v' }, { key: 'k', value: 'v' }, { key: 'k', value: 'w' }, { partition: 0, value: 'v' }];
  const refused = { name: 'INVALID_TOPIC_EXCEPTION', code: 17, retriable: false, fate: 'not-written' };
  await Promise.all(records.map((record) => assert.rejects(klamm.send({ topic: 'not legal!', ...record }), refused)));
  await assert.rejects(klamm.send({ topic: 'not legal!', key: 'k', value: 'v' }), refused);
  assert.ok(performance.now() - from < 5_000, 'long before max.block.ms');
  assert.deepEqual(told, ['INVALID_TOPIC_EXCEPTION']);
  await klamm.close();
});

test('records without key from before the first metadata share a partition, later ones are spread', { timeout: 30_000 }, async () => {
  const name = await topic(8);
  const klamm = producer({ 'batch.size': 1_000 });
  const records = Array.from({ length: 1_000 }, () => ({ topic: name, value: 'x'.repeat(50) }));
  const partitions = async () => new Set((await klamm.sendBatch(records)).map(({ partition }) => partition)).size;
  assert.equal(await partitions(), 1);
  assert.ok((await partitions()) > 1);
  await klamm.close();
});

test('what fails because nobody answers says why, and what is over is not told any more', { timeout: 30_000 }, async () => {
  const name = await topic();
  let way = 'shut';
  const transport = by((connect, host, port, on) => {
    if (way === 'shut') {
      setTimeout(() => on.onclose('refused', new Error('the door is shut')));
      return { write() {}, close() {} };
    }
    const stream = connect(host, port, on);
    return { write: (bytes) => (way === 'open' ? stream.write(bytes) : true), close: () => stream.close() };
  });
  const klamm = producer({ transport, 'max.block.ms': 1_000, 'delivery.timeout.ms': 1_500, 'request.timeout.ms': 500 });
  const told = [];
  klamm.addEventListener('problem', ({ error }) => told.push(error.message));
  const failed = async (...records) =>
    (await Promise.allSettled(records.map((record) => klamm.send({ topic: name, value: 'v', ...record })))).map(({ reason }) => reason);
  const errors = await failed({}, { key: 'k' });
  assert.deepEqual(errors.map((error) => error.name), ['DELIVERY_TIMEOUT', 'MAX_BLOCK_EXCEEDED']);
  assert.match(told.join(), /the door is shut/);
  for (const { message, cause } of errors) {
    assert.match(message, /no bootstrap server can be reached \(refused\)/);
    assert.doesNotMatch(message, /door/, 'what hosts say has addresses, and a failure may be shown to anyone');
    assert.deepEqual([cause.name, cause.cause.message], ['UNREACHABLE', 'the door is shut']);
  }
  way = 'open';
  await klamm.send({ topic: name, value: 'v' });
  way = 'mute';
  told.length = 0;
  const [{ message }] = await failed({});
  assert.doesNotMatch([message, ...told].join(), /door/);
  await klamm.close({ timeout: 0 });
});

test('a server that speaks no Kafka is named as the reason', { timeout: 30_000 }, async () => {
  const transport = {
    connect(_host, _port, on) {
      setTimeout(() => on.onopen());
      return { write: () => setTimeout(() => on.ondata(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))) && true, close() {} };
    },
  };
  const klamm = producer({ transport, 'delivery.timeout.ms': 1_000, 'request.timeout.ms': 500 });
  await assert.rejects(klamm.send({ topic: 't', value: 'v' }), (error) => {
    assert.deepEqual([error.name, error.cause?.name], ['DELIVERY_TIMEOUT', 'PROTOCOL']);
    assert.match(error.message, /does not behave like a Kafka broker/);
    return true;
  });
  await klamm.close({ timeout: 0 });
});
