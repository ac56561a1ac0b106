// Where the outcome of a record goes.

/** The promise of one record. */
export class One {
  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
  }

  done(_position, result) {
    this.resolve(result);
  }

  fail(_position, error) {
    this.reject(error);
  }
}

/** One promise for many records: settled when all have their outcome. */
export class Many {
  #left;
  #failed = null;

  constructor(count, resolve, reject) {
    this.results = new Array(count);
    this.resolve = resolve;
    this.reject = reject;
    this.#left = count;
    if (count === 0) resolve(this.results);
  }

  done(position, result) {
    this.results[position] = result;
    this.#count();
  }

  fail(position, error) {
    this.results[position] = error;
    this.#failed ??= error;
    this.#count();
  }

  #count() {
    this.#left -= 1;
    if (this.#left > 0) return;
    if (this.#failed === null) {
      this.resolve(this.results);
    } else {
      this.reject(whole(this.#failed, this.results));
    }
  }
}

// The first error, with all results: errors of records that share a batch are one object, which must not be changed.
function whole(error, results) {
  if (error === null || typeof error !== 'object') return error;
  if (error instanceof DOMException) {
    // What a signal gives: what it holds is out of a copy's reach.
    return Object.assign(new DOMException(error.message, error.name), { results, cause: error });
  }
  const copy = Object.create(Object.getPrototypeOf(error), Object.getOwnPropertyDescriptors(error));
  copy.results = results;
  return copy;
}
