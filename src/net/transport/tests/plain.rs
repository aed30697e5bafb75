//! Without TLS: TCP, and streams of the user's.

use super::super::stream::Endpoint;
use super::*;

const SIZE: usize = 4 << 20;

#[test]
fn large_bodies_go_both_ways_over_tcp() {
    let (address, peer) = serve(|mut stream| echo(&mut stream));
    let mut client = Client::connect(address);
    let body = pattern(SIZE);
    client.exchange(&body, SIZE).unwrap();
    assert!(client.received == body);
    assert!(!client.transport.wants_write());
    drop(client);
    peer.join().unwrap();
}

#[test]
fn the_end_is_told_once_all_is_read() {
    let (address, peer) = serve(|mut stream| stream.write_all(b"last words").unwrap());
    let mut client = Client::connect(address);
    client.drain().unwrap();
    assert_eq!(client.received, b"last words"[..]);
    peer.join().unwrap();
}

#[test]
fn tcp_options_are_set() {
    let (address, peer) = serve(|stream| echo(&mut &stream));
    let client = Client::connect(address);
    let Endpoint::Tcp { stream, .. } = &client.transport.endpoint else {
        panic!("it is over TCP");
    };
    let socket = socket2::SockRef::from(stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    {
        // It would end a connection whose peer is there and takes no bytes for now.
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), LIMIT / 2);
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(7)
        );
    }
    drop(client);
    peer.join().unwrap();
}

#[test]
fn a_tiny_or_huge_tcp_timeout_is_no_panic() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let (address, peer) = serve(|stream| echo(&mut &stream));
        let options = SocketOptions {
            tcp_timeout: Some(timeout),
        };
        let mut client = Client::new(Transport::connect(address, &options, Clock::System).unwrap());
        while !client.transport.is_connected().unwrap() {
            client.wait();
        }
        client.exchange(b"hello", 5).unwrap();
        drop(client);
        peer.join().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn large_bodies_go_both_ways_over_a_users_stream() {
    let (own, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    own.set_nonblocking(true).unwrap();
    let own = mio::net::UnixStream::from_std(own);
    let peer = thread::spawn(move || echo(&mut &peer));
    let mut client = Client::new(Transport::over(Box::new(own), Clock::System));
    assert!(client.transport.is_connected().unwrap());
    let body = pattern(SIZE);
    client.exchange(&body, SIZE).unwrap();
    assert!(client.received == body);
    assert!(client.transport.keep(LIMIT, true).is_err());
    drop(client);
    peer.join().unwrap();
}

/// A user's stream that counts wrongly.
#[cfg(unix)]
#[test]
fn a_stream_that_lies_is_no_panic() {
    use std::os::fd::{AsFd, BorrowedFd};

    struct Liar(mio::net::UnixStream);
    impl Read for Liar {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(usize::MAX)
        }
    }
    impl Write for Liar {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Ok(usize::MAX)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl mio::event::Source for Liar {
        fn register(&mut self, r: &mio::Registry, t: Token, i: Interest) -> io::Result<()> {
            self.0.register(r, t, i)
        }
        fn reregister(&mut self, r: &mio::Registry, t: Token, i: Interest) -> io::Result<()> {
            self.0.reregister(r, t, i)
        }
        fn deregister(&mut self, r: &mio::Registry) -> io::Result<()> {
            self.0.deregister(r)
        }
    }
    impl AsFd for Liar {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    let (one, _two) = mio::net::UnixStream::pair().unwrap();
    let mut transport = Transport::over(Box::new(Liar(one)), Clock::System);
    let slices = [IoSlice::new(b"four"), IoSlice::new(b"more")];
    assert_eq!(transport.write(&slices, false).unwrap(), Some(8));
    let (mut one, mut two) = ([0; 10], [0; 20]);
    let outcome = transport.read([&mut one, &mut two]).unwrap();
    assert!(matches!(outcome, ReadOutcome::Bytes(1..=30)), "{outcome:?}");
}
