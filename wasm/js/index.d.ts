/// <reference lib="esnext.disposable" />

/** Bytes, text (as UTF-8), or anything that JSON can write. `null` is Kafka's null: as a value, a tombstone. */
export type Content = Uint8Array | ArrayBuffer | ArrayBufferView | string | number | boolean | object | null;

export type HeaderContent = Content | undefined;

export interface ProducerRecord {
  topic: string;
  /** Records with equal keys go to one partition, in order. */
  key?: Content;
  /** `null` for a tombstone; a record without it is refused. */
  value: Content;
  /** As an object, a `Map`, or pairs, whose names may repeat. */
  headers?: Record<string, HeaderContent> | Iterable<readonly [string, HeaderContent]>;
  /**
   * 0 and up; without it Kafka's default partitioner decides. Records without key that are sent before the topic's metadata came
   * go to one partition.
   */
  partition?: number;
  /** Unix milliseconds; without it the time of `send`. */
  timestamp?: number | Date;
}

export interface RecordMetadata {
  topic: string;
  partition: number;
  /** A `bigint`, since Kafka's offsets have 64 bits; `-1n` if the broker did not say (`acks=0`). */
  offset: bigint;
  /** Unix milliseconds; the broker's for topics with `LogAppendTime`. */
  timestamp: number;
}

/** A property of Kafka's, as in its documentation. */
export type Property = string | number | boolean | readonly string[] | undefined;

export interface ProducerOptions {
  /** `host:port`, IPv6 in brackets; no URLs. */
  'bootstrap.servers': string | readonly string[];
  /**
   * How bytes get to brokers. In Node `net` (the default) or `websocket` (Node 22 or later); in browsers `websocket`; in workerd
   * `sockets` (the default, unless `bridge` is given) or `websocket`; everywhere one of your own.
   */
  transport?: 'net' | 'sockets' | 'websocket' | Transport;
  /** The klamm-bridge that `websocket` goes through, as `wss://…`; with a token where it wants to see one. */
  bridge?: string | URL | Bridge;
  /** `SSL` with `net` and `sockets`; the others are `PLAINTEXT`, the default, and encrypt the way to the bridge by `wss://`. */
  'security.protocol'?: 'PLAINTEXT' | 'SSL';
  /** With `net`: certificates to trust instead of the system's, as PEM. */
  'ssl.truststore.certificates'?: string;
  /** With `net`: the client's certificate, and those between it and one that brokers trust, as PEM. */
  'ssl.keystore.certificate.chain'?: string;
  /** With `net`: the key of the client's certificate, as PEM. */
  'ssl.keystore.key'?: string;
  /** With `net`: the password of that key, if it has one. */
  'ssl.key.password'?: string;
  /** With `net`: `https` (the default) if certificates must name the host; nothing but a text without content to allow any name. */
  'ssl.endpoint.identification.algorithm'?: 'https' | '';
  /**
   * Longest wait for space and metadata in milliseconds, 60000 if not given. Records without key and partition need no
   * metadata to be accepted: `delivery.timeout.ms` is the limit for them.
   */
  'max.block.ms'?: number;
  'acks'?: 'all' | -1 | 0 | 1 | '-1' | '0' | '1';
  'compression.type'?: 'none' | 'lz4';
  'client.id'?: string;
  'linger.ms'?: number;
  'batch.size'?: number;
  'buffer.memory'?: number;
  'enable.idempotence'?: boolean;
  'delivery.timeout.ms'?: number;
  'request.timeout.ms'?: number;
  'max.request.size'?: number;
  [property: string]: Property | Transport | URL | Bridge;
}

export interface Bridge {
  /** `wss://…`, with the path before `/tcp/…` if there is one. */
  url: string | URL;
  /**
   * What the bridge wants to see, or what gives it: asked anew for each connection. If it throws or its promise is rejected, so
   * does the connection fail, and is tried again.
   */
  token?: string | (() => string | Promise<string>);
}

export interface SendOptions {
  /**
   * Gives up waiting for space and metadata. A record that was accepted has its outcome all the same; one without
   * key and partition is accepted before there is metadata.
   */
  signal?: AbortSignal;
}

export class Producer extends EventTarget implements AsyncDisposable {
  /** @throws {KafkaError} `INVALID_CONFIG`; the message names the property. */
  constructor(options: ProducerOptions);

