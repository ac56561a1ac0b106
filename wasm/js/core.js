// The WebAssembly module as an object: calls, lists, and what happens if it traps. wasm/klamm/src has the other side.

import { KafkaError, failure, shown } from './errors.js';

const decoder = new TextDecoder();

/** Tags of the entries in a list, as in wasm/klamm/src/words.rs. */
export const Tag = Object.freeze({
  CONNECT: 1, DISCONNECT: 2, WRITABLE: 3, DELIVERED: 4, FAILED: 5, TOPIC: 6, ROOM: 7, FLUSHED: 8, PROBLEM: 9, CLOSED: 10,
});

/** Why a record was not accepted, as in wasm/klamm/src/client.rs. */
export const Refusal = Object.freeze({ NONE: 0, ROOM: 1, TOPIC: 2, FOREVER: 3 });

/** Reads a list's numbers and texts, one after the other. */
export class Reader {
  /** @param {DataView} view */
  constructor(view, at = 0, end = view.byteLength) {
    this.view = view;
    this.at = at;
    this.end = end;
  }

  get more() {
    return this.at < this.end;
  }

  u32() {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  i32() {
    this.at += 4;
    return this.view.getInt32(this.at - 4, true);
  }

  /** Offsets: a double would not hold them all. */
  i64() {
    this.at += 8;
    return this.view.getBigInt64(this.at - 8, true);
  }

  f64() {
    this.at += 8;
    return this.view.getFloat64(this.at - 8, true);
  }

  text() {
    const length = this.u32();
    this.at += length;
    return decoder.decode(new Uint8Array(this.view.buffer, this.view.byteOffset + this.at - length, length));
  }

  failure(fate) {
    const [code, retriable, name, text] = [this.i32(), this.u32() === 1, this.text(), this.text()];
    return new KafkaError(text, { code, name, retriable, fate });
  }
}

/** One instance of the module: one producer. */
export class Core {
  #exports;
  #buffer;
  #staging = 0;
  #capacity = 0;
  /** The memory, for reading and writing numbers. @type {DataView} */
  view;
  /** The memory. @type {Uint8Array} */
  bytes;
  /** What every call gives once the module trapped. @type {KafkaError | null} */
  dead = null;
  #died;

  /**
   * @param {WebAssembly.Module} module
   * @param {() => void} died called when it traps
   */
  constructor(module, died) {
    this.#died = died;
    this.#exports = new WebAssembly.Instance(module, {}).exports;
    this.#look();
  }

  /** Calls one of the module's functions. */
  call(name, a, b, c) {
    if (this.dead) throw this.dead;
    try {
      return this.#exports[name](a, b, c);
    } catch (error) {
      throw this.#trapped(error);
    }
  }

  // A trap leaves the instance in any state, so nothing may use it again.
  #trapped(error) {
    let said = '';
    try {
      this.#look();
      const [at, length] = [this.#exports.panic_text(), this.#exports.panic_len()];
      said = decoder.decode(this.bytes.subarray(at, at + length));
    } catch {
      // There is nothing more to be learned.
    }
    const text = `klamm broke and cannot go on; please report this: ${said || shown(error)}`;
    return this.fail(text, error);
  }

  /** Says that it cannot go on; gives the error that everyone gets from now on. */
  fail(text, cause, name = 'INTERNAL_ERROR') {
    this.dead ??= failure(name, text, { fate: 'unknown', cause });
    this.#died();
    return this.dead;
  }

  // Memory that grew is another buffer.
  #look() {
    const { buffer } = this.#exports.memory;
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.view = new DataView(buffer);
      this.bytes = new Uint8Array(buffer);
    }
  }

  /** Makes room in the staging area, whose content may be lost; gives its address. */
  stage(length) {
    if (length > this.#capacity) {
      const capacity = Math.max(length, 64 << 10);
      this.#staging = this.call('stage', capacity) >>> 0;
      this.#capacity = capacity;
      this.#look();
    }
    return this.#staging;
  }

  /** Stages bytes; gives their number. @param {Uint8Array} bytes */
  put(bytes) {
    const at = this.stage(bytes.length); // first: it may move the memory
    this.bytes.set(bytes, at);
    return bytes.length;
  }

  /** The list that a call has left, where it lies: to be read before the next call. */
  read(length) {
    const at = this.call('words') >>> 0;
    this.#look();
    return new Reader(this.view, at, at + length);
  }

  /** A copy of the list that a function makes. */
  list(name, a, b) {
    const length = this.call(name, a, b);
    const { at } = this.read(length);
    return new Reader(new DataView(this.#buffer.slice(at, at + length)));
  }

  /** A copy of the next bytes to send on a connection; `null` if there are none. */
  take(now, slot) {
    const reader = this.read(this.call('transmit', now, slot));
    const first = reader.at;
    let total = 0;
    while (reader.more) {
      reader.u32();
      total += reader.u32();
    }
    if (total === 0) return null;
    const bytes = new Uint8Array(total);
    let to = 0;
    for (reader.at = first; reader.more; ) {
      const [at, length] = [reader.u32(), reader.u32()];
      bytes.set(this.bytes.subarray(at, at + length), to);
      to += length;
    }
    this.call('transmitted', now, slot, total);
    return bytes;
  }
}
