// The entry for workerd, which runs Cloudflare's Workers.

import module from './klamm.wasm';

import { install } from './runtime.js';
import { transport as sockets } from './transports/sockets.js';
import { transport as websocket } from './transports/websocket.js';

install({
  module,
  transport: ({ bridge }) => (bridge === undefined ? 'sockets' : 'websocket'),
  transports: { sockets, websocket },
});

export { KafkaError } from './errors.js';
export { Producer } from './producer.js';
