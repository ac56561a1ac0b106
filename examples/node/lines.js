// Publishes each line of its input: tail -f app.log | node lines.js [BOOTSTRAP_SERVERS [TOPIC]]; Node 24 or later, for `await using`.

import { createInterface } from 'node:readline';

import { Producer } from 'klamm';

const [servers = 'localhost:9092', topic = 'lines'] = process.argv.slice(2);
await using producer = new Producer({ 'bootstrap.servers': servers, 'compression.type': 'lz4', 'linger.ms': 20 });

let [published, failed] = [0, 0];
const wrong = (error) => {
  failed += 1;
  console.error(error.message);
};
for await (const value of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  await producer.ready;
  producer.send({ topic, value }).then(() => (published += 1), wrong);
}
await producer.flush();
console.error(`${published} lines published, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
