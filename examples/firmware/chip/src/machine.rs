//! All of this crate's unsafe code: registers by name, a few instructions, and the emulator's services.
//!
//! Nothing here can be misused from outside: a [`Register`] exists only for addresses that are registers of this chip, whose
//! reads and writes touch no memory that Rust knows of; buffers for the emulator come as slices.

use core::arch::{asm, global_asm};
use core::ptr;

/// A 32-bit register of this chip.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

/// The clock gates of Ethernet controller and PHY (RCGC2).
pub(crate) const CLOCK_GATES_2: Register = Register(0x400f_e108);
/// The clock gates of the timers (RCGC1).
pub(crate) const CLOCK_GATES_1: Register = Register(0x400f_e104);

/// The Ethernet controller.
pub(crate) mod mac {
    use super::Register;

    pub(crate) const INTERRUPT: Register = Register(0x4004_8000);
    pub(crate) const INTERRUPT_MASK: Register = Register(0x4004_8004);
    pub(crate) const RECEIVE_CONTROL: Register = Register(0x4004_8008);
    pub(crate) const TRANSMIT_CONTROL: Register = Register(0x4004_800c);
    pub(crate) const DATA: Register = Register(0x4004_8010);
    pub(crate) const ADDRESS_LOW: Register = Register(0x4004_8014);
    pub(crate) const ADDRESS_HIGH: Register = Register(0x4004_8018);
    pub(crate) const THRESHOLD: Register = Register(0x4004_801c);
    pub(crate) const PACKETS: Register = Register(0x4004_8034);
    pub(crate) const TRANSMIT_REQUEST: Register = Register(0x4004_8038);
}

/// One of the general-purpose timers.
#[derive(Clone, Copy)]
pub(crate) struct Timer {
    pub(crate) config: Register,
    pub(crate) mode: Register,
    pub(crate) control: Register,
    pub(crate) interrupt_mask: Register,
    pub(crate) interrupt_clear: Register,
    pub(crate) load: Register,
}

impl Timer {
    const fn at(base: usize) -> Self {
        Self {
            config: Register(base),
            mode: Register(base + 0x04),
            control: Register(base + 0x0c),
            interrupt_mask: Register(base + 0x18),
            interrupt_clear: Register(base + 0x24),
            load: Register(base + 0x28),
        }
    }
}

pub(crate) const TIMER_0: Timer = Timer::at(0x4003_0000);
pub(crate) const TIMER_1: Timer = Timer::at(0x4003_1000);

/// The processor's own 24-bit counter.
pub(crate) mod systick {
    use super::Register;

    pub(crate) const CONTROL: Register = Register(0xe000_e010);
    pub(crate) const RELOAD: Register = Register(0xe000_e014);
    pub(crate) const VALUE: Register = Register(0xe000_e018);
}

/// Interrupts: each has a bit in two words.
pub(crate) mod nvic {
    use super::Register;

    pub(crate) const ENABLE: [Register; 2] = [Register(0xe000_e100), Register(0xe000_e104)];
    pub(crate) const CLEAR_PENDING: [Register; 2] = [Register(0xe000_e280), Register(0xe000_e284)];
    /// Interrupt control and state, for the processor's own exceptions.
    pub(crate) const CONTROL: Register = Register(0xe000_ed04);
}

/// The memory protection unit.
pub(crate) mod mpu {
    use super::Register;

    pub(crate) const TYPE: Register = Register(0xe000_ed90);
    pub(crate) const CONTROL: Register = Register(0xe000_ed94);
    pub(crate) const BASE: Register = Register(0xe000_ed9c);
    pub(crate) const ATTRIBUTES: Register = Register(0xe000_eda0);
}

