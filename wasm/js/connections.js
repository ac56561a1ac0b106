// The streams to brokers: what the module asks for is done with a transport, and what happens there is told to the module.

// As Client::disconnected in wasm/klamm/src/client.rs numbers them.
const REASONS = ['closed', 'refused', 'unreachable', 'dns', 'tls', 'timed-out', 'other'];
// Bytes that the module is given at a time.
const PIECE = 64 << 10;
// In workerd streams belong to the request that opened them; nothing but this text tells.
const FOREIGN = /on behalf of a different request/;

// Bytes of another realm, as test frameworks have them, or as a WebSocket gives them.
const viewOf = (data) => (ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data));

export class Connections {
  #core;
  #transport;
  #now;
  #changed;
  #foreign;
  /** By slot. */
  #streams = [];
  /** What the transport said of the stream that was lost last. @type {unknown} */
  cause;

  /**
   * @param {import('./core.js').Core} core
   * @param {import('./index.d.ts').Transport} transport
   * @param {() => number} now
   * @param {(act: () => void) => void} changed runs what tells the module of a change, and then a round
   * @param {(error: Error) => void} foreign hears that the streams belong to someone else
   */
  constructor(core, transport, now, changed, foreign) {
    this.#core = core;
    this.#transport = transport;
    this.#now = now;
    this.#changed = changed;
    this.#foreign = foreign;
  }

  open(slot, host, port) {
    const stream = { slot, choked: false, socket: null, fail: null };
    this.#streams[slot] = stream;
    // What a stream says whose slot has another one by now concerns nobody.
    const on = (act) => (value) => {
      if (this.#streams[slot] === stream) this.#changed(() => act(value));
    };
    const lost = on((reason) => this.#lost(stream, reason));
    const onclose = (reason, error) => {
      if (this.#streams[slot] === stream) {
        this.cause = error;
        if (FOREIGN.test(error?.message)) this.#foreign(error);
      }
      lost(reason);
    };
    // To be called later: now the module is just being listened to.
    stream.fail = (error) => {
      onclose('other', error);
      shut(stream);
    };
    try {
      stream.socket = this.#transport.connect(host, port, {
        onopen: on(() => this.#core.call('connected', this.#now(), slot)),
        ondata: on((bytes) => this.#input(slot, bytes)),
        ondrain: on(() => {
          stream.choked = false;
          this.transmit(slot);
        }),
        onclose,
      });
    } catch (error) {
      queueMicrotask(() => stream.fail(error));
    }
  }

  #lost(stream, reason) {
    this.#streams[stream.slot] = undefined;
    const why = REASONS.indexOf(reason);
    this.#core.call('disconnected', this.#now(), stream.slot, why < 0 ? REASONS.length - 1 : why);
  }

  #input(slot, data) {
    const bytes = data instanceof Uint8Array ? data : viewOf(data);
    for (let at = 0; at < bytes.length; at += PIECE) {
      const length = this.#core.put(bytes.subarray(at, at + PIECE));
      this.#core.call('input', this.#now(), slot, length);
    }
  }

  /** Gives the stream what there is, until it has enough. */
  transmit(slot) {
    const stream = this.#streams[slot];
    if (!stream?.socket) return;
    while (!stream.choked) {
      const bytes = this.#core.take(this.#now(), slot);
      if (bytes === null) return;
      try {
        stream.choked = stream.socket.write(bytes) === false;
      } catch (error) {
        stream.choked = true;
        queueMicrotask(() => stream.fail(error));
      }
    }
  }

  close(slot) {
    this.cause = undefined; // if that is the module's trouble, no stream is to blame
    const stream = this.#streams[slot];
    this.#streams[slot] = undefined;
    shut(stream);
  }

  closeAll() {
    for (const slot of this.#streams.keys()) this.close(slot);
  }
}

function shut(stream) {
  try {
    stream?.socket?.close();
  } catch {
    // It is closed as far as we are concerned.
  }
}
