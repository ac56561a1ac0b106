// The package as it is packed and installed: in three versions of Node, by import and require, for tsc and for esbuild.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Cluster } from '../../wasm/js/test/cluster.js';

const { KLAMM_INSTALLED: installed, KLAMM_TYPESCRIPT: typescript, KLAMM_NODE_TYPES: types, KLAMM_ESBUILD: esbuild } = process.env;
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const run = promisify(execFile);
const nodes = {
  [process.version]: process.execPath, // 20 or newer
  'v22': process.env.KLAMM_NODE_22,
  'v26': process.env.KLAMM_NODE_26,
};

let cluster;
before(async () => (cluster = await Cluster.start(1)));
after(() => cluster.stop());

/** Runs a script beside the installed package. */
async function lines(node, script, ...args) {
  const { stdout, stderr } = await run(node, [script, ...args], { cwd: installed });
  assert.equal(stderr, '', 'no warnings either');
  return stdout.trimEnd().split('\n').map((line) => line.split(' '));
}

let topics = 0;
async function publishes(node, script) {
  const topic = `packed-${(topics += 1)}`;
  await cluster.ask('topic', topic, 3);
  const told = await lines(node, script, cluster.bootstrap, topic);
  const logs = await Promise.all([0, 1, 2].map((partition) => cluster.log(topic, partition)));
  assert.equal(logs.flat().length, 100);
  assert.equal(told.length, 100);
  for (const [number, partition, offset, timestamp] of told) {
    const found = logs[partition][offset];
    assert.equal(found.key.toString(), `key-${number % 7}`);
    assert.equal(found.value.toString(), `{"number":${number}}`);
    assert.equal(found.timestamp, Number(timestamp));
  }
}

for (const [version, node] of Object.entries(nodes)) {
  for (const script of ['lines.mjs', 'lines.cjs']) {
    test(`${script} in Node ${version}`, { timeout: 30_000 }, async () => {
      await copyFile(here(script), `${installed}/${script}`);
      await publishes(node, script);
    });
  }
  test(`what is no part of the interface cannot be imported in Node ${version}`, { timeout: 30_000 }, async () => {
    const program = `await import('klamm/producer.js').then(() => console.log('open'), ({ code }) => console.log(code));`;
    const { stdout } = await run(node, ['--input-type=module', '-e', program], { cwd: installed });
    assert.equal(stdout.trim(), 'ERR_PACKAGE_PATH_NOT_EXPORTED');
  });
}

test('importing it opens nothing and keeps no process alive', { timeout: 30_000 }, async () => {
  const program = `
    import net from 'node:net'; import dns from 'node:dns';
    net.connect = net.Socket.prototype.connect = dns.lookup = () => { throw new Error('no network'); };
    globalThis.fetch = globalThis.WebSocket = undefined;
    const { Producer, KafkaError, ...more } = await import('klamm');
    console.log(typeof Producer, typeof KafkaError, Object.keys(more).length, process.getActiveResourcesInfo().filter((what) => /Timeout|TCP/.test(what)).length);`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: installed });
  assert.equal(stdout.trim(), 'function function 0 0');
});

// How users have it: for Node with and without the DOM's types, for bundlers, for Web Workers.
const strict = {
  strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true, target: 'es2022', types: [],
};
const bundler = { module: 'esnext', moduleResolution: 'bundler' };
const compilers = {
  'nodenext': { module: 'nodenext', lib: ['es2022', 'dom'] },
  'nodenext with the types of Node': { module: 'nodenext', lib: ['es2022'], types: ['node'] },
  'bundler': { ...bundler, lib: ['es2022', 'dom'] },
  'bundler for a Web Worker': { ...bundler, lib: ['es2022', 'webworker'] },
};

for (const [name, options] of Object.entries(compilers)) {
  test(`tsc --strict, ${name}: right uses compile, wrong ones do not`, { timeout: 60_000 }, async () => {
    const folder = `${installed}/types-${name.replaceAll(' ', '-')}`;
    await mkdir(`${folder}/node_modules`, { recursive: true });
    await writeFile(`${folder}/package.json`, '{ "type": "module", "private": true }');
    await writeFile(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: { ...strict, ...options } }));
    // Bundlers have no require().
    const files = options.module === 'nodenext' ? ['right.ts', 'wrong.ts', 'required.cts'] : ['right.ts', 'wrong.ts'];
    for (const file of files) await copyFile(here(`types/${file}`), `${folder}/${file}`);
    await rm(`${folder}/node_modules/@types`, { force: true });
    await symlink(`${types}/@types`, `${folder}/node_modules/@types`);
    const tsc = run(process.execPath, [`${typescript}/typescript/bin/tsc`], { cwd: folder });
    await tsc.catch(({ stdout }) => assert.fail(stdout));
  });
}

test('esbuild bundles it for Node; the module beside the bundle is all it needs', { timeout: 60_000 }, async () => {
  const folder = `${installed}/bundle`;
  await mkdir(folder, { recursive: true });
  await copyFile(here('lines.mjs'), `${installed}/lines.mjs`);
  const args = ['lines.mjs', '--bundle', '--platform=node', '--format=esm', '--minify', `--outfile=${folder}/bundle.mjs`, '--log-level=warning'];
  const { stderr } = await run(`${esbuild}/.bin/esbuild`, args, { cwd: installed });
  assert.equal(stderr, '');
  await copyFile(`${installed}/node_modules/klamm/klamm.wasm`, `${folder}/klamm.wasm`);
  // Elsewhere, so that nothing of the installed package is in reach.
  const away = `${installed}/../bundle-away`;
  await mkdir(away, { recursive: true });
  for (const file of ['bundle.mjs', 'klamm.wasm']) await copyFile(`${folder}/${file}`, `${away}/${file}`);
  await publishes(process.execPath, `${away}/bundle.mjs`);
});

test('it depends on nothing, and runs no scripts when it is installed', async () => {
  const manifest = JSON.parse(await readFile(`${installed}/node_modules/klamm/package.json`, 'utf8'));
  for (const name of ['dependencies', 'peerDependencies', 'optionalDependencies', 'scripts', 'bin']) {
    assert.equal(manifest[name], undefined, name);
  }
});