impl Register {
    pub(crate) fn read(self) -> u32 {
        // SAFETY: only this module makes registers, and all of them can be read at any time; see the module's words.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`. What a write does to the chip, it does to the chip and not to memory.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

/// No interrupt handler runs from now on: interrupts only end [`wait_for_interrupt`]. For firmware without handlers.
pub fn mask_interrupts() {
    // SAFETY: it only keeps handlers from running, which no memory's safety depends on.
    unsafe { asm!("cpsid i", options(nomem, nostack, preserves_flags)) }
}

/// Sleeps until an interrupt is pending that is enabled, whether handlers may run or not.
pub fn wait_for_interrupt() {
    // SAFETY: it waits, and has no other effect.
    unsafe { asm!("dsb", "wfi", options(nomem, nostack, preserves_flags)) }
}

unsafe extern "C" {
    /// The end of all variables, by cortex-m-rt's linker script; the stack may grow down to there.
    static _stack_end: u32;
    /// The end of RAM, where the stack begins.
    static _stack_start: u32;
}

/// The memory of the stack: its lowest address and the one behind its highest.
pub(crate) fn stack() -> (usize, usize) {
    (ptr::addr_of!(_stack_end) as usize, ptr::addr_of!(_stack_start) as usize)
}

/// How many bytes at the start of this part of the stack's memory still hold what cortex-m-rt painted there.
pub(crate) fn untouched_stack(from: usize) -> usize {
    const PAINT: u32 = 0xcccc_cccc;
    let (low, high) = stack();
    let mut at = from.max(low);
    // SAFETY: these are words within the stack's memory, which is always readable; reading them as volatile keeps the
    // optimiser from believing anything about them.
    while at < high && unsafe { ptr::with_exposed_provenance::<u32>(at).read_volatile() } == PAINT {
        at += 4;
    }
    at - from.max(low)
}

// The hard fault's handler: the stack may be what is at fault, so it begins anew before anything is pushed.
global_asm!(
    ".section .HardFault.klamm, \"ax\"",
    ".global HardFault",
    ".type HardFault, %function",
    ".thumb_func",
    "HardFault:",
    "ldr r0, =_stack_start",
    "mov sp, r0",
    "ldr r0, =klamm_hard_fault",
    "bx r0",
    ".size HardFault, . - HardFault",
);

#[unsafe(no_mangle)]
extern "C" fn klamm_hard_fault() -> ! {
    exit(crate::HARD_FAULT)
}

/// One of the emulator's services. `parameter` must be what that service expects.
unsafe fn semihosting(service: u32, parameter: usize) -> u32 {
    let result;
    // SAFETY: the caller vouches for the parameter; the services that are used write to nothing but what it points to.
    unsafe { asm!("bkpt 0xab", inout("r0") service => result, in("r1") parameter, options(nostack, preserves_flags)) }
    result
}

/// Writes to the emulator's standard output.
#[cfg(not(feature = "defmt"))]
pub(crate) fn write(bytes: &[u8]) {
    use core::sync::atomic::{AtomicU32, Ordering};

    const SYS_OPEN: u32 = 0x01;
    const SYS_WRITE: u32 = 0x05;
    const NAME: &[u8] = b":tt\0";
    const FOR_WRITING: usize = 4;
    /// No handle is 0.
    static HANDLE: AtomicU32 = AtomicU32::new(0);

    if HANDLE.load(Ordering::Relaxed) == 0 {
        let block = [NAME.as_ptr() as usize, FOR_WRITING, NAME.len() - 1];
        // SAFETY: SYS_OPEN wants address, mode and length of a name that ends with a zero.
        HANDLE.store(unsafe { semihosting(SYS_OPEN, block.as_ptr() as usize) }, Ordering::Relaxed);
    }
    let block = [HANDLE.load(Ordering::Relaxed) as usize, bytes.as_ptr() as usize, bytes.len()];
    // SAFETY: SYS_WRITE wants a handle, and address and length of the bytes, which it only reads.
    unsafe { semihosting(SYS_WRITE, block.as_ptr() as usize) };
}

/// The words that the emulator was told to hand over; `None` if they do not fit.
pub(crate) fn command_line(buffer: &mut [u8]) -> Option<&str> {
    const SYS_GET_CMDLINE: u32 = 0x15;
    let mut block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: SYS_GET_CMDLINE wants address and size of a buffer; it writes no more than that, and the length into the block.
    let result = unsafe { semihosting(SYS_GET_CMDLINE, block.as_mut_ptr() as usize) };
    // SAFETY: the block was written by the emulator, behind the compiler's back.
    let len = unsafe { ptr::addr_of!(block[1]).read_volatile() };
    if result != 0 {
        return None;
    }
    core::str::from_utf8(buffer.get(..len)?).ok()
}

/// Seconds since 1970, as the emulator's host has it.
pub(crate) fn unix_seconds() -> u32 {
    const SYS_TIME: u32 = 0x11;
    // SAFETY: SYS_TIME has no parameter.
    unsafe { semihosting(SYS_TIME, 0) }
}

/// Hundredths of a second that the emulator has run.
pub(crate) fn emulator_clock() -> u32 {
    const SYS_CLOCK: u32 = 0x10;
    // SAFETY: SYS_CLOCK has no parameter.
    unsafe { semihosting(SYS_CLOCK, 0) }
}

/// Ends the emulator with this exit code.
pub(crate) fn exit(code: u32) -> ! {
    const SYS_EXIT_EXTENDED: u32 = 0x20;
    const APPLICATION_EXIT: u32 = 0x2_0026;
    let block = [APPLICATION_EXIT, code];
    loop {
        // SAFETY: SYS_EXIT_EXTENDED wants a reason and a code.
        unsafe { semihosting(SYS_EXIT_EXTENDED, block.as_ptr() as usize) };
    }
}