  /**
   * Publishes a record; resolves when the brokers have it. The caller's bytes may be changed as soon as this returns.
   * @throws {KafkaError} as a rejection
   */
  send(record: ProducerRecord, options?: SendOptions): Promise<RecordMetadata>;

  /**
   * Publishes records, faster than one by one. Rejects, once all of them have their outcome, with the first error;
   * its `results` has every record's metadata or error. If one of them is no record (`INVALID_RECORD`), none is sent, and
   * there are no `results`.
   */
  sendBatch(records: Iterable<ProducerRecord>, options?: SendOptions): Promise<RecordMetadata[]>;

  /** Resolves when everything sent before has its outcome. Nothing of it waits for more records (`linger.ms`). */
  flush(): Promise<void>;

  /**
   * Publishes what was sent, then closes. What has no outcome within `timeout` milliseconds fails with `CLOSED`; without it
   * `delivery.timeout.ms` is the limit. Called again it can shorten the time.
   */
  close(options?: { timeout?: number }): Promise<void>;

  /** Bytes of records that have no outcome yet, those that wait for space included. */
  readonly bufferedAmount: number;

  /** Resolves when no record waits for space or metadata: who sends much awaits it now and then. */
  readonly ready: Promise<void>;

  /** Counters since the producer was made. */
  metrics(): Metrics;

  [Symbol.asyncDispose](): Promise<void>;

  /** Something a person may want to know: no server can be reached, a topic is not there or not allowed, … Attempts go on. */
  addEventListener(type: 'problem', listener: ((event: ProblemEvent) => void) | null, options?: Listening[2]): void;
  addEventListener(...listening: Listening): void;
}

/** Arguments of any `addEventListener`: their names are of the DOM's types, which Node and Workers do not have. */
type Listening = Parameters<EventTarget['addEventListener']>;

export interface ProblemEvent extends Event {
  readonly error: KafkaError;
}

export class KafkaError extends Error {
  /** Only klamm makes them. */
  private constructor();
  /** Kafka's number for it; below −100 one of klamm's own. */
  readonly code: number;
  /** Kafka's name for it, such as `MESSAGE_TOO_LARGE`, or one of klamm's own, such as `CLOSED`. */
  readonly name: string;
  /** Whether sending the same record anew may succeed; where `fate` is `unknown` it may duplicate the record. */
  readonly retriable: boolean;
  /** `unknown`: the record can be in the log all the same. */
  readonly fate: 'not-written' | 'unknown';
  /** Of `sendBatch`: each record's metadata or error; the reason of your signal, whatever that is, for those that it gave up. */
  readonly results?: (RecordMetadata | KafkaError)[];
}

export interface Metrics {
  recordsAccepted: number;
  bytesAccepted: number;
  recordsDelivered: number;
  recordsFailed: number;
  recordsRetried: number;
  batchesSent: number;
  batchBytesSent: number;
  produceRequests: number;
  requests: number;
  bytesOut: number;
  bytesIn: number;
  batchesSplit: number;
  batchesExpired: number;
  metadataRefreshes: number;
  connectionsOpened: number;
  connectionsClosed: number;
  requestTimeouts: number;
  epochBumps: number;
  rebootstraps: number;
  bufferFull: number;
  throttleMs: number;
  requestLatencyUs: number;
  requestLatencyUsMax: number;
  requestLatencyCount: number;
  bufferTotalBytes: number;
  bufferAvailableBytes: number;
}

/** How bytes reach a broker: TCP, a WebSocket to a bridge, or your own. */
export interface Transport {
  /** Opens a stream; a name is the transport's to resolve. Nothing may be called back before this returns. */
  connect(host: string, port: number, on: TransportEvents): TransportStream;
}

export interface TransportEvents {
  /** Bytes can flow. */
  onopen(): void;
  /** Bytes came; they are read before this returns. */
  ondata(bytes: Uint8Array): void;
  /** After a `write` that answered `false`: more may be written. */
  ondrain(): void;
  /** The stream ended, or could not be opened. The last call. `error` is what the host said of it, if anything. */
  onclose(reason: 'closed' | 'refused' | 'unreachable' | 'dns' | 'tls' | 'timed-out' | 'other', error?: unknown): void;
}

export interface TransportStream {
  /** Takes all bytes, for good; `false` asks for no more before `ondrain`. */
  write(bytes: Uint8Array): boolean | void;
  /** Closes the stream, what was written first. */
  close(): void;
}
