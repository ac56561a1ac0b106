//! A client that is neither ours nor of the library that the bridge is built on: the WebSocket of Node.

use std::process::Stdio;

use klamm_bridge::{Config, TokenSource};
use serde_json::Value;
use tokio::process::Command;

use crate::common::{Running, TOKEN, config, echo};

/// Prints what it saw as JSON.
const SCRIPT: &str = include_str!("client.mjs");

#[tokio::test(flavor = "multi_thread")]
async fn nodes_websocket_gets_its_bytes_and_the_reasons() {
    let tokens = TokenSource { file: None, value: Some(TOKEN.to_owned()) };
    let mut config = Config { tokens, allow_no_origin: true, ..config() };
    config.limits.max_frame = 1 << 17;
    let bridge = Running::start(config).await;
    let look = ["-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"];
    let built_in = Command::new("node").args(look).status().await.expect("Node is needed").success();
    // Node 20 has it behind a flag.
    let flags: &[&str] = if built_in { &[] } else { &["--experimental-websocket"] };
    let output = Command::new("node")
        .args(flags)
        .args(["--input-type=module", "-e", SCRIPT, "--"])
        .args([bridge.address.to_string(), echo().await.port().to_string(), TOKEN.to_owned()])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {stderr}", output.status);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} {stderr}"));
    assert_eq!(
        seen,
        serde_json::json!({
            "roundTrip": { "protocol": "klamm.tcp.v1", "equal": true, "code": 1000, "clean": true },
            "tooBig": { "code": 1009, "reason": "the frame or message is longer than allowed" },
            "text": { "code": 1003, "reason": "only binary messages are carried" },
            "unreachable": { "code": 1011, "reason": "the target cannot be reached" },
            "noToken": true,
            "unlisted": true,
        }),
        "{stderr}"
    );
    assert_eq!(bridge.metric("refused_total{reason=\"token\",status=\"401\"}"), 1);
    assert_eq!(bridge.metric("refused_total{reason=\"target\",status=\"403\"}"), 1);
    bridge.stop().await;
}
