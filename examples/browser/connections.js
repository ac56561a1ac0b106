// The package's transport for browsers, watched: which broker's connection is in which state.

import { transport } from './klamm/transports/websocket.js';

export class Watched {
  /** By address: `{ state, since, opened, lost, why }`. */
  brokers = new Map();
  #inner;
  #tell;

  /**
   * @param {object} options the transport's own
   * @param {(kind: string, text: string) => void} tell
   */
  constructor(options, tell) {
    this.#inner = transport(options);
    this.#tell = tell;
  }

  // A producer takes any object that has this method as its transport.
  connect(host, port, on) {
    const name = `${host}:${port}`;
    const broker = this.brokers.get(name) ?? { state: 'connecting', open: 0, opened: 0, why: '', lost: 0 };
    this.brokers.set(name, broker);
    if (broker.open === 0 && broker.state !== 'lost') broker.state = 'connecting';
    let isOpen = false;
    const ended = () => {
      if (isOpen) broker.open -= 1;
      isOpen = false;
    };
    const stream = this.#inner.connect(host, port, {
      ...on,
      ondata: (bytes) => {
        // The bridge opens before it knows whether the broker can be reached: what the broker says is the proof.
        if (!isOpen) this.#opened(name, broker);
        isOpen = true;
        on.ondata(bytes);
      },
      ondrain: () => {
        broker.state = 'open';
        on.ondrain();
      },
      onclose: (reason, detail) => {
        ended();
        this.#lost(name, broker, reason);
        on.onclose(reason, detail);
      },
    });
    return {
      write(bytes) {
        const more = stream.write(bytes);
        if (more === false) broker.state = 'choked';
        return more;
      },
      close: () => {
        ended();
        if (broker.open === 0 && broker.state !== 'lost') broker.state = 'idle';
        stream.close();
      },
    };
  }

  #opened(name, broker) {
    if (broker.state === 'lost') {
      this.#tell('good', `${name} is back`);
    } else if (broker.opened === 0) {
      this.#tell('info', `connected to ${name}`);
    }
    broker.open += 1;
    broker.opened += 1;
    broker.state = 'open';
  }

  #lost(name, broker, reason) {
    if (broker.open > 0) return;
    // Attempts go on; only the first that fails is news.
    if (broker.state !== 'lost') {
      const text = broker.state === 'connecting' ? `cannot connect to ${name}` : `lost ${name}`;
      this.#tell('warning', `${text} (${reason})`);
    }
    broker.state = 'lost';
    broker.lost = performance.now();
    broker.why = reason;
  }
}
