//! `klamm-bridge`: the program.

#![forbid(unsafe_code)]

mod args;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use klamm_bridge::{Bridge, Config, Handle};
use tracing::{error, info, warn};

use crate::args::{Cli, LogArgs, LogFormat, TOKEN_VARIABLE};

/// A file or an address cannot be used, or tunnels had to be cut off.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logs(&cli.logs);
    let config = cli.config(std::env::var(TOKEN_VARIABLE).ok());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start threads");
            return ExitCode::from(FAILED);
        }
    };
    runtime.block_on(serve(config))
}

fn start_logs(logs: &LogArgs) {
    let builder = tracing_subscriber::fmt().with_max_level(logs.log_level).with_writer(io::stderr).with_target(false);
    match logs.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

async fn serve(config: Config) -> ExitCode {
    warn_of_doubts(&config);
    let tls = config.tls.is_some();
    let bridge = match Bridge::bind(config).await {
        Ok(bridge) => bridge,
        Err(error) => {
            error!("{error}");
            return ExitCode::from(FAILED);
        }
    };
    match bridge.local_addr() {
        Ok(address) => info!(%address, tls, admin = ?bridge.admin_addr(), "listening"),
        Err(error) => error!(%error, "no address"),
    }
    let signals = tokio::spawn(obey_signals(bridge.handle()));
    let cut_off = bridge.run().await;
    signals.abort();
    if cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// What is allowed, but seldom meant.
fn warn_of_doubts(config: &Config) {
    if config.allow.is_empty() {
        warn!("no --allow: every target is refused");
    }
    if config.origins.is_empty() && !config.allow_no_origin {
        warn!("no --origin and no --allow-no-origin: every client is refused");
    }
    let has_token = config.tokens.file.is_some() || config.tokens.value.is_some();
    if config.allow_no_origin && !has_token && !config.listen.ip().is_loopback() {
        warn!("--allow-no-origin without a token: whoever reaches this address reaches the allowed targets");
    }
    if has_token && config.tls.is_none() && !config.listen.ip().is_loopback() && config.trusted_proxies.is_empty() {
        warn!("tokens without TLS: whoever reads the network on the way to this address reads them");
    }
}

/// The first order to stop is obeyed in order, the second at once.
#[cfg(unix)]
async fn obey_signals(handle: Handle) {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    let streams = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)]: [io::Result<Signal>; 3] = streams else {
        error!("signals cannot be caught: they end the bridge at once");
        return;
    };
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
                match handle.reload() {
                    Ok(()) => info!("reloaded tokens and certificate"),
                    Err(error) => error!(error, "not reloaded; the old tokens and certificate stay"),
                }
                continue;
            }
        }
        if stopping {
            warn!("stopped at once");
            std::process::exit(i32::from(FAILED));
        }
        stopping = true;
        handle.shut_down();
    }
}

#[cfg(not(unix))]
async fn obey_signals(handle: Handle) {
    if tokio::signal::ctrl_c().await.is_ok() {
        handle.shut_down();
    }
}
