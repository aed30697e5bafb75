//! A peer with an endless queue, and the memory that it costs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Kilobytes of this process in memory, at its worst.
pub(crate) fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xce);
    frame
}

fn read_frame(stream: &mut TcpStream) -> Option<(u16, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut rest = vec![0; size + 1];
    stream.read_exact(&mut rest).ok()?;
    rest.pop();
    Some((u16::from_be_bytes([head[1], head[2]]), rest))
}

/// Serves whoever comes, at that URL; each first consumer gets `most` deliveries of 10,000 bytes, and then the end.
pub(crate) fn start(most: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap(), most));
        }
    });
    url
}

/// Logs a client in, and sends its first consumer deliveries until it has gone.
fn serve(mut stream: TcpStream, most: u64) -> Option<()> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).ok()?;
    let start = b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
    stream.write_all(&frame(1, 0, start)).ok()?;
    read_frame(&mut stream)?;
    let tune = b"\0\x0a\0\x1e\0\x64\0\x02\0\0\0\0";
    stream.write_all(&frame(1, 0, tune)).ok()?;
    read_frame(&mut stream)?;
    read_frame(&mut stream)?;
    stream.write_all(&frame(1, 0, b"\0\x0a\0\x29\0")).ok()?;
    loop {
        let (channel, method) = read_frame(&mut stream)?;
        let reply: Vec<u8> = match method[..4] {
            [0, 20, 0, 10] => b"\0\x14\0\x0b\0\0\0\0".into(),
            [0, 60, 0, 70] => b"\0\x3c\0\x48\0".into(),
            [0, 60, 0, 10] => b"\0\x3c\0\x0b".into(),
            [0, 60, 0, 20] => {
                let tag_at = 6 + 1 + usize::from(method[6]);
                let tag = &method[tag_at..=tag_at + usize::from(method[tag_at])];
                let ok = [b"\0\x3c\0\x15", tag].concat();
                stream.write_all(&frame(1, channel, &ok)).ok()?;
                return deliver(&mut stream, channel, tag, most);
            }
            _ => continue,
        };
        stream.write_all(&frame(1, channel, &reply)).ok()?;
    }
}

fn deliver(stream: &mut TcpStream, channel: u16, tag: &[u8], most: u64) -> Option<()> {
    let body = vec![b'x'; 10_000];
    let header = [
        &b"\0\x3c\0\0"[..],
        &(body.len() as u64).to_be_bytes(),
        b"\0\0",
    ]
    .concat();
    for number in 1..=most {
        let numbered = [&number.to_be_bytes()[..], b"\0\0\x04test"].concat();
        let deliver = [&b"\0\x3c\0\x3c"[..], tag, &numbered].concat();
        let frames = [
            frame(1, channel, &deliver),
            frame(2, channel, &header),
            frame(3, channel, &body),
        ];
        stream.write_all(&frames.concat()).ok()?;
    }
    Some(())
}
