// The last half minute on a canvas: throughput as an area, latencies as lines on a logarithmic scale, events as marks.

// It begins with the last ten seconds.
const [LEAST_MS, SPAN_MS] = [10_000, 30_000];
const LEFT = 52;
const BOTTOM = 20;
const GAP = 22;
const TICKS_MS = [0.1, 1, 10, 100, 1_000, 10_000, 100_000];

const short = (n) => (n >= 1e6 ? `${n / 1e6} M` : n >= 1e3 ? `${n / 1e3} k` : String(n));
const time = (ms) => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`);

/** The next 1, 2 or 5 times a power of ten. */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

export class Chart {
  #canvas;
  #samples = [];
  #marks = [];
  #colours = {};
  #top = 10;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.recolour();
  }

  /** Reads the colours of the style sheet anew. */
  recolour() {
    const style = getComputedStyle(document.documentElement);
    const names = ['accent', 'accent-soft', 'blue', 'amber', 'red', 'green', 'line', 'faint', 'soft', 'card'];
    this.#colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.draw();
  }

  /** @param {{ at: number, perSecond: number, p50: number | null, p99: number | null }} sample */
  add(sample) {
    this.#samples.push(sample);
    while (this.#samples[0].at < sample.at - SPAN_MS - 1000) this.#samples.shift();
    this.#marks = this.#marks.filter(({ at }) => at > sample.at - SPAN_MS);
    this.draw();
  }

  mark(at, text, colour) {
    this.#marks.push({ at, text, colour });
  }

  clear() {
    this.#samples = [];
    this.#marks = [];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    const scale = devicePixelRatio;
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== w) this.#canvas.width = w;
    if (this.#canvas.height !== h) this.#canvas.height = h;
    const context = this.#canvas.getContext('2d');
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    const middle = Math.round((height - BOTTOM) * 0.62);
    const upper = { top: 14, bottom: middle - GAP / 2, right: width - 4 };
    const lower = { top: middle + GAP / 2, bottom: height - BOTTOM, right: width - 4 };
    const end = this.#samples.at(-1)?.at ?? Date.now();
    const span = Math.min(Math.max(end - (this.#samples[0]?.at ?? end), LEAST_MS), SPAN_MS);
    const x = (at) => upper.right - ((end - at) / span) * (upper.right - LEFT);
    this.#drawTimes(context, x, end, span, height);
    this.#drawThroughput(context, x, upper);
    this.#drawLatency(context, x, lower);
    this.#drawMarks(context, x, height);
  }

  #drawTimes(context, x, end, span, height) {
    context.fillStyle = this.#colours.faint;
    context.textBaseline = 'alphabetic';
    for (let back = 0; back <= span; back += span > 15_000 ? 5_000 : 2_000) {
      context.textAlign = back === 0 ? 'right' : x(end - back) < LEFT + 20 ? 'left' : 'center';
      context.fillText(back === 0 ? 'now' : `−${back / 1000} s`, x(end - back), height - 4);
    }
  }

  #line(context, y, right, label) {
    context.strokeStyle = this.#colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(LEFT, Math.round(y) + 0.5);
    context.lineTo(right, Math.round(y) + 0.5);
    context.stroke();
    context.fillStyle = this.#colours.faint;
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    context.fillText(label, LEFT - 8, y);
  }

  #drawThroughput(context, x, { top, bottom, right }) {
    const most = rounded(Math.max(10, ...this.#samples.map(({ perSecond }) => perSecond)));
    this.#top += (most - this.#top) * 0.35; // the scale glides
    if (Math.abs(most - this.#top) < most * 0.02) this.#top = most;
    const y = (value) => bottom - (value / this.#top) * (bottom - top);
    for (let part = 0; part <= 4; part += 1) {
      if (part % 2 === 0) this.#line(context, y((most * part) / 4), right, short((most * part) / 4));
    }
    if (this.#samples.length < 2) return;
    clipped(context, LEFT, 0, right, bottom + 1, () => {
      context.beginPath();
      for (const { at, perSecond } of this.#samples) context.lineTo(x(at), y(perSecond));
      context.strokeStyle = this.#colours.accent;
      context.lineWidth = 2;
      context.lineJoin = 'round';
      context.stroke();
      context.lineTo(x(this.#samples.at(-1).at), bottom);
      context.lineTo(x(this.#samples[0].at), bottom);
      const fill = context.createLinearGradient(0, top, 0, bottom);
      fill.addColorStop(0, this.#colours['accent-soft']);
      fill.addColorStop(1, `${this.#colours.accent}05`);
      context.fillStyle = fill;
      context.fill();
    });
  }

  #drawLatency(context, x, { top, bottom, right }) {
    const values = this.#samples.flatMap(({ p50, p99 }) => (p50 === null ? [] : [p50, p99]));
    const from = Math.floor(Math.log10(Math.max(0.1, Math.min(1, ...values))));
    const to = Math.ceil(Math.log10(Math.max(100, ...values)));
    const y = (ms) => bottom - ((Math.log10(ms) - from) / (to - from)) * (bottom - top);
    for (const ms of TICKS_MS) if (ms >= 10 ** from && ms <= 10 ** to) this.#line(context, y(ms), right, time(ms));
    clipped(context, LEFT, top - 3, right, bottom + 3, () => {
      for (const [name, colour] of [['p99', 'amber'], ['p50', 'blue']]) {
        context.beginPath();
        let isDrawing = false;
        for (const sample of this.#samples) {
          if (sample[name] === null) {
            isDrawing = false;
          } else {
            context[isDrawing ? 'lineTo' : 'moveTo'](x(sample.at), y(sample[name]));
            isDrawing = true;
          }
        }
        context.strokeStyle = this.#colours[colour];
        context.lineWidth = 1.75;
        context.stroke();
      }
    });
  }

  #drawMarks(context, x, height) {
    let free = this.#canvas.clientWidth; // up to here no label is in the way: from right to left
    for (const { at, text, colour } of this.#marks.toReversed()) {
      const left = Math.round(x(at)) + 0.5;
      if (left < LEFT) continue;
      context.strokeStyle = context.fillStyle = this.#colours[colour];
      context.setLineDash([3, 3]);
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(left, 4);
      context.lineTo(left, height - BOTTOM);
      context.stroke();
      context.setLineDash([]);
      const { width } = context.measureText(text);
      const start = left + 5 + width < free ? left + 5 : Math.min(left, free) - 5 - width;
      if (start < LEFT || (start < left && left > free)) continue;
      context.textAlign = 'left';
      context.textBaseline = 'top';
      context.fillText(text, start, 2);
      free = Math.min(start, left) - 5;
    }
  }
}

function clipped(context, left, top, right, bottom, draw) {
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  draw();
  context.restore();
}
