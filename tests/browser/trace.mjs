// What Chromium's main thread did, from a trace that Chromium makes itself.

const CATEGORIES = ['disabled-by-default-devtools.timeline', 'devtools.timeline', 'v8', '__metadata'];
// What runs a page's scripts. One may be inside of another.
const SCRIPTS = new Set(['EvaluateScript', 'v8.evaluateModule', 'v8.callFunction', 'FunctionCall', 'RunMicrotasks', 'TimerFire', 'FireAnimationFrame']);

/** Traces a page until `stop()`, which gives the tasks of its main thread. */
export async function trace(context, page) {
  const session = await context.newCDPSession(page);
  const events = [];
  session.on('Tracing.dataCollected', ({ value }) => { for (const event of value) events.push(event); });
  await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: CATEGORIES, excludedCategories: ['*'] } });
  const stop = async () => {
    const done = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
    await session.send('Tracing.end');
    await done;
    await session.detach();
    return tasks(events, new URL(page.url()).origin);
  };
  return { stop };
}

/** @returns {{ wall: number, cpu: number, scriptWall: number, scriptCpu: number }[]} milliseconds of each task */
function tasks(events, origin) {
  const process = events.find(({ name, args }) => name === 'FunctionCall' && args?.data?.url?.startsWith(origin))?.pid;
  const thread = events.find(({ name, pid, args }) => name === 'thread_name' && pid === process && args.name === 'CrRendererMain')?.tid;
  const ours = events.filter(({ ph, pid, tid }) => ph === 'X' && pid === process && tid === thread).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const found = [];
  let [task, scriptEnd] = [null, 0];
  for (const { name, ts, dur, tdur } of ours) {
    if (name.endsWith('RunTask')) {
      task = { wall: dur / 1000, cpu: tdur / 1000, scriptWall: 0, scriptCpu: 0 };
      found.push(task);
    } else if (task && SCRIPTS.has(name) && ts >= scriptEnd) {
      task.scriptWall += dur / 1000;
      task.scriptCpu += (tdur ?? 0) / 1000;
      scriptEnd = ts + dur;
    }
  }
  return found;
}

/** The largest of a figure, in milliseconds. */
export const longest = (tasks, figure) => tasks.reduce((most, task) => Math.max(most, task[figure]), 0);
