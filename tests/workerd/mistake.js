// The mistake that most make first: one producer in the module, for all requests.

import { DurableObject } from 'cloudflare:workers';

import { failed } from './answers.js';
import { answer, settings } from './publish.js';
import { read } from './records.js';
import { Producer } from 'klamm';

let producer;

export default {
  async fetch(request, env) {
    try {
      producer ??= new Producer(settings(env));
      return await answer(producer, await read(request, 'odd'));
    } catch (error) {
      return failed(error);
    }
  },
};

/** The configuration names it. */
export class Publisher extends DurableObject {}
