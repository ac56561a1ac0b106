// What happened, newest first; what happens again and again is counted.

const MOST = 100;

export class Log {
  #list;
  #last = null;

  constructor(list) {
    this.#list = list;
  }

  add(at, kind, text) {
    if (this.#last?.text === text) {
      this.#last.times += 1;
      this.#last.line.textContent = `${text} (${this.#last.times}×)`;
      return;
    }
    const [item, time, line] = ['li', 'time', 'span'].map((name) => document.createElement(name));
    item.dataset.kind = kind;
    time.textContent = new Date(at).toTimeString().slice(0, 8);
    line.textContent = text;
    item.append(time, line);
    this.#list.prepend(item);
    this.#last = { text, line, times: 1 };
    while (this.#list.children.length > MOST) this.#list.lastChild.remove();
  }
}
