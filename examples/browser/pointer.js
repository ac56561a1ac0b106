// The pointer as a sensor: where it was, gathered for a frame, and its trail on a canvas.

const TRAIL_MS = 1_200;

export class Pointer {
  #readings = [];
  #trail = [];
  #canvas;
  #publish;
  #isDue = false;
  #colour = '';

  /** @param {(readings: object[]) => void} publish gets the readings of a frame */
  constructor(pad, canvas, publish) {
    this.#canvas = canvas;
    this.#publish = publish;
    addEventListener('pointermove', (event) => this.#moved(event, pad), { passive: true });
  }

  #moved(event, pad) {
    const box = pad.getBoundingClientRect();
    // What the browser has seen since the last frame, not only the last of it.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of events.length > 0 ? events : [event]) {
      const value = { x: Math.round(clientX), y: Math.round(clientY), at: Date.now() };
      this.#readings.push({ key: 'pointer', value });
      const [x, y] = [clientX - box.left, clientY - box.top];
      if (x >= 0 && y >= 0 && x <= box.width && y <= box.height) {
        this.#trail.push({ x, y, at: performance.now() });
        pad.classList.add('used');
      }
    }
    this.#schedule();
  }

  #schedule() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      if (this.#readings.length > 0) this.#publish(this.#readings.splice(0));
      this.#draw();
      if (this.#trail.length > 0) this.#schedule();
    });
  }

  /** Takes the colour of the style sheet anew. */
  recolour() {
    this.#colour = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
  }

  #draw() {
    if (!this.#colour) this.recolour();
    const now = performance.now();
    this.#trail = this.#trail.filter(({ at }) => now - at < TRAIL_MS);
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = devicePixelRatio;
    if (this.#canvas.width !== clientWidth * scale) this.#canvas.width = clientWidth * scale;
    if (this.#canvas.height !== clientHeight * scale) this.#canvas.height = clientHeight * scale;
    const context = this.#canvas.getContext('2d');
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    context.fillStyle = this.#colour;
    for (const { x, y, at } of this.#trail) {
      const left = 1 - (now - at) / TRAIL_MS;
      context.globalAlpha = left * 0.7;
      context.beginPath();
      context.arc(x, y, 1.5 + left * 3, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
  }
}
