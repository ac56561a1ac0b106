// First in, first out, without moving what is behind.

export class Queue {
  #items = [];
  #head = 0;

  get length() {
    return this.#items.length - this.#head;
  }

  get first() {
    return this.#items[this.#head];
  }

  get last() {
    return this.length > 0 ? this.#items[this.#items.length - 1] : undefined;
  }

  at(index) {
    return this.#items[this.#head + index];
  }

  push(item) {
    this.#items.push(item);
  }

  shift() {
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 4096) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }
}
