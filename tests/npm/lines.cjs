// The same by require().
const { Producer } = require('klamm');

async function main(bootstrap, topic) {
  const producer = new Producer({ 'bootstrap.servers': bootstrap });
  const records = Array.from({ length: 100 }, (_, number) => ({ topic, key: `key-${number % 7}`, value: { number }, headers: { by: 'require' } }));
  const told = await producer.sendBatch(records);
  told.forEach(({ partition, offset, timestamp }, number) => console.log(number, partition, String(offset), timestamp));
  await producer.close();
}
main(...process.argv.slice(2));
