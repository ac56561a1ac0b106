# For workerd: `npx workerd serve config.capnp`. README.md says what the variables are.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    # Where the Worker may connect to. Brokers are in private networks as a rule; Cloudflare's own network reaches public
    # addresses, and others by its tunnels.
    (name = "internet", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "KAFKA_BOOTSTRAP_SERVERS", fromEnvironment = "KAFKA_BOOTSTRAP_SERVERS"),
    (name = "KAFKA_SECURITY_PROTOCOL", fromEnvironment = "KAFKA_SECURITY_PROTOCOL"),
    (name = "KAFKA_PROPERTIES", fromEnvironment = "KAFKA_PROPERTIES"),
    (name = "KAFKA_TOPICS", fromEnvironment = "KAFKA_TOPICS"),
    (name = "BRIDGE_URL", fromEnvironment = "BRIDGE_URL"),
    (name = "BRIDGE_TOKEN", fromEnvironment = "BRIDGE_TOKEN"),
    (name = "API_TOKEN", fromEnvironment = "API_TOKEN"),
    (name = "PUBLISHER", durableObjectNamespace = "Publisher"),
  ],
  # It keeps a connection, and nothing on disk.
  durableObjectNamespaces = [(className = "Publisher", uniqueKey = "klamm-worker-publisher")],
  durableObjectStorage = (inMemory = void),
  modules = [
    (name = "worker.js", esModule = embed "src/worker.js"),
    (name = "answers.js", esModule = embed "src/answers.js"),
    (name = "publish.js", esModule = embed "src/publish.js"),
    (name = "records.js", esModule = embed "src/records.js"),
    # workerd looks for no packages: this is what `npm install` has put here.
    (name = "klamm", esModule = "export * from './klamm/workerd.js';"),
    (name = "klamm/workerd.js", esModule = embed "node_modules/klamm/workerd.js"),
    (name = "klamm/connections.js", esModule = embed "node_modules/klamm/connections.js"),
    (name = "klamm/core.js", esModule = embed "node_modules/klamm/core.js"),
    (name = "klamm/errors.js", esModule = embed "node_modules/klamm/errors.js"),
    (name = "klamm/metrics.js", esModule = embed "node_modules/klamm/metrics.js"),
    (name = "klamm/producer.js", esModule = embed "node_modules/klamm/producer.js"),
    (name = "klamm/queue.js", esModule = embed "node_modules/klamm/queue.js"),
    (name = "klamm/records.js", esModule = embed "node_modules/klamm/records.js"),
    (name = "klamm/runtime.js", esModule = embed "node_modules/klamm/runtime.js"),
    (name = "klamm/settings.js", esModule = embed "node_modules/klamm/settings.js"),
    (name = "klamm/sinks.js", esModule = embed "node_modules/klamm/sinks.js"),
    (name = "klamm/transports/sockets.js", esModule = embed "node_modules/klamm/transports/sockets.js"),
    (name = "klamm/transports/websocket.js", esModule = embed "node_modules/klamm/transports/websocket.js"),
    (name = "klamm/klamm.wasm", wasm = embed "node_modules/klamm/klamm.wasm"),
  ],
);
