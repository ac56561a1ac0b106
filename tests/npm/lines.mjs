// What a newcomer writes: node lines.mjs BOOTSTRAP TOPIC. A line per record, with what Kafka said.
import { Producer } from 'klamm';

const [bootstrap, topic] = process.argv.slice(2);
const producer = new Producer({ 'bootstrap.servers': bootstrap, 'compression.type': 'lz4' });
const records = Array.from({ length: 100 }, (_, number) => ({ topic, key: `key-${number % 7}`, value: { number }, headers: { by: 'import' } }));
const told = await Promise.all(records.map((record) => producer.send(record)));
told.forEach(({ partition, offset, timestamp }, number) => console.log(number, partition, String(offset), timestamp));
await producer.close();
