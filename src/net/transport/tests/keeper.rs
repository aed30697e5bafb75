//! The keeper: whole heartbeats, between whole frames, and no thread longer than the transport.

use std::sync::mpsc;

use super::super::keeper::Shared;
use super::super::lane::{HEARTBEAT, Lane};
use super::*;

const OFTEN: Duration = Duration::from_millis(1);

/// A frame of this many bytes of payload.
fn frame(size: u8) -> Vec<u8> {
    let mut frame = vec![1, 0, 1, 0, 0, 0, size];
    frame.extend(std::iter::repeat_n(HEARTBEAT[0], size.into()));
    frame.push(0xCE);
    frame
}

/// Reads one frame: whether it is a heartbeat. `None` at the end.
fn read_frame(stream: &mut impl Read) -> Option<bool> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes(head[3..].try_into().unwrap());
    let mut rest = vec![0; size as usize + 1];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(rest.last(), Some(&0xCE), "a torn frame: {head:?} {rest:?}");
    match head[0] {
        1 => assert_eq!(head[..3], [1, 0, 1]),
        _ => assert_eq!([&head[..], &rest[..]].concat(), HEARTBEAT),
    }
    Some(head[0] == 8)
}

/// Counts the frames that are not heartbeats, and tells of each heartbeat.
fn count_frames(stream: &mut impl Read, heartbeats: &mpsc::Sender<()>) -> usize {
    let mut frames = 0;
    while let Some(heartbeat) = read_frame(stream) {
        if heartbeat {
            let _ = heartbeats.send(());
        } else {
            frames += 1;
        }
    }
    frames
}

/// Writes frames in pieces, with the keeper at every boundary, and is away now and then; how many.
fn write_frames(client: &mut Client, heartbeats: &mpsc::Receiver<()>) -> usize {
    client.transport.keep(OFTEN, false).unwrap();
    let mut count = 0;
    for _ in 0..5 {
        for size in 0..200 {
            let frame = frame(size);
            let (one, two) = frame.split_at(frame.len() / 2);
            client.exchange(one, 0).unwrap();
            // Here the keeper has time, and no right.
            thread::yield_now();
            client.exchange(two, 0).unwrap();
            client.transport.set_idle(true);
            thread::yield_now();
            count += 1;
        }
        while heartbeats.try_recv().is_ok() {}
        for _ in 0..3 {
            heartbeats.recv_timeout(LIMIT).unwrap();
        }
    }
    count
}

#[test]
fn heartbeats_come_between_whole_frames() {
    let (sender, heartbeats) = mpsc::channel();
    let (address, peer) = serve(move |mut stream| count_frames(&mut stream, &sender));
    let mut client = Client::connect(address);
    let count = write_frames(&mut client, &heartbeats);
    drop(client);
    assert_eq!(peer.join().unwrap(), count);
}

#[cfg(feature = "tls")]
#[test]
fn heartbeats_come_between_whole_frames_in_tls() {
    let (sender, heartbeats) = mpsc::channel();
    let pki = pki::Pki::new();
    let server = pki
        .server()
        .start(move |mut stream| count_frames(&mut stream, &sender));
    let mut client = server.connect(&pki.options()).unwrap();
    // As in life: the keeper begins when the login is done. Nothing else here waits for the handshake.
    let is_up = |client: &Client| {
        let shared = client.transport.shared.lock();
        shared
            .lane
            .session
            .as_ref()
            .is_some_and(|session| session.is_up())
    };
    client.write(&mut &b""[..]).unwrap();
    while client.read().unwrap() && !is_up(&client) {
        client.wait();
    }
    let count = write_frames(&mut client, &heartbeats);
    client.transport.goodbye();
    drop(client);
    assert_eq!(server.peer.join().unwrap(), count);
}

