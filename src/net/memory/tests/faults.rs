//! What a client should not do is noticed.

use std::io;

use super::*;
use crate::net::Belief;

/// A bed that is connected, with so many bytes to be read.
fn bed(unread: &[u8]) -> Bed {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.echo
        .said(|said| said.out.entry(1).or_default().extend(unread));
    bed
}

/// What comes of a poll, and the faults that it shows.
fn poll(bed: &mut Bed, seconds: u32) -> String {
    let until = bed.network.now() + seconds * SECOND;
    bed.reactor.poll(Some(until)).unwrap();
    bed.network.take_faults().join("; ")
}

/// Uses up what the poll has told, without reading.
fn forget(bed: &mut Bed) {
    let link = bed.link();
    let now = bed.network.now();
    let mut state = bed.network.lock();
    state.pump(now);
    state.links.get_mut(&link).unwrap().take_told(0, now);
}

#[test]
fn a_sleep_on_bytes_that_were_told_of_is_a_fault_unless_the_client_is_paused() {
    let mut bed = bed(b"hello");
    forget(&mut bed);
    let fault = poll(&mut bed, 1);
    assert!(fault.contains("5 bytes are there to be read"), "{fault}");
    bed.reactor.set_paused(true);
    assert_eq!(poll(&mut bed, 1), "");
}

#[test]
fn a_sleep_on_bytes_to_write_is_a_fault_where_there_is_room() {
    let mut bed = bed(b"");
    forget(&mut bed);
    let belief = Belief {
        has_unsent: true,
        ..Belief::default()
    };
    bed.reactor.set_belief(belief);
    let fault = poll(&mut bed, 1);
    assert!(fault.contains("there is room for"), "{fault}");
    bed.network.refuse_writes(bed.link(), true);
    assert_eq!(poll(&mut bed, 1), "");
}

#[test]
fn a_sleep_on_bytes_that_the_system_holds_back_is_a_fault() {
    let mut bed = bed(b"");
    forget(&mut bed);
    bed.reactor.write(&[IoSlice::new(b"hello")], true).unwrap();
    let fault = poll(&mut bed, 1);
    assert!(fault.contains("holds bytes back"), "{fault}");
    // They leave by themselves, a moment later.
    assert_eq!(bed.echo.said(|said| said.heard[&1].clone()), b"hello");
    bed.reactor.write(&[IoSlice::new(b"hello")], true).unwrap();
    bed.reactor.push();
    bed.reactor.read(&mut bed.received).unwrap();
    assert_eq!(poll(&mut bed, 0), "");
}

#[test]
fn a_sleep_in_a_loop_whose_callbacks_could_run_is_a_fault() {
    let mut bed = bed(b"");
    forget(&mut bed);
    bed.reactor.set_belief(Belief {
        could_run: true,
        ..Belief::default()
    });
    let fault = poll(&mut bed, 1);
    assert!(fault.contains("callbacks could run"), "{fault}");
}

#[test]
fn an_end_that_the_client_was_told_of_must_be_seen() {
    let mut bed = bed(b"");
    bed.echo.said(|said| said.is_done = true);
    forget(&mut bed);
    let fault = poll(&mut bed, 1);
    assert!(fault.contains("the peer has ended"), "{fault}");
}

#[test]
fn a_sleep_that_nothing_can_end_is_an_error_at_once() {
    let mut bed = bed(b"");
    let error = bed.reactor.poll(None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Deadlock);
    assert_eq!(bed.network.elapsed(), Duration::ZERO);
}

#[test]
fn a_sleep_that_only_heartbeats_interrupt_ends_after_a_day() {
    let mut bed = bed(b"");
    let mut hours = 0;
    let error = loop {
        let until = bed.network.now() + 3600 * SECOND;
        match bed.reactor.poll(Some(until)) {
            Ok(()) => hours += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), hours), (io::ErrorKind::Deadlock, 25));
    // Not so if the program has set a limit, or something has a deadline.
    for belief in [
        Belief {
            has_limit: true,
            ..Belief::default()
        },
        Belief {
            has_deadline: true,
            ..Belief::default()
        },
    ] {
        bed.reactor.set_belief(belief);
        assert_eq!(poll(&mut bed, 100_000), "");
    }
}

#[test]
fn a_client_that_polls_for_ever_and_never_sleeps_is_found() {
    let mut bed = bed(b"");
    let error = loop {
        if let Err(error) = bed.reactor.poll(Some(bed.network.now())) {
            break error;
        }
    };
    assert!(error.to_string().contains("100,000 polls"), "{error}");
}
