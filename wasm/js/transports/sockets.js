// TCP by connect() of cloudflare:sockets, in workerd.

import { connect as open } from 'cloudflare:sockets';

import { isSecure, refuseCertificates } from '../settings.js';

/** Bytes on their way out at which no more are taken, and at which they are again. */
const [HIGH, LOW] = [1 << 20, 256 << 10];

/** @type {(options: import('../index.d.ts').ProducerOptions) => import('../index.d.ts').Transport} */
export function transport(options) {
  refuseCertificates(options, 'whom Workers trust is for their host to say, and they show no certificate');
  const secureTransport = isSecure(options) ? 'on' : 'off';
  return {
    connect(host, port, events) {
      const hostname = host.includes(':') ? `[${host}]` : host;
      return new Stream(open({ hostname, port }, { secureTransport }), events);
    },
  };
}

class Stream {
  #socket;
  #events;
  #writer;
  #pending = 0;
  #isChoked = false;
  #ended = false;

  constructor(socket, events) {
    this.#socket = socket;
    this.#events = events;
    this.#writer = socket.writable.getWriter();
    // What they would tell is told by opening, reading and writing.
    socket.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    socket.opened.then(() => this.#opened(), (error) => this.#end(reason(error), error));
  }

  async #opened() {
    if (this.#ended) return;
    this.#events.onopen();
    const reader = this.#socket.readable.getReader();
    while (!this.#ended) {
      let read;
      try {
        read = await reader.read();
      } catch (error) {
        return this.#end('closed', error);
      }
      if (read.done) return this.#end('closed');
      if (!this.#ended) this.#events.ondata(read.value);
    }
  }

  write(bytes) {
    this.#pending += bytes.length;
    this.#writer.write(bytes).then(() => this.#written(bytes.length), (error) => this.#end('closed', error));
    this.#isChoked = this.#pending > HIGH;
    return !this.#isChoked;
  }

  #written(length) {
    this.#pending -= length;
    if (!this.#isChoked || this.#pending > LOW || this.#ended) return;
    this.#isChoked = false;
    this.#events.ondrain();
  }

  /** What was written goes out first. */
  close() {
    this.#ended = true;
    this.#writer.close().then(() => this.#socket.close(), () => this.#socket.close()).catch(() => {});
  }

  #end(why, error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.close().catch(() => {});
    this.#events.onclose(why, error);
  }
}

// There are only words: workerd has the same for all of it and writes the cause to its log, Cloudflare's network has others.
function reason(error) {
  const said = String(error?.message);
  if (/tls|certificate/i.test(said)) return 'tls';
  return /refused/i.test(said) ? 'refused' : 'unreachable';
}
