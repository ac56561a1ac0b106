// Errors as HTTP has them.

import { KafkaError } from 'klamm';

class Refusal extends Error {
  constructor(status, name, message, headers) {
    super(message);
    Object.assign(this, { status, name, headers });
  }
}

/** A request that is not as it should be. */
export const refuse = (status, name, message, headers) => new Refusal(status, name, message, headers);

/** What Kafka's errors are in HTTP, where it is not 503 for those that pass, and 500 for those that do not. */
const STATUS = {
  INVALID_RECORD: 400,
  INVALID_TOPIC_EXCEPTION: 400,
  UNKNOWN_TOPIC_OR_PARTITION: 404,
  TOPIC_AUTHORIZATION_FAILED: 403,
  MESSAGE_TOO_LARGE: 413,
  DELIVERY_TIMEOUT: 504,
};

export function status({ name, retriable }) {
  return STATUS[name] ?? (retriable ? 503 : 500);
}

export function failed(error) {
  if (error instanceof Refusal) {
    return Response.json({ error: { name: error.name, message: error.message } }, { status: error.status, headers: error.headers });
  }
  if (error instanceof KafkaError) {
    const { name, code, message, retriable, fate } = error;
    // What is wrong with our own settings is not the caller's business.
    if (name === 'INVALID_CONFIG') console.error(message);
    const shown = name === 'INVALID_CONFIG' ? 'this Worker is not configured as it should be' : message;
    return Response.json({ error: { name, code, message: shown, retriable, fate } }, { status: status(error) });
  }
  console.error(error.stack ?? String(error));
  return Response.json({ error: { name: 'INTERNAL_ERROR', message: 'something is wrong here' } }, { status: 500 });
}
