// The WebSocket of Node through the bridge. Arguments: the bridge's address, the port of an echo server, a token.
import { randomBytes } from 'node:crypto';

const [address, port, token] = process.argv.slice(-3);

function open(host, port, protocols) {
  const socket = new WebSocket(`ws://${address}/tcp/${host}/${port}`, protocols);
  socket.binaryType = 'arraybuffer';
  return socket;
}

const withToken = ['klamm.tcp.v1', `klamm.bearer.${token}`];

/** Code and reason with which it ends, after `first` is sent. */
function end(socket, first) {
  return new Promise((resolve) => {
    if (first !== undefined) socket.onopen = () => socket.send(first);
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
}

/** Whether it never opens. Node tells by an error; in version 20 no close follows it. */
function refused(socket) {
  return new Promise((resolve) => {
    socket.onopen = () => resolve(false);
    socket.onerror = () => resolve(true);
  });
}

async function roundTrip() {
  const bytes = randomBytes(4 << 20);
  const socket = open('127.0.0.1', port, withToken);
  const pieces = [];
  let length = 0;
  let protocol;
  const closed = new Promise((resolve, reject) => {
    socket.onopen = () => {
      protocol = socket.protocol;
      for (let at = 0; at < bytes.length; at += 65536) socket.send(bytes.subarray(at, at + 65536));
    };
    socket.onmessage = ({ data }) => {
      pieces.push(Buffer.from(data));
      length += data.byteLength;
      if (length >= bytes.length) socket.close(1000);
    };
    socket.onerror = (event) => reject(event.error ?? new Error('error'));
    socket.onclose = resolve;
  });
  const { code, wasClean } = await closed;
  return { protocol, equal: bytes.equals(Buffer.concat(pieces)), code, clean: wasClean };
}

const seen = {
  roundTrip: await roundTrip(),
  tooBig: await end(open('127.0.0.1', port, withToken), new Uint8Array((1 << 17) + 1)),
  text: await end(open('127.0.0.1', port, withToken), 'text'),
  // Nothing listens at port 1.
  unreachable: await end(open('127.0.0.1', 1, withToken)),
  noToken: await refused(open('127.0.0.1', port)),
  unlisted: await refused(open('unlisted.example', port, withToken)),
};
console.log(JSON.stringify(seen));
