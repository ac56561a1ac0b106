// Certificates for an hour, by openssl.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/**
 * A new authority, and what it certifies: `{ ca, server, client, elsewhere }`, with `{ cert, key }` each, as PEM; `client.locked`
 * is its key under the password `secret`.
 */
export function certify() {
  const dir = mkdtempSync(join(tmpdir(), 'klamm-certificates-'));
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  const read = (name) => ({ cert: readFileSync(join(dir, `${name}.pem`), 'utf8'), key: readFileSync(join(dir, `${name}.key`), 'utf8') });
  const issue = (name, subject, extensions) => {
    writeFileSync(join(dir, `${name}.ext`), `basicConstraints=CA:FALSE\n${extensions}\n`);
    openssl('req', ...KEY, '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${subject}`);
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-extfile', `${name}.ext`];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
    return read(name);
  };
  try {
    openssl('req', '-x509', ...KEY, '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=klamm test', '-days', '1');
    const server = issue('server', 'localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
    const elsewhere = issue('elsewhere', 'elsewhere.example', 'subjectAltName=DNS:elsewhere.example');
    const client = issue('client', 'client', 'extendedKeyUsage=clientAuth');
    const locked = openssl('pkcs8', '-topk8', '-in', 'client.key', '-passout', 'pass:secret').toString();
    return { ca: read('ca'), server, elsewhere, client: { ...client, locked } };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
