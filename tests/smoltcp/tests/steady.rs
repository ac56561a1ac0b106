//! Nothing goes wrong.

use klamm_smoltcp_tests::{Setup, World};

#[test]
fn publishes() {
    let mut world = World::new(&Setup::new(1));
    world.deliver_all(60_000);
}
