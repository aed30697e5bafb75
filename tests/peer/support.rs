//! A broker in small, on a thread of the test's own. It says what it is told to, and hangs up wherever it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Delivery, Disconnect, Error, Promise, PromiseValue, Result};
use socket2::SockRef;

/// Longer than anything takes that will ever come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;

pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

/// A method's frame: its class and number, and its arguments as they are on the wire.
pub(crate) fn method(channel: u16, (class, id): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes(), &id.to_be_bytes(), arguments].concat();
    frame(METHOD, channel, &payload)
}

/// A content header without properties.
pub(crate) fn header(channel: u16, body_size: u64) -> Vec<u8> {
    let payload = [&b"\0\x3c\0\0"[..], &body_size.to_be_bytes(), b"\0\0"].concat();
    frame(HEADER, channel, &payload)
}

pub(crate) fn body(channel: u16, body: &[u8]) -> Vec<u8> {
    frame(BODY, channel, body)
}

/// The same frame, with another last byte.
pub(crate) fn wrong_end(frame: &[u8]) -> Vec<u8> {
    [&frame[..frame.len() - 1], b"\xcd"].concat()
}

/// The same frame, on another channel.
pub(crate) fn on_channel(channel: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..1], &channel.to_be_bytes(), &frame[3..]].concat()
}

pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// connection.start, of a broker of that name.
pub(crate) fn start(product: &[u8], mechanisms: &[u8], locales: &[u8]) -> Vec<u8> {
    let confirms = [short(b"publisher_confirms"), b"t\x01".to_vec()].concat();
    let properties = [
        short(b"product"),
        b"S".to_vec(),
        long(product),
        short(b"capabilities"),
        b"F".to_vec(),
        long(&confirms),
    ]
    .concat();
    let arguments = [
        b"\0\x09".to_vec(),
        long(&properties),
        long(mechanisms),
        long(locales),
    ];
    method(0, (10, 10), &arguments.concat())
}

pub(crate) fn usual_start() -> Vec<u8> {
    start(b"a peer", b"AMQPLAIN PLAIN", b"en_US")
}

pub(crate) fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    let arguments = [
        &channel_max.to_be_bytes()[..],
        &frame_max.to_be_bytes(),
        &heartbeat.to_be_bytes(),
    ];
    method(0, (10, 30), &arguments.concat())
}

/// 100 channels, frames of 8192 bytes, no heartbeat.
pub(crate) fn usual_tune() -> Vec<u8> {
    tune(100, 8192, 0)
}

pub(crate) fn open_ok() -> Vec<u8> {
    method(0, (10, 41), b"\0")
}

pub(crate) fn usual_login() -> [Vec<u8>; 3] {
    [usual_start(), usual_tune(), open_ok()]
}

/// connection.close on channel 0, channel.close on any other.
pub(crate) fn close(channel: u16, code: u16, text: &[u8]) -> Vec<u8> {
    let id = if channel == 0 { (10, 50) } else { (20, 40) };
    let arguments = [&code.to_be_bytes()[..], &short(text), b"\0\x32\0\x0a"];
    method(channel, id, &arguments.concat())
}

/// basic.deliver, without the content.
pub(crate) fn deliver(channel: u16, consumer_tag: &[u8], delivery_tag: u64) -> Vec<u8> {
    let arguments = [
        &short(consumer_tag)[..],
        &delivery_tag.to_be_bytes(),
        b"\0\0\x04work",
    ];
    method(channel, (60, 60), &arguments.concat())
}

pub(crate) fn purge_ok(channel: u16, message_count: u32) -> Vec<u8> {
    method(channel, (50, 31), &message_count.to_be_bytes())
}

/// basic.ack, or basic.nack.
pub(crate) fn confirm(id: u16, channel: u16, delivery_tag: u64, multiple: bool) -> Vec<u8> {
    let arguments = [&delivery_tag.to_be_bytes()[..], &[multiple.into()]].concat();
    method(channel, (60, id), &arguments)
}

