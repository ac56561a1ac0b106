// What differs between hosts, set once by the entry for the host.

import { failure, shown } from './errors.js';
import { refuseSecurity } from './settings.js';

let host = null;

/**
 * @param {{
 *   module: WebAssembly.Module,
 *   transport: string | ((options: object) => string),
 *   transports: Record<string, (options: object) => import('./index.d.ts').Transport>,
 * }} what the module, the transport that is taken if none is asked for, and all there are, by name
 */
export function install(what) {
  host = what;
}

/** The compiled module. */
export function module() {
  return host.module;
}

/** The transport that the options ask for. @returns {import('./index.d.ts').Transport} */
export function transport(options) {
  const asked = options.transport ?? (typeof host.transport === 'function' ? host.transport(options) : host.transport);
  if (typeof asked === 'object' && typeof asked.connect === 'function') {
    if (options.bridge !== undefined) throw failure('INVALID_CONFIG', 'bridge: a transport of your own gets none');
    refuseSecurity(options, 'a transport of your own encrypts by itself');
    return asked;
  }
  if (typeof asked !== 'string' || !Object.hasOwn(host.transports, asked)) {
    const known = Object.keys(host.transports).join(', ');
    throw failure('INVALID_CONFIG', `transport: there is no \`${shown(asked)}\` here, but ${known}`);
  }
  if (options.bridge !== undefined && asked !== 'websocket') {
    throw failure('INVALID_CONFIG', `bridge: the transport ${asked} needs none; \`transport: 'websocket'\` does`);
  }
  return host.transports[asked](options);
}
