// The producer: promises, waiting, timers. What is Kafka's is decided by the module.

import { Connections } from './connections.js';
import { Core, Reader, Refusal, Tag } from './core.js';
import { KafkaError, failure, shown } from './errors.js';
import { NAMES } from './metrics.js';
import { Queue } from './queue.js';
import { Item } from './records.js';
import * as runtime from './runtime.js';
import { maxBlock, maxRequest, staged } from './settings.js';
import { Many, One } from './sinks.js';

// Bytes that are staged for one call, unless a record alone has more.
const STAGING = 64 << 10;
// How far the bound of a record's size is above the size, at most: a letter is taken for three bytes.
const BOUND = 4;
// The host's longest timer.
const LONGEST = 0x7fffffff;
// How far the calendar may run from the clock before the module is told: clocks are set, and computers sleep.
const DRIFT_MS = 20;

const GONE = 'the record\'s bytes are in a buffer that was given away';

const now = () => performance.now();

/** Something happened that a person may want to know. */
class ProblemEvent extends Event {
  constructor(error) {
    super('problem');
    this.error = error;
  }
}

/** Gives an error its cause, if there is one that says something. */
function explain(error, cause) {
  if (cause?.message) {
    error.cause = cause;
    error.message += `: ${cause.message}`;
  }
  return error;
}

export class Producer extends EventTarget {
  #core;
  #connections;
  #maxBlock;
  /** Above this bound of its size no record can be sent. */
  #maxStaged;
  /** By name and by number: `{ name, number, queue, error }`. */
  #topics = new Map();
  #numbers = [];
  /** What was told of servers first since one answered, and how many answers there had been: `{ error, answers }`. */
  #trouble;
  /** Topics whose queue is not empty. */
  #stuck = new Set();
  #waitingBytes = 0;
  /** Accepted records by batch: `{ items, left }`. */
  #batches = new Map();
  /** Signals that may give up waiting records: `{ items, abort }`. */
  #signals = new Map();
  #flushes = [];
  #idle = [];
  #timer;
  #timerAt = Infinity;
  /** Unix milliseconds at the clock's origin, as the module knows it. */
  #origin = -Infinity;
  #scheduled = false;
  #running = false;
  #again = false;
  #closing = null;
  #closed = null;
  #cut = null;

