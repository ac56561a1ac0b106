// Where the publisher runs: in a Web Worker, or here. Both are spoken to in the same way.

/** @typedef {{ rate(n: number): void, publish(readings: object[]): void, burst(n: number): void, flush(): void, stop(): Promise<object[] | null> }} Place */

/**
 * In a module worker: encoding, checksums and sockets cost the page nothing.
 * @returns {Promise<Place>}
 */
export async function inWorker(settings, report, broken) {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  const say = (act) => (argument) => worker.postMessage([act, argument]);
  let stopped;
  const end = new Promise((resolve) => (stopped = resolve));
  worker.onmessage = ({ data }) => {
    if (data.report) report(data.report);
    if ('stopped' in data) stopped(data.stopped);
    if (data.broken) broken(data.broken);
  };
  worker.onerror = (event) => broken(event.message ?? 'the worker could not be loaded');
  say('start')(settings);
  return {
    rate: say('rate'), publish: say('publish'), burst: say('burst'), flush: say('flush'),
    async stop() {
      say('stop')();
      return end;
    },
    kill: () => worker.terminate(),
  };
}

/**
 * In the page itself: no worker to load, and the page's own time is shared.
 * @returns {Promise<Place>}
 */
export async function inPage(settings, report) {
  const { Publisher } = await import('./publisher.js');
  // Compiling the module and setting it up are a frame each, not one together.
  await new Promise((resolve) => setTimeout(resolve));
  const publisher = new Publisher(settings, report);
  return {
    rate: (rate) => (publisher.rate = rate),
    publish: (readings) => publisher.publish(readings),
    burst: (samples) => publisher.burst(samples),
    flush: () => publisher.flush(),
    async stop() {
      await publisher.stop();
      return publisher.journal;
    },
    kill() {},
  };
}