/// A frame of the client's.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Class and number, of a method.
    pub(crate) fn id(&self) -> Option<(u16, u16)> {
        match self.payload[..] {
            [c0, c1, m0, m1, ..] if self.kind == METHOD => {
                Some((u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1])))
            }
            _ => None,
        }
    }

    /// The short string at that place, and what comes after it.
    fn short(&self, place: usize) -> (&[u8], usize) {
        let end = place + 1 + usize::from(self.payload[place]);
        (&self.payload[place + 1..end], end)
    }
}

/// The tag in a basic.consume.
pub(crate) fn consumer_tag(consume: &Frame) -> Vec<u8> {
    let (_, place) = consume.short(6);
    consume.short(place).0.to_vec()
}

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

    /// Answers what comes, as a broker would, until the client closes, or asks for something that this peer has no
    /// answer to: a purge, or what is not a method.
    pub(crate) fn serve(&mut self) -> Option<Frame> {
        loop {
            let frame = self.hear()?;
            let channel = frame.channel;
            let Some(id) = frame.id() else {
                if frame.kind == BODY {
                    self.published += 1;
                    // So is the message called that wants no answer.
                    if frame.payload != b"unanswered" {
                        self.say(&confirm(80, channel, self.published, false))?;
                    }
                }
                continue;
            };
            let answer = match id {
                // connection.close
                (10, 50) => {
                    self.closed = Some(u16::from_be_bytes([frame.payload[4], frame.payload[5]]));
                    self.say(&method(0, (10, 51), b""));
                    return None;
                }
                // channel.open
                (20, 10) => method(channel, (20, 11), b"\0\0\0\0"),
                // queue.declare
                (50, 10) => {
                    let (queue, _) = frame.short(6);
                    let arguments = [&short(queue)[..], &[0; 8]].concat();
                    method(channel, (50, 11), &arguments)
                }
                // exchange.declare
                (40, 10) => method(channel, (40, 11), b""),
                // basic.qos
                (60, 10) => method(channel, (60, 11), b""),
                // basic.consume, and its first delivery
                (60, 20) => {
                    let (_, place) = frame.short(6);
                    let (tag, _) = frame.short(place);
                    [
                        method(channel, (60, 21), &short(tag)),
                        deliver(channel, tag, 1),
                        header(channel, 5),
                        body(channel, b"hello"),
                    ]
                    .concat()
                }
                // basic.cancel
                (60, 30) => {
                    let (tag, _) = frame.short(4);
                    method(channel, (60, 31), &short(tag))
                }
                // confirm.select
                (85, 10) => method(channel, (85, 11), b""),
                // queue.purge
                (50, 30) => return Some(frame),
                _ => continue,
            };
            self.say(&answer)?;
        }
    }

    /// [`serve`](Self::serve), until somebody consumes, who has the first delivery then; on which channel.
    pub(crate) fn serve_until_consume(&mut self) -> Option<u16> {
        loop {
            let frame = self.hear()?;
            let channel = frame.channel;
            let answer = match frame.id() {
                Some((20, 10)) => method(channel, (20, 11), b"\0\0\0\0"),
                Some((60, 10)) => method(channel, (60, 11), b""),
                Some((60, 20)) => {
                    let tag = consumer_tag(&frame);
                    let answer = [
                        method(channel, (60, 21), &short(&tag)),
                        deliver(channel, &tag, 1),
                        header(channel, 5),
                        body(channel, b"hello"),
                    ];
                    self.say(&answer.concat())?;
                    return Some(channel);
                }
                _ => continue,
            };
            self.say(&answer)?;
        }
    }

    /// Sends a heartbeat every half second, on a thread, for as long as the socket takes them.
    pub(crate) fn beat(&self) -> thread::JoinHandle<()> {
        let mut stream = self.stream.try_clone().unwrap();
        thread::spawn(move || {
            while stream.write_all(&frame(8, 0, b"")).is_ok() {
                thread::sleep(Duration::from_millis(500));
            }
        })
    }

    /// Reads some bytes, and leaves it at that.
    #[cfg(feature = "tls")]
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

/// A client of such a peer.
pub(crate) fn client_of(
    options: ClientOptions,
    serve: impl FnMut(Peer) + Send + 'static,
) -> Client {
    Client::with_options(&format!("amqp://{}/", listen(serve)), options).unwrap()
}

