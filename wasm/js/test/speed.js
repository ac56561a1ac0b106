// How fast 100-byte records go from Node into the simulated cluster: `node speed.js send | sendBatch`. A program of its own,
// since node:test watches every promise, which takes longer than sending.

import assert from 'node:assert/strict';

import { Cluster, Producer } from './cluster.js';

const RECORDS = 1_000_000;
const value = new Uint8Array(100).fill(120);

// RSS after a third of the records: by then all is as large as it becomes.
let third;
const look = (sent) => {
  if (sent >= RECORDS / 3) third ??= process.memoryUsage.rss();
};

const ways = {
  async send(klamm) {
    let last;
    for (let sent = 0; sent < RECORDS; ) {
      for (let burst = 0; burst < 1_000; burst += 1, sent += 1) last = klamm.send({ topic: 'speed', value });
      await klamm.ready;
      look(sent);
      if (sent % 50_000 === 0) await last;
    }
    await klamm.flush();
  },
  async sendBatch(klamm) {
    const records = Array.from({ length: 1_000 }, () => ({ topic: 'speed', value }));
    const under = [];
    for (let sent = 0; sent < RECORDS; sent += records.length) {
      under.push(klamm.sendBatch(records));
      look(sent);
      if (under.length > 50) await under.shift();
    }
    await Promise.all(under);
  },
};

const cluster = await Cluster.start(1);
await cluster.ask('topic', 'speed', 4);
const klamm = new Producer({ 'bootstrap.servers': cluster.bootstrap, 'batch.size': 65536 });
await klamm.send({ topic: 'speed', value: 'warm' });
const [start, cpu] = [performance.now(), process.cpuUsage()];
await ways[process.argv[2]](klamm);
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
const grown = process.memoryUsage.rss() - third;
await klamm.close();
assert.deepEqual(await cluster.ask('count', 'speed', 4), [String(RECORDS + 1)]);
await cluster.stop();
const nsEach = Math.round(((user + system) / RECORDS) * 1000);
console.log(JSON.stringify({ perSecond: Math.round(RECORDS / seconds), nsEach, mibGrown: Math.round(grown / (1 << 20)), mib: third >> 20 }));
