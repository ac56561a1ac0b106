// The demo page, and the package in a bundle, in Chromium: through klamm-bridge into real Kafka.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { bundled } from './bundle.mjs';
import { DemoPage } from './page.mjs';
import { Bridge, Demo, browser, isOpen, need, serve, sleep, until } from './support.mjs';
import { longest, trace } from './trace.mjs';

// A frame at 60 Hz.
const FRAME_MS = 16;
const RECORDS = 10_000;
// Where the page's slider ends.
const FULL_RATE = 50_000;

let [demo, chromium] = [];
before(async () => {
  await mkdir(need('KLAMM_ARTEFACTS'), { recursive: true });
  chromium = await browser();
  demo = await Demo.start(3);
});

after(async () => {
  await chromium?.stop();
  if (!demo) return;
  assert.equal(await demo.stop(), 'SIGINT');
  const places = [demo.page, demo.bridge, ...demo.brokers.split(',').map((broker) => `tcp://${broker}`)];
  await until('everything to be gone', async () => !(await Promise.all(places.map(isOpen))).includes(true));
});

test('10 000 records from a Web Worker, each once and in order, while a broker is killed', async (t) => {
  const page = await DemoPage.open(chromium.context, demo.page, { in: 'worker', rate: 640, limit: RECORDS, journal: '' });
  await sleep(500); // Chromium's own work on a new page
  const tracing = await trace(chromium.context, page.page);
  await page.start();
  await page.acknowledged(1_500);
  await page.wave(60);
  const leader = Number(await demo.ask('leader', 'sensors', 0));
  await demo.ask('kill', leader);
  const before = await page.number('acknowledged');
  await page.acknowledged(before + 1_000);
  await page.page.click('#burst');
  await page.wave(80);
  const restarting = demo.ask('restart', leader);
  await page.acknowledged(RECORDS - 800, 60_000);
  await page.wave(40);
  frames(t, await tracing.stop());
  await page.page.screenshot({ path: join(need('KLAMM_ARTEFACTS'), 'demo-dark.png') });
  await page.page.click('#theme');
  await page.page.screenshot({ path: join(need('KLAMM_ARTEFACTS'), 'demo-light.png') });
  await page.acknowledged(RECORDS, 60_000);
  const log = await page.log();
  const again = await page.number('retried');
  const journal = await page.stop();
  await page.close();
  await restarting;

  const read = await demo.log('sensors');
  const places = (list) => list.map((place) => place.join(' ')).sort();
  const stored = read.map(({ partition, offset, value }) => [JSON.parse(value).n, partition, offset]);
  assert.equal(journal.length, RECORDS);
  assert.deepEqual(places(stored), places(journal), 'the log has what was acknowledged, where it was said to be, and nothing else');
  for (const partition of new Set(stored.map(([, partition]) => partition))) {
    const order = stored.filter(([, its]) => its === partition).map(([n]) => n);
    assert.deepEqual(order, order.toSorted((a, b) => a - b), `partition ${partition} keeps the order`);
  }
  assert.ok(read.some(({ key }) => key === 'pointer') && read.some(({ key }) => key === 'vibration'));
  assert.ok(log.some(([kind, text]) => kind === 'warning' && text.startsWith('lost ')), JSON.stringify(log));
  assert.deepEqual(page.errors, []);
  t.diagnostic(`${read.length} records read back, ${again} sent again while broker ${leader} was killed: 0 lost, 0 doubled, in order`);
});

for (const where of ['page', 'worker']) {
  test(`the main thread is never kept for a frame at the full rate, the producer in the ${where}`, async (t) => {
    const topic = `frames-${where}`;
    await demo.ask('topic', topic, 6);
    const page = await DemoPage.open(chromium.context, demo.page, { in: where, rate: FULL_RATE, topic });
    await sleep(500);
    const tracing = await trace(chromium.context, page.page);
    await page.start();
    await page.acknowledged(FULL_RATE * 2);
    await page.page.click('#burst');
    await page.wave(30);
    await page.acknowledged(FULL_RATE * 4);
    const [throughput, p50, p99, drawn] = await Promise.all(['throughput', 'p50', 'p99', 'frames'].map((id) => page.text(id)));
    t.diagnostic(`${throughput} records/s, latency p50 ${p50}, p99 ${p99}, ${drawn}`);
    await page.stop();
    frames(t, await tracing.stop());
    await page.close();
    assert.deepEqual(page.errors, []);
  });
}

// No script may keep the main thread for a frame. CPU time: how long others keep this machine from running the thread, and how long Chromium
// draws without a graphics card, is not the page's doing.
function frames(t, tasks) {
  const [script, all, scriptWall, wall] = ['scriptCpu', 'cpu', 'scriptWall', 'wall'].map((figure) => longest(tasks, figure));
  const ms = (figure) => `${figure.toFixed(1)} ms`;
  const byClock = `by the clock ${ms(scriptWall)} and ${ms(wall)}`;
  t.diagnostic(`main thread: longest of ${tasks.length} tasks ${ms(script)} of CPU in scripts, ${ms(all)} with Chromium's own work; ${byClock}`);
  assert.ok(tasks.length > 100 && all > 0, 'the trace shows something');
  assert.ok(script <= FRAME_MS, `${ms(script)} in scripts`);
}

