// Records by TLS, through a server of Node's that hands them on to the simulated cluster.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer as createPlain } from 'node:net';
import { after, before, test } from 'node:test';
import { createServer } from 'node:tls';

import { certify } from './certificates.js';
import { Cluster, KafkaError, Producer, net } from './cluster.js';

const { ca, server, elsewhere, client } = certify();
const strangers = certify();

let cluster;
before(async () => (cluster = await Cluster.start(1)));
after(async () => {
  for (const close of closing) await close();
  await cluster.stop();
});

const closing = [];
/** Something before the broker that speaks TLS; gives its port, who came, and how many bytes were said. */
async function front(options, create = createServer) {
  const [host, port] = cluster.bootstrap.split(':');
  const seen = { peers: [], bytes: 0 };
  const listener = create(options, (socket) => {
    seen.peers.push([socket.servername, socket.getPeerCertificate?.()?.subject?.CN]);
    socket.on('data', (bytes) => (seen.bytes += bytes.length));
    socket.on('error', () => {});
    const onward = connect(port, host).on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  listener.on('tlsClientError', () => {});
  await once(listener.listen(0), 'listening');
  closing.push(() => listener.close());
  return Object.assign(seen, { port: listener.address().port });
}

/** The cluster advertises its own port, where nobody speaks TLS: all connections go to that of the front. */
function through(front, settings, host = 'localhost') {
  const transport = net.transport({ 'security.protocol': 'SSL', ...settings });
  const to = { connect: (_host, _port, events) => transport.connect(host, front.port, events) };
  return new Producer({ 'bootstrap.servers': [cluster.bootstrap], transport: to });
}

async function publish(klamm, name) {
  await cluster.ask('topic', name, 1);
  const value = 'v'.repeat(300_000);
  await klamm.sendBatch(Array.from({ length: 20 }, () => ({ topic: name, value })));
  await klamm.close();
  assert.deepEqual(await cluster.ask('count', name, 1), ['20']);
  assert.equal((await cluster.log(name, 0))[19].value.toString(), value);
}

const trust = { 'ssl.truststore.certificates': `${strangers.ca.cert}\n${ca.cert}` };

test('records arrive by TLS, under a name and under an address', { timeout: 30_000 }, async () => {
  const safe = await front({ key: server.key, cert: server.cert });
  await publish(through(safe, trust), 'named');
  await publish(through(safe, trust, '127.0.0.1'), 'numbered');
  const names = new Set(safe.peers.map(([name]) => name));
  assert.deepEqual([...names], ['localhost', false]);
});

test('brokers that want to know who comes are shown a certificate', { timeout: 30_000 }, async () => {
  const safe = await front({ key: server.key, cert: server.cert, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
  const shown = { ...trust, 'ssl.keystore.certificate.chain': client.cert };
  await publish(through(safe, { ...shown, 'ssl.keystore.key': client.key }), 'known');
  await publish(through(safe, { ...shown, 'ssl.keystore.key': client.locked, 'ssl.key.password': 'secret' }), 'locked');
  assert.ok(safe.peers.length >= 2 && safe.peers.every(([, name]) => name === 'client'));
  const klamm = through(safe, trust);
  const sent = assert.rejects(klamm.send({ topic: 'unknown', value: 'v' }), { name: 'CLOSED', fate: 'not-written' });
  await once(klamm, 'problem');
  await klamm.close({ timeout: 0 });
  await sent;
});

test('whom nobody vouches for gets nothing', { timeout: 30_000 }, async () => {
  const secret = 'this must not be seen';
  for (const [options, settings, create] of [
    [server, {}], // the system's authorities do not know ours
    [server, { 'ssl.truststore.certificates': strangers.ca.cert }],
    [elsewhere, trust],
    [{}, trust, createPlain], // speaks no TLS at all
  ]) {
    const unsafe = await front(options, create);
    const all = { 'bootstrap.servers': `localhost:${unsafe.port}`, 'security.protocol': 'ssl', 'reconnect.backoff.ms': 10, ...settings };
    const klamm = new Producer({ ...all, 'client.id': secret });
    const sent = assert.rejects(klamm.send({ topic: 't', key: secret, value: secret }), { name: 'CLOSED', fate: 'not-written' });
    const [{ error }] = await once(klamm, 'problem');
    assert.equal(error.name, 'UNREACHABLE');
    assert.match(error.message, /TLS failed/);
    await klamm.close({ timeout: 0 });
    await sent;
    // Who speaks plainly sees a greeting of TLS: the next test.
    if (create === undefined) assert.equal(unsafe.bytes, 0);
  }
});

test('in plain TCP not a byte of ours is said', { timeout: 30_000 }, async () => {
  let heard = Buffer.alloc(0);
  const listener = createPlain((socket) => socket.on('error', () => {}).on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  }));
  await once(listener.listen(0), 'listening');
  const servers = `localhost:${listener.address().port}`;
  const klamm = new Producer({ 'bootstrap.servers': servers, 'security.protocol': 'SSL', 'client.id': 'me', ...trust });
  const [{ error }] = await once(klamm, 'problem');
  assert.match(error.message, /TLS failed/);
  await klamm.close({ timeout: 0 });
  listener.close();
  assert.deepEqual([...heard.subarray(0, 2)], [22, 3]); // a handshake of TLS
  assert.ok(heard.includes('localhost') && !heard.includes('me\0'));
});

test('any name will do where names are not looked at', { timeout: 30_000 }, async () => {
  const other = await front({ key: elsewhere.key, cert: elsewhere.cert });
  await publish(through(other, { ...trust, 'ssl.endpoint.identification.algorithm': '' }), 'nameless');
  const strange = await front({ key: strangers.server.key, cert: strangers.server.cert });
  const klamm = through(strange, { 'ssl.truststore.certificates': ca.cert, 'ssl.endpoint.identification.algorithm': '' });
  const [{ error }] = await once(klamm, 'problem');
  assert.match(error.message, /TLS failed/);
  await klamm.close({ timeout: 0 });
});

test('settings that cannot work are refused by name', () => {
  const { cert, key, locked } = client;
  const [chain, own] = ['ssl.keystore.certificate.chain', 'ssl.keystore.key'];
  for (const [settings, about] of [
    [{ 'ssl.truststore.certificates': 'ca.pem' }, /^ssl\.truststore\.certificates: /],
    [{ 'ssl.truststore.certificates': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }, /^ssl\.truststore/],
    [{ 'ssl.truststore.certificates': 5 }, /^ssl\.truststore/],
    [{ [chain]: cert }, /^ssl\.keystore\.key and ssl\.keystore\.certificate\.chain/],
    [{ [own]: key }, /^ssl\.keystore\.key and ssl\.keystore\.certificate\.chain/],
    [{ [chain]: cert, [own]: 'key' }, /^ssl\.keystore\.key: /],
    [{ [chain]: cert, [own]: server.key }, /^ssl\.keystore\.key: /],
    [{ [chain]: cert, [own]: locked }, /ssl\.key\.password/],
    [{ [chain]: cert, [own]: locked, 'ssl.key.password': 'wrong' }, /ssl\.key\.password/],
    [{ [chain]: 'x', [own]: key }, /^ssl\.keystore\.certificate\.chain: /],
    [{ 'ssl.endpoint.identification.algorithm': 'ldaps' }, /^ssl\.endpoint\.identification\.algorithm: /],
    [{ 'ssl.truststore.location': '/ca.jks' }, /^ssl\.truststore\.location: /],
    [{ 'security.protocol': 'PLAINTEXT', ...trust }, /^ssl\.truststore\.certificates: .*security\.protocol/],
    [{ 'security.protocol': 'SASL_SSL' }, /^security\.protocol: /],
    [{ transport: { connect() {} } }, /^security\.protocol: /],
  ]) {
    const all = { 'bootstrap.servers': 'b:1', 'security.protocol': 'SSL', ...settings };
    assert.throws(() => new Producer(all), (error) => {
      assert.ok(error instanceof KafkaError && error.name === 'INVALID_CONFIG', String(error));
      assert.match(error.message, about);
      assert.ok(!error.message.includes('BEGIN'));
      return true;
    });
  }
});
