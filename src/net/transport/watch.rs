//! Whether the peer's host is still there, while bytes are on their way to it.
//!
//! On a connection with nothing on its way, TCP keepalive finds a host that has vanished. With bytes on their way it is
//! off, and the system's own patience is a quarter of an hour. Linux has `TCP_USER_TIMEOUT` for that, but it ends too
//! much: also a connection whose peer answers every probe and only takes no bytes for now, as a broker under a memory alarm
//! does for as long as that lasts. So the client looks itself, while it runs: where bytes were written, and nothing was
//! read for a while, it asks Linux whether the peer's host acknowledges (`/proc/net/tcp`). Elsewhere nobody knows, and the
//! system's patience counts.

use std::io;
#[cfg(target_os = "linux")]
use std::io::BufRead;
#[cfg(target_os = "linux")]
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::net::clock::after;

/// How many looks in a row must find no answer.
const SILENCES: u32 = 3;

/// How many times in a row the system must have sent in vain what the peer did not acknowledge.
#[cfg(target_os = "linux")]
const RETRIES: u32 = 1;
/// How many times it must have asked in vain whether the peer takes bytes again. It asks ever more rarely, in the end once
/// in two minutes, so that a single question that is lost on the way shows at many looks.
#[cfg(target_os = "linux")]
const PROBES: u32 = 2;

/// What the system knows of the peer.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "no other system tells")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It has acknowledged everything.
    HasAll,
    /// It has not, and answers.
    Answers,
    /// The system has sent again and again, and nothing came back.
    IsSilent,
    /// The system does not tell.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Watch {
    timeout: Duration,
    /// When to look; only while something may be on its way.
    next: Option<Instant>,
    /// Whether something was read since the last look.
    heard: bool,
    silences: u32,
}

