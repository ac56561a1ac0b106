// A small program that imports the package by its name, bundled by esbuild.

import { copyFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { need, packaged } from './support.mjs';

const PROGRAM = `
import { Producer } from 'klamm';
const { bridge, brokers, topic } = Object.fromEntries(new URLSearchParams(location.search));
const producer = new Producer({ 'bootstrap.servers': brokers, bridge, 'linger.ms': 5 });
const records = Array.from({ length: 100 }, (_, n) => ({ topic, value: String(n) }));
const delivered = await producer.sendBatch(records);
await producer.close();
document.title = delivered.length + ' records delivered';
`;

// A module that fails stops all that imports it, so whoever wants to say so imports it like this.
const PAGE = `import('./program.js').catch((error) => { document.title = error.name + ': ' + error.message; });`;

let made;

/** The folder with page, bundle and the package's .wasm file. */
export const bundled = () => (made ??= make());

async function make() {
  const folder = join(need('KLAMM_ARTEFACTS'), 'bundle');
  const [source, out] = [join(folder, 'source'), join(folder, 'out')];
  await rm(folder, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  await cp(join(need('KLAMM_SITE'), 'klamm'), join(source, 'node_modules/klamm'), { recursive: true });
  await writeFile(join(source, 'program.js'), PROGRAM);
  const { build } = packaged('KLAMM_ESBUILD', 'esbuild');
  await build({ entryPoints: [join(source, 'program.js')], bundle: true, format: 'esm', target: 'es2022', minify: true, outdir: out, logLevel: 'warning' });
  // As the package's README says: esbuild keeps the file's address and leaves the file to us.
  await copyFile(join(source, 'node_modules/klamm/klamm.wasm'), join(out, 'klamm.wasm'));
  await writeFile(join(out, 'page.js'), PAGE);
  await writeFile(join(out, 'index.html'), '<!doctype html><title></title><script type="module" src="page.js"></script>');
  return out;
}