  /**
   * @param {import('./index.d.ts').ProducerOptions} options
   * @throws {KafkaError} `INVALID_CONFIG`; the message names the property
   */
  constructor(options) {
    super();
    const settings = staged(options);
    this.#maxBlock = maxBlock(options);
    const transport = runtime.transport(options);
    const core = new Core(runtime.module(), () => this.#schedule());
    this.#core = core;
    const wrong = core.read(this.#open(settings));
    if (wrong.more) throw wrong.failure('not-written');
    this.#maxStaged = BOUND * maxRequest(options);
    const change = (act) => this.#change(act);
    this.#connections = new Connections(core, transport, now, change, (cause) => this.#abandoned(cause));
    this.#wallClock();
    this.#schedule();
  }

  #open(settings) {
    try {
      return this.#core.call('open', now(), this.#core.put(settings));
    } catch (cause) {
      // It takes all its memory now, and nothing else can go wrong here.
      throw failure('INVALID_CONFIG', 'buffer.memory: there is not so much memory', { cause });
    }
  }

  /** Publishes a record. @returns {Promise<import('./index.d.ts').RecordMetadata>} */
  send(record, options) {
    return new Promise((resolve, reject) => {
      try {
        const signal = this.#admit(options);
        const item = new Item(record, new One(resolve, reject), 0);
        const topic = this.#topic(record.topic);
        topic.queue.push(item);
        this.#offer(topic);
        if (item.key !== undefined) this.#wait(item, signal);
      } catch (error) {
        reject(error);
      }
    });
  }

  /** Publishes records. Rejects, once all have their outcome, with the first error; `error.results` has all. */
  sendBatch(records, options) {
    return new Promise((resolve, reject) => {
      try {
        if (typeof records !== 'object' || typeof records?.[Symbol.iterator] !== 'function') {
          throw failure('INVALID_RECORD', 'sendBatch takes an array of records, or another iterable');
        }
        const signal = this.#admit(options);
        const all = [...records]; // an array without holes
        this.#queue(all, new Many(all.length, resolve, reject), signal);
      } catch (error) {
        reject(error);
      }
    });
  }

  /** Resolves when everything sent before has its outcome. Nothing of it waits for more records. */
  async flush() {
    this.#alive();
    const queues = [...this.#stuck].map((topic) => new Promise((resolve) => (topic.queue.last.left ??= []).push(resolve)));
    this.#change(() => this.#core.call('flush', now()));
    await Promise.all(queues);
    this.#alive();
    if (this.#closed) return this.#closed;
    return new Promise((resolve) => {
      this.#flushes.push(resolve);
      this.#change(() => this.#core.call('flush', now()));
    });
  }

  /** Bytes of records that have no outcome, those that wait for space included. */
  get bufferedAmount() {
    return this.#core.dead ? 0 : this.#core.call('held') + this.#waitingBytes;
  }

  /** Resolves when no record waits for space or metadata. */
  get ready() {
    return this.#stuck.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Counters since the producer was made. @returns {Record<string, number>} */
  metrics() {
    this.#alive();
    const reader = this.#core.list('metrics');
    return Object.fromEntries(NAMES.map((name) => [name, reader.f64()]));
  }

  /**
   * Publishes what was sent, then closes. What has no outcome within `timeout` milliseconds fails. Called again, it can only
   * shorten that.
   */
  close(options) {
    const timeout = options?.timeout ?? Infinity;
    if (typeof timeout !== 'number' || !(timeout >= 0)) {
      return Promise.reject(failure('INVALID_CONFIG', 'timeout: a number of milliseconds, from 0 on'));
    }
    if (this.#core.dead) return Promise.resolve();
    const until = now() + timeout;
    if (this.#closing === null) {
      this.#closed = new Promise((resolve) => (this.#ended = resolve));
      this.#closing = this.#close(until);
    } else {
      this.#cut?.(until);
    }
    return this.#closing;
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close();
  }

  #ended = () => {};

  async #close(until) {
    if (this.#stuck.size > 0) await this.#drained((end) => (until = Math.min(until, end)), until);
    const closed = failure('CLOSED', 'the producer was closed before there was space for the record', { retriable: true });
    this.#giveUp(closed);
    const within = (end) => this.#change(() => this.#core.call('close', now(), Math.min(Math.max(0, end - now()), LONGEST)));
    this.#cut = (end) => within((until = Math.min(until, end)));
    within(until);
    return this.#closed;
  }

  // Waits until no record waits for space, at most until a time that can be shortened.
  async #drained(shorten, until) {
    let timer;
    await Promise.race([
      this.ready,
      new Promise((resolve) => {
        const arm = (end) => {
          clearTimeout(timer);
          timer = setTimeout(resolve, Math.min(Math.max(0, end - now()), LONGEST));
        };
        this.#cut = (end) => {
          shorten(end);
          if (end < until) arm((until = end));
        };
        this.#change(() => this.#core.call('flush', now()));
        arm(until);
      }),
    ]);
    clearTimeout(timer);
  }

  #alive() {
    if (this.#core.dead) throw this.#core.dead;
  }

  // Whether anything can be sent; the signal that may give it up.
  #admit(options) {
    this.#alive();
    const signal = options?.signal ?? null;
    if (signal !== null) {
      if (typeof signal.throwIfAborted !== 'function') throw failure('INVALID_CONFIG', 'signal: an AbortSignal');
      signal.throwIfAborted();
    }
    if (this.#closing !== null) throw failure('CLOSED', 'the producer is closed');
    return signal;
  }

  // Sends records of any topics, or has them wait.
  #queue(records, sink, signal) {
    // All are looked at before one is sent.
    const items = records.map((record, position) => new Item(record, sink, position));
    const topics = records.map(({ topic }) => this.#topic(topic));
    items.forEach((item, position) => topics[position].queue.push(item));
    for (const topic of new Set(topics)) this.#offer(topic);
    for (const item of items) if (item.key !== undefined) this.#wait(item, signal);
  }

  // Sends what was just put into a topic's queue, unless others wait there already.
  #offer(topic) {
    if (this.#stuck.has(topic)) return;
    this.#stuck.add(topic);
    this.#guard(() => this.#drain(topic));
  }

  #topic(name) {
    const known = this.#topics.get(name);
    if (known) return known;
    if (typeof name !== 'string') throw failure('INVALID_RECORD', 'the topic is a text');
    // Enough to see that a name is too long.
    const number = this.#core.call('topic', this.#core.put(new TextEncoder().encode(name.slice(0, 250))));
    if (number < 0) throw this.#core.read(LONGEST).failure('not-written');
    const topic = { name, number, queue: new Queue() };
    this.#topics.set(name, topic);
    this.#numbers[number] = topic;
    this.#schedule();
    return topic;
  }

  // A record that was not accepted at once: its bytes are copied, and it can be given up.
  #wait(item, signal) {
    item.deadline = now() + this.#maxBlock;
    try {
      item.own();
    } catch (cause) {
      item.gone = true;
      return this.#refuse(item, failure('INVALID_RECORD', GONE, { cause }));
    }
    this.#waitingBytes += item.size;
    item.waits = true;
    if (signal?.aborted) {
      // By what was called to look at the record.
      this.#abandon([item], signal.reason);
    } else if (signal) {
      this.#listen(item, signal);
    }
    this.#schedule();
  }

  // One listener per signal, for however many records.
  #listen(item, signal) {
    let waiting = this.#signals.get(signal);
    if (waiting === undefined) {
      waiting = { items: new Set(), abort: () => this.#abandon([...waiting.items], signal.reason) };
      this.#signals.set(signal, waiting);
      signal.addEventListener('abort', waiting.abort);
    }
    waiting.items.add(item);
    item.unlisten = () => {
      waiting.items.delete(item);
      if (waiting.items.size > 0) return;
      signal.removeEventListener('abort', waiting.abort);
      this.#signals.delete(signal);
    };
  }

  // Gives waiting records up; their places in the queue go with them when their turn comes.
  #abandon(items, error) {
    for (const item of items) {
      item.gone = true;
      this.#refuse(item, error);
    }
    this.#change(() => this.#drainAll());
  }