impl Watch {
    /// Finds a silent peer within about this time.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            next: None,
            heard: false,
            silences: 0,
        }
    }

    /// Bytes are on their way.
    pub(crate) fn wrote(&mut self, now: impl FnOnce() -> Instant) {
        if self.next.is_none() {
            self.look_later(now());
        }
    }

    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    /// When to look.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Looks, if it is time.
    ///
    /// # Errors
    /// The peer's host is gone.
    pub(crate) fn look(&mut self, now: Instant, ask: impl FnOnce() -> Peer) -> io::Result<()> {
        if self.next.is_none_or(|next| now < next) {
            return Ok(());
        }
        let heard = std::mem::take(&mut self.heard);
        self.look_later(now);
        match if heard { Peer::Answers } else { ask() } {
            Peer::IsSilent => {
                self.silences += 1;
                if self.silences >= SILENCES {
                    let text = format!(
                        "the broker's host has acknowledged nothing for about {:?} (tcp_timeout)",
                        self.timeout
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
            }
            // Where it does not tell this time, it may the next.
            Peer::Answers | Peer::Unknown => self.silences = 0,
            Peer::HasAll => {
                self.silences = 0;
                self.next = None;
            }
        }
        Ok(())
    }

    fn look_later(&mut self, now: Instant) {
        let every = self.timeout / (SILENCES + 1);
        self.next = Some(after(now, every.max(Duration::from_millis(10))));
    }
}

/// What Linux says of the connection between these two.
#[cfg(target_os = "linux")]
pub(super) fn ask(local: SocketAddr, peer: SocketAddr) -> Peer {
    let table = match local.ip() {
        IpAddr::V4(_) => "/proc/thread-self/net/tcp",
        IpAddr::V6(_) => "/proc/thread-self/net/tcp6",
    };
    match std::fs::File::open(table) {
        Ok(table) => find(io::BufReader::new(table), local, peer),
        Err(_) => Peer::Unknown,
    }
}

/// One line for each connection; its columns are in the kernel's `Documentation/networking/proc_net_tcp.rst`.
#[cfg(target_os = "linux")]
fn find(table: impl BufRead, local: SocketAddr, peer: SocketAddr) -> Peer {
    let ends = format!(" {} {} ", column(local), column(peer));
    let mut lines = table.lines().map_while(Result::ok);
    let found = lines.find_map(|line| {
        let (_, rest) = line.split_once(&ends)?;
        peer_of(rest)
    });
    found.unwrap_or(Peer::Unknown)
}

/// Each word of an address in the byte order of the machine, as the kernel prints it.
#[cfg(target_os = "linux")]
fn column(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| {
        let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        format!("{word:08X}")
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

/// From what follows the addresses: `st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout ...`.
#[cfg(target_os = "linux")]
fn peer_of(columns: &str) -> Option<Peer> {
    const RETRANSMITTING: &str = "01";
    const PROBING: &str = "04";

    let mut columns = columns.split_ascii_whitespace().skip(1);
    let (unacknowledged, _) = columns.next()?.split_once(':')?;
    let (timer, _) = columns.next()?.split_once(':')?;
    let retries = u32::from_str_radix(columns.next()?, 16).ok()?;
    let probes: u32 = columns.nth(1)?.parse().ok()?;
    let all = u32::from_str_radix(unacknowledged, 16).ok()? == 0;
    let silent = match timer {
        RETRANSMITTING => retries >= RETRIES,
        PROBING => probes >= PROBES,
        _ => false,
    };
    Some(match (all, silent) {
        (true, _) => Peer::HasAll,
        (_, true) => Peer::IsSilent,
        (_, false) => Peer::Answers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The times of looks that find what `peer` says, until there is no further look; and whether the host is gone then.
    fn looks(peer: &[Peer]) -> (Vec<u64>, bool) {
        let start = crate::net::clock::now();
        let mut watch = Watch::new(60 * SECOND);
        watch.wrote(|| start);
        let mut times = Vec::new();
        for peer in peer {
            let Some(now) = watch.next() else {
                return (times, false);
            };
            // Not before its time.
            watch
                .look(now - SECOND, || panic!("it is too early"))
                .unwrap();
            times.push((now - start).as_secs());
            if watch.look(now, || *peer).is_err() {
                return (times, true);
            }
        }
        (times, false)
    }

    #[test]
    fn a_peer_that_is_silent_at_three_looks_is_gone() {
        use Peer::{Answers, HasAll, IsSilent, Unknown};
        assert_eq!(looks(&[IsSilent; 9]), (vec![15, 30, 45], true));
        let (times, gone) = looks(&[Answers; 50]);
        assert_eq!((times.len(), gone), (50, false));
        let mixed = [Answers, IsSilent, IsSilent, Answers, IsSilent, IsSilent];
        assert!(!looks(&mixed).1);
        assert_eq!(
            looks(&[IsSilent, IsSilent, HasAll, IsSilent]),
            (vec![15, 30, 45], false)
        );
        // One look that finds nothing out is not the last.
        let (times, gone) = looks(&[IsSilent, IsSilent, Unknown, IsSilent, IsSilent, IsSilent]);
        assert_eq!((times.len(), gone), (6, true));
    }

    #[test]
    fn a_peer_that_is_heard_is_not_asked_for() {
        let start = crate::net::clock::now();
        let mut watch = Watch::new(60 * SECOND);
        watch.heard();
        assert_eq!(watch.next(), None);
        watch.wrote(|| start);
        watch.wrote(|| panic!("it is known already"));
        let first = watch.next().unwrap();
        watch.look(first, || panic!("it was heard")).unwrap();
        let second = watch.next().unwrap();
        watch.look(second, || Peer::HasAll).unwrap();
        assert_eq!(watch.next(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linuxs_table_is_understood() {
        let local: SocketAddr = "10.254.1.1:41667".parse().unwrap();
        let peer: SocketAddr = "10.254.1.2:5672".parse().unwrap();
        let line = |state: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                 0: 00000000:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n   \
                 1: {} {} 01 {state} 12345 2 ffff8880 20 4 30 10 -1\n",
                column(local),
                column(peer)
            )
        };
        if cfg!(target_endian = "little") {
            assert_eq!(column(local), "0101FE0A:A2C3");
        }
        for (state, expected) in [
            (
                "00000000:00000000 02:00000BB8 00000000     0        0",
                Peer::HasAll,
            ),
            (
                "00000010:00000000 01:00000014 00000000     0        0",
                Peer::Answers,
            ),
            (
                "00027FF0:00000000 04:00000014 00000000     0        1",
                Peer::Answers,
            ),
            (
                "00000010:00000000 01:00000014 0000000A  1000        0",
                Peer::IsSilent,
            ),
            (
                "00027FF0:00000000 04:00000014 00000000     0        0",
                Peer::Answers,
            ),
            (
                "00027FF0:00000000 04:00000014 00000000     0        5",
                Peer::IsSilent,
            ),
            ("00000010", Peer::Unknown),
            ("", Peer::Unknown),
        ] {
            assert_eq!(find(line(state).as_bytes(), local, peer), expected);
        }
        let nobody = "10.254.1.3:5672".parse().unwrap();
        assert_eq!(find(line("").as_bytes(), local, nobody), Peer::Unknown);
        assert_eq!(find(&b"\xff\n"[..], local, peer), Peer::Unknown);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_knows_of_both_ends_of_a_connection() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(any) else {
                continue; // No IPv6.
            };
            let peer = listener.local_addr().unwrap();
            let stream = std::net::TcpStream::connect(peer).unwrap();
            assert_eq!(ask(stream.local_addr().unwrap(), peer), Peer::HasAll);
        }
    }
}
