//! The clock, names, and what is to happen later.

use std::io;

use super::*;

/// What comes of looking a name up, and how long it took.
fn look_up(network: &Network, name: &str) -> (io::Result<Vec<SocketAddr>>, Duration) {
    let world = World::Memory(network.clone());
    let mut poller = world.poller().unwrap();
    let waker = poller.waker().unwrap();
    let start = network.now();
    let lookup = world.look_up(name, 7, Some(waker)).unwrap();
    let answer = loop {
        match lookup.poll() {
            Some(answer) => break answer,
            None => match poller.poll(None, crate::net::Belief::default()) {
                Ok(_) => {}
                Err(error) => break Err(error),
            },
        }
    };
    (answer, network.now() - start)
}

#[test]
fn a_name_has_its_addresses_at_its_own_time_or_never() {
    let bed = Bed::perfect();
    let network = &bed.network;
    let (addresses, time) = look_up(network, "10.1.2.3");
    assert_eq!(addresses.unwrap(), [SocketAddr::from(([10, 1, 2, 3], 7))]);
    assert_eq!(time, Duration::ZERO);
    network.set_name("late", Name::Has(vec![ip(1), ip(2)], 3 * SECOND));
    let (addresses, time) = look_up(network, "late");
    assert_eq!((addresses.unwrap().len(), time), (2, 3 * SECOND));
    network.set_name("nobody", Name::Unknown(SECOND));
    assert!(look_up(network, "nobody").0.is_err());
    network.set_name("silent", Name::Silent);
    let error = look_up(network, "silent").0.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Deadlock);
    // Two names that nobody has spoken of are two hosts.
    let (one, two) = (look_up(network, "one").0, look_up(network, "two").0);
    assert_ne!(one.unwrap(), two.unwrap());
}

#[test]
fn the_clock_jumps_to_what_happens_next_and_stands_still_otherwise() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    let world = World::Memory(bed.network.clone());
    for seconds in [5, 3] {
        let mut poller = world.poller().unwrap();
        let waker = poller.waker().unwrap();
        bed.network
            .schedule(seconds * SECOND, move || waker.wake().unwrap());
        let before = bed.network.now();
        poller.poll(None, crate::net::Belief::default()).unwrap();
        assert_eq!(bed.network.now() - before, seconds * SECOND);
    }
    let before = bed.network.elapsed();
    bed.reactor
        .poll(Some(bed.network.now() + 7 * SECOND))
        .unwrap();
    assert_eq!(bed.network.elapsed(), before + 7 * SECOND);
}

#[test]
fn time_that_passes_brings_what_was_to_happen_in_its_order() {
    let bed = Bed::perfect();
    let times = Arc::new(Mutex::new(Vec::new()));
    for seconds in [3, 1, 2, 9] {
        let (times, network) = (times.clone(), bed.network.clone());
        bed.network.schedule(seconds * SECOND, move || {
            times.lock().unwrap().push(network.elapsed().as_secs());
        });
    }
    bed.network.advance(5 * SECOND);
    assert_eq!(*times.lock().unwrap(), [1, 2, 3]);
    assert_eq!(bed.network.elapsed(), 5 * SECOND);
}

#[test]
fn a_keeper_beats_while_the_client_is_elsewhere() {
    let mut bed = Bed::perfect();
    bed.connect(&[address(1)]).unwrap();
    bed.reactor.keep(10 * SECOND, true).unwrap();
    bed.network.advance(45 * SECOND);
    assert_eq!(bed.echo.said(|said| said.heard[&1].len()), 4 * 8);
    bed.reactor.drop_socket();
    bed.network.advance(45 * SECOND);
    assert_eq!(bed.echo.said(|said| said.heard[&1].len()), 4 * 8);
    assert_eq!(bed.echo.said(|said| said.gone.clone()), [1]);
}

#[test]
fn the_same_seed_is_the_same_network() {
    let run = |seed| {
        let settings = Settings {
            latency: Duration::ZERO..=SECOND,
            capacity: 3000,
            pieces: 2,
            short: 2,
            would_block: 3,
            spurious: 3,
            ..Settings::perfect()
        };
        let mut bed = Bed::new(seed, settings);
        bed.connect(&[address(1)]).unwrap();
        bed.exchange(&pattern(20_000)).unwrap();
        bed.network.elapsed()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
