//! A broker in small, on a thread of the test's own. It says what it is told to, and hangs up wherever it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::{
    BODY, Frame, channel_open_ok, confirm, delivery, heartbeat, method, short, usual_login,
};

/// Longer than anything takes that will ever come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How a peer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It stays, and says no more.
    Silence,
    Eof,
    Reset,
}

/// The peer's side of one connection. Every step is `None` once the socket has gone, or the peer has said its share.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    /// How many bytes it may yet say.
    left: usize,
    said: usize,
    /// Messages that the client has published.
    published: u64,
    closed: Option<u16>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            left: usize::MAX,
            said: 0,
            published: 0,
            closed: None,
        }
    }

    /// A peer that says so many bytes and no more.
    pub(crate) fn that_says(self, left: usize) -> Self {
        Self { left, ..self }
    }

    pub(crate) fn said(&self) -> usize {
        self.said
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> Option<()> {
        let part = &bytes[..bytes.len().min(self.left)];
        self.stream.write_all(part).ok()?;
        self.left -= part.len();
        self.said += part.len();
        (self.left > 0).then_some(())
    }

    pub(crate) fn hear(&mut self) -> Option<Frame> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).ok()?;
        let [kind, c0, c1, s0, s1, s2, s3] = head;
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        let mut payload = vec![0; size + 1];
        // A little at a time, so that the client finds the socket full.
        for piece in payload.chunks_mut(3_000) {
            self.stream.read_exact(piece).ok()?;
        }
        payload.pop();
        Some(Frame {
            kind,
            channel: u16::from_be_bytes([c0, c1]),
            payload,
        })
    }

    /// The next frame, which has to be that method.
    pub(crate) fn expect(&mut self, id: (u16, u16)) -> Option<Frame> {
        let frame = self.hear()?;
        assert_eq!(frame.id(), Some(id), "{frame:?}");
        Some(frame)
    }

    pub(crate) fn hear_header(&mut self) -> Option<()> {
        if self.left == 0 {
            return None;
        }
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).ok()?;
        assert_eq!(&header, b"AMQP\x00\x00\x09\x01");
        Some(())
    }

    /// Lets the client log in, with those frames: start, tune, open-ok, or fewer.
    pub(crate) fn log_in(&mut self, frames: &[Vec<u8>]) -> Option<()> {
        self.hear_header()?;
        let answers = [&[(10, 11)][..], &[(10, 31), (10, 40)], &[]];
        for (frame, answers) in frames.iter().zip(answers) {
            self.say(frame)?;
            for &answer in answers {
                self.expect(answer)?;
            }
        }
        Some(())
    }

    pub(crate) fn accept(&mut self) -> Option<()> {
        self.log_in(&usual_login())
    }

    /// Says what a broker answers to such a frame, if it answers it at all.
    pub(crate) fn answer(&mut self, frame: &Frame) -> Option<()> {
        match answer_to(frame) {
            Some(answer) => self.say(&answer),
            None => Some(()),
        }
    }

    /// Answers what comes, as a broker would, until the client closes, or asks for something that this peer has no
    /// answer to: a purge.
    pub(crate) fn serve(&mut self) -> Option<Frame> {
        loop {
            let frame = self.hear()?;
            match frame.id() {
                // queue.purge
                Some((50, 30)) => return Some(frame),
                // connection.close
                Some((10, 50)) => {
                    self.closed = Some(u16::from_be_bytes([frame.payload[4], frame.payload[5]]));
                    self.answer(&frame);
                    return None;
                }
                Some((60, 20)) => self.start_consumer(&frame)?,
                Some(_) => self.answer(&frame)?,
                None if frame.kind == BODY => {
                    self.published += 1;
                    // So is the message called that wants no answer.
                    if frame.payload != b"unanswered" {
                        self.say(&confirm(80, frame.channel, self.published, false))?;
                    }
                }
                None => {}
            }
        }
    }

    /// Answers what comes, until somebody consumes, who has the first delivery then; on which channel.
    pub(crate) fn serve_until_consume(&mut self) -> Option<u16> {
        loop {
            let frame = self.hear()?;
            if frame.id() == Some((60, 20)) {
                self.start_consumer(&frame)?;
                return Some(frame.channel);
            }
            self.answer(&frame)?;
        }
    }

    /// basic.consume-ok, and the first delivery.
    fn start_consumer(&mut self, consume: &Frame) -> Option<()> {
        let (channel, tag) = (consume.channel, consume.consumer_tag());
        let ok = method(channel, (60, 21), &short(tag));
        self.say(&[ok, delivery(channel, tag, 1, b"hello")].concat())
    }

    /// Sends a heartbeat every half second, on a thread, for as long as the socket takes them.
    pub(crate) fn beat(&self) -> thread::JoinHandle<()> {
        let mut stream = self.stream.try_clone().unwrap();
        thread::spawn(move || {
            while stream.write_all(&heartbeat()).is_ok() {
                thread::sleep(Duration::from_millis(500));
            }
        })
    }

    /// Reads some bytes, and leaves it at that.
    pub(crate) fn hear_some(&mut self) {
        let _ = self.stream.read(&mut [0; 16 * 1024]);
    }

    /// The code in the client's connection.close, once that has come.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.closed
    }

    /// Leaves.
    pub(crate) fn end(mut self, end: End) {
        if end == End::Eof {
            // Half a close: what the client has sent does not turn it into a reset.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        if end != End::Reset {
            self.drain();
        }
        // A reset, in place of the end of the stream or after it: then no port is left in TIME_WAIT.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads until the client has gone.
    fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}

/// What a broker answers to such a method when all is well; `None`: nothing, or nothing that all brokers would.
pub(crate) fn answer_to(frame: &Frame) -> Option<Vec<u8>> {
    let channel = frame.channel;
    Some(match frame.id()? {
        // connection.close
        (10, 50) => method(0, (10, 51), b""),
        // channel.open
        (20, 10) => channel_open_ok(channel),
        // exchange.declare
        (40, 10) => method(channel, (40, 11), b""),
        // queue.declare
        (50, 10) => {
            let (queue, _) = frame.short(6);
            let arguments = [&short(queue)[..], &[0; 8]].concat();
            method(channel, (50, 11), &arguments)
        }
        // basic.qos
        (60, 10) => method(channel, (60, 11), b""),
        // basic.consume
        (60, 20) => method(channel, (60, 21), &short(frame.consumer_tag())),
        // basic.cancel
        (60, 30) => {
            let (tag, _) = frame.short(4);
            method(channel, (60, 31), &short(tag))
        }
        // basic.get, of an empty queue
        (60, 70) => method(channel, (60, 72), b"\0"),
        // confirm.select
        (85, 10) => method(channel, (85, 11), b""),
        _ => return None,
    })
}

/// Does `serve` with each connection, one after another, on a thread; says where.
pub(crate) fn listen(mut serve: impl FnMut(Peer) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        loop {
            let (stream, _) = listener.accept().unwrap();
            serve(Peer::new(stream));
        }
    });
    address
}

/// A whole session, as with a broker.
pub(crate) fn serve_well(mut peer: Peer) {
    if peer.accept().is_some() {
        peer.serve();
    }
    peer.end(End::Silence);
}
