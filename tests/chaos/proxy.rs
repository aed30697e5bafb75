//! A TCP proxy that cuts, resets, stalls and delays connections, at points in the stream that a seed chooses.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::chance::Chance;

/// What has been done to connections.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) cuts: AtomicUsize,
    pub(crate) resets: AtomicUsize,
    pub(crate) stalls: AtomicUsize,
    pub(crate) delays: AtomicUsize,
}

impl Faults {
    /// Connections that were ended.
    pub(crate) fn ended(&self) -> usize {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        count(&self.cuts) + count(&self.resets) + count(&self.stalls)
    }
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    broker: SocketAddr,
    chance: Mutex<Chance>,
    /// Whether anything is done to connections.
    is_wild: AtomicBool,
    is_over: AtomicBool,
    faults: Faults,
}

impl Proxy {
    pub(crate) fn start(broker: SocketAddr, chance: Chance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            broker,
            chance: Mutex::new(chance),
            is_wild: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            faults: Faults::default(),
        });
        let its = shared.clone();
        let listener = thread::spawn(move || {
            for client in listener.incoming() {
                if its.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (client, its) = (client.unwrap(), its.clone());
                thread::spawn(move || its.connect(client));
            }
        });
        Self {
            shared,
            listener: Some(listener),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://{}/", self.shared.address)
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// From now on it only forwards.
    pub(crate) fn calm_down(&self) {
        self.shared.is_wild.store(false, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The listener sees it when it is spoken to.
        let _ = TcpStream::connect(self.shared.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// What becomes of a connection when its time has come.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut,
    Reset,
    Stall,
    Delay,
}

impl Shared {
    fn connect(&self, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(self.broker) else {
            return;
        };
        for stream in [&client, &broker] {
            let _ = stream.set_nodelay(true);
        }
        thread::scope(|scope| {
            scope.spawn(|| self.forward(&client, &broker));
            self.forward(&broker, &client);
        });
    }

    /// One direction, until it ends or its fault has come.
    fn forward(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        let (mut left, mut fault) = self.next_fault();
        loop {
            let is_wild = self.is_wild.load(Ordering::Relaxed);
            let size = if is_wild {
                left.clamp(1, buffer.len())
            } else {
                buffer.len()
            };
            let Ok(count @ 1..) = from.read(&mut buffer[..size]) else {
                break;
            };
            // What it takes in one piece comes out in two.
            let middle = self.chance.lock().unwrap().below(count);
            let written = to
                .write_all(&buffer[..middle])
                .and_then(|()| to.write_all(&buffer[middle..count]));
            if written.is_err() {
                break;
            }
            left = left.saturating_sub(count);
            if left > 0 || !self.is_wild.load(Ordering::Relaxed) {
                continue;
            }
            match fault {
                Fault::Delay => {
                    self.faults.delays.fetch_add(1, Ordering::Relaxed);
                    let millis = self.chance.lock().unwrap().below(30);
                    thread::sleep(Duration::from_millis(millis as u64));
                    (left, fault) = self.next_fault();
                }
                Fault::Cut => {
                    self.faults.cuts.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Fault::Reset => {
                    self.faults.resets.fetch_add(1, Ordering::Relaxed);
                    for stream in [from, to] {
                        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                    }
                    break;
                }
                // The peer hears nothing for a while, and then the end.
                Fault::Stall => {
                    self.faults.stalls.fetch_add(1, Ordering::Relaxed);
                    let millis = 50 + self.chance.lock().unwrap().below(400);
                    thread::sleep(Duration::from_millis(millis as u64));
                    break;
                }
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// After how many bytes, and what.
    fn next_fault(&self) -> (usize, Fault) {
        let mut chance = self.chance.lock().unwrap();
        // Most connections get through the login, which takes some hundred bytes, and some do not.
        let bytes = match chance.below(4) {
            0 => 1 + chance.below(1_000),
            1 => 1 + chance.below(20_000),
            _ => 1 + chance.below(300_000),
        };
        let fault = match chance.below(8) {
            0..3 => Fault::Cut,
            3..5 => Fault::Reset,
            5 => Fault::Stall,
            _ => Fault::Delay,
        };
        (bytes, fault)
    }
}
