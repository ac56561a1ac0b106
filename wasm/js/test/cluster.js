// The simulated cluster of tests/wasm, as a child process.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What the xtask has built: the package, and programs. */
export const need = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: cargo xtask npm test`); })();

export const { Producer, KafkaError } = await import(`${need('KLAMM_PACKAGE')}/node.js`);

export const net = await import(`${need('KLAMM_PACKAGE')}/transports/net.js`);

const bytes = (word) => (word === '-' ? null : Buffer.from(word.slice(1), 'hex'));

export class Cluster {
  #child;
  #answers = [];

  static async start(brokers = 3) {
    const cluster = new Cluster();
    cluster.#child = spawn(need('KLAMM_CLUSTER'), [String(brokers)], { stdio: ['pipe', 'pipe', 'inherit'] });
    let lines = [];
    createInterface({ input: cluster.#child.stdout }).on('line', (line) => {
      if (line !== '') return lines.push(line);
      cluster.#answers.shift()(lines);
      lines = [];
    });
    [cluster.bootstrap] = await new Promise((resolve) => cluster.#answers.push(resolve));
    return cluster;
  }

  async ask(...words) {
    this.#child.stdin.write(`${words.join(' ')}\n`);
    const lines = await new Promise((resolve) => this.#answers.push(resolve));
    if (lines[0]?.startsWith('error')) throw new Error(lines[0]);
    return lines;
  }

  /** What a partition's log holds. */
  async log(topic, partition) {
    const lines = await this.ask('log', topic, partition);
    return lines.map((line) => {
      const [offset, timestamp, key, value, ...rest] = line.split(' ');
      const headers = [];
      for (let at = 0; at < rest.length; at += 2) headers.push([bytes(rest[at]).toString(), bytes(rest[at + 1])]);
      return { offset: BigInt(offset), timestamp: Number(timestamp), key: bytes(key), value: bytes(value), headers };
    });
  }

  stop() {
    this.#child.stdin.end();
    return new Promise((resolve) => this.#child.on('exit', resolve));
  }
}
