// Runs a WebAssembly module in headless Chromium and prints what it gives, a line each, as tests.mjs and swarm.mjs do in Node.
// node chromium.mjs vectors MODULE DATA | traces MODULE FIRST COUNT

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';

const LIMIT_MS = 120_000;
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage',
];

/** What the page runs: it gives lines. */
const WORK = {
  vectors: `
    const { run } = await import('./tests.mjs');
    const data = new Map(Object.entries(await (await fetch('data.json')).json()));
    const encoder = new TextEncoder();
    return run(module, (name) => data.has(name) ? encoder.encode(data.get(name)) : undefined);`,
  traces: `
    const { instance } = await WebAssembly.instantiate(module, {});
    const hash = (seed) => BigInt.asUintN(64, instance.exports.trace_hash(seed)).toString(16).padStart(16, '0');
    return Array.from({ length: COUNT }, (_, at) => \`\${FIRST + at} \${hash(BigInt(FIRST + at))}\`);`,
};

const [what, module, ...rest] = process.argv.slice(2);
const page = `<!doctype html><script type="module">
  const [FIRST, COUNT] = ${JSON.stringify(rest.map(Number))};
  async function work() {
    const module = await (await fetch('module.wasm')).arrayBuffer();
    ${WORK[what]}
  }
  const told = await work().then((lines) => ({ lines }), (error) => ({ error: String(error.stack) }));
  await fetch('told', { method: 'POST', body: JSON.stringify(told) });
</script>`;

/** The vectors, all in one. */
async function data() {
  const texts = {};
  for (const name of await readdir(rest[0], { recursive: true })) {
    if (/\.(hex|json)$/.test(name)) texts[name] = await readFile(`${rest[0]}/${name}`, 'utf8');
  }
  return JSON.stringify(texts);
}

const files = {
  '/': ['text/html', () => page],
  '/tests.mjs': ['text/javascript', () => readFile(new URL('./tests.mjs', import.meta.url))],
  '/module.wasm': ['application/wasm', () => readFile(module)],
  '/data.json': ['application/json', data],
};

const told = Promise.withResolvers?.() ?? {};
told.promise ??= new Promise((resolve, reject) => Object.assign(told, { resolve, reject }));
const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    let body = '';
    for await (const piece of request) body += piece;
    response.end();
    return told.resolve(JSON.parse(body));
  }
  const [type, content] = files[request.url] ?? [];
  if (!type) return response.writeHead(404).end();
  response.setHeader('content-type', type);
  response.end(await content());
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const profile = await mkdtemp(`${tmpdir()}/klamm-wasm-chromium-`);
const url = `http://127.0.0.1:${server.address().port}/`;
// A group of its own, to be ended with all its processes.
const chromium = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, url], { detached: true, stdio: 'ignore' });
chromium.on('error', told.reject);
chromium.on('exit', (code) => told.reject(new Error(`Chromium ended with ${code}`)));
const timer = setTimeout(() => told.reject(new Error(`nothing was told within ${LIMIT_MS} ms`)), LIMIT_MS);
try {
  const { lines, error } = await told.promise;
  if (error) throw new Error(`in the page: ${error}`);
  for (const line of lines) console.log(line);
} finally {
  clearTimeout(timer);
  if (chromium.pid && chromium.exitCode === null) process.kill(-chromium.pid, 'SIGKILL');
  server.closeAllConnections();
  server.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 20 });
}
