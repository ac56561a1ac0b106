//! klamm's core as the WebAssembly module of the npm package `klamm`: a plain C interface, which `wasm/js/core.js` calls.
//!
//! One instance of the module is one producer. Calls are few and carry much: the host writes what it has (settings, records,
//! bytes of a socket) into the staging area ([`staging`]) and gets what there is to do as one list ([`words`]).
#![cfg_attr(target_arch = "wasm32", no_std)]
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "elsewhere it is compiled for its tests only"))]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod abi;
mod client;
mod failure;
#[cfg(target_arch = "wasm32")]
mod memory;
mod settings;
mod staging;
mod words;

#[cfg(test)]
mod tests;
