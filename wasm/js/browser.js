// The entry for browsers, pages and their workers, and for whatever else has WebSockets.

import { failure } from './errors.js';
import { install } from './runtime.js';
import { transport as websocket } from './transports/websocket.js';

async function compiled() {
  try {
    return await fetched();
  } catch (cause) {
    // What browsers say names 'unsafe-eval', which allows more than is needed.
    if (!(cause instanceof WebAssembly.CompileError) || !/Content.Security|CSP|unsafe-eval/i.test(cause.message)) throw cause;
    const text = "this page's Content-Security-Policy forbids WebAssembly: its script-src needs 'wasm-unsafe-eval'";
    throw failure('INVALID_CONFIG', text, { cause });
  }
}

async function fetched() {
  const url = new URL('./klamm.wasm', import.meta.url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`klamm: ${url} answers ${response.status}; the file belongs beside the script`);
  // Servers that do not know the type must not keep us from starting.
  const isTyped = response.headers.get('content-type')?.startsWith('application/wasm');
  return isTyped ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

install({ module: await compiled(), transport: 'websocket', transports: { websocket } });

export { KafkaError } from './errors.js';
export { Producer } from './producer.js';
