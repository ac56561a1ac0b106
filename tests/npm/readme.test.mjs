// The JavaScript in the package's README: what speaks of a broker runs against a simulated one, the rest is at least whole.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Cluster } from '../../wasm/js/test/cluster.js';

const { KLAMM_INSTALLED: installed, KLAMM_ESBUILD: esbuild } = process.env;
const run = promisify(execFile);
/** The newest: `await using` is used. */
const node = process.env.KLAMM_NODE_26;
const folder = `${installed}/readme`;

let cluster;
before(async () => {
  cluster = await Cluster.start(1);
  await cluster.ask('topic', 'readings', 3);
  await mkdir(folder, { recursive: true });
});
after(() => cluster.stop());

const readme = await readFile(`${installed}/node_modules/klamm/README.md`, 'utf8');
const blocks = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
/** Pages, Workers and certificates are others' tests. */
const elsewhere = (code) => /\bdocument\b|export default|security\.protocol/.test(code);

test('there are as many as there should be', () => {
  assert.equal(blocks.filter(elsewhere).length, 3);
  assert.ok(blocks.length >= 10, String(blocks.length));
});

let sent = 0;
for (const [index, code] of blocks.entries()) {
  const file = `${folder}/${index}.mjs`;
  const first = code.split('\n').find((line) => line.includes('new Producer'))?.trim() ?? code.split('\n')[0];
  if (elsewhere(code)) {
    test(`it is whole: ${first}`, { timeout: 20_000 }, async () => {
      await writeFile(file, code);
      await run(`${esbuild}/.bin/esbuild`, [file, '--bundle', '--external:klamm', '--external:node:*', '--format=esm', '--target=es2022', '--log-level=warning', '--outfile=/dev/null']);
    });
  } else {
    test(`it runs: ${first}`, { timeout: 20_000 }, async () => {
      assert.match(code, /localhost:9092/);
      await writeFile(file, code.replaceAll('localhost:9092', cluster.bootstrap));
      const { stdout, stderr } = await run(node, [file]);
      // What a comment promises is printed.
      const promised = code.match(/console\.(?:log|error)\(.*\); \/\/ (.*)$/m);
      if (promised && !promised[1].includes('…')) assert.ok((stdout + stderr).includes(promised[1]), `${stdout}${stderr} instead of ${promised[1]}`);
      sent += 1;
    });
  }
}

test('and they published', async () => {
  assert.ok(sent >= 7, String(sent));
  const [count] = await cluster.ask('count', 'readings', 3);
  assert.equal(count, String(1 + 3 + 10_000 + 1));
});
