//! The smallest program with klamm in it: sends its arguments to a topic. `cargo xtask size` measures it.
//!
//! `minimal-std HOST:PORT TOPIC VALUE…`

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use klamm::{Producer, Record};

fn main() -> ExitCode {
    match produce() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The error's words, for people: which error it was, this program need not tell apart.
fn words(error: &dyn Display) -> String {
    error.to_string()
}

fn produce() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (args.next(), args.next()) else {
        return Err("usage: minimal-std HOST:PORT TOPIC VALUE…".to_owned());
    };
    let producer = Producer::builder().bootstrap_servers(bootstrap).build().map_err(|error| words(&error))?;
    for value in args {
        drop(producer.send(&Record::to(&topic).value(&value)).map_err(|error| words(&error))?);
    }
    producer.close(Duration::from_secs(30)).map_err(|error| words(&error))
}
