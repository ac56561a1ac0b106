//! A name server on the board's wire.
//!
//! QEMU's own hands questions on to this machine's, and a machine without a network has none. So whatever the board sends takes
//! a detour (QEMU's `filter-redirector`): questions for names are answered here, and everything else goes on to where it was going.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use klamm_smoltcp_tests::Names;

use crate::Result;
use crate::qemu::{HOST, own_path};

/// What the board is told; its first address leads nowhere.
pub(crate) const BOOTSTRAP_NAME: &str = "kafka.test";
/// What all brokers advertise.
pub(crate) const BROKERS_NAME: &str = "broker.kafka.test";
/// Nobody has this address in QEMU's network.
const NOBODY: &str = "10.0.2.77";

/// Ethernet's header, IPv4's without options, as smoltcp writes it, and UDP's.
const HEADERS: usize = 14 + 20 + 8;
/// Longest frame, in bytes.
const FRAME: usize = 1600;

/// The name server of one board; it ends with the board.
pub(crate) struct NameServer {
    socket: PathBuf,
    asked: Arc<AtomicU32>,
}

impl NameServer {
    /// Waits for a board that is wired to it.
    pub(crate) fn start() -> Result<Self> {
        let socket = own_path("wire");
        let wrong = |error: io::Error| format!("cannot listen at {}: {error}", socket.display());
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(wrong)?;
        let asked = Arc::<AtomicU32>::default();
        let server = Self { socket, asked: Arc::clone(&asked) };
        // Its streams end with the emulator, and the thread with them.
        thread::spawn(move || serve(&listener, &asked));
        Ok(server)
    }

    /// What QEMU must be told: three streams of frames, each with its length before it, connected in this order.
    pub(crate) fn wiring(&self) -> Vec<String> {
        let stream = |id| format!("socket,id={id},path={}", self.socket.display());
        // `rx` is what the network receives from the board, `tx` what it sends to it. Frames of the former meet the filters last to
        // first: those that are put back `on` the way must not be taken `out` again.
        let filter = |id, rest| format!("filter-redirector,netdev=n0,id={id},{rest}");
        [
            ["-chardev".into(), stream("out")],
            ["-chardev".into(), stream("on")],
            ["-chardev".into(), stream("back")],
            ["-object".into(), filter("f0", "queue=rx,indev=on")],
            ["-object".into(), filter("f1", "queue=rx,outdev=out")],
            ["-object".into(), filter("f2", "queue=tx,indev=back")],
        ]
        .concat()
    }

    /// The board asked for both names.
    pub(crate) fn require_asked(&self) -> Result<()> {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked >= 2 { Ok(()) } else { Err(format!("{asked} questions for names reached the name server")) }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Passes frames on until the board is gone. What is not answered, or cannot be passed on, fails the scenario by itself.
fn serve(listener: &UnixListener, asked: &AtomicU32) -> io::Result<()> {
    let accept = || listener.accept().map(|(stream, _)| stream);
    let (mut out, mut on, mut back) = (accept()?, accept()?, accept()?);
    let address = |text: &str| text.parse::<IpAddr>().map_err(io::Error::other);
    let mut names = Names::default();
    names.known.insert(BOOTSTRAP_NAME.into(), vec![address(NOBODY)?, address(HOST)?]);
    names.known.insert(BROKERS_NAME.into(), vec![address(HOST)?]);
    loop {
        let frame = receive(&mut out)?;
        match answer(&names, &frame) {
            Some(answer) => {
                asked.fetch_add(1, Ordering::Relaxed);
                send(&mut back, &answer)?;
            }
            None => send(&mut on, &frame)?,
        }
    }
}

fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > FRAME {
        return Err(io::Error::other(format!("a frame of {len} bytes")));
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(stream: &mut UnixStream, frame: &[u8]) -> io::Result<()> {
    stream.write_all(&[&(frame.len() as u32).to_be_bytes(), frame].concat())
}

/// The frame that answers a question for a name; `None` if it is anything else.
fn answer(names: &Names, frame: &[u8]) -> Option<Vec<u8>> {
    const NAMES_PORT: [u8; 2] = [0, 53];
    let is_question = frame.get(12..15)? == [8, 0, 0x45] && frame.get(23)? == &17 && frame.get(36..38)? == NAMES_PORT;
    let question = frame.get(HEADERS..).filter(|_| is_question)?;
    let answer = names.answer(question)?;
    let mut reply = frame.get(..HEADERS)?.to_vec();
    // There and back: cards, addresses, ports.
    for (from, to, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        reply[from..from + len].copy_from_slice(&frame[to..to + len]);
        reply[to..to + len].copy_from_slice(&frame[from..from + len]);
    }
    let length = |headers: usize| ((headers + answer.len()) as u16).to_be_bytes();
    reply[16..18].copy_from_slice(&length(28));
    reply[38..40].copy_from_slice(&length(8));
    // UDP has none then.
    reply[40..42].fill(0);
    reply[24..26].fill(0);
    let sum = checksum(&reply[14..34]);
    reply[24..26].copy_from_slice(&sum.to_be_bytes());
    reply.extend(answer);
    Some(reply)
}

/// The Internet's checksum of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of RFC 1071's kind: with its checksum in it, the sum is zero.
    #[test]
    fn checksums_cancel_out() {
        let mut header = *b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\x00\x00\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
        let sum = checksum(&header);
        assert_eq!(sum, 0xb861);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum(&header), 0);
    }

    #[test]
    fn what_is_no_question_goes_on() {
        assert_eq!(answer(&Names::default(), &[0; 20]), None);
        assert_eq!(answer(&Names::default(), &[0; 60]), None);
    }
}