test('a page that is hidden publishes at once what would wait for more', async () => {
  await demo.ask('topic', 'hidden', 1);
  for (const where of ['worker', 'page']) {
    const page = await DemoPage.open(chromium.context, demo.page, { in: where, rate: 5, topic: 'hidden' });
    await page.page.evaluate(() => { document.querySelector('[name=properties]').value = 'linger.ms=60000'; });
    await page.start();
    await sleep(1_500);
    assert.equal(await page.number('acknowledged'), 0, 'linger.ms is in force');
    await page.page.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await page.acknowledged(3, 5_000);
    await page.close();
  }
});

test('a bridge that refuses the page is not besieged, and the page says what can be known', async (t) => {
  const bridge = await Bridge.start(['--allow', demo.brokers, '--origin', 'https://elsewhere.example']);
  const page = await DemoPage.open(chromium.context, demo.page, { bridge: bridge.url, brokers: demo.brokers.split(',')[0] });
  const refused = () => bridge.metric('refused_total{reason="origin",status="403"}');
  await page.start();
  await until('the first attempt', async () => (await refused()) > 0);
  await sleep(3_000);
  const attempts = await refused();
  const log = await page.log();
  const { origin } = new URL(demo.page);
  const problem = log.find(([kind]) => kind === 'problem')?.[1] ?? '';
  t.diagnostic(`${attempts} attempts in 3 s; the page says: ${problem}`);
  for (const part of [bridge.url, `the origin ${origin}`, 'its log']) assert.ok(problem.includes(part), `${part} in: ${problem}`);
  assert.equal(await page.text('state'), 'disconnected');
  // reconnect.backoff.ms doubles from 50 ms to reconnect.backoff.max.ms, 1 s, each 20 % more or less: after 0, 50, 150, 350, 750, 1 550, 2 550 ms.
  assert.ok(attempts >= 4 && attempts <= 9, `${attempts} attempts`);
  await page.close();
  await bridge.stop();
});

test('settings that cannot work are told by name, wherever the producer runs', async () => {
  for (const where of ['worker', 'page']) {
    const page = await DemoPage.open(chromium.context, demo.page, { in: where, bridge: 'http://localhost:8092' });
    await page.start();
    await until('the page to give up', async () => (await page.text('state')) === 'failed');
    assert.match((await page.log()).at(-1).join(), /^problem,INVALID_CONFIG: bridge:/);
    await page.page.fill('[name=bridge]', demo.bridge);
    await page.start(); // it can be mended
    await page.acknowledged(10);
    await page.stop();
    await page.close();
    assert.deepEqual(page.errors, []);
  }
});

test('a token is shown to the bridge, and a missing one is a problem', async () => {
  const token = 'a-token-that-nobody-guesses';
  const origin = new URL(demo.page).origin;
  const bridge = await Bridge.start(['--allow', demo.brokers, '--origin', origin], { KLAMM_BRIDGE_TOKEN: token });
  const page = await DemoPage.open(chromium.context, demo.page, { bridge: bridge.url, rate: 50 });
  await page.start();
  await until('the problem', async () => (await page.log()).some(([kind, text]) => kind === 'problem' && text.includes('the token')));
  await page.close();
  const admitted = await DemoPage.open(chromium.context, demo.page, { bridge: bridge.url, rate: 50 });
  await admitted.page.fill('[name=token]', token);
  await admitted.start();
  await admitted.acknowledged(10);
  await admitted.stop();
  await admitted.close();
  await bridge.stop();
});

test('a bundle of esbuild works, under a policy that allows WebAssembly and nothing more', async () => {
  await demo.ask('topic', 'bundle', 3);
  const folder = await bundled();
  const policy = (more) => ({ 'content-security-policy': `default-src 'none'; script-src 'self'${more}; connect-src 'self' ws://127.0.0.1:*` });
  const results = [];
  for (const more of [" 'wasm-unsafe-eval'", '']) {
    const site = await serve(folder, { headers: policy(more) });
    const bridge = await Bridge.start(['--allow', demo.brokers, '--origin', site.origin]);
    const page = await chromium.context.newPage();
    await page.goto(`${site.origin}/?bridge=${bridge.url}&brokers=${demo.brokers}&topic=bundle`);
    results.push(await until('the bundle to have done something', () => page.evaluate(() => document.title)));
    await page.close();
    await Promise.all([bridge.stop(), site.stop()]);
  }
  assert.equal(results[0], '100 records delivered');
  assert.match(results[1], /^INVALID_CONFIG: .*Content-Security-Policy.*'wasm-unsafe-eval'/);
  assert.deepEqual((await demo.log('bundle')).map(({ value }) => Number(value)).sort((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n));
});

test('a server that does not know the type of .wasm files does', async () => {
  const site = await serve(await bundled(), { types: { '.html': 'text/html', '.js': 'text/javascript' } });
  const bridge = await Bridge.start(['--allow', demo.brokers, '--origin', site.origin]);
  const page = await chromium.context.newPage();
  await demo.ask('topic', 'untyped', 3);
  await page.goto(`${site.origin}/?bridge=${bridge.url}&brokers=${demo.brokers}&topic=untyped`);
  assert.equal(await until('the bundle to have done something', () => page.evaluate(() => document.title)), '100 records delivered');
  await page.close();
  await Promise.all([bridge.stop(), site.stop()]);
});
