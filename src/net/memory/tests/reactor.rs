//! The reactor's bookkeeping of readiness, in every kind of network.

use super::*;

/// Every kind of network, with chance from this seed.
fn kinds(seed: u64) -> Vec<Settings> {
    let chance = Settings {
        latency: Duration::ZERO..=Duration::from_millis(50),
        capacity: 500 + (seed as usize * 7919) % 20_000,
        pieces: 3,
        short: 4,
        would_block: 5,
        spurious: 6,
        ..Settings::perfect()
    };
    let rearming = Settings {
        rearms: true,
        ..chance.clone()
    };
    let exact = Settings {
        rearms: true,
        capacity: 4096,
        ..Settings::perfect()
    };
    let seals = |settings: &Settings| Settings {
        seals: true,
        ..settings.clone()
    };
    let mut all = vec![Settings::perfect(), chance, rearming, exact];
    let sealed: Vec<Settings> = all.iter().map(seals).collect();
    all.extend(sealed);
    all
}

#[test]
fn all_that_is_sent_comes_back_and_nobody_sleeps_on_it() {
    for seed in 0..40 {
        for (kind, settings) in kinds(seed).into_iter().enumerate() {
            let mut bed = Bed::new(seed, settings);
            bed.connect(&[address(1)]).unwrap();
            let bytes = pattern(20_000);
            for part in bytes.chunks(100 + seed as usize * 997) {
                bed.exchange(part).unwrap();
            }
            assert!(bed.received.bytes == bytes, "seed {seed}, kind {kind}");
            let faults = bed.network.take_faults();
            assert!(faults.is_empty(), "seed {seed}, kind {kind}: {faults:?}");
        }
    }
}

#[test]
fn each_address_is_tried_in_turn() {
    let mut bed = Bed::perfect();
    bed.network.set_answer(ip(1), Answer::Refuses(SECOND));
    bed.network.set_answer(ip(2), Answer::Unreachable);
    bed.network.set_answer(ip(3), Answer::Accepts(2 * SECOND));
    bed.connect(&[address(1), address(2), address(3)]).unwrap();
    assert_eq!(bed.network.elapsed(), 3 * SECOND);
    assert_eq!(bed.echo.said(|said| said.accepted.clone()), [address(3)]);
}

#[test]
fn an_address_that_never_answers_has_its_share_of_the_time() {
    let mut bed = Bed::perfect();
    bed.network.set_answer(ip(1), Answer::Silent);
    bed.network.set_answer(ip(2), Answer::Silent);
    bed.connect(&[address(1), address(2), address(3)]).unwrap();
    assert_eq!(bed.network.elapsed(), 20 * SECOND);
}

#[test]
fn where_no_address_answers_all_are_named() {
    let mut bed = Bed::perfect();
    bed.network.refuse_connections(true);
    let error = bed.connect(&[address(1), address(2)]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("10.9.8.1:5672") && text.contains("10.9.8.2:5672"),
        "{text}"
    );
    let error = bed.connect(&[]).unwrap_err().to_string();
    assert!(error.contains("no address"), "{error}");
}

#[test]
fn what_the_peer_sent_before_its_end_comes_before_the_end() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.echo.said(|said| {
        said.out.entry(1).or_default().extend(b"the rest");
        said.is_done = true;
    });
    let error = loop {
        if let Err(error) = bed.turn() {
            break error;
        }
    };
    assert!(matches!(error, Disconnect::Eof), "{error}");
    assert_eq!(bed.received.bytes, b"the rest");
    assert_eq!(bed.echo.said(|said| said.gone.clone()), [1]);
}

#[test]
fn a_cut_comes_after_as_many_bytes_as_were_to_pass() {
    for passes in [0, 1, 7, 99] {
        for direction in [Direction::ToPeer, Direction::ToClient, Direction::Either] {
            let mut bed = Bed::perfect();
            bed.connect(&[address(1)]).unwrap();
            bed.exchange(b"before").unwrap();
            bed.network.cut_after(bed.link(), direction, passes);
            bed.exchange(&pattern(100)).unwrap_err();
            let heard = bed.echo.said(|said| said.heard[&1].len()) - 6;
            let received = bed.received.bytes.len() - 6;
            let expected = match direction {
                Direction::ToClient => (100, passes),
                _ => (passes, 0),
            };
            assert_eq!((heard, received), expected, "{direction:?}");
            assert_eq!(bed.echo.said(|said| said.gone.clone()), [1]);
            assert_eq!(bed.network.take_faults(), [""; 0]);
        }
    }
}

#[test]
fn a_peer_that_does_not_read_fills_the_socket_and_its_reading_makes_room() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.echo.said(|said| said.is_deaf = true);
    let bytes = pattern(1_000_000);
    bed.out.extend_from_slice(&bytes);
    let echo = bed.echo.clone();
    bed.network
        .schedule(SECOND, move || echo.said(|said| said.is_deaf = false));
    while bed.received.bytes.len() < bytes.len() {
        bed.turn().unwrap();
    }
    assert!(bed.received.bytes == bytes);
    assert_eq!(bed.network.elapsed(), SECOND);
    assert_eq!(bed.network.take_faults(), [""; 0]);
}

#[test]
fn a_slow_network_takes_its_time() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.network.slow(bed.link(), Some(1000));
    bed.network.delay(bed.link(), SECOND);
    bed.exchange(&pattern(5000)).unwrap();
    // There, and back again.
    assert_eq!(bed.network.elapsed(), 2 * (5 * SECOND + SECOND));
}

#[test]
fn a_host_that_vanishes_is_found_by_the_system_in_the_end() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.network.silence(bed.link());
    let error = bed.exchange(b"hello").unwrap_err();
    assert!(matches!(error, Disconnect::Io(_)), "{error}");
    assert!(bed.network.elapsed() > 900 * SECOND);
}
