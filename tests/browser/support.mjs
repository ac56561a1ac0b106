// What the tests need: real Kafka, a bridge, a server for pages, Chromium. All of it ends with the tests.

import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';

/** What `cargo xtask browser test` has made ready. */
export const need = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: cargo xtask browser test`); })();

/** A package that was installed for the tests, in a folder of its own. */
export const packaged = (variable, name) => createRequire(join(need(variable), 'package.json'))(name);

export const { chromium } = packaged('KLAMM_PLAYWRIGHT', 'playwright-core');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is true, or the time is up. */
export async function until(what, ask, limit = 30_000) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${limit} ms for ${what}`);
    await sleep(50);
  }
}

const bytes = (word) => (word === '-' ? null : Buffer.from(word.slice(1), 'hex').toString());

/** What a person starts: `cargo xtask demo`, steered by lines of text. */
export class Demo {
  #child;
  #answers = [];

  static async start(brokers) {
    const demo = new Demo();
    demo.#child = spawn(need('KLAMM_XTASK'), ['demo', '--brokers', String(brokers)], { stdio: ['pipe', 'pipe', 'inherit'] });
    demo.#listen();
    await new Promise((resolve, reject) => {
      demo.#child.once('exit', (code) => reject(new Error(`the demo did not start: exit code ${code}`)));
      demo.#answers.push((lines) => {
        for (const line of lines) {
          const [what, where] = line.split(/\s+/);
          demo[what] = where;
        }
        resolve();
      });
      demo.#answers.push(() => {}); // its help
    });
    return demo;
  }

  #listen() {
    let lines = [];
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line !== '') return lines.push(line);
      this.#answers.shift()(lines);
      lines = [];
    });
  }

  async ask(...words) {
    this.#child.stdin.write(`${words.join(' ')}\n`);
    const lines = await new Promise((resolve) => this.#answers.push(resolve));
    if (lines[0]?.startsWith('error')) throw new Error(lines[0]);
    return lines;
  }

  /** What a topic holds, as Kafka's own consumer reads it; by partition and offset. */
  async log(topic) {
    const lines = await this.ask('log', topic);
    return lines.map((line) => {
      const [partition, offset, key, value] = line.split(' ');
      return { partition: Number(partition), offset: Number(offset), key: bytes(key), value: bytes(value) };
    });
  }

  /** As Ctrl-C ends it; gives the exit signal. */
  stop() {
    this.#child.kill('SIGINT');
    return new Promise((resolve) => this.#child.on('exit', (code, signal) => resolve(signal ?? code)));
  }
}

/** klamm-bridge, to any port of this machine. */
export class Bridge {
  #child;
  #admin;

  static async start(options, environment = {}) {
    const bridge = new Bridge();
    const args = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--allow', '127.0.0.1:*', '--log-format', 'json', ...options];
    bridge.#child = spawn(need('KLAMM_BRIDGE'), args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
    const lines = createInterface({ input: bridge.#child.stderr });
    await new Promise((resolve, reject) => {
      lines.on('line', (line) => {
        const { message, address, admin } = JSON.parse(line);
        if (message !== 'listening') return;
        bridge.url = `ws://${address}`;
        bridge.#admin = /[\d.]+:\d+/.exec(admin)[0];
        resolve();
      });
      bridge.#child.on('exit', (code) => reject(new Error(`the bridge ended with ${code}`)));
    });
    return bridge;
  }

  /** One of its counters, such as `refused_total{reason="origin",status="403"}`. */
  async metric(name) {
    const text = await (await fetch(`http://${this.#admin}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`klamm_bridge_${name} `));
    return line === undefined ? 0 : Number(line.split(' ').at(-1));
  }

  stop() {
    this.#child.kill('SIGTERM');
    return new Promise((resolve) => this.#child.on('exit', resolve));
  }
}

/** Whether anything listens there. */
export const isOpen = (url) => new Promise((resolve) => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname);
  socket.on('error', () => resolve(false)).on('connect', () => {
    socket.destroy();
    resolve(true);
  });
});

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.wasm': 'application/wasm' };

/** Serves a folder; gives `{ origin, stop() }`. */
export async function serve(folder, { headers = {}, types = TYPES } = {}) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    const stream = createReadStream(file);
    stream.on('error', () => response.writeHead(404).end());
    stream.on('open', () => {
      response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', ...headers });
      stream.pipe(response);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, stop };
}

/** Chromium without a window. */
export async function browser() {
  const home = await mkdtemp(join(tmpdir(), 'klamm-chromium-'));
  const context = await chromium.launchPersistentContext(home, {
    executablePath: need('KLAMM_CHROMIUM'),
    headless: true,
    chromiumSandbox: false, // it cannot be had as root, as which containers run
    viewport: { width: 1280, height: 800 },
    colorScheme: 'dark',
    args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const stop = async () => {
    await context.close();
    await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  return { context, stop };
}
