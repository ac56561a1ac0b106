// Wrong uses: each line must be refused by the compiler.

import { KafkaError, Producer } from 'klamm';
import type { ProducerRecord, Transport } from 'klamm';

// @ts-expect-error no bootstrap.servers
new Producer({});
// @ts-expect-error no options
new Producer();
// @ts-expect-error a number is no list of servers
new Producer({ 'bootstrap.servers': 9092 });
// @ts-expect-error no such number of acknowledgements
new Producer({ 'bootstrap.servers': 'a:1', 'acks': 2 });
// @ts-expect-error not one of its codecs
new Producer({ 'bootstrap.servers': 'a:1', 'compression.type': 'zstd' });
// @ts-expect-error milliseconds are a number
new Producer({ 'bootstrap.servers': 'a:1', 'max.block.ms': 'soon' });
// @ts-expect-error no such transport
new Producer({ 'bootstrap.servers': 'a:1', 'transport': 'pigeon' });
// @ts-expect-error a bridge has an address
new Producer({ 'bootstrap.servers': 'a:1', 'bridge': { token: 'text' } });
// @ts-expect-error a token is a text
new Producer({ 'bootstrap.servers': 'a:1', 'bridge': { url: 'wss://b', token: () => 5 } });
// @ts-expect-error SASL is not there yet
new Producer({ 'bootstrap.servers': 'a:1', 'security.protocol': 'SASL_SSL' });
// @ts-expect-error no property is an object
new Producer({ 'bootstrap.servers': 'a:1', 'retries': {} });

export async function wrong(producer: Producer): Promise<void> {
  // @ts-expect-error no topic
  await producer.send({ value: 'v' });
  // @ts-expect-error a topic is a text
  await producer.send({ topic: 5, value: 'v' });
  // @ts-expect-error JSON knows no bigint
  await producer.send({ topic: 't', value: 5n });
  // @ts-expect-error nor symbols
  await producer.send({ topic: 't', value: 'v', key: Symbol('key') });
  // @ts-expect-error a partition is a number
  await producer.send({ topic: 't', value: 'v', partition: '0' });
  // @ts-expect-error a timestamp is no text
  await producer.send({ topic: 't', value: 'v', timestamp: '2026-01-01' });
  // @ts-expect-error headers have names
  await producer.send({ topic: 't', value: 'v', headers: ['name'] });
  // @ts-expect-error no value
  await producer.send({ topic: 't', vlaue: 'v' });
  // @ts-expect-error a misspelt field
  await producer.send({ topic: 't', value: 'v', ky: 'k' });
  // @ts-expect-error a record alone is no batch
  await producer.sendBatch({ topic: 't', value: 'v' });
  // @ts-expect-error a controller is no signal
  await producer.send({ topic: 't', value: 'v' }, { signal: new AbortController() });
  // @ts-expect-error the time is in an object
  await producer.close(1_000);
  const { offset, partition } = await producer.send({ topic: 't', value: 'v' });
  // @ts-expect-error an offset is a bigint
  const number: number = offset;
  // @ts-expect-error read-only
  producer.bufferedAmount = 0;
  // @ts-expect-error no such counter
  producer.metrics().recordsLost;
  // @ts-expect-error no such event
  producer.addEventListener('problem', (event: MessageEvent) => event.data);
  const error = new Error() as KafkaError;
  // @ts-expect-error no such fate
  if (error.fate === 'lost') console.error(number, partition);
}

// @ts-expect-error only klamm makes them
new KafkaError('text');
// @ts-expect-error a name is wanted
const record: ProducerRecord = {};
// @ts-expect-error a stream is wanted
const transport: Transport = { connect() {} };
console.error(record, transport);
