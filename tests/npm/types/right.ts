// Every part of the public interface, as it is meant to be used: this must compile under --strict.

import { KafkaError, Producer } from 'klamm';
import type {
  Bridge, Content, HeaderContent, Metrics, ProblemEvent, ProducerOptions, ProducerRecord, Property, RecordMetadata, SendOptions,
  Transport, TransportEvents, TransportStream,
} from 'klamm';

const options: ProducerOptions = {
  'bootstrap.servers': ['localhost:9092', '[::1]:9093'],
  'transport': 'net',
  'acks': 'all',
  'compression.type': 'lz4',
  'client.id': 'types',
  'linger.ms': 5,
  'batch.size': 65_536,
  'buffer.memory': 1 << 20,
  'enable.idempotence': true,
  'delivery.timeout.ms': 30_000,
  'request.timeout.ms': 10_000,
  'max.request.size': 1 << 20,
  'max.block.ms': 5_000,
  'metadata.max.age.ms': 60_000,
};
const readonlyServers = ['a:1', 'b:2'] as const;
new Producer({ 'bootstrap.servers': readonlyServers });
new Producer({ 'bootstrap.servers': 'a:1,b:2', 'acks': 1, 'retries': '5' });
const bridge: Bridge = { url: new URL('wss://bridge.example.com'), token: async () => 'token' };
for (const way of ['wss://bridge.example.com', new URL('wss://bridge.example.com'), bridge, { url: 'ws://b', token: 'text' }]) {
  new Producer({ 'bootstrap.servers': 'a:1', 'transport': 'websocket', 'bridge': way, 'security.protocol': 'PLAINTEXT' });
}
new Producer({
  'bootstrap.servers': 'a:1',
  'security.protocol': 'SSL',
  'ssl.truststore.certificates': 'PEM',
  'ssl.keystore.certificate.chain': 'PEM',
  'ssl.keystore.key': 'PEM',
  'ssl.key.password': 'secret',
  'ssl.endpoint.identification.algorithm': 'https',
});
const property: Property = options['linger.ms'] as Property;

interface Reading {
  celsius: number;
}

export async function everything(signal: AbortSignal): Promise<bigint> {
  await using producer = new Producer(options);
  const reading: Reading = { celsius: 21.5 };
  const record: ProducerRecord = { topic: 't', key: 'attic', value: reading, headers: { unit: 'C' }, partition: 0 };
  const sendOptions: SendOptions = { signal };
  const { topic, partition, offset, timestamp }: RecordMetadata = await producer.send(record, sendOptions);

  const contents: Content[] = ['text', new Uint8Array(2), new ArrayBuffer(2), new DataView(new ArrayBuffer(1)), 5, true, [1], reading, null];
  const headers: HeaderContent = undefined;
  const all: RecordMetadata[] = await producer.sendBatch(
    contents.map((value) => ({ topic, value, timestamp: new Date(timestamp), headers: { headers } })),
  );
  await producer.sendBatch(new Set<ProducerRecord>([{ topic, value: 'v' }]), { signal });
  await producer.send({ topic, value: null, headers: new Map([['name', 'value']]) });
  await producer.send({ topic, value: null, headers: [['twice', '1'], ['twice', new Uint8Array(1)]], timestamp: 5 });

  producer.addEventListener('problem', (event) => {
    const { error }: ProblemEvent = event;
    const name: string = error.name;
    console.error(name);
  });
  producer.addEventListener('problem', null);
  producer.addEventListener('problem', (event: ProblemEvent) => console.error(event.error.code), { once: true });

  if (producer.bufferedAmount > 1_000) await producer.ready;
  const metrics: Metrics = producer.metrics();
  const delivered: number = metrics.recordsDelivered;
  await producer.flush();
  await producer.close({ timeout: 1_000 });
  await producer.close();
  return offset + BigInt(partition + delivered + all.length) + BigInt(String(property).length);
}

export function explain(error: unknown): string {
  if (!(error instanceof KafkaError)) throw error;
  const fate: 'not-written' | 'unknown' = error.fate;
  const results: (RecordMetadata | KafkaError)[] = error.results ?? [];
  for (const result of results) {
    if (result instanceof KafkaError) return result.message;
    else return String(result.offset);
  }
  return `${error.code} ${error.name} ${error.retriable} ${fate} ${error.cause}`;
}

export const transport: Transport = {
  connect(host: string, port: number, on: TransportEvents): TransportStream {
    on.onopen();
    on.ondata(new Uint8Array([port]));
    on.ondrain();
    on.onclose(host === '' ? 'dns' : 'timed-out');
    return { write: (bytes: Uint8Array) => bytes.length < 10, close() {} };
  },
};
new Producer({ 'bootstrap.servers': 'a:1', transport });
