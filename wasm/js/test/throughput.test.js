// How fast it is, and whether its memory stays as it is. The limits are wide, since machines differ and share their processors.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const AT_LEAST = 40_000;
// Of the host's heap, which grows when it likes; what 667 000 records would leave if each left 100 B is more.
const MIB_AT_MOST = 60;

for (const way of ['send', 'sendBatch']) {
  test(`a million records by ${way}`, { timeout: 120_000 }, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./speed.js', import.meta.url)), way]);
    const { perSecond, nsEach, mibGrown, mib } = JSON.parse(stdout);
    console.log(`${way}: ${perSecond} records of 100 B per second, ${nsEach} ns of CPU each; ${mib} MiB, later ${mibGrown} more`);
    assert.ok(perSecond > AT_LEAST, `${perSecond} records/s`);
    assert.ok(mibGrown < MIB_AT_MOST, `${mib} MiB grew by ${mibGrown}`);
  });
}
