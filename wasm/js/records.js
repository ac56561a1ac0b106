// Records: what the caller gives, and how it is laid into the staging area (wasm/klamm/src/staging.rs).

import { failure, shown } from './errors.js';

const encoder = new TextEncoder();
const FIXED = 28;
const SHORT = 64;

/** What JavaScript calls it, whichever realm it is of: `Object`, `ArrayBuffer`, `Map`, … */
const kind = (value) => Object.prototype.toString.call(value).slice(8, -1);

/** Bytes or a string as they are, anything else as JSON. */
function content(value, what) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || (value instanceof Uint8Array && value.length > 0)) return value;
  if (typeof value === 'object') {
    const bytes = view(value, what);
    if (bytes) return bytes;
  }
  return json(value, what);
}

function view(value, what) {
  try {
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return ['ArrayBuffer', 'SharedArrayBuffer'].includes(kind(value)) ? new Uint8Array(value) : null;
  } catch (cause) {
    throw failure('INVALID_RECORD', `${what} is in a buffer that was given away`, { cause });
  }
}

function json(value, what) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw failure('INVALID_RECORD', `${what} cannot be written as JSON: ${shown(cause?.message)}`, { cause });
  }
  if (text === undefined) throw failure('INVALID_RECORD', `${what} is neither text nor bytes nor JSON`);
  // What JSON writes, but without what is in it: numbers that are none, a Map, a Promise that nobody awaited.
  const lost = typeof value === 'number' ? text === 'null' : text === '{}' && kind(value) !== 'Object';
  if (lost) throw failure('INVALID_RECORD', `${what} is ${typeof value === 'number' ? value : `a ${kind(value)}`}, which JSON cannot hold`);
  return text;
}

/** Headers as an object, a Map, or pairs. */
function pairs(headers) {
  if (headers === undefined || headers === null) return null;
  if (typeof headers !== 'object') throw failure('INVALID_RECORD', 'the headers are an object, a Map, or pairs');
  const list = typeof headers[Symbol.iterator] === 'function' ? [...headers] : Object.entries(headers);
  return list.map((pair) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') {
      throw failure('INVALID_RECORD', 'a header is a name and a value');
    }
    return [pair[0], content(pair[1], `header ${pair[0]}`)];
  });
}

function whole(value, what, absent, most) {
  if (value === undefined || value === null) return absent;
  const number = value instanceof Date ? value.getTime() : value;
  if (!Number.isInteger(number) || number < 0 || number > most) {
    // "not 0" would not say that it is the text that is wrong.
    const given = typeof value === 'string' ? `the text \`${value}\`` : shown(value);
    throw failure('INVALID_RECORD', `${what} is a whole number from 0 to ${most}, not ${given}`);
  }
  return number;
}

// No string has more bytes than three for each of its UTF-16 units.
const most = (content) => (content === null ? 0 : typeof content === 'string' ? content.length * 3 : content.length);

/** A record that was not accepted yet. */
export class Item {
  /** Given up, by its signal or its deadline. */
  gone = false;
  deadline = Infinity;
  /** Called when it leaves the queue. @type {(() => void)[] | null} */
  left = null;
  unlisten = null;

  /** @throws {KafkaError} `INVALID_RECORD` */
  constructor(record, sink, position) {
    if (record === null || typeof record !== 'object') throw failure('INVALID_RECORD', 'a record is an object with a topic');
    // A word mistyped must not publish a tombstone.
    if (record.value === undefined) throw failure('INVALID_RECORD', "the value is missing; `value: null` is Kafka's null");
    this.key = content(record.key, 'the key');
    this.value = content(record.value, 'the value');
    this.headers = pairs(record.headers);
    this.partition = whole(record.partition, 'the partition', -1, 0x7fffffff);
    this.timestamp = whole(record.timestamp, 'the timestamp', -1, Number.MAX_SAFE_INTEGER);
    this.sink = sink;
    this.position = position;
    let size = FIXED + most(this.key) + most(this.value);
    if (this.headers) for (const [name, value] of this.headers) size += 8 + most(name) + most(value);
    /** Upper bound of its staged bytes. */
    this.size = size;
  }

  /** From now on the caller's bytes may change. */
  own() {
    // Not by slice(), which for a Buffer shows the same bytes.
    const copy = (content) => (content instanceof Uint8Array ? new Uint8Array(content) : content);
    this.key = copy(this.key);
    this.value = copy(this.value);
    this.headers = this.headers?.map(([name, value]) => [name, copy(value)]) ?? null;
  }

  /** Lays it at this address; gives the address behind it. @param {import('./core.js').Core} core */
  stage(core, at, topic) {
    const { view } = core;
    view.setUint32(at, topic, true);
    view.setInt32(at + 4, this.partition, true);
    view.setFloat64(at + 8, this.timestamp, true);
    view.setUint32(at + 24, this.headers === null ? 0 : this.headers.length, true);
    let end = at + FIXED;
    end += put(core, end, this.key, at + 16);
    end += put(core, end, this.value, at + 20);
    if (this.headers) {
      for (const [name, value] of this.headers) {
        const lengths = end;
        end += 8;
        end += put(core, end, name, lengths);
        end += put(core, end, value, lengths + 4);
      }
    }
    return end;
  }
}

// Writes bytes, and their number where it belongs: −1 for null.
function put({ bytes, view }, at, content, lengthAt) {
  let length;
  if (content === null) {
    view.setInt32(lengthAt, -1, true);
    return 0;
  }
  if (typeof content === 'string') {
    length = text(bytes, at, content);
  } else {
    bytes.set(content, at);
    length = content.length;
  }
  view.setInt32(lengthAt, length, true);
  return length;
}

// For short texts the encoder takes longer to be called than to work.
function text(bytes, at, content) {
  const { length } = content;
  if (length <= SHORT) {
    let index = 0;
    for (; index < length; index += 1) {
      const unit = content.charCodeAt(index);
      if (unit > 127) break;
      bytes[at + index] = unit;
    }
    if (index === length) return length;
  }
  return encoder.encodeInto(content, bytes.subarray(at, at + length * 3)).written;
}
