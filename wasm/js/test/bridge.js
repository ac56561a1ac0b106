// klamm-bridge as a child process, and its log.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { need } from './cluster.js';

export class Bridge {
  #child;
  /** What it logged: objects with `message`, `reason`, `code`, … */
  log = [];

  static async start({ args = [], token, port = 0 } = {}) {
    const bridge = new Bridge();
    const all = ['--listen', `127.0.0.1:${port}`, '--allow', '127.0.0.1:*', '--allow-no-origin', '--log-format', 'json', ...args];
    const env = token === undefined ? process.env : { ...process.env, KLAMM_BRIDGE_TOKEN: token };
    bridge.#child = spawn(need('KLAMM_BRIDGE'), all, { stdio: ['ignore', 'ignore', 'pipe'], env });
    bridge.#child.on('error', (error) => { throw error; });
    const address = await new Promise((resolve, reject) => {
      bridge.#child.on('exit', () => reject(new Error(`klamm-bridge ended: ${JSON.stringify(bridge.log)}`)));
      createInterface({ input: bridge.#child.stderr }).on('line', (line) => {
        const entry = JSON.parse(line);
        bridge.log.push(entry);
        if (entry.message === 'listening') resolve(entry.address);
      });
    });
    bridge.port = Number(address.split(':')[1]);
    bridge.url = `ws://${address}`;
    return bridge;
  }

  /** By SIGTERM: tunnels are closed with code 1001. */
  stop() {
    return new Promise((resolve) => {
      this.#child.on('exit', resolve);
      this.#child.kill();
    });
  }
}
