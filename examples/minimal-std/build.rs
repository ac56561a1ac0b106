//! What the linker can do for a small program, where it is one that can: nothing here is needed to use klamm.

fn main() {
    println!("cargo::rerun-if-changed=no-unwind.ld");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if (target("OS"), target("ENV")) != ("linux".to_owned(), "gnu".to_owned()) {
        return;
    }
    // Addresses to adjust at the start as bits rather than 24 bytes each; glibc reads that from 2.36 on.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // No tables for unwinding, and so no backtraces.
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/no-unwind.ld", env!("CARGO_MANIFEST_DIR"));
}
