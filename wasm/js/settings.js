// What a producer is made of: settings for the module as text, and the few that are JavaScript's own.

import { failure, shown } from './errors.js';

/** TLS as Kafka has it with certificates as text (KIP-651). */
const SSL = [
  'ssl.truststore.certificates', 'ssl.keystore.certificate.chain', 'ssl.keystore.key', 'ssl.key.password',
  'ssl.endpoint.identification.algorithm',
];
const OWN = new Set(['transport', 'bridge', 'max.block.ms', 'security.protocol', ...SSL]);
const FLAG = ['false', 'true'];
/**
 * What the module knows, in the order of wasm/klamm/src/settings.rs: texts, numbers, and choices, of which it gets the place
 * in their list.
 */
const KNOWN = new Map(Object.entries({
  'bootstrap.servers': String,
  'client.id': String,
  'retries': Number,
  'delivery.timeout.ms': Number,
  'request.timeout.ms': Number,
  'retry.backoff.ms': Number,
  'retry.backoff.max.ms': Number,
  'reconnect.backoff.ms': Number,
  'reconnect.backoff.max.ms': Number,
  'socket.connection.setup.timeout.ms': Number,
  'socket.connection.setup.timeout.max.ms': Number,
  'connections.max.idle.ms': Number,
  'batch.size': Number,
  'linger.ms': Number,
  'max.request.size': Number,
  'partitioner.availability.timeout.ms': Number,
  'metadata.max.age.ms': Number,
  'metadata.recovery.rebootstrap.trigger.ms': Number,
  'buffer.memory': Number,
  'max.in.flight.requests.per.connection': Number,
  'enable.idempotence': FLAG,
  'acks': ['0', '1', 'all', '-1'],
  'compression.type': ['none', 'lz4'],
  'allow.auto.create.topics': FLAG,
  'partitioner.ignore.keys': FLAG,
  'partitioner.adaptive.partitioning.enable': FLAG,
  'partitioner.class': ['', 'RoundRobinPartitioner', 'org.apache.kafka.clients.producer.RoundRobinPartitioner'],
  'metadata.recovery.strategy': ['rebootstrap', 'none'],
  'on.gap': ['fail', 'resend'],
}).map(([name, kind], number) => [name, { kind, number }]));
const LARGEST = 0xffffffff;
const encoder = new TextEncoder();

const wrong = (name, why) => failure('INVALID_CONFIG', `${name}: ${why}`);

function text(name, value) {
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((value) => ['string', 'number', 'boolean'].includes(typeof value))) {
    throw wrong(name, 'give a text, a number, a boolean, or a list of texts');
  }
  return list.join().trim();
}

// The module would take the scheme of a URL for the name of a listener and drop it, and could only count the entry that is wrong. The one
// listener whose name promises nothing is as good as none.
function servers(name, list) {
  for (const entry of list.split(',')) {
    const server = entry.trim();
    const port = /^(?:PLAINTEXT:\/\/)?(?:\[[^\]]+\]|[^\s:/@]+):(\d+)$/i.exec(server)?.[1];
    // A URL may hold a password.
    if (server && !(port > 0 && port < 65_536)) throw wrong(name, `\`${server.replace(/.*@/, '…@')}\` is not host:port`);
  }
}

function whole(name, value) {
  if (/^[0-9]+$/.test(value) && Number(value) <= LARGEST) return Number(value);
  throw wrong(name, `\`${value}\` is not a whole number from 0 to ${LARGEST}`);
}

function choice(name, value, choices) {
  const place = choices.findIndex((choice) => choice.toLowerCase() === value.toLowerCase());
  if (place >= 0) return place;
  throw wrong(name, `\`${value}\` is none of ${choices.map((choice) => `\`${choice}\``).join(' ')}`);
}

/** @returns {Uint8Array} a random seed, and the settings as numbers with their values or lengths, and texts */
export function staged(options) {
  if (options === null || typeof options !== 'object') {
    throw failure('INVALID_CONFIG', "new Producer({ 'bootstrap.servers': ['host:port'], … })");
  }
  const bytes = [...globalThis.crypto.getRandomValues(new Uint8Array(32))];
  const u32 = (value) => bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || OWN.has(name)) continue;
    const { kind, number } = KNOWN.get(name) ?? {};
    if (!kind) throw wrong(name, 'there is no such property, or klamm for JavaScript does not have it');
    const given = text(name, value);
    if (given === '' && kind === String) continue; // the default
    if (number === 0) servers(name, given);
    u32(number);
    if (kind === String) {
      const utf8 = encoder.encode(given);
      u32(utf8.length);
      for (const byte of utf8) bytes.push(byte);
    } else {
      u32(kind === Number ? whole(name, given) : choice(name, given, kind));
    }
  }
  return Uint8Array.from(bytes);
}

/** `security.protocol`: whether brokers are spoken to by TLS. */
export function isSecure(options) {
  const protocol = shown(options['security.protocol'] ?? 'PLAINTEXT').toUpperCase();
  if (protocol === 'PLAINTEXT' || protocol === 'SSL') return protocol === 'SSL';
  const why = protocol.startsWith('SASL_') ? 'klamm for JavaScript has no SASL yet' : 'it is none of PLAINTEXT, SSL';
  throw failure('INVALID_CONFIG', `security.protocol: \`${shown(options['security.protocol'])}\`: ${why}`);
}

/** What a transport without TLS says to those who ask for it. */
export function refuseSecurity(options, why) {
  if (isSecure(options)) throw failure('INVALID_CONFIG', `security.protocol: SSL is not to be had here: ${why}`);
  refuseCertificates(options, why);
}

/** What a transport says that can choose no certificates. */
export function refuseCertificates(options, why) {
  const given = SSL.find((name) => options[name] !== undefined);
  if (given) throw failure('INVALID_CONFIG', `${given}: cannot be chosen here: ${why}`);
}

/** `max.block.ms`: how long a record waits for space and metadata. */
export function maxBlock(options) {
  const value = options['max.block.ms'] ?? 60_000;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && number >= 0) return number;
  throw failure('INVALID_CONFIG', `max.block.ms: \`${shown(value)}\` is not a number from 0 on`);
}

/** `max.request.size`, which the module has found to be a number. */
export const maxRequest = (options) => Number(options['max.request.size'] ?? 1 << 20);
