//! Two network cards and the wire between them, with faults.

use klamm_sim::world::Random;
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

/// Ethernet's header; what follows it may be corrupted, since real cards drop frames whose own checksum is wrong.
const ETHERNET_HEADER: usize = 14;

/// A network card: frames that came, and frames to be taken away.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) received: VecDeque<Vec<u8>>,
    pub(crate) sent: VecDeque<Vec<u8>>,
    /// It takes no more frames than this until they are taken away.
    pub(crate) room: usize,
}

impl Card {
    pub(crate) fn new(room: usize) -> Self {
        Self { received: VecDeque::new(), sent: VecDeque::new(), room }
    }
}

/// A frame that came.
pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame.
pub(crate) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Room<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.sent.len() < self.room).then_some(Room(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

/// What may happen to a frame.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Frames lost, per mille.
    pub loss: u32,
    /// Frames with one bit turned over, per mille.
    pub corruption: u32,
    /// Frames that arrive twice, per mille.
    pub duplication: u32,
    /// Microseconds on the wire, drawn for each frame: a later one may overtake.
    pub delay_us: RangeInclusive<u64>,
}

impl Faults {
    /// A good wire: every frame arrives after 200 µs.
    #[must_use]
    pub fn none() -> Self {
        Self { loss: 0, corruption: 0, duplication: 0, delay_us: 200..=200 }
    }
}

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Board,
    Host,
}

/// The wire.
#[derive(Debug)]
pub struct Wire {
    /// What may happen to frames from now on.
    pub faults: Faults,
    /// Nothing passes.
    pub cut: bool,
    /// SYN, FIN and RST segments that the board sent, lost ones included.
    pub board_sent: Flags,
    /// Brokers' ports whose frames are lost, both ways: a machine that went away without a word.
    pub silent_ports: BTreeSet<u16>,
    random: Random,
    /// By time and number: where to, and what.
    flying: BTreeMap<(u64, u64), (End, Vec<u8>)>,
    number: u64,
    sent: u64,
    board_frames: u64,
    struck: u64,
    trace: u64,
}

impl Wire {
    pub(crate) fn new(faults: Faults, random: Random) -> Self {
        Self {
            faults,
            cut: false,
            board_sent: Flags::default(),
            silent_ports: BTreeSet::new(),
            random,
            flying: BTreeMap::new(),
            number: 0,
            sent: 0,
            board_frames: 0,
            struck: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Frames that were sent, both ways, lost ones included.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.sent
    }

    /// Those that the board sent.
    #[must_use]
    pub fn board_frames(&self) -> u64 {
        self.board_frames
    }

    /// Frames that did not arrive once and whole.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck
    }

    /// A hash of all that arrived, where and when.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Takes frames away from a card.
    pub(crate) fn take(&mut self, now_us: u64, from: End, card: &mut Card) {
        for frame in card.sent.drain(..) {
            self.sent += 1;
            let ports = ports(&frame);
            if from == End::Board {
                self.board_frames += 1;
                self.board_sent.count(&frame);
            }
            let silent = ports.into_iter().flatten().any(|port| self.silent_ports.contains(&port));
            if self.cut || silent || self.random.chance(self.faults.loss) {
                self.struck += 1;
                continue;
            }
            let to = if from == End::Board { End::Host } else { End::Board };
            let copies = if self.random.chance(self.faults.duplication) { 2 } else { 1 };
            self.struck += copies - 1;
            for _ in 0..copies {
                let mut copy = frame.clone();
                // ARP has no checksum: a wrong address would stay in a table for a minute. Neither has all of IPv6's header, but
                // what counts of it is in TCP's and UDP's.
                if ports.is_some() && self.random.chance(self.faults.corruption) {
                    self.struck += 1;
                    let bit = self.random.below(8 * (copy.len() - ETHERNET_HEADER) as u64) as usize;
                    copy[ETHERNET_HEADER + bit / 8] ^= 1 << (bit % 8);
                }
                self.number += 1;
                let at = now_us + self.random.within(&self.faults.delay_us);
                self.flying.insert((at, self.number), (to, copy));
            }
        }
    }

    /// When the next frame arrives.
    pub(crate) fn next(&self) -> Option<u64> {
        self.flying.keys().next().map(|(at, _)| *at)
    }

    /// Hands over what has arrived by now.
    pub(crate) fn deliver(&mut self, now_us: u64, board: &mut Card, host: &mut Card) {
        while let Some(entry) = self.flying.first_entry()
            && entry.key().0 <= now_us
        {
            let ((at, _), (to, frame)) = entry.remove_entry();
            if self.cut {
                continue;
            }
            for byte in at.to_le_bytes().iter().chain([to as u8].iter()).chain(&frame) {
                self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
            let card = if to == End::Board { &mut *board } else { &mut *host };
            card.received.push_back(frame);
        }
    }
}

/// Segments with these flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Connections begun, SYNs sent again included.
    pub syn: u32,
    /// The same for their ends.
    pub fin: u32,
    /// Resets.
    pub rst: u32,
}

impl Flags {
    fn count(&mut self, frame: &[u8]) {
        let Some((TCP, segment)) = payload(frame) else { return };
        let flags = segment.get(13).copied().unwrap_or(0);
        self.fin += u32::from(flags & 1);
        self.syn += u32::from(flags >> 1 & 1);
        self.rst += u32::from(flags >> 2 & 1);
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The protocol in an IP packet, and what follows IP's header. Both stacks write IPv6 headers without extensions.
fn payload(frame: &[u8]) -> Option<(u8, &[u8])> {
    let ip = frame.get(ETHERNET_HEADER..)?;
    match frame.get(12..14)? {
        [0x08, 0x00] => Some((*ip.get(9)?, ip.get(usize::from(ip.first()? & 15) * 4..)?)),
        [0x86, 0xdd] => Some((*ip.get(6)?, ip.get(40..)?)),
        _ => None,
    }
}

/// The ports of a TCP segment or UDP datagram; `None` for other frames.
fn ports(frame: &[u8]) -> Option<[u16; 2]> {
    let (TCP | UDP, payload) = payload(frame)? else { return None };
    let port = |at: usize| Some(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?]));
    Some([port(0)?, port(2)?])
}
