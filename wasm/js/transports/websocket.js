// A WebSocket to klamm-bridge for each connection to a broker. wasm/bridge/README.md says what both have agreed on.

import { failure } from '../errors.js';
import { refuseSecurity } from '../settings.js';

const PROTOCOL = 'klamm.tcp.v1';
const BEARER = 'klamm.bearer.';
/** Most bytes of a message: what bridges and proxies pass on at once. */
const FRAME = 64 << 10;
/** Bytes on their way out at which no more are taken, and at which they are again. */
const [HIGH, LOW] = [1 << 20, 256 << 10];
/** How often a stream that takes no more is asked whether it does again: nobody tells. */
const LOOK_MS = 5;
/** Why an open stream ended, by the code of its end. */
const REASONS = { 1000: 'closed', 1001: 'closed', 1006: 'closed', 1008: 'refused', 1011: 'unreachable' };

/** @type {(options: import('../index.d.ts').ProducerOptions) => import('../index.d.ts').Transport} */
export function transport(options) {
  if (typeof globalThis.WebSocket !== 'function') {
    throw failure('INVALID_CONFIG', 'transport: there is no WebSocket here; Node has it from version 22 on');
  }
  refuseSecurity(options, 'klamm-bridge goes on to brokers in plain TCP; with wss:// the way to it is encrypted');
  const { address, token } = bridge(options.bridge);
  return {
    connect(host, port, events) {
      const tunnel = new Tunnel(address(host, port), events);
      if (typeof token === 'function') {
        tunnel.openWith(token);
      } else {
        tunnel.open(token);
      }
      return tunnel;
    },
  };
}

// `bridge`: where it is, and the token it wants to see.
function bridge(given) {
  const { url: text, token } = typeof given === 'object' && given !== null && !(given instanceof URL) ? given : { url: given };
  if (text === undefined) throw failure('INVALID_CONFIG', "bridge: where klamm-bridge is, such as 'wss://bridge.example.com'");
  let url;
  try {
    url = new URL(text);
  } catch {
    throw failure('INVALID_CONFIG', 'bridge: this is no URL');
  }
  if (!['ws:', 'wss:'].includes(url.protocol) || url.username || url.password || url.hash) {
    throw failure('INVALID_CONFIG', 'bridge: a URL that begins with ws:// or wss://, without user, password and fragment');
  }
  if (token !== undefined && typeof token !== 'function' && !isToken(token)) {
    throw failure('INVALID_CONFIG', 'bridge: a token is a text of A-Z a-z 0-9 - . _ ~, or a function that gives one');
  }
  const root = `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}/tcp/`;
  // A name comes from a broker, and must not lead to another path.
  const target = (host) => (host.includes(':') ? `[${host}]` : encodeURIComponent(host));
  return { address: (host, port) => `${root}${target(host)}/${port}${url.search}`, token };
}

const isToken = (token) => typeof token === 'string' && /^[A-Za-z0-9._~-]+$/.test(token);

class Tunnel {
  #url;
  #events;
  /** @type {WebSocket | null} */
  #socket = null;
  #timer;
  #isOpen = false;
  #ended = false;

  constructor(url, events) {
    this.#url = url;
    this.#events = events;
  }

  /** Opens it when there is a token. */
  async openWith(give) {
    try {
      const token = await give();
      if (!isToken(token)) throw failure('INVALID_CONFIG', 'bridge: the function gave no token');
      if (!this.#ended) this.open(token);
    } catch (error) {
      this.#end('other', error);
    }
  }

  open(token) {
    const socket = new WebSocket(this.#url, token === undefined ? [PROTOCOL] : [PROTOCOL, BEARER + token]);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.#isOpen = true;
      this.#events.onopen();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') return this.#fail();
      if (this.#ended) return;
      this.#events.ondata(new Uint8Array(data));
      // Who hears from a broker knows that bytes went out; timers of pages in the background are slow.
      if (this.#timer !== undefined) this.#look();
    };
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    // An end with a code follows, as a rule.
    socket.onerror = () => {
      setTimeout(() => this.#closed(0, ''));
    };
  }

  #closed(code, said) {
    if (this.#ended) return;
    if (this.#isOpen) return this.#end(REASONS[code] ?? 'other', new Error(`the bridge ended it: ${said || 'no reason given'} (${code})`));
    // Browsers tell nobody the status with which a tunnel is refused, so all that it can be is said. What stands behind a
    // question mark is not: it may be a token.
    const [address] = this.#url.split('?', 1);
    const origin = globalThis.location?.origin;
    const page = origin ? `the origin ${origin}` : 'clients without origin';
    const text = `${address} cannot be opened: klamm-bridge does not run there, or does not allow ${page}, the target, or the token`;
    this.#end('refused', new Error(`${text}; its log says which`));
  }

  write(bytes) {
    for (let at = 0; at < bytes.length; at += FRAME) this.#socket.send(bytes.subarray(at, at + FRAME));
    if (!(this.#socket.bufferedAmount > HIGH)) return true; // hosts without this number have none
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    return false;
  }

  #look() {
    if (this.#socket.bufferedAmount > LOW) return;
    this.#calm();
    this.#events.ondrain();
  }

  #calm() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close() {
    this.#calm();
    this.#ended = true;
    this.#socket?.close(1000);
  }

  // Not a bridge: it never sends text.
  #fail() {
    this.#end('other');
    this.#socket.close(1000);
  }

  #end(reason, error) {
    this.#calm();
    if (this.#ended) return;
    this.#ended = true;
    this.#events.onclose(reason, error);
  }
}
