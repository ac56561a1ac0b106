// Numbers, bars of partitions, lamps of brokers.

import { ENOUGH } from './limits.js';

const $ = (id) => document.querySelector(`#${id}`);

/** 31,683: what Intl takes 25 ms to be ready for, in which a page draws nothing. */
export const whole = (n) => String(Math.round(n)).replaceAll(/\B(?=(\d{3})+$)/g, ',');

function duration(ms) {
  if (ms === null) return ['–', ''];
  if (ms >= 10_000) return [(ms / 1000).toFixed(0), 's'];
  if (ms >= 1000) return [(ms / 1000).toFixed(1), 's'];
  return [ms >= 10 ? ms.toFixed(0) : ms.toFixed(1), 'ms'];
}

function bytes(n) {
  if (n >= 1 << 20) return [(n / (1 << 20)).toFixed(1), 'MiB'];
  return n >= 1024 ? [(n / 1024).toFixed(0), 'KiB'] : [String(n), 'B'];
}

function put(element, [number, unit]) {
  element.textContent = number;
  if (unit) {
    const small = document.createElement('small');
    small.textContent = ` ${unit}`;
    element.append(small);
  }
}

export class Figures {
  #frames = [];
  #isRunning = false;

  start() {
    this.#isRunning = true;
    requestAnimationFrame((now) => this.#frame(now));
    $('partitions').replaceChildren();
    $('brokers').replaceChildren();
  }

  stop() {
    this.#isRunning = false;
    this.#frames = [];
  }

  /** @param {object} report of the publisher */
  show(report) {
    const { acknowledged, created, failed, retried, perSecond, p50, p99, buffered, held, bytesOut } = report;
    put($('acknowledged'), [whole(acknowledged)]);
    $('acknowledged-more').textContent = `of ${whole(created)} · ${bytes(bytesOut).join(' ')}`;
    put($('throughput'), [whole(perSecond)]);
    put($('p50'), duration(p50));
    put($('p99'), duration(p99));
    put($('buffered'), bytes(buffered));
    $('buffered-more').textContent = held ? 'back-pressure' : 'no outcome yet';
    $('buffered-more').classList.toggle('alert', held);
    const bar = $('buffered-bar');
    [bar.low, bar.high, bar.optimum, bar.value] = [0.5, 0.95, 0, Math.min(1, buffered / ENOUGH)];
    $('retried').textContent = whole(retried);
    $('failed').textContent = whole(failed);
    $('frames').textContent = `${this.#frames.length} frames/s`;
    this.#partitions(report.partitions);
    this.#brokers(report.brokers);
  }

  // Frames of the last second: a page that is kept from drawing has fewer than its screen.
  #frame(now) {
    if (!this.#isRunning) return;
    this.#frames.push(now);
    while (this.#frames[0] <= now - 1000) this.#frames.shift();
    requestAnimationFrame((next) => this.#frame(next));
  }

  #partitions(counts) {
    const list = $('partitions');
    $('partitions-more').textContent = 'records acknowledged';
    const most = Math.max(1, ...counts.map((count) => count ?? 0));
    counts.forEach((count, partition) => {
      const item = list.children[partition] ?? list.appendChild(bar(partition));
      item.style.setProperty('--share', `${((count ?? 0) / most) * 100}%`);
      item.lastChild.textContent = whole(count ?? 0);
    });
  }

  #brokers(brokers) {
    const list = $('brokers');
    const open = brokers.filter(({ state }) => state === 'open' || state === 'choked').length;
    $('brokers-more').textContent = `${open} of ${brokers.length} connected`;
    brokers.forEach(({ name, state, why }, index) => {
      const item = list.children[index] ?? list.appendChild(lamp());
      item.dataset.state = state;
      item.firstChild.textContent = name;
      item.lastChild.textContent = state === 'lost' ? why : state;
    });
  }
}

function bar(partition) {
  const [item, name, track, count] = ['li', 'b', 'i', 'span'].map((tag) => document.createElement(tag));
  name.textContent = String(partition);
  item.append(name, track, count);
  return item;
}

function lamp() {
  const [item, state] = ['li', 'span'].map((tag) => document.createElement(tag));
  item.append('', state);
  item.prepend(document.createTextNode(''));
  return item;
}
