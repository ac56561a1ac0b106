// The page: what the user sets goes to the publisher, what the publisher reports is shown.

import { Chart } from './chart.js';
import { Figures, whole } from './figures.js';
import { Log } from './log.js';
import { inPage, inWorker } from './places.js';
import { Pointer } from './pointer.js';

const BURST = 2_000;
// The slider's 100 steps go from 1 to 50 000 records a second.
const MOST = 50_000;

const form = document.querySelector('#settings');
const fields = form.elements;
const [run, burst, state] = ['#run', '#burst', '#state'].map((id) => document.querySelector(id));
const query = new URLSearchParams(location.search);
const chart = new Chart(document.querySelector('#chart'));
const log = new Log(document.querySelector('#log'));
const figures = new Figures();
const pointer = new Pointer(document.querySelector('#pad'), document.querySelector('#trail'), (readings) => place?.publish(readings));

/** @type {import('./places.js').Place | null} */
let place = null;

function rate() {
  const steps = Number(fields.rate.value);
  return Math.round(MOST ** (steps / 100));
}

function settings() {
  const pairs = fields.properties.value.split('\n').map((line) => line.trim()).filter((line) => line && !line.startsWith('#'));
  return {
    bridge: fields.bridge.value.trim(),
    token: fields.token.value,
    brokers: fields.brokers.value.trim(),
    topic: fields.topic.value.trim(),
    properties: Object.fromEntries(pairs.map((line) => line.split(/=(.*)/s).slice(0, 2).map((text) => text.trim()))),
    limit: Number(fields.limit.value.replaceAll(/\D/g, '')) || Infinity,
    rate: rate(),
    journal: query.has('journal'),
  };
}

function show(report) {
  state.dataset.state = report.state;
  state.textContent = report.state;
  for (const { at, kind, text } of report.messages) {
    log.add(at, kind, text);
    if (kind === 'warning' && text.startsWith('lost')) chart.mark(at, text.replace(/ \(.*/, ''), 'red');
    if (kind === 'good') chart.mark(at, text, 'green');
  }
  chart.add(report);
  figures.show(report);
}

function broken(text) {
  log.add(Date.now(), 'problem', text);
  place?.kill();
  stopped('failed');
}

function running() {
  chart.clear();
  figures.start();
  run.textContent = 'Stop';
  run.dataset.running = '';
  burst.disabled = false;
  lock(true);
}

function stopped(how) {
  place = null;
  figures.stop();
  state.dataset.state = how;
  state.textContent = how;
  run.textContent = 'Start';
  delete run.dataset.running;
  run.disabled = false;
  burst.disabled = true;
  lock(false);
}

function lock(isLocked) {
  for (const name of ['bridge', 'brokers', 'topic', 'token', 'properties', 'limit']) fields[name].disabled = isLocked;
  for (const choice of fields.in) choice.disabled = isLocked;
}

async function start() {
  const where = fields.in.value === 'worker' ? inWorker : inPage;
  running();
  run.disabled = true; // there is nothing to stop yet
  state.dataset.state = state.textContent = 'connecting';
  try {
    place = await where(settings(), show, broken);
    run.disabled = false;
  } catch (error) {
    broken(`${error.name}: ${error.message}`);
  }
}

async function stop() {
  run.disabled = true;
  state.textContent = 'closing';
  // For tests; nothing but the address can ask for one.
  document.documentElement.journal = await place.stop();
  log.add(Date.now(), 'info', 'stopped: everything has its outcome');
  stopped('stopped');
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (place) stop();
  else start();
});

fields.rate.addEventListener('input', () => {
  document.querySelector('#rate-text').textContent = `${whole(rate())} records/s`;
  place?.rate(rate());
});

burst.addEventListener('click', () => place?.burst(BURST));

// The page may never be seen again: what waits for its batch to fill (`linger.ms`) leaves now. Closing would be too early, as a
// page that is hidden often comes back.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'hidden') place?.flush();
});

document.querySelector('#theme').addEventListener('click', () => {
  const { dataset } = document.documentElement;
  paint(dataset.theme === 'dark' ? 'light' : 'dark');
});

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  chart.recolour();
  pointer.recolour();
}

const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => paint(dark.matches ? 'dark' : 'light'));
paint(query.get('theme') ?? (dark.matches ? 'dark' : 'light'));
for (const name of ['bridge', 'brokers', 'topic', 'limit', 'in']) if (query.has(name)) fields[name].value = query.get(name);
if (query.has('rate')) fields.rate.value = String((Math.log(Number(query.get('rate'))) / Math.log(MOST)) * 100);
fields.rate.dispatchEvent(new Event('input'));
if (query.has('start')) start();
