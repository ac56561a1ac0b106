// The entry for Node.

import { readFileSync } from 'node:fs';

import { install } from './runtime.js';
import { transport as net } from './transports/net.js';
import { transport as websocket } from './transports/websocket.js';

install({
  module: new WebAssembly.Module(readFileSync(new URL('./klamm.wasm', import.meta.url))),
  transport: 'net',
  transports: { net, websocket },
});

export { KafkaError } from './errors.js';
export { Producer } from './producer.js';
