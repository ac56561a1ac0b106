// What the page measures: simulated thermometers, and bursts of a simulated vibration sensor.

const THERMOMETERS = 24;
const DAY_MS = 86_400_000;

/** Thermometers in as many rooms; each reading is the next one's turn. */
export class Thermometers {
  #celsius = Array.from({ length: THERMOMETERS }, (_, room) => 17 + (room % 6) * 1.3);
  #next = 0;

  /** @returns {{ key: string, value: object }} */
  read(n, at) {
    const room = this.#next;
    this.#next = (room + 1) % THERMOMETERS;
    const outside = Math.sin((at % DAY_MS) / DAY_MS * 2 * Math.PI);
    const drift = (Math.random() - 0.5) * 0.08 + (19 + outside * 2 - this.#celsius[room]) * 0.0005;
    this.#celsius[room] += drift;
    const name = `thermometer-${String(room + 1).padStart(2, '0')}`;
    return { key: name, value: { n, celsius: Math.round(this.#celsius[room] * 100) / 100, at } };
  }
}

/** A knock on the table as an accelerometer sees it: so many samples, a millisecond apart. */
export function vibration(samples) {
  const record = (_, index) => {
    const fade = Math.exp(-index / 400);
    const g = fade * Math.sin(index / 3) + (Math.random() - 0.5) * 0.02;
    return { key: 'vibration', value: { ms: index, g: Math.round(g * 1000) / 1000 } };
  };
  return Array.from({ length: samples }, record);
}
