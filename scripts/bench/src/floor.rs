//! The least that a client can do: it encodes each frame afresh, hops over the incoming ones, reads and writes in large
//! pieces, and does nothing else. No library can be quicker over the same socket.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;

use puka_bench::{IN_FLIGHT, Job, Meter, PREFETCH, Work};

const FRAME: usize = 131_072 - 8;
/// Bodies of this size or more are not copied.
const LARGE: usize = 4096;
/// How much is written, or read, at once.
const PIECE: usize = 256 * 1024;

struct Floor {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// The last tag that was confirmed.
    last: u64,
}

fn method(out: &mut Vec<u8>, channel: u16, class: u16, method: u16, arguments: &[&[u8]]) {
    let size: usize = arguments.iter().map(|part| part.len()).sum();
    out.push(1);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(size as u32 + 4).to_be_bytes());
    out.extend_from_slice(&class.to_be_bytes());
    out.extend_from_slice(&method.to_be_bytes());
    for part in arguments {
        out.extend_from_slice(part);
    }
    out.push(0xce);
}

impl Floor {
    fn connect(job: &Job) -> Self {
        let stream = TcpStream::connect(job.address()).expect("a broker");
        stream.set_nodelay(true).expect("nodelay");
        let mut floor = Self {
            stream,
            out: Vec::with_capacity(2 * PIECE),
            input: vec![0; 4 * PIECE],
            start: 0,
            end: 0,
            last: 0,
        };
        floor
            .stream
            .write_all(b"AMQP\0\0\x09\x01")
            .expect("written");
        floor.expect(10, 10);
        // capabilities are of no use here.
        method(
            &mut floor.out,
            0,
            10,
            11,
            &[b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"],
        );
        floor.expect(10, 30);
        method(
            &mut floor.out,
            0,
            10,
            31,
            &[&[0x07, 0xff, 0, 2, 0, 0, 0, 0]],
        );
        method(&mut floor.out, 0, 10, 40, &[b"\x01/\0\0"]);
        floor.expect(10, 41);
        method(&mut floor.out, 1, 20, 10, &[b"\0"]);
        floor.expect(20, 11);
        floor
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.out).expect("written");
        self.out.clear();
    }

    /// Reads once; what is left of the last read comes first.
    fn read(&mut self) {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.stream.read(&mut self.input[self.end..]).expect("read");
        assert!(count > 0, "the broker closed the connection");
        self.end += count;
    }

    /// The next whole frame that is there: its type, and where its payload is.
    fn frame(&mut self) -> Option<(u8, usize, usize)> {
        let head = self.input.get(self.start..self.end)?.get(..7)?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        if self.end - self.start < size + 8 {
            return None;
        }
        let payload = self.start + 7;
        let kind = head[0];
        self.start += size + 8;
        Some((kind, payload, size))
    }

    fn expect(&mut self, class: u16, method: u16) {
        self.flush();
        loop {
            while let Some((kind, at, _)) = self.frame() {
                let id = &self.input[at..at + 4];
                if kind == 1 && id == [class.to_be_bytes(), method.to_be_bytes()].concat() {
                    return;
                }
            }
            self.read();
        }
    }

