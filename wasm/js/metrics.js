// Names of the counters, in the order in which the module lists them (Client::metrics).

export const NAMES = [
  'recordsAccepted', 'bytesAccepted', 'recordsDelivered', 'recordsFailed', 'recordsRetried', 'batchesSent', 'batchBytesSent',
  'produceRequests', 'requests', 'bytesOut', 'bytesIn', 'batchesSplit', 'batchesExpired', 'metadataRefreshes',
  'connectionsOpened', 'connectionsClosed', 'requestTimeouts', 'epochBumps', 'rebootstraps', 'bufferFull', 'throttleMs',
  'requestLatencyUs', 'requestLatencyUsMax', 'requestLatencyCount', 'bufferTotalBytes', 'bufferAvailableBytes',
];
