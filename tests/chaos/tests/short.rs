//! A short run against real Kafka: what `cargo xtask chaos` does for a quarter of an hour.

use std::process::Command;

#[test]
fn three_kills_lose_double_and_reorder_nothing() {
    // In a process of its own, because its memory is looked at.
    let args = "--seconds 45 --kill-every 10 --rate 1500 --seed 4";
    let output = Command::new(env!("CARGO_BIN_EXE_klamm-chaos")).args(args.split(' ')).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    assert!(output.status.success(), "klamm-chaos {args}");
    assert!(text.contains("0 lost, 0 doubled, 0 reordered"));
}
