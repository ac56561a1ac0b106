// Records through WebSockets and klamm-bridge into the simulated cluster, read back from its log.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { Bridge } from './bridge.js';
import { Cluster, KafkaError, Producer } from './cluster.js';

const TOKEN = 'a-token-of-this-test.1';

let cluster;
let bridge;
before(async () => ([cluster, bridge] = await Promise.all([Cluster.start(), Bridge.start()])));
after(async () => {
  // Those that a failed test has left.
  for (const klamm of open) await klamm.close({ timeout: 0 });
  await Promise.all([cluster.stop(), bridge.stop()]);
});

let topics = 0;
async function topic(partitions) {
  const name = `t${(topics += 1)}`;
  await cluster.ask('topic', name, partitions);
  return name;
}

const open = [];
function producer(more) {
  const quick = { 'request.timeout.ms': 2_000, 'retry.backoff.ms': 20, 'reconnect.backoff.ms': 10 };
  const klamm = new Producer({
    'bootstrap.servers': [cluster.bootstrap], transport: 'websocket', bridge: bridge.url, ...quick, ...more,
  });
  open.push(klamm);
  return klamm;
}

const problem = (klamm) => new Promise((resolve) => klamm.addEventListener('problem', resolve, { once: true }));

test('records arrive byte for byte, large ones too', { timeout: 60_000 }, async () => {
  const name = await topic(3);
  const klamm = producer({ 'batch.size': 65_536 });
  const values = [0, 1, 100, 65_535, 65_536, 65_537, 200_000, 900_000].map((length) => new Uint8Array(randomBytes(length)));
  const sent = values.flatMap((value) => [0, 1, 2].map((partition) => ({ topic: name, key: 'ü', value, partition })));
  const results = await klamm.sendBatch(sent);
  for (const [index, { partition, offset }] of results.entries()) {
    const { key, value } = (await cluster.log(name, partition))[Number(offset)];
    assert.equal(key.toString(), 'ü');
    assert.ok(Buffer.from(sent[index].value).equals(value), `record ${index}`);
  }
  assert.deepEqual(await cluster.ask('count', name, 3), [String(sent.length)]);
  await klamm.close();
});

test('a bridge that stops and comes back: every record is there once and in order', { timeout: 60_000 }, async () => {
  const name = await topic(2);
  let own = await Bridge.start();
  const { port } = own;
  const klamm = producer({ bridge: own.url });
  const sent = [];
  const pump = async () => {
    for (let at = 0; at < 20; at += 1) {
      const from = sent.length;
      const batch = Array.from({ length: 50 }, (_, index) => ({ topic: name, key: 'k', value: String(from + index) }));
      sent.push(...(await klamm.sendBatch(batch)));
    }
  };
  await pump();
  const during = pump();
  await own.stop();
  own = await Bridge.start({ port });
  await during;
  const [{ partition }] = sent;
  const values = (await cluster.log(name, partition)).map(({ value }) => value.toString());
  assert.deepEqual(values, Array.from({ length: 2_000 }, (_, index) => String(index)));
  assert.ok(klamm.metrics().connectionsClosed >= 1);
  await klamm.close();
  await own.stop();
});

test('a token: a text, a function, one that changes', { timeout: 30_000 }, async () => {
  const name = await topic(1);
  const own = await Bridge.start({ token: TOKEN });
  let asked = 0;
  const tokens = [
    TOKEN,
    () => TOKEN,
    async () => TOKEN,
    () => {
      asked += 1;
      if (asked === 1) return 'no-token-of-this-test';
      if (asked === 2) throw new Error('nobody gives one');
      if (asked === 3) return 'not/a token';
      return TOKEN;
    },
  ];
  for (const token of tokens) {
    const klamm = producer({ bridge: { url: new URL(own.url), token } });
    await klamm.send({ topic: name, value: 'v' });
    await klamm.close();
  }
  assert.ok(asked >= 4, String(asked));
  assert.deepEqual(await cluster.ask('count', name, 1), [String(tokens.length)]);
  assert.ok(!JSON.stringify(own.log).includes(TOKEN));
  await own.stop();
});

test('what the bridge refuses is a problem, and no record is lost silently', { timeout: 30_000 }, async () => {
  const own = await Bridge.start({ token: TOKEN, args: ['--allow', 'localhost:1'] });
  for (const [more, reason] of [
    [{ bridge: own.url }, /refused.*\/tcp\/\S+ cannot be opened: .* clients without origin, the target, or the token/], // no token
    [{ bridge: { url: own.url, token: TOKEN }, 'bootstrap.servers': 'unlisted.example:9092' }, /refused/],
    [{ bridge: { url: own.url, token: TOKEN }, 'bootstrap.servers': 'localhost:1' }, /no route.*the bridge ended it: the target cannot be reached \(1011\)/], // allowed, but nobody is there
    [{ bridge: { url: own.url, token: TOKEN }, 'bootstrap.servers': '[::1]:9092' }, /refused/],
    [{ bridge: 'ws://127.0.0.1:1/?token=hidden' }, /refused(?!.*hidden)/],
  ]) {
    const klamm = producer({ ...more, 'delivery.timeout.ms': 2_500 });
    const told = problem(klamm);
    const sent = assert.rejects(klamm.send({ topic: 't', value: 'v' }), { name: 'CLOSED', fate: 'not-written' });
    const { error } = await told;
    assert.equal(error.name, 'UNREACHABLE');
    assert.match(error.message, reason);
    await klamm.close({ timeout: 0 });
    await sent;
  }
  const reasons = new Set(own.log.map(({ reason }) => reason));
  assert.ok(reasons.has('token') && reasons.has('target'), [...reasons].join());
  await own.stop();
});

