// Runs a crate's unit tests that were built for WebAssembly. Node runs this file; a page or another module calls `run`.
// node tests.mjs MODULE DATA: prints the vectors that the tests have read, one per line.

/**
 * @param {Uint8Array | ArrayBuffer} module
 * @param {(name: string) => Uint8Array | undefined} file a vector by its name
 * @returns {Promise<string[]>} the vectors that were read; rejects if a test fails
 */
export async function run(module, file) {
  const read = new Set();
  let [memory, content, panic] = [null, null, ''];
  const text = (at, length) => new TextDecoder().decode(new Uint8Array(memory.buffer, at, length));
  const vectors = {
    length(at, length) {
      const name = text(at, length);
      content = file(name);
      if (content) read.add(name);
      return content ? content.length : -1;
    },
    content: (into) => new Uint8Array(memory.buffer, into, content.length).set(content),
    panicked: (at, length) => (panic = text(at, length)),
  };
  const { instance } = await WebAssembly.instantiate(module, { vectors });
  memory = instance.exports.memory;
  try {
    const code = instance.exports.main(0, 0);
    if (code !== 0) throw new Error(`exit code ${code}`);
  } catch (error) {
    // The names of the functions on the way say which test it is.
    throw new Error(`${panic}\n${error.stack}`);
  }
  return [...read].sort();
}

if (globalThis.process?.argv[1]?.endsWith('tests.mjs')) {
  const { readFileSync } = await import('node:fs');
  const [module, data] = process.argv.slice(2);
  const file = (name) => {
    try {
      return readFileSync(`${data}/${name}`);
    } catch {
      return undefined;
    }
  };
  for (const name of await run(readFileSync(module), file)) console.log(name);
}
