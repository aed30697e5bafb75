//! A proxy: what happens between a client and its broker.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Stands between a client and its broker, and may keep the broker's words to itself.
pub(crate) struct Between {
    pub(crate) url: String,
    is_mute: Arc<AtomicBool>,
    is_split: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Between {
    /// Before the broker that all tests share.
    pub(crate) fn shared() -> Self {
        let url = super::url();
        Self::new(url.trim_start_matches("amqp://").trim_end_matches('/'))
    }

    fn new(host: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self {
            url: format!("amqp://{}/", listener.local_addr().unwrap()),
            is_mute: Arc::default(),
            is_split: Arc::default(),
            streams: Arc::default(),
        };
        let (host, is_mute) = (host.to_owned(), between.is_mute.clone());
        let is_split = between.is_split.clone();
        let streams = between.streams.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker) = (client.unwrap(), TcpStream::connect(&host).unwrap());
                let both = [&client, &broker].map(|stream| stream.try_clone().unwrap());
                streams.lock().unwrap().extend(both);
                let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                let (is_mute, is_split) = (is_mute.clone(), is_split.clone());
                thread::spawn(move || copy(from, to, &AtomicBool::new(false), &is_split));
                let never = AtomicBool::new(false);
                thread::spawn(move || copy(broker, client, &is_mute, &never));
            }
        });
        between
    }

    /// From now on the client hears nothing.
    pub(crate) fn mute(&self) {
        self.is_mute.store(true, Ordering::SeqCst);
    }

    /// The client loses its connection, and the broker hears of that some time later.
    pub(crate) fn split(&self, time: Duration) {
        self.is_split.store(true, Ordering::SeqCst);
        let streams = std::mem::take(&mut *self.streams.lock().unwrap());
        // Client and broker by turns.
        for client in streams.iter().step_by(2) {
            let _ = client.shutdown(Shutdown::Both);
        }
        let is_split = self.is_split.clone();
        thread::spawn(move || {
            thread::sleep(time);
            is_split.store(false, Ordering::SeqCst);
        });
    }

    /// Cuts all connections; new ones are whole.
    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.is_mute.store(false, Ordering::SeqCst);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, is_mute: &AtomicBool, is_split: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !is_mute.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    while is_split.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = to.shutdown(Shutdown::Both);
}
