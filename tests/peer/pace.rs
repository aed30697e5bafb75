//! Streams and sockets that take their time, and whoever stops by a limit of his own: everything gets through all the same.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::{Events, Interest, Poll, Registry, Token, event::Source, net::TcpStream};
use puka::{Client, ClientOptions, Consume};

use crate::support::{result, within};
use crate::wire::peer::{LIMIT, listen, serve_well};

/// How a stream writes.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// So many bytes at a time.
    Bytes(usize),
    FirstSlice,
}

/// A stream that never says that it would block, but takes little at a time.
struct Slow {
    stream: TcpStream,
    takes: Takes,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        let first = first.map_or(&[][..], |slice| slice);
        let count = match self.takes {
            Takes::Bytes(count) => count.min(first.len()),
            Takes::FirstSlice => first.len(),
        };
        self.stream.write(&first[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Slow {
    fn register(&mut self, registry: &Registry, token: Token, to: Interest) -> io::Result<()> {
        self.stream.register(registry, token, to)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, to: Interest) -> io::Result<()> {
        self.stream.reregister(registry, token, to)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }
}

#[cfg(unix)]
impl AsFd for Slow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A connected stream to a peer that does as it should.
fn slow(takes: Takes) -> Slow {
    let address: SocketAddr = listen(serve_well);
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    Slow {
        stream: TcpStream::from_std(stream),
        takes,
    }
}

/// Larger than what one turn writes of it.
fn body(takes: Takes) -> Vec<u8> {
    match takes {
        Takes::Bytes(_) => vec![b'x'; 100_000],
        // Some hundreds of frames, each of which is three slices.
        Takes::FirstSlice => vec![b'x'; 4_000_000],
    }
}

const ALL: [Takes; 3] = [Takes::Bytes(1), Takes::Bytes(16), Takes::FirstSlice];

#[test]
fn a_stream_that_takes_little_at_a_time_gets_it_all() {
    for takes in ALL {
        within(LIMIT, move || {
            let mut client = Client::new("amqp://localhost/").unwrap();
            let connected = client.connect_over(slow(takes));
            result(&mut client, connected).unwrap();
            // The peer counts bodies' frames, and confirms as many.
            let published = client.basic_publish("", "a", body(takes));
            result(&mut client, published).unwrap();
        });
    }
}

#[cfg(unix)]
#[test]
fn so_it_does_in_a_loop_that_is_told_only_changes() {
    for takes in ALL {
        within(LIMIT, move || {
            let mut client = Client::new("amqp://localhost/").unwrap();
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(8);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut client, Token(0), interest)
                .unwrap();
            client
                .connect_over(slow(takes))
                .then(&mut client, move |client, _, connected| {
                    connected.unwrap();
                    client.basic_publish("", "a", body(takes)).then(
                        client,
                        |client, _, published| {
                            published.unwrap();
                            client.close();
                        },
                    );
                });
            while client.is_active() {
                client.run_any_callbacks();
                client.on_write();
                poll.poll(&mut events, client.next_timeout()).unwrap();
                for event in &events {
                    if event.is_readable() {
                        client.on_read();
                    }
                    if event.is_writable() {
                        client.on_write();
                    }
                }
                client.on_timeout();
            }
        });
    }
}

#[test]
fn a_mark_of_nothing_lets_one_through_at_a_time() {
    within(LIMIT, || {
        let options = ClientOptions::new()
            .high_water_mark(0)
            .unread_high_water_mark(0);
        let address = listen(serve_well);
        let mut client = Client::with_options(&format!("amqp://{address}/"), options).unwrap();
        client.connect().wait(&mut client).unwrap();
        for _ in 0..3 {
            client
                .basic_publish("", "a", "body")
                .wait(&mut client)
                .unwrap();
        }
        let ignored = client.basic_publish("", "a", "body");
        client.basic_publish("", "a", "body");
        assert!(client.wait(ignored).is_ok());
        let consumer = client.basic_consume(Consume::new("work"));
        assert_eq!(client.wait(consumer).unwrap().body, "hello");
        // Nothing lies unread, so nothing stands in the way.
        assert!(client.queue_declare("b").wait(&mut client).is_ok());
        assert_eq!(
            client.wait_timeout(consumer, Duration::ZERO).unwrap(),
            None::<puka::Delivery>
        );
    });
}