test('the way to a target keeps to its place below the bridge\'s path', { timeout: 30_000 }, async () => {
  const paths = [];
  const server = createServer();
  server.on('upgrade', ({ url, headers }, socket) => {
    paths.push([url, headers['sec-websocket-protocol'].split(/, */)]);
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${server.address().port}`;
  for (const [bridge, servers] of [
    [{ url: `${url}/kafka/`, token: TOKEN }, 'a.example:9092'],
    [`${url}/?token=x`, '[::1]:9093'],
    [url, 'a..%2f?b:1'],
  ]) {
    const klamm = producer({ bridge, 'bootstrap.servers': servers });
    const told = problem(klamm);
    klamm.send({ topic: 't', value: 'v' }).catch(() => {});
    await told;
    await klamm.close({ timeout: 0 });
  }
  server.closeAllConnections();
  server.close();
  const first = paths.filter(([path], index) => index === 0 || paths[index - 1][0] !== path);
  assert.deepEqual(first, [
    ['/kafka/tcp/a.example/9092', ['klamm.tcp.v1', `klamm.bearer.${TOKEN}`]],
    ['/tcp/[::1]/9093?token=x', ['klamm.tcp.v1']],
    ['/tcp/a..%252f%3Fb/1', ['klamm.tcp.v1']],
  ]);
});

test('a stream takes no more while much is on its way, and says when it does again', { timeout: 30_000 }, async (context) => {
  const sockets = [];
  class Slow {
    bufferedAmount = 0;
    sent = [];
    constructor() {
      sockets.push(this);
    }
    send(bytes) {
      this.sent.push(bytes.length);
      this.bufferedAmount += bytes.length;
    }
    close() {}
  }
  const { WebSocket: real } = globalThis;
  globalThis.WebSocket = Slow;
  context.after(() => (globalThis.WebSocket = real));
  const { transport } = await import(`${process.env.KLAMM_PACKAGE}/transports/websocket.js`);
  let drained = 0;
  const events = { onopen() {}, ondata() {}, ondrain: () => (drained += 1), onclose() {} };
  const stream = transport({ bridge: 'ws://b' }).connect('h', 1, events);
  const [socket] = sockets;
  socket.onopen();
  assert.equal(stream.write(new Uint8Array(200_000)), true);
  assert.deepEqual(socket.sent, [65_536, 65_536, 65_536, 3_392]);
  assert.equal(stream.write(new Uint8Array(1_000_000)), false);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(drained, 0);
  socket.bufferedAmount = 1_000;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(drained, 1);
  // News from the other side is a reason to look as well.
  assert.equal(stream.write(new Uint8Array(2_000_000)), false);
  socket.bufferedAmount = 0;
  socket.onmessage({ data: new ArrayBuffer(1) });
  assert.equal(drained, 2);
  stream.close();
});

test('bad options are refused by name', () => {
  const about = (options) => {
    try {
      producer(options);
    } catch (error) {
      assert.ok(error instanceof KafkaError, String(error));
      assert.equal(error.name, 'INVALID_CONFIG');
      return error.message;
    }
    return assert.fail(`taken: ${JSON.stringify(options)}`);
  };
  for (const bad of [undefined, null, 5, 'bridge.example', 'https://b.example', 'ws://u:p@b.example', 'ws://b.example/#x', {}]) {
    assert.match(about({ bridge: bad }), /^bridge: /, String(bad));
  }
  for (const token of ['', 'a b', 'a/b', 5, null]) {
    const text = about({ bridge: { url: 'wss://b.example', token } });
    assert.match(text, /^bridge: a token/);
    assert.ok(!text.includes('a b'));
  }
  assert.match(about({ 'security.protocol': 'SSL' }), /^security\.protocol: .*klamm-bridge/);
  assert.match(about({ 'security.protocol': 'SASL_SSL' }), /^security\.protocol: .*SASL/);
  assert.match(about({ 'security.protocol': 'TLS' }), /^security\.protocol: /);
  assert.match(about({ 'ssl.truststore.certificates': '' }), /^ssl\.truststore\.certificates: /);
  assert.match(about({ 'sasl.mechanism': 'PLAIN' }), /^sasl\.mechanism: /);
  assert.match(about({ transport: 'net' }), /^bridge: /);
  assert.match(about({ transport: { connect() {} } }), /^bridge: /);
  assert.match(about({ transport: 'sockets' }), /^transport: /);
  const { WebSocket: real } = globalThis;
  delete globalThis.WebSocket;
  try {
    assert.match(about({}), /^transport: there is no WebSocket/);
  } finally {
    globalThis.WebSocket = real;
  }
});