  // A record leaves its queue, accepted or not.
  #leave(item) {
    if (item.waits) {
      item.waits = false;
      this.#waitingBytes -= item.size;
      item.unlisten?.();
    }
    item.key = undefined;
    item.value = item.headers = item.unlisten = null;
    if (item.left) for (const resolve of item.left) resolve();
    item.left = null;
  }

  // Sends what waits for a topic, as far as it is accepted.
  #drain(topic) {
    const { queue } = topic;
    this.#wallClock();
    while (queue.length > 0) {
      if (queue.first.gone) {
        queue.shift();
        continue;
      }
      const [count, length] = this.#stage(topic);
      if (count === 0) continue;
      const reader = this.#core.read(this.#core.call('send', now(), length));
      const [accepted, wake, refusal] = [reader.u32(), reader.u32(), reader.u32()];
      for (let left = accepted; left > 0; left -= 1) {
        this.#accepted(queue.shift(), reader.u32(), reader.u32(), reader.f64());
      }
      if (wake) this.#schedule();
      if (refusal === Refusal.FOREVER) {
        const error = reader.failure('not-written');
        this.#refuse(queue.shift(), error);
      } else if (refusal === Refusal.TOPIC && topic.error?.retriable === false) {
        this.#refuseAll(queue, topic.error); // it waits in vain
      } else if (refusal !== Refusal.NONE) {
        return;
      } else if (accepted < count) {
        throw failure('INTERNAL_ERROR', 'records were neither accepted nor refused');
      }
    }
    this.#stuck.delete(topic);
  }

  // Stages the first records of a queue up to one that was given up. None if the first cannot be staged: it has failed then.
  #stage({ queue, number }) {
    let [count, room] = [0, 0];
    for (; count < queue.length; count += 1) {
      const { gone, size } = queue.at(count);
      if (gone || size > this.#maxStaged || (count > 0 && room + size > STAGING)) break;
      room += size;
    }
    if (count === 0) {
      // The module would say the same, but would need memory for looking at it.
      const text = `the record takes more than the ${this.#maxStaged / BOUND} bytes that are allowed`;
      this.#refuse(queue.shift(), failure('MESSAGE_TOO_LARGE', text));
      return [0, 0];
    }
    const from = this.#core.stage(room);
    let at = from;
    for (let index = 0; index < count; index += 1) {
      try {
        at = queue.at(index).stage(this.#core, at, number);
      } catch (cause) {
        // Its buffer was given away since it was looked at. Those before it are sent; it is met again as the first.
        if (index === 0) this.#refuse(queue.shift(), failure('INVALID_RECORD', GONE, { cause }));
        return [index, at - from];
      }
    }
    return [count, at - from];
  }

  #refuse(item, error) {
    this.#leave(item);
    item.sink.fail(item.position, error);
  }

  #refuseAll(queue, error) {
    while (queue.length > 0) {
      const item = queue.shift();
      if (!item.gone) this.#refuse(item, error);
    }
  }

  #accepted(item, batch, index, timestamp) {
    this.#leave(item);
    item.timestamp = timestamp;
    let accepted = this.#batches.get(batch);
    if (accepted === undefined) this.#batches.set(batch, (accepted = { items: [], left: 0 }));
    accepted.items[index] = item;
    accepted.left += 1;
  }

  #drainAll() {
    for (const topic of [...this.#stuck]) this.#drain(topic);
    this.#rest();
  }

  // Tells those who wait for it that no record waits any longer.
  #rest() {
    if (this.#stuck.size > 0 || this.#idle.length === 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  // Runs something that changes the module's state, then a round.
  #change(act) {
    this.#guard(() => {
      act();
      this.#round();
    });
  }

  // After a trap every promise is settled, and after any other error that should not be.
  #guard(act) {
    try {
      if (!this.#core.dead) act();
    } catch (error) {
      if (!this.#core.dead) this.#core.fail(`klamm broke; please report this: ${shown(error?.stack ?? error)}`, error);
    }
    if (this.#core.dead) this.#die(this.#core.dead);
  }

  // A round after whatever the caller does now: many sends have one.
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#change(() => {});
    });
  }

  // Does what the module asks for and hears what it has to say, until there is nothing more of either.
  #round() {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    try {
      do {
        this.#again = false;
        this.#act(this.#core.list('poll'));
        this.#hear(this.#core.list('events'));
      } while (this.#again);
      this.#arm();
    } finally {
      this.#running = false;
    }
  }

  /** @param {Reader} list */
  #act(list) {
    if (list.more) this.#again = true;
    while (list.more) {
      const [tag, slot] = [list.u32(), list.u32()];
      if (tag === Tag.CONNECT) {
        const port = list.u32();
        this.#connections.open(slot, list.text(), port);
      } else if (tag === Tag.DISCONNECT) {
        this.#connections.close(slot);
      } else {
        this.#connections.transmit(slot);
      }
    }
  }

  /** @param {Reader} list */
  #hear(list) {
    if (list.more) this.#again = true;
    let room = false;
    while (list.more) {
      const tag = list.u32();
      if (tag === Tag.DELIVERED || tag === Tag.FAILED) {
        this.#outcome(list, tag === Tag.DELIVERED);
      } else if (tag === Tag.TOPIC) {
        this.#look(this.#numbers[list.u32()], list);
        room = true;
      } else if (tag === Tag.ROOM) {
        room = true;
      } else if (tag === Tag.FLUSHED) {
        const flushes = this.#flushes;
        this.#flushes = [];
        for (const resolve of flushes) resolve();
      } else if (tag === Tag.PROBLEM) {
        this.#problem(list.failure('not-written'));
      } else if (tag === Tag.CLOSED) {
        this.#end();
      }
    }
    if (room) this.#drainAll();
  }

  // What keeps a topic's metadata away is told each time that it is another.
  #look(topic, list) {
    topic.error = list.u32() === 1 ? list.failure('not-written') : undefined;
    if (topic.error) this.#problem(topic.error);
  }

  // Why no server answers; nothing once one did.
  get #silence() {
    return this.#trouble && this.#trouble.answers === this.#answers ? this.#trouble.error : undefined;
  }

  get #answers() {
    return this.metrics().metadataRefreshes;
  }

  // The module knows why in a word; the transport may know more.
  #problem(error) {
    const { cause } = this.#connections;
    // Who speaks no Kafka counts as not reached, but that is not why.
    if (['UNREACHABLE', 'PROTOCOL'].includes(error.name) && !this.#silence) {
      // Failures of records are shown to others: addresses, which the transport's words have, stay in the cause's cause.
      this.#trouble = { error: new KafkaError(error.message, { ...error, cause }), answers: this.#answers };
    }
    if (error.name === 'UNREACHABLE') explain(error, cause);
    this.dispatchEvent(new ProblemEvent(error));
  }

  #outcome(list, delivered) {
    const [batch, first, count] = [list.u32(), list.u32(), list.u32()];
    const topic = this.#numbers[list.u32()]?.name;
    const partition = list.i32();
    const accepted = this.#batches.get(batch);
    accepted.left -= count;
    if (accepted.left === 0) this.#batches.delete(batch);
    if (delivered) {
      const [base, appended] = [list.i64(), list.i64()];
      for (let index = 0; index < count; index += 1) {
        const { sink, position, timestamp } = accepted.items[first + index];
        const offset = base < 0n ? base : base + BigInt(index);
        sink.done(position, { topic, partition, offset, timestamp: appended < 0n ? timestamp : Number(appended) });
      }
    } else {
      const fate = list.u32() === 1 ? 'unknown' : 'not-written';
      list.i32(); // the record to blame
      const error = list.failure(fate);
      if (error.name === 'DELIVERY_TIMEOUT') explain(error, this.#silence);
      for (let index = 0; index < count; index += 1) {
        const { sink, position } = accepted.items[first + index];
        sink.fail(position, error);
      }
    }
  }

  // One timer for the module's next deadline and for the records that wait.
  #arm() {
    const due = this.#core.call('deadline');
    let at = due < 0 ? Infinity : due;
    for (const { queue } of this.#stuck) at = Math.min(at, queue.first?.deadline ?? Infinity);
    // One that is early only looks again.
    if (this.#closedNow || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(0, Math.ceil(at - now())), LONGEST));
  }

  #closedNow = false;

  #fire() {
    this.#timerAt = Infinity;
    this.#change(() => {
      const at = now();
      this.#core.call('timeout', at);
      this.#expire(at);
    });
  }

  // Tells the module what time it is, if it does not know.
  #wallClock() {
    const [at, unix] = [now(), Date.now()];
    if (Math.abs(unix - at - this.#origin) < DRIFT_MS) return;
    this.#origin = unix - at;
    this.#core.call('wall_clock', at, unix);
  }

  // Records that waited max.block.ms.
  #expire(at) {
    const silence = this.#silence;
    for (const topic of [...this.#stuck]) {
      const { queue } = topic;
      while (queue.length > 0 && (queue.first.gone || queue.first.deadline <= at)) {
        const item = queue.shift();
        if (item.gone) continue;
        const text = `no space, or no metadata of topic ${topic.name}, within max.block.ms`;
        this.#refuse(item, explain(failure('MAX_BLOCK_EXCEEDED', text, { retriable: true }), topic.error ?? silence));
      }
      if (queue.length === 0) this.#stuck.delete(topic);
    }
    this.#rest();
  }

  // Every record that waits fails.
  #giveUp(error) {
    for (const { queue } of this.#topics.values()) this.#refuseAll(queue, error);
    this.#stuck.clear();
    this.#rest();
  }

  // Nothing more comes of the module.
  #end() {
    clearTimeout(this.#timer);
    this.#closedNow = true;
    this.#connections?.closeAll(); // there are none if it could not be made
    for (const resolve of this.#flushes) resolve();
    this.#flushes = [];
    this.#closed ??= Promise.resolve();
    this.#ended();
  }

  // Streams and timers of a Worker end with the request that made them: to go on would be to wait for ever.
  #abandoned(cause) {
    const text = 'this producer was made by another request: make one for each, or keep it in a Durable Object';
    this.#core.fail(text, cause, 'CLOSED');
    this.#die(this.#core.dead);
  }

  // The module cannot go on: what it held may or may not be delivered. Called again it only fails what has come since.
  #die(error) {
    const waiting = new KafkaError(error.message, { code: error.code, name: error.name, cause: error });
    this.#giveUp(waiting);
    for (const { items } of this.#batches.values()) {
      for (const item of items) item?.sink.fail(item.position, error);
    }
    this.#batches.clear();
    if (this.#closedNow) return;
    this.#end();
    this.dispatchEvent(new ProblemEvent(error));
  }
}
