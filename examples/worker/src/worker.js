// HTTP to Kafka: POST /topics/NAME publishes what the body says, and answers where it is. README.md has the whole interface.

import { DurableObject } from 'cloudflare:workers';

import { failed, refuse } from './answers.js';
import { answer, settings } from './publish.js';
import { read } from './records.js';
import { Producer } from 'klamm';

export default {
  async fetch(request, env, ctx) {
    try {
      const { topic, isKept, waits } = route(request, env);
      if (isKept) return await env.PUBLISHER.getByName(topic).fetch(request);
      const records = await read(request, topic);
      // A producer's connections belong to this request.
      const producer = new Producer(settings(env));
      const answered = waits ? answer(producer, records) : later(producer, records, ctx);
      // What was sent is published after the answer, too; an error was told by then.
      ctx.waitUntil(answered.finally(() => producer.close()).catch(() => {}));
      return await answered;
    } catch (error) {
      return failed(error);
    }
  },
};

/** Keeps one producer for all requests that come here: what an object connects to stays connected between them. */
export class Publisher extends DurableObject {
  #producer = null;

  async fetch(request) {
    try {
      const { topic, waits } = route(request, this.env);
      const records = await read(request, topic);
      const producer = (this.#producer ??= this.#make());
      return await (waits ? answer(producer, records) : later(producer, records, this.ctx));
    } catch (error) {
      return failed(error);
    }
  }

  #make() {
    const producer = new Producer(settings(this.env, 16 << 20));
    producer.addEventListener('problem', ({ error }) => console.warn(`${error.name}: ${error.message}`));
    return producer;
  }
}

/** Answers now; the records are published afterwards, and only the log says if that fails. */
async function later(producer, records, ctx) {
  const sent = producer.sendBatch(records.list);
  ctx.waitUntil(sent.catch((error) => console.error(`lost after its answer: ${error.name}: ${error.message}`)));
  return Response.json({ accepted: records.list.length }, { status: 202 });
}

/** What is asked for, if it may be. */
function route(request, env) {
  const url = new URL(request.url);
  const [, kept, name] = url.pathname.match(/^(\/kept)?\/topics\/([^/]+)$/) ?? [];
  if (!name) throw refuse(404, 'NOT_FOUND', 'POST /topics/NAME or /kept/topics/NAME');
  if (request.method !== 'POST') throw refuse(405, 'METHOD_NOT_ALLOWED', 'POST records', { allow: 'POST' });
  if (env.API_TOKEN && !equal(request.headers.get('authorization') ?? '', `Bearer ${env.API_TOKEN}`)) {
    throw refuse(401, 'UNAUTHORIZED', 'a token is wanted', { 'www-authenticate': 'Bearer' });
  }
  let topic;
  try {
    topic = decodeURIComponent(name);
  } catch {
    topic = '';
  }
  // Whoever reaches this Worker may write to these topics, and to no others.
  if (!(env.KAFKA_TOPICS ?? '').split(',').includes(topic) || topic === '') {
    throw refuse(404, 'NOT_FOUND', 'there is no such topic here');
  }
  return { topic, isKept: kept !== undefined, waits: url.searchParams.get('wait') !== 'false' };
}

/** In a time that does not depend on where they differ. */
function equal(left, right) {
  const [a, b] = [left, right].map((text) => new TextEncoder().encode(text));
  return a.length === b.length && crypto.subtle.timingSafeEqual(a, b);
}
