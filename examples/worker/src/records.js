// The body of a request, as records.

import { refuse } from './answers.js';

/** Longest body, in bytes. */
const LONGEST = 1 << 20;
const MOST = 1_000;
const FIELDS = new Set(['key', 'value', 'headers', 'partition', 'timestamp']);

/** `{ list, isBatch }`: a record, or an array of them. */
export async function read(request, topic) {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) throw refuse(415, 'UNSUPPORTED_MEDIA_TYPE', 'content-type: application/json');
  let body;
  try {
    body = JSON.parse(await text(request));
  } catch (error) {
    throw error instanceof SyntaxError || error instanceof TypeError ? refuse(400, 'BAD_JSON', 'the body is no JSON') : error;
  }
  const isBatch = Array.isArray(body);
  const list = isBatch ? body : [body];
  if (list.length > MOST) throw refuse(413, 'TOO_MANY_RECORDS', `at most ${MOST} records`);
  list.forEach((record, index) => check(record, isBatch ? `record ${index}: ` : ''));
  return { list: list.map((record) => ({ ...record, topic })), isBatch };
}

// Not only by its header, which can be missing.
async function text(request) {
  const tooLong = () => refuse(413, 'BODY_TOO_LARGE', `at most ${LONGEST} bytes`);
  if (Number(request.headers.get('content-length') ?? 0) > LONGEST) throw tooLong();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let [all, length] = ['', 0];
  for await (const piece of request.body ?? []) {
    length += piece.length;
    if (length > LONGEST) throw tooLong();
    all += decoder.decode(piece, { stream: true });
  }
  return all + decoder.decode();
}

// What is left is the producer's to judge.
function check(record, where) {
  const wrong = (what) => refuse(400, 'BAD_RECORD', `${where}${what}`);
  if (record === null || typeof record !== 'object' || Array.isArray(record)) throw wrong('a record is an object');
  if (!Object.hasOwn(record, 'value')) throw wrong('`value` is missing; a tombstone has null');
  const other = Object.keys(record).find((field) => !FIELDS.has(field));
  if (other !== undefined) throw wrong(`there is no \`${other}\`, but ${[...FIELDS].join(', ')}`);
}
