//! The names of hosts, and what their addresses answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::net::clock::after;

/// What a look-up comes to.
pub(crate) type Addresses = io::Result<Vec<SocketAddr>>;

/// What comes of looking a name up.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    /// These, after so long.
    Has(Vec<IpAddr>, Duration),
    /// Nobody knows it, which takes so long to find out.
    Unknown(Duration),
    /// Nobody ever answers.
    Silent,
}

/// What comes of connecting to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A connection, after so long.
    Accepts(Duration),
    Refuses(Duration),
    /// There is no way to it, as the system knows.
    Unreachable,
    Silent,
}

/// A look-up under way.
#[derive(Debug)]
struct Asked {
    /// When there is an answer; `None`: never.
    at: Option<Instant>,
    answer: Option<Vec<SocketAddr>>,
    /// The poll to wake up then.
    wakes: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<String, Name>,
    answers: BTreeMap<IpAddr, Answer>,
    pub(super) refuses_all: bool,
    asked: BTreeMap<u64, Asked>,
    number: u64,
}

impl Names {
    pub(super) fn set_name(&mut self, name: &str, is: Name) {
        self.names.insert(name.to_owned(), is);
    }

    pub(super) fn set_answer(&mut self, address: IpAddr, answer: Answer) {
        self.answers.insert(address, answer);
    }

    pub(super) fn answer(&self, address: SocketAddr) -> Answer {
        match self.answers.get(&address.ip()) {
            Some(Answer::Accepts(time)) if self.refuses_all => Answer::Refuses(*time),
            None if self.refuses_all => Answer::Refuses(Duration::ZERO),
            Some(answer) => *answer,
            None => Answer::Accepts(Duration::ZERO),
        }
    }

    /// Begins to look a name up. A name that nobody has spoken of has an address of its own.
    pub(super) fn ask(&mut self, now: Instant, name: &str, port: u16, wakes: Option<u64>) -> u64 {
        let is = match name.parse() {
            Ok(address) => Name::Has(vec![address], Duration::ZERO),
            Err(_) => {
                let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                let address = IpAddr::V4(Ipv4Addr::from(0x0A00_0001 + number % 0xFF_FFFF));
                let one = Name::Has(vec![address], Duration::ZERO);
                self.names.entry(name.to_owned()).or_insert(one).clone()
            }
        };
        let (at, answer) = match is {
            Name::Has(addresses, time) => {
                let addresses = addresses.into_iter();
                let all = addresses.map(|address| SocketAddr::new(address, port));
                (Some(after(now, time)), Some(all.collect()))
            }
            Name::Unknown(time) => (Some(after(now, time)), None),
            Name::Silent => (None, None),
        };
        self.number += 1;
        self.asked.insert(self.number, Asked { at, answer, wakes });
        self.number
    }

    /// The answer, once, if it is there.
    pub(super) fn take(&mut self, now: Instant, number: u64) -> Option<Addresses> {
        let asked = self.asked.get(&number)?;
        if asked.at.is_none_or(|at| at > now) {
            return None;
        }
        let answer = self.asked.remove(&number)?.answer;
        Some(answer.ok_or_else(|| io::Error::other("no such host is known")))
    }

    /// Nobody wants the answer any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.asked.remove(&number);
    }

    /// The polls that an answer wakes up by now, each once.
    pub(super) fn take_woken(&mut self, now: Instant) -> Vec<u64> {
        let due = |asked: &&mut Asked| asked.at.is_some_and(|at| at <= now);
        let due = self.asked.values_mut().filter(due);
        due.filter_map(|asked| asked.wakes.take()).collect()
    }

    /// When there is an answer next; it may be past.
    pub(super) fn next(&self) -> impl Iterator<Item = Instant> {
        self.asked.values().filter_map(|asked| asked.at)
    }
}
