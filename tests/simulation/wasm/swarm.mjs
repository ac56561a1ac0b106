// Runs the swarm's seeds FIRST to FIRST + COUNT - 1 and prints each trace's hash, as `klamm-swarm --hashes` does.
// node swarm.mjs MODULE FIRST COUNT

import { readFileSync } from 'node:fs';

const [module, first, count] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module), {});
for (let seed = BigInt(first); seed < BigInt(first) + BigInt(count); seed += 1n) {
  const hash = BigInt.asUintN(64, instance.exports.trace_hash(seed));
  console.log(`${seed} ${hash.toString(16).padStart(16, '0')}`);
}
