// The one class of errors.

/** Codes that Kafka does not have; its own are −1 and up. wasm/klamm/src/failure.rs has the same numbers. */
export const Code = Object.freeze({
  MESSAGE_TOO_LARGE: 10, // Kafka's
  INVALID_CONFIG: 40, // Kafka's
  INVALID_RECORD: 87, // Kafka's
  CLOSED: -101,
  MAX_BLOCK_EXCEEDED: -102,
  DELIVERY_TIMEOUT: -103,
  INTERNAL_ERROR: -104,
  TOO_MANY_TOPICS: -105,
  PROBLEM: -106,
});

/** Why a record was not delivered, or a producer cannot be. */
export class KafkaError extends Error {
  /**
   * @param {string} message
   * @param {{code: number, name: string, retriable?: boolean, fate?: 'not-written' | 'unknown', cause?: unknown}} what
   */
  constructor(message, { code, name, retriable = false, fate = 'not-written', cause }) {
    super(message, cause === undefined ? undefined : { cause });
    /** Kafka's number for it, or one of klamm's own below −100. */
    this.code = code;
    /** Kafka's name for it, such as `MESSAGE_TOO_LARGE`. */
    this.name = name;
    /** Whether sending the same record anew may succeed. */
    this.retriable = retriable;
    /** `unknown`: the record can be in the log all the same. */
    this.fate = fate;
  }
}

/** Anything, to be told of in a message. */
export function shown(value) {
  try {
    return String(value);
  } catch {
    return typeof value; // an object that will not become a text
  }
}

/** An error of klamm's own, or one that means the same as Kafka's. */
export const failure = (name, message, more) => new KafkaError(message, { code: Code[name], name, ...more });
