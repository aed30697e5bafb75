//! What the system may hold back for a moment, because more is likely to follow.
//!
//! A program that acknowledges one delivery after another writes a few bytes at a time. Each must be with the kernel at
//! once, but need not be a packet of its own: on Linux a send can say that more will follow (`MSG_MORE`). What was sent
//! that way leaves with the next plain write, when it is [pushed](Held::push), or by itself: after 0.2 s where the peer is
//! near, later (a retransmission timeout) where it is far.

use std::io::{self, IoSlice, Write};

use mio::net::TcpStream;

#[derive(Debug, Default)]
pub(super) struct Held {
    /// What is written now may be held back.
    more: bool,
    /// Something is held back.
    is_holding: bool,
}

impl Held {
    pub(super) fn set_more(&mut self, more: bool) {
        self.more = more && cfg!(any(target_os = "linux", target_os = "android"));
    }

    pub(super) fn write(
        &mut self,
        stream: &mut TcpStream,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let count = if self.more {
            send_more(stream, slices)?
        } else {
            stream.write_vectored(slices)?
        };
        self.is_holding = self.more;
        Ok(count)
    }

    /// Has the system send what it holds back.
    pub(super) fn push(&mut self, stream: &TcpStream) {
        if std::mem::take(&mut self.is_holding) {
            // To set it again sends what is held back. Should that fail, the time sends it.
            let _ = stream.set_nodelay(true);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_more(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    /// As the kernel numbers them.
    const MSG_MORE: i32 = 0x8000;
    const MSG_NOSIGNAL: i32 = 0x4000;
    // By mio, so that it knows when the socket would have blocked.
    stream.try_io(|| {
        let socket = socket2::SockRef::from(stream);
        match slices {
            // It is the cheaper call of the two.
            [one] => socket.send_with_flags(one, MSG_MORE | MSG_NOSIGNAL),
            many => socket.send_vectored_with_flags(many, MSG_MORE | MSG_NOSIGNAL),
        }
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_more(mut stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(slices)
}
