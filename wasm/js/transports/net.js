// TCP by node:net, and TLS over it by node:tls.

import { X509Certificate, createPrivateKey } from 'node:crypto';
import { connect as open, isIP } from 'node:net';
import { connect as openSecure, createSecureContext } from 'node:tls';

import { failure } from '../errors.js';
import { isSecure, refuseCertificates } from '../settings.js';

const REASONS = {
  ECONNREFUSED: 'refused', ENOTFOUND: 'dns', EAI_AGAIN: 'dns', ENETUNREACH: 'unreachable', EHOSTUNREACH: 'unreachable',
  ETIMEDOUT: 'timed-out', ECONNRESET: 'closed', EPIPE: 'closed',
};
// How long a closed connection may still write what it was given.
const LINGER = 1_000;

/** @type {(options: import('../index.d.ts').ProducerOptions) => import('../index.d.ts').Transport} */
export function transport(options) {
  if (isSecure(options)) {
    const settings = tls(options);
    return { connect: (host, port, events) => stream(secure(host, port, settings), events, 'secureConnect') };
  }
  refuseCertificates(options, 'nothing is encrypted unless security.protocol is SSL');
  return { connect: (host, port, events) => stream(open({ host, port, noDelay: true }), events, 'connect') };
}

function secure(host, port, settings) {
  // An address has no place in the field for the server's name.
  const socket = openSecure({ host, port, ...settings, ...(isIP(host) ? {} : { servername: host }) });
  return socket.setNoDelay(true);
}

function stream(socket, { onopen, ondata, ondrain, onclose }, opened) {
  let reason = 'closed';
  let cause;
  let isShakingHands = false;
  socket.on('connect', () => (isShakingHands = opened !== 'connect'));
  socket.on(opened, () => {
    isShakingHands = false;
    onopen();
  });
  socket.on('data', ondata);
  socket.on('drain', ondrain);
  socket.on('error', (error) => {
    // With several addresses it is an AggregateError.
    cause = error.errors?.[0] ?? error;
    reason = REASONS[cause.code] ?? 'other';
  });
  // A server that speaks no TLS just hangs up.
  socket.on('close', () => onclose(isShakingHands ? 'tls' : reason, cause));
  return {
    write: (bytes) => socket.write(bytes),
    close() {
      if (socket.connecting || socket.writableLength === 0) {
        socket.destroy();
      } else {
        socket.end();
        setTimeout(() => socket.destroy(), LINGER).unref();
      }
    },
  };
}

// Kafka's properties, as node:tls has them; looked at now, not at the first connection.
function tls(options) {
  const ca = certificates('ssl.truststore.certificates', options);
  const chain = certificates('ssl.keystore.certificate.chain', options);
  const key = privateKey(options);
  if ((chain === undefined) !== (key === undefined)) {
    throw failure('INVALID_CONFIG', 'ssl.keystore.key and ssl.keystore.certificate.chain: one is nothing without the other');
  }
  let secureContext;
  try {
    secureContext = createSecureContext({ ca, cert: chain?.join('\n'), key });
  } catch (cause) {
    throw failure('INVALID_CONFIG', `ssl.keystore.key: ${cause.message}`, { cause });
  }
  const name = text('ssl.endpoint.identification.algorithm', options) ?? 'https';
  if (name === '') return { secureContext, checkServerIdentity: () => undefined };
  if (name.toLowerCase() === 'https') return { secureContext };
  throw failure('INVALID_CONFIG', `ssl.endpoint.identification.algorithm: \`${name}\` is neither \`https\` nor empty`);
}

function text(name, options) {
  const value = options[name];
  if (value === undefined || typeof value === 'string') return value;
  throw failure('INVALID_CONFIG', `${name}: give a text`);
}

function certificates(name, options) {
  const pem = text(name, options);
  if (pem === undefined) return undefined;
  const list = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  let cause;
  try {
    for (const certificate of list) new X509Certificate(certificate);
  } catch (error) {
    cause = error;
  }
  if (cause || list.length === 0) throw failure('INVALID_CONFIG', `${name}: no certificates in PEM`, { cause });
  return list;
}

function privateKey(options) {
  const key = text('ssl.keystore.key', options);
  const passphrase = text('ssl.key.password', options);
  if (key === undefined) return undefined;
  try {
    return createPrivateKey({ key, passphrase }).export({ type: 'pkcs8', format: 'pem' });
  } catch (cause) {
    // What OpenSSL says of a wrong password tells nobody anything.
    throw failure('INVALID_CONFIG', 'ssl.keystore.key: no private key in PEM, or ssl.key.password does not fit', { cause });
  }
}
