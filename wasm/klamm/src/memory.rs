//! The allocator: talc, but for the one large piece that holds the records, which comes from the host as it is.
//!
//! What a host adds to a module's memory is zero, and not there before it is written to. Clearing Kafka's usual 32 MiB of
//! `buffer.memory` once more would stop a page for more than a frame, and take all of it at once.
#![allow(unsafe_code, reason = "an allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::memory_grow;
use core::sync::atomic::{AtomicPtr, Ordering};

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

/// From here on it is worth it.
const LARGE: usize = 1 << 20;
const PAGE: usize = 1 << 16;

pub(crate) struct Memory {
    talc: WasmDynamicTalc,
    /// The piece that came from the host; null before there is one. It is never given back: an instance has one producer.
    records: AtomicPtr<u8>,
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self { talc: new_wasm_dynamic_allocator(), records: AtomicPtr::new(core::ptr::null_mut()) }
    }
}

// SAFETY: all is talc's, but for one piece of pages that were just added to the memory, which nobody else can have; they are
// aligned to 64 KiB, more than any layout asks for here, and that piece never gets to talc.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { self.talc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() < LARGE || layout.align() > PAGE || !self.records.load(Ordering::Relaxed).is_null() {
            // SAFETY: as the caller promises.
            return unsafe { self.talc.alloc_zeroed(layout) };
        }
        match memory_grow::<0>(layout.size().div_ceil(PAGE)) {
            usize::MAX => core::ptr::null_mut(),
            pages_before => {
                let records = core::ptr::without_provenance_mut(pages_before.wrapping_mul(PAGE));
                self.records.store(records, Ordering::Relaxed);
                records
            }
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if piece != self.records.load(Ordering::Relaxed) {
            // SAFETY: as the caller promises, and it is talc's.
            unsafe { self.talc.dealloc(piece, layout) }
        }
    }
}