#[test]
fn the_thread_ends_with_the_transport_and_the_socket_is_closed_at_once() {
    let (address, peer) = serve(|mut stream| echo(&mut stream));
    let mut client = Client::connect(address);
    client.transport.keep(LIMIT * 1000, false).unwrap();
    // The thread sleeps by then, and must not hold the lock.
    for count in 1..1000 {
        client.exchange(b"!", count).unwrap();
    }
    client.transport.set_idle(true);
    let thread = client.transport.shared.downgrade();
    drop(client);
    peer.join().unwrap();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        while thread.strong_count() > 0 {
            thread::yield_now();
        }
        sender.send(()).unwrap();
    });
    ended.recv_timeout(LIMIT).unwrap();
}

#[test]
fn nothing_is_kept_that_is_not_idle() {
    let (sender, heartbeats) = mpsc::channel();
    let (address, peer) = serve(move |mut stream| count_frames(&mut stream, &sender));
    let client = Client::connect(address);
    let shared = Shared::new(Clock::System);
    // No thread, and no time to wait for: the test itself says when.
    let mut state = shared.lock();
    state.start(
        client.transport.endpoint.duplicate().unwrap(),
        Duration::ZERO,
        false,
    );
    for _ in 0..2 {
        assert!(state.beat().is_some());
        state.set_idle(true);
        assert!(state.beat().is_some());
        // Whoever writes is in the midst of a frame until he says otherwise.
        state.wrote();
    }
    state.close();
    assert_eq!(state.beat(), None);
    drop(state);
    drop(client);
    assert_eq!(peer.join().unwrap(), 0);
    assert_eq!(heartbeats.iter().count(), 2);
}

/// A socket that takes so much at a time, and then no more until told.
#[derive(Default)]
struct Narrow {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_torn_heartbeat_is_finished_before_anything_else() {
    for torn in 1..HEARTBEAT.len() {
        let mut lane = Lane::default();
        let mut socket = Narrow::default();
        assert!(!lane.heartbeat(&mut socket).unwrap());
        assert!(!lane.wants_write());

        socket.room = torn;
        assert!(lane.heartbeat(&mut socket).unwrap());
        assert!(lane.wants_write());
        let frame = frame(3);
        let slices = [IoSlice::new(&frame)];
        assert_eq!(lane.write(&mut socket, &slices).unwrap(), None);
        // The rest of it is no heartbeat of its own.
        socket.room = HEARTBEAT.len() - torn + 1;
        if torn % 2 == 0 {
            assert!(lane.heartbeat(&mut socket).unwrap());
            assert_eq!(socket.room, 1);
        }
        assert_eq!(lane.write(&mut socket, &slices).unwrap(), Some(1));
        assert_eq!(socket.taken, [HEARTBEAT, &frame[..1]].concat());
    }
}

/// A socket that takes everything, but not at once.
#[cfg(feature = "testing")]
struct Late {
    refusals: usize,
}

#[cfg(feature = "testing")]
impl Write for Late {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.refusals.checked_sub(1) {
            None => Ok(bytes.len()),
            Some(left) => {
                self.refusals = left;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "testing")]
#[test]
fn a_session_that_was_full_until_the_socket_had_room_takes_bytes_without_reading_first() {
    use super::super::pretended::Pretended;
    use super::super::seal::Seal;

    let mut lane = Lane::default();
    lane.session = Some(Seal::Pretended(Pretended::up()));
    let bytes = [0; 100_000];
    let slices = [IoSlice::new(&bytes)];
    let mut socket = Late { refusals: 1_000 };
    assert!(lane.write(&mut socket, &slices).unwrap() > Some(0));
    assert_eq!(lane.write(&mut socket, &slices).unwrap(), None);
    // The flush before finds no room, the one after does.
    socket.refusals = 1;
    assert!(lane.write(&mut socket, &slices).unwrap() > Some(0));
}

#[test]
fn a_panic_elsewhere_breaks_the_connection_and_not_the_program() {
    let (address, peer) = serve(|stream| echo(&mut &stream));
    let mut client = Client::connect(address);
    let shared = client.transport.shared.clone();
    thread::spawn(move || {
        let _held = shared.lock();
        panic!("as the test wants it");
    })
    .join()
    .unwrap_err();
    let error = client.exchange(b"hello", 5).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    drop(client);
    peer.join().unwrap();
}
