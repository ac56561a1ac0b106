//! The smallest program with klamm in it: sends its arguments to a topic. `cargo xtask size` measures it.
//!
//! `minimal-std HOST:PORT TOPIC VALUE…`

use std::error::Error;
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

fn produce() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (args.next(), args.next()) else {
        return Err("usage: minimal-std HOST:PORT TOPIC VALUE…".into());
    };
    let producer = Producer::builder().bootstrap_servers(bootstrap).build()?;
    for value in args {
        drop(producer.send(&Record::to(&topic).value(&value))?);
    }
    Ok(producer.close(Duration::from_secs(30))?)
}