    fn publish(&mut self, body: &[u8]) {
        method(&mut self.out, 1, 60, 40, &[b"\0\0\0\x05bench\0"]);
        self.out
            .extend_from_slice(&[2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0]);
        self.out
            .extend_from_slice(&(body.len() as u64).to_be_bytes());
        self.out.extend_from_slice(&[0, 0, 0xce]);
        if body.len() < LARGE {
            self.out.extend_from_slice(&[3, 0, 1]);
            self.out
                .extend_from_slice(&(body.len() as u32).to_be_bytes());
            self.out.extend_from_slice(body);
            self.out.push(0xce);
            if self.out.len() >= PIECE {
                self.flush();
            }
            return;
        }
        // A large body is not copied: all its frames go out together, with what was encoded before.
        let mut heads = Vec::new();
        for piece in body.chunks(FRAME) {
            let mut head = vec![0xce, 3, 0, 1];
            head.extend((piece.len() as u32).to_be_bytes());
            heads.push(head);
        }
        let mut slices = vec![IoSlice::new(&self.out)];
        for (index, (head, piece)) in heads.iter().zip(body.chunks(FRAME)).enumerate() {
            // The first one has no frame before it to end.
            slices.push(IoSlice::new(&head[usize::from(index == 0)..]));
            slices.push(IoSlice::new(piece));
        }
        slices.push(IoSlice::new(&[0xce]));
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let count = self.stream.write_vectored(rest).expect("written");
            IoSlice::advance_slices(&mut rest, count);
        }
        self.out.clear();
    }

    /// Waits for the confirm of that tag.
    fn confirmed(&mut self, tag: u64) {
        self.flush();
        while self.last < tag {
            while let Some((kind, at, _)) = self.frame() {
                if kind == 1 && self.input[at..at + 4] == [0, 60, 0, 80] {
                    let last = &self.input[at + 4..at + 12];
                    self.last = u64::from_be_bytes(last.try_into().expect("eight"));
                }
            }
            if self.last < tag {
                self.read();
            }
        }
    }
}

pub fn run(job: &Job) {
    let mut floor = Floor::connect(job);
    let body = vec![b'x'; job.size];
    match job.work {
        Work::Confirm | Work::Wait => {
            method(&mut floor.out, 1, 85, 10, &[b"\0"]);
            floor.expect(85, 11);
            let in_flight = if job.work == Work::Wait { 1 } else { IN_FLIGHT };
            let meter = Meter::start();
            for sent in 1..=job.messages {
                floor.publish(&body);
                if sent % (in_flight / 2).max(1) == 0 && sent >= in_flight {
                    floor.confirmed((sent - in_flight / 2) as u64);
                }
            }
            floor.confirmed(job.messages as u64);
            meter.stop(job);
        }
        Work::Publish => {
            let meter = Meter::start();
            for _ in 0..job.messages {
                floor.publish(&body);
            }
            floor.flush();
            meter.stop(job);
        }
        Work::Ack | Work::AckPlain | Work::NoAck => consume(&mut floor, job),
        Work::Declare => {
            let meter = Meter::start();
            let mut left = job.messages;
            while left > 0 {
                let count = left.min(IN_FLIGHT);
                for _ in 0..count {
                    let queue = b"\0\0\x05bench\0\0\0\0\0";
                    method(&mut floor.out, 1, 50, 10, &[queue]);
                }
                for _ in 0..count {
                    floor.expect(50, 11);
                }
                left -= count;
            }
            meter.stop(job);
        }
        Work::ConfirmMany | Work::AckMany | Work::Fill => panic!("that is for puka to do"),
    }
}

fn consume(floor: &mut Floor, job: &Job) {
    let no_ack = job.work == Work::NoAck;
    method(
        &mut floor.out,
        1,
        60,
        10,
        &[&[0; 4], &PREFETCH.to_be_bytes(), &[0]],
    );
    let queue = job.queue();
    let flags = [if no_ack { 2 } else { 0 }];
    method(
        &mut floor.out,
        1,
        60,
        20,
        &[
            &[0, 0, queue.len() as u8],
            queue.as_bytes(),
            b"\x01c",
            &flags,
            &[0; 4],
        ],
    );
    floor.expect(60, 21);
    let meter = Meter::start();
    let (mut left, mut body) = (job.messages, 0);
    while left > 0 {
        while let Some((kind, at, size)) = floor.frame() {
            match kind {
                1 if !no_ack => {
                    // The tag is behind the consumer's.
                    let tag = at + 5 + usize::from(floor.input[at + 4]);
                    let tag: [u8; 8] = floor.input[tag..tag + 8].try_into().expect("eight");
                    method(&mut floor.out, 1, 60, 80, &[&tag, &[0]]);
                }
                3 => {
                    body += size;
                    if body == job.size {
                        body = 0;
                        left = left.saturating_sub(1);
                    }
                }
                _ => {}
            }
        }
        floor.flush();
        if left > 0 {
            floor.read();
        }
    }
    meter.stop(job);
    std::process::exit(0);
}
