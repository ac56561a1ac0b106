// Publishes what sensors measure and keeps the books. Knows no document: it runs in the page or in a Web Worker.

import { Producer } from './klamm/browser.js';
import { Watched } from './connections.js';
import { Latencies } from './latency.js';
import { ENOUGH } from './limits.js';
import { Thermometers, vibration } from './sensors.js';

// How often there is something to send, and how long that may take: a page must draw every 16 ms.
const TICK_MS = 10;
const SLICE_MS = 4;
const CHUNK = 100;
const REPORT_MS = 200;
// Throughput and percentiles are those of so many reports.
const WINDOW = 5;
// How long a lost broker is the first thing to be told.
const FRESH_MS = 4_000;
// How long what was measured may take to be published when the sensors stop.
const CLOSE_MS = 10_000;
// How far behind its rate it may fall before readings are left out.
const DEBT_MS = 200;

export class Publisher {
  #producer;
  #connections;
  #topic;
  #limit;
  #journal;
  #report;
  #thermometers = new Thermometers();
  #backlog = [];
  #debt = 0;
  #last = performance.now();
  #created = 0;
  #acknowledged = 0;
  #failed = 0;
  #partitions = [];
  #windows = [new Latencies()];
  #messages = [];
  #reports = [{ at: performance.now(), acknowledged: 0 }];
  #retried = 0;
  #held = false;
  #timers = [];
  #closing = null;
  /** Thermometer readings a second. */
  rate;

  /**
   * @param {{ bridge: string, token?: string, brokers: string, topic: string, properties?: Record<string, string>, rate: number,
   *   limit?: number, journal?: boolean }} settings
   * @param {(report: object) => void} report
   */
  constructor(settings, report) {
    const { bridge, token, brokers, topic, properties = {}, rate, limit = Infinity, journal = false } = settings;
    this.#connections = new Watched({ bridge: token ? { url: bridge, token } : bridge }, (kind, text) => this.#say(kind, text));
    // More is never used.
    const own = { 'buffer.memory': 8 * ENOUGH, 'bootstrap.servers': brokers, transport: this.#connections };
    this.#producer = new Producer({ ...own, ...properties });
    this.#producer.addEventListener('problem', ({ error }) => this.#say('problem', error.message));
    this.#topic = topic;
    this.#limit = limit;
    this.#journal = journal ? [] : null;
    this.#report = report;
    this.rate = rate;
    this.#timers = [setInterval(() => this.#tick(), TICK_MS), setInterval(() => this.#tell(), REPORT_MS)];
  }

  /** Publishes readings of other sensors: `{ key, value }`. */
  publish(readings) {
    for (const reading of readings) this.#backlog.push(reading);
  }

  /** A vibration sensor has so much to say at once. */
  burst(samples) {
    this.#say('info', `vibration burst: ${samples} samples`);
    this.publish(vibration(samples));
  }

  /** Nothing waits for more records (`linger.ms`) any longer. */
  flush() {
    this.#tick();
    this.#producer.flush().catch(() => {});
  }

  /** Stops the sensors and publishes what they measured. */
  stop() {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  /** What was acknowledged, if a journal is kept: number, partition and offset of each record. */
  get journal() {
    return this.#journal;
  }

  async #stop() {
    clearInterval(this.#timers[0]);
    await this.#producer.close({ timeout: CLOSE_MS });
    clearInterval(this.#timers[1]);
    this.#tell();
  }

  // A slice of work: first what waits, then as many readings as the rate asks for.
  #tick() {
    const begin = performance.now();
    const each = this.rate / 1000;
    this.#debt = Math.min(this.#debt + (begin - this.#last) * each, DEBT_MS * each + 1);
    this.#last = begin;
    for (;;) {
      // Back-pressure: what is not measured needs no memory.
      this.#held = this.#producer.bufferedAmount > ENOUGH;
      if (this.#held) break;
      const records = this.#records();
      if (records.length === 0) break;
      this.#send(records);
      if (performance.now() - begin > SLICE_MS) break;
    }
  }

  #records() {
    const room = Math.min(CHUNK, this.#limit - this.#created);
    const records = this.#backlog.splice(0, room).map(({ key, value }) => this.#record(key, { n: this.#created++, ...value }));
    const at = Date.now();
    while (records.length < room && this.#debt >= 1) {
      this.#debt -= 1;
      const { key, value } = this.#thermometers.read(this.#created++, at);
      records.push(this.#record(key, value));
    }
    return records;
  }

  #record(key, value) {
    return { topic: this.#topic, key, value };
  }

  async #send(records) {
    const begin = performance.now();
    const [first, count] = [records[0].value.n, records.length];
    const sent = this.#producer.sendBatch(records);
    records = null; // they are not kept alive until the brokers have them
    let results;
    try {
      results = await sent;
    } catch (error) {
      this.#say('problem', `${error.name}: ${error.message}`);
      results = error.results ?? new Array(count).fill(error);
    }
    this.#windows.at(-1).add(performance.now() - begin, count);
    results.forEach((result, index) => this.#outcome(result, first + index));
  }

  #outcome(result, n) {
    if (result instanceof Error) {
      this.#failed += 1;
      return;
    }
    this.#acknowledged += 1;
    this.#partitions[result.partition] = (this.#partitions[result.partition] ?? 0) + 1;
    this.#journal?.push([n, result.partition, Number(result.offset)]);
  }

  #say(kind, text) {
    this.#messages.push({ at: Date.now(), kind, text });
  }

  #tell() {
    const metrics = this.#producer.metrics();
    const now = performance.now();
    const before = this.#reports[0];
    this.#reports.push({ at: now, acknowledged: this.#acknowledged });
    if (this.#reports.length > WINDOW) this.#reports.shift();
    const retried = metrics.recordsRetried - this.#retried;
    if (retried > 0) this.#say('warning', `${retried} records sent again`);
    this.#retried += retried;
    const recent = new Latencies();
    for (const window of this.#windows) recent.merge(window);
    this.#windows.push(new Latencies());
    if (this.#windows.length > WINDOW) this.#windows.shift();
    const brokers = [...this.#connections.brokers].map(([name, { state, why }]) => ({ name, state, why }));
    this.#report({
      at: Date.now(),
      state: state([...this.#connections.brokers.values()], now),
      perSecond: ((this.#acknowledged - before.acknowledged) * 1000) / (now - before.at),
      created: this.#created,
      acknowledged: this.#acknowledged,
      failed: this.#failed,
      retried: metrics.recordsRetried,
      p50: recent.quantile(0.5),
      p99: recent.quantile(0.99),
      partitions: [...this.#partitions],
      buffered: this.#producer.bufferedAmount,
      held: this.#held,
      bytesOut: metrics.bytesOut,
      brokers,
      messages: this.#messages.splice(0),
    });
  }
}

function state(brokers, now) {
  const any = (...states) => brokers.some((broker) => states.includes(broker.state));
  if (!any('open', 'choked')) return any('lost') ? 'disconnected' : 'connecting';
  // A broker that leads nothing any more need not come back.
  return brokers.some(({ state, lost }) => state === 'lost' && now - lost < FRESH_MS) ? 'degraded' : 'connected';
}
