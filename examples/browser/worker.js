// The publisher in a Web Worker: messages in, reports out.

// As a promise: the first messages may come before it is there.
const loaded = import('./publisher.js');
let publisher = null;

const acts = {
  async start(settings) {
    const { Publisher } = await loaded;
    publisher = new Publisher(settings, (report) => postMessage({ report }));
  },
  rate: (rate) => publisher && (publisher.rate = rate),
  publish: (readings) => publisher?.publish(readings),
  burst: (samples) => publisher?.burst(samples),
  flush: () => publisher?.flush(),
  async stop() {
    await publisher?.stop();
    postMessage({ stopped: publisher?.journal ?? null });
    close();
  },
};

onmessage = async ({ data: [act, argument] }) => {
  try {
    await acts[act](argument);
  } catch (error) {
    postMessage({ broken: `${error.name}: ${error.message}` });
  }
};
