// What page and publisher have to agree on.

/**
 * Bytes without an outcome from which on nothing more is measured: some 7 000 readings. When brokers come back after a while, all
 * that waits is compressed, sent and acknowledged in a few steps, and none of them may take a page longer than a frame.
 */
export const ENOUGH = 512 << 10;
