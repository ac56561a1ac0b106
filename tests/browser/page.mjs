// The demo page as a person uses it.

import { sleep, until } from './support.mjs';

export class DemoPage {
  #page;

  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.#page = page;
    /** What the page broke with. */
    this.errors = [];
    page.on('pageerror', (error) => this.errors.push(error.message));
    // Chromium itself writes one for each WebSocket that cannot be opened.
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('WebSocket connection')) this.errors.push(message.text());
    });
  }

  /** Opens it with these fields filled in. */
  static async open(context, address, fields = {}) {
    const page = await context.newPage();
    const demo = new DemoPage(page);
    const url = new URL(address);
    for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value);
    await page.goto(url.href);
    return demo;
  }

  get page() {
    return this.#page;
  }

  /** The text of an element. */
  text(id) {
    // Not by playwright's waiting: its scripts are what a policy without 'unsafe-eval' refuses.
    return this.#page.evaluate((name) => document.getElementById(name).textContent, id);
  }

  async number(id) {
    return Number((await this.text(id)).replaceAll(/\D/g, ''));
  }

  /** The log, oldest first: kind and text of each line. */
  log() {
    return this.#page.evaluate(() => [...document.querySelectorAll('#log li')].map((item) => [item.dataset.kind, item.lastChild.textContent]).reverse());
  }

  async start() {
    await this.#page.click('#run');
  }

  acknowledged(count, limit) {
    return until(`${count} acknowledged records`, async () => (await this.number('acknowledged')) >= count, limit);
  }

  /** Presses Stop; gives the journal. */
  async stop() {
    await this.#page.click('#run');
    await until('the page to stop', async () => (await this.text('state')) === 'stopped');
    return this.#page.evaluate(() => document.documentElement.journal);
  }

  /** Draws a wave on the pad. */
  async wave(points) {
    const pad = await this.#page.locator('#pad').boundingBox();
    for (let at = 0; at < points; at += 1) {
      const y = pad.y + pad.height * (0.5 + 0.3 * Math.sin(at / 4));
      await this.#page.mouse.move(pad.x + (pad.width * (at + 1)) / (points + 1), y);
      await sleep(8);
    }
  }

  async close() {
    await this.#page.close();
  }
}