/// A client whose first connection meets `trouble`; afterwards, the peer does as it should.
pub(crate) fn client_in_trouble(
    options: ClientOptions,
    trouble: impl FnOnce(Peer) + Send + 'static,
) -> Client {
    let mut trouble = Some(trouble);
    client_of(options, move |peer| match trouble.take() {
        Some(trouble) => trouble(peer),
        None => serve_well(peer),
    })
}

/// A whole session, as with a broker.
pub(crate) fn serve_well(mut peer: Peer) {
    if peer.accept().is_some() {
        peer.serve();
    }
    peer.end(End::Silence);
}

/// A client and a connection of it, which has a consumer, two publishes without an answer, and a purge that will have
/// none. When all that has come, the peer says `bytes`; then it does as it should, as it does from the start on every
/// other connection.
pub(crate) struct Busy {
    pub(crate) client: Client,
    pub(crate) consumer: Promise<Delivery>,
    pub(crate) published: [Promise<()>; 2],
    pub(crate) purged: Promise<u32>,
    closed: Receiver<Option<u16>>,
}

impl Busy {
    /// The consumer's tag and channel, and the purge's channel; the publishes' is 1.
    pub(crate) const TAG: &[u8] = b"2.0.";
    pub(crate) const CONSUMER: u16 = 2;
    pub(crate) const PURGE: u16 = 3;

    pub(crate) fn new(options: ClientOptions, bytes: Vec<u8>) -> Self {
        let (sender, closed) = channel();
        let mut client = client_in_trouble(options, move |mut peer| {
            peer.accept();
            assert_eq!(peer.serve().unwrap().channel, Self::PURGE);
            peer.say(&bytes);
            peer.serve();
            let _ = sender.send(peer.closed());
            peer.end(End::Silence);
        });
        result_of(&mut client, Client::connect).unwrap();
        let consumer = client.basic_consume("work");
        assert_eq!(result(&mut client, consumer).unwrap().body, "hello");
        let published = [(); 2].map(|()| client.basic_publish("", "a", "unanswered"));
        let purged = client.queue_purge("a");
        Self {
            client,
            consumer,
            published,
            purged,
            closed,
        }
    }

    /// The code in the client's connection.close on that connection, if it has closed it in order.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.closed.recv_timeout(LIMIT).unwrap()
    }
}

/// What a promise comes to, which it has to in time.
pub(crate) fn result<T: PromiseValue>(client: &mut Client, promise: Promise<T>) -> Result<T> {
    let begun = Instant::now();
    client
        .wait_timeout(promise, LIMIT)
        .map(|result| result.unwrap_or_else(|| panic!("nothing in {:?}", begun.elapsed())))
}

pub(crate) fn result_of<T: PromiseValue>(
    client: &mut Client,
    ask: impl FnOnce(&mut Client) -> Promise<T>,
) -> Result<T> {
    let promise = ask(client);
    result(client, promise)
}

pub(crate) fn connect_error(client: &mut Client) -> Error {
    result_of(client, Client::connect).unwrap_err()
}

/// Connects; what is a short limit for the trouble may be too short for a busy machine.
fn connect_in_time(client: &mut Client, case: &str) {
    let until = Instant::now() + LIMIT;
    loop {
        match result_of(client, Client::connect) {
            Ok(_) => break,
            Err(Error::ConnectionBroken(Disconnect::TimedOut { .. })) if Instant::now() < until => {
            }
            Err(error) => panic!("{case}: connecting again: {error}"),
        }
    }
}

/// Asserts that the client is of use again, now that its peer does as it should.
pub(crate) fn assert_usable(client: &mut Client, case: &str) {
    assert!(!client.is_connected(), "{case}");
    connect_in_time(client, case);
    let declared = result_of(client, |client| client.queue_declare("again"));
    assert_eq!(declared.unwrap().queue, "again", "{case}");
    result_of(client, Client::close).unwrap();
    assert!(!client.is_connected(), "{case}");
}

/// Does it, in that time: a test that would hang fails instead.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, done) = channel();
    let thread = thread::spawn(move || {
        let result = run();
        let _ = sender.send(());
        result
    });
    if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = done.recv_timeout(limit) {
        panic!("it hangs");
    }
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
