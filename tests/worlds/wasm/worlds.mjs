// Drives klamm's core, compiled to WebAssembly, over Node's sockets.
// node worlds.mjs MODULE BOOTSTRAP_SERVERS TOPIC RECORDS UNIX_MS

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const [module, bootstrap, topic, count, unixMs] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module), {});
const core = instance.exports;
const CLOSE = 256;
const sockets = new Map(); // by slot
let sent = 0;
let delivered = 0;
let timer;

const now = () => performance.now();
const memory = (address, length) => new Uint8Array(core.memory.buffer, address, length);

// Puts texts into the module's buffer, one behind the other, and gives their lengths.
function put(...texts) {
  const parts = texts.map((text) => Buffer.from(text));
  memory(core.buffer(), 65536).set(Buffer.concat(parts));
  return parts.map((part) => part.length);
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

function open(slot) {
  const host = Buffer.from(memory(core.buffer(), core.host_len())).toString();
  const socket = connect({ host, port: core.port(), noDelay: true });
  sockets.set(slot, socket);
  // An event of a socket whose slot was given to another one says nothing any more.
  const on = (name, act) => socket.on(name, (data) => {
    if (sockets.get(slot) === socket) {
      act(data);
      round();
    }
  });
  on('connect', () => core.connected(now(), slot));
  on('data', (data) => {
    for (let at = 0; at < data.length; at += 65536) {
      const piece = data.subarray(at, at + 65536);
      memory(core.buffer(), piece.length).set(piece);
      if (core.input(now(), slot, piece.length) < 0) fail('the cluster broke the protocol');
    }
  });
  on('error', () => {}); // 'close' follows
  on('close', () => {
    sockets.delete(slot);
    core.disconnected(now(), slot);
  });
}

function transmit(slot) {
  for (;;) {
    const lent = core.output(now(), slot);
    if (lent === 0n) return;
    const [address, length] = [Number(BigInt.asUintN(64, lent) >> 32n), Number(lent & 0xffffffffn)];
    // The socket keeps what it is given, and the module's bytes change: a copy.
    sockets.get(slot)?.write(Buffer.from(memory(address, length)));
    core.transmitted(now(), slot, length);
  }
}

// The application's part: send what is taken, count what arrived.
function work() {
  while (sent < count) {
    const lengths = put(`key-${sent % 97}`, `value-${sent}`);
    const result = core.send(now(), ...lengths);
    if (result < 0) fail(`record ${sent} was refused`);
    if (result > 0) break;
    sent += 1;
  }
  if (sent === Number(count)) core.flush(now());
}

// One round in the order of the producer's contract.
function round() {
  if (core.deadline() >= 0 && core.deadline() <= now()) core.timeout(now());
  work();
  for (let action; (action = core.next_action()) >= 0; ) {
    if (action < CLOSE) {
      open(action);
    } else {
      const socket = sockets.get(action - CLOSE);
      sockets.delete(action - CLOSE);
      socket?.destroy();
    }
  }
  for (let slot; (slot = core.next_writable()) >= 0; ) transmit(slot);
  for (let event; (event = core.next_event()) !== -1; ) {
    if (event < 0) fail('records failed');
    delivered += event;
  }
  if (delivered === Number(count)) process.exit(0);
  clearTimeout(timer);
  const deadline = core.deadline();
  // A full buffer leaves records over: then room is as good a reason to wake up.
  if (deadline >= 0) timer = setTimeout(round, Math.max(0, Math.ceil(deadline - now())));
}

if (core.start(now(), Number(unixMs), ...put(bootstrap, topic)) < 0) fail('the producer was refused');
setTimeout(() => fail(`stuck: ${sent} sent, ${delivered} delivered`), 60_000);
round();
