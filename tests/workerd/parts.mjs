// What the tests are made of: real Kafka, klamm-bridge, workerd.

import { spawn, execFile } from 'node:child_process';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

export const need = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: cargo xtask workerd test`); })();

const bytes = (word) => (word === '-' ? null : Buffer.from(word.slice(1), 'hex').toString());

/** The brokers, which xtask runs (xtask/src/workerd.rs). */
export class Kafka {
  #socket;
  #answers = [];
  bootstrap = need('KLAMM_KAFKA');
  tls = need('KLAMM_KAFKA_TLS');

  constructor() {
    const [host, port] = need('KLAMM_KAFKA_CONTROL').split(':');
    this.#socket = connect(Number(port), host);
    let lines = [];
    createInterface({ input: this.#socket }).on('line', (line) => {
      if (line !== '') return lines.push(line);
      this.#answers.shift()(lines);
      lines = [];
    });
  }

  async ask(...words) {
    this.#socket.write(`${words.join(' ')}\n`);
    const lines = await new Promise((resolve) => this.#answers.push(resolve));
    if (lines[0]?.startsWith('error')) throw new Error(lines[0]);
    return lines;
  }

  /** What topics hold, as Kafka's own consumer reads it: by topic. */
  async logs(topics) {
    const logs = Object.fromEntries(topics.map((topic) => [topic, []]));
    for (const line of await this.ask('log', topics.join(','))) {
      const [topic, partition, offset, timestamp, key, value] = line.split(' ');
      logs[topic].push({ partition: Number(partition), offset, timestamp: Number(timestamp), key: bytes(key), value: bytes(value) });
    }
    return logs;
  }

  end() {
    this.#socket.end();
  }
}

/** A Worker. */
export class Workerd {
  /** Those that run: a failed test leaves them. */
  static #running = new Set();
  #child;
  /** What it wrote, its console included. */
  said = '';

  static async start(env, { dir = need('KLAMM_EXAMPLE'), config = 'config.capnp' } = {}) {
    const workerd = new Workerd();
    const args = ['serve', config, '--socket-addr=http=127.0.0.1:0', '--control-fd=3'];
    const all = { PATH: process.env.PATH, ...env };
    workerd.#child = spawn(need('KLAMM_WORKERD'), args, { cwd: dir, env: all, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    for (const stream of [workerd.#child.stdout, workerd.#child.stderr]) stream.on('data', (text) => (workerd.said += text));
    Workerd.#running.add(workerd);
    const port = await new Promise((resolve, reject) => {
      workerd.#child.on('exit', (code) => reject(new Error(`workerd ended (${code}): ${workerd.said}`)));
      createInterface({ input: workerd.#child.stdio[3] }).on('line', (line) => {
        const { event, socket, port } = JSON.parse(line);
        if (event === 'listen' && socket === 'http') resolve(port);
      });
    });
    workerd.url = `http://127.0.0.1:${port}`;
    return workerd;
  }

  /** POST of JSON, or of a text or bytes as they are; gives status, headers and the body as JSON. */
  async post(path, body, { headers, signal } = {}) {
    const response = await fetch(this.url + path, {
      method: 'POST', headers: { 'content-type': 'application/json', ...headers }, signal,
      body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  /** CPU time so far in seconds, and memory in MiB. */
  async cost() {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'cputimes=,rss=', '-p', String(this.#child.pid)]);
    const [seconds, kib] = stdout.trim().split(/\s+/).map(Number);
    return { seconds, mib: Math.round(kib / 1024) };
  }

  stop() {
    Workerd.#running.delete(this);
    return new Promise((resolve) => {
      this.#child.on('exit', resolve);
      if (!this.#child.kill('SIGKILL')) resolve();
    });
  }

  static async stopAll() {
    for (const workerd of Workerd.#running) await workerd.stop();
  }
}

/** `workerd test`: resolves with what it wrote, rejects if a test failed. */
export async function unit(dir, config, env) {
  const { stdout, stderr } = await promisify(execFile)(need('KLAMM_WORKERD'), ['test', config, '--verbose'], {
    cwd: dir, env: { PATH: process.env.PATH, ...env }, timeout: 60_000,
  });
  return stdout + stderr;
}

/** Calls `act` for 0 … count − 1, so many at a time; gives what it gives, and how long each took in milliseconds, sorted. */
export async function many(count, atATime, act) {
  const results = new Array(count);
  const took = [];
  let next = 0;
  const one = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const start = performance.now();
      results[index] = await act(index);
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: atATime }, one));
  return { results, took: took.sort((a, b) => a - b) };
}
