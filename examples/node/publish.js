// Publishes a thousand readings, and says where they are: node publish.js [BOOTSTRAP_SERVERS [TOPIC]]

import { KafkaError, Producer } from 'klamm';

const [servers = 'localhost:9092', topic = 'readings'] = process.argv.slice(2);
const READINGS = 1_000;
const ROOMS = ['attic', 'cellar', 'kitchen', 'garage', 'stairs'];

const producer = new Producer({ 'bootstrap.servers': servers, 'compression.type': 'lz4', 'delivery.timeout.ms': 60_000 });
// Attempts go on; a person may want to know why nothing happens.
producer.addEventListener('problem', ({ error }) => console.error(`${error.name}: ${error.message}`));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort(new Error('stopped')));

const perPartition = new Map();
const failures = new Map();

function delivered({ partition, offset }) {
  const { count = 0, first = offset } = perPartition.get(partition) ?? {};
  perPartition.set(partition, { count: count + 1, first, last: offset });
}

function failed(error) {
  // In the log for certain not, or perhaps: that decides whether it may be sent again.
  const why = error instanceof KafkaError ? `${error.name}, ${error.fate}` : error.message;
  failures.set(why, (failures.get(why) ?? 0) + 1);
}

const start = performance.now();
let number = 0;
for (; number < READINGS && !stop.signal.aborted; number += 1) {
  const room = ROOMS[number % ROOMS.length];
  const value = { room, number, celsius: 20 + Math.round(10 * Math.sin(number / 50)) / 10 };
  // Whoever produces faster than Kafka takes waits here.
  await producer.ready;
  // Readings of a room stay in order: they have one key, so one partition.
  producer.send({ topic, key: room, value, headers: { unit: 'celsius' } }, { signal: stop.signal }).then(delivered, failed);
}
await producer.close();

console.log(`${number} readings in ${Math.round(performance.now() - start)} ms`);
for (const [partition, { count, first, last }] of [...perPartition].sort(([a], [b]) => a - b)) {
  console.log(`${topic}-${partition}: ${count} readings, offsets ${first} to ${last}`);
}
for (const [why, count] of failures) console.error(`${count} failed: ${why}`);
process.exitCode = failures.size > 0 ? 1 : 0;
