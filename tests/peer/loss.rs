//! Connections that are lost, at every byte of what the peer says.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use puka::{Client, ClientOptions, Error, Recovery, Result};

use crate::support::{assert_usable, client_in_trouble, client_of, result, result_of};
use crate::wire::peer::{End, LIMIT, listen, serve_well};
use crate::wire::{close, usual_login};

/// What came of each call of a short program.
type Outcomes = Vec<(&'static str, Result<()>)>;

fn one_after_another(client: &mut Client) -> Outcomes {
    let connected = result_of(client, Client::connect).map(drop);
    let declared = result_of(client, |client| client.queue_declare("work")).map(drop);
    let published = result_of(client, |client| client.basic_publish("", "work", "hello"));
    let outcomes = vec![
        ("connect", connected),
        ("declare", declared),
        ("publish", published),
    ];
    consume_and_close(client, outcomes)
}

fn all_at_once(client: &mut Client) -> Outcomes {
    let connect = client.connect();
    let declare = client.queue_declare("work");
    let publish = client.basic_publish("", "work", "hello");
    let outcomes = vec![
        ("connect", result(client, connect).map(drop)),
        ("declare", result(client, declare).map(drop)),
        ("publish", result(client, publish)),
    ];
    consume_and_close(client, outcomes)
}

fn consume_and_close(client: &mut Client, mut outcomes: Outcomes) -> Outcomes {
    let consumer = client.basic_consume("work");
    match result(client, consumer) {
        Ok(delivery) => {
            assert_eq!(delivery.body, "hello");
            outcomes.push(("consume", Ok(())));
            outcomes.push(("ack", client.basic_ack(delivery)));
        }
        Err(error) => outcomes.push(("consume", Err(error))),
    }
    outcomes.push(("close", result_of(client, Client::close)));
    outcomes
}

/// Those calls that succeeded, but not `ack`: whether that came before the loss is a matter of luck.
fn successes(outcomes: &Outcomes) -> Vec<&'static str> {
    let succeeded = outcomes.iter().filter(|(_, result)| result.is_ok());
    let names = succeeded.map(|(name, _)| *name);
    names.filter(|name| *name != "ack").collect()
}

const ALL: [&str; 5] = ["connect", "declare", "publish", "consume", "close"];

type Program = fn(&mut Client) -> Outcomes;

const PROGRAMS: [(&str, Program); 2] = [
    ("one after another", one_after_another),
    ("all at once", all_at_once),
];

/// How many bytes the peer says in an undisturbed session.
fn length(program: Program) -> usize {
    let (sender, said) = channel();
    let mut client = client_of(ClientOptions::new(), move |mut peer| {
        peer.accept();
        peer.serve();
        sender.send(peer.said()).unwrap();
        peer.end(End::Silence);
    });
    let outcomes = program(&mut client);
    assert_eq!(successes(&outcomes), ALL, "{outcomes:?}");
    said.recv_timeout(LIMIT).unwrap()
}

/// A peer whose next connection is cut off where it is told to; all others are well.
struct Cutter {
    url: String,
    next: Arc<Mutex<Option<(usize, End)>>>,
}

impl Cutter {
    fn new() -> Self {
        let next = Arc::new(Mutex::new(None));
        let here = next.clone();
        let address = listen(move |peer| {
            let next = here.lock().unwrap().take();
            let Some((count, end)) = next else {
                return serve_well(peer);
            };
            let mut peer = peer.that_says(count);
            if peer.accept().is_some() {
                peer.serve();
            }
            peer.end(end);
        });
        Self {
            url: format!("amqp://{address}/"),
            next,
        }
    }

    /// A client whose first connection is cut off after so many bytes: promises have the same numbers in each session,
    /// and so the peer's words the same length.
    fn client(&self, options: &ClientOptions, count: usize, end: End) -> Client {
        *self.next.lock().unwrap() = Some((count, end));
        Client::with_options(&self.url, options.clone()).unwrap()
    }
}

#[test]
fn a_session_may_be_lost_at_every_byte_and_the_client_connects_again() {
    let cutter = Cutter::new();
    for (name, program) in PROGRAMS {
        let length = length(program);
        for end in [End::Eof, End::Reset] {
            let mut last = Vec::new();
            for count in 0..=length {
                let case = format!("{name}, {end:?} after {count} of {length} bytes");
                let mut client = cutter.client(&ClientOptions::new(), count, end);
                let outcomes = program(&mut client);
                for (_, result) in &outcomes {
                    let is_well = match result.as_ref().map_err(Error::cause) {
                        Ok(()) => true,
                        Err(Error::ConnectionBroken(_) | Error::NotConnected) => true,
                        Err(_) => false,
                    };
                    assert!(is_well, "{case}: {outcomes:?}");
                }
                // What was said before the end has come.
                let now = successes(&outcomes);
                assert!(now.starts_with(&last), "{case}: {outcomes:?}");
                last = now;
                assert_usable(&mut client, &case);
            }
            assert_eq!(last, ALL, "{name}, {end:?}");
        }
    }
}

#[test]
fn with_recovery_a_session_may_be_lost_at_every_byte_and_succeeds() {
    let handshake: usize = usual_login().iter().map(Vec::len).sum();
    let options = ClientOptions::new().recovery(Recovery::new());
    let cutter = Cutter::new();
    for (name, program) in PROGRAMS {
        let length = length(program);
        for end in [End::Eof, End::Reset] {
            for count in handshake..length {
                let case = format!("{name}, {end:?} after {count} of {length} bytes");
                let mut client = cutter.client(&options, count, end);
                let outcomes = program(&mut client);
                for (call, result) in &outcomes {
                    let is_well = match result {
                        Ok(()) => true,
                        // It is closed either way.
                        Err(Error::ConnectionBroken(_)) => *call == "close",
                        Err(_) => false,
                    };
                    assert!(is_well, "{case}: {outcomes:?}");
                }
                assert_usable(&mut client, &case);
            }
        }
    }
}

#[test]
fn the_peers_last_words_are_heard_also_where_a_write_fails_first() {
    for recovery in [None, Some(Recovery::new())] {
        let (sender, gone) = channel();
        let options = ClientOptions::new().recovery(recovery.clone());
        let mut client = client_in_trouble(options, move |mut peer| {
            peer.accept();
            peer.serve();
            peer.say(&close(0, 320, b"CONNECTION_FORCED - shutdown"));
            peer.end(End::Reset);
            sender.send(()).unwrap();
        });
        result_of(&mut client, Client::connect).unwrap();
        let purge = client.queue_purge("a");
        client.on_write();
        gone.recv_timeout(LIMIT).unwrap();
        let publish = client.basic_publish("", "a", "too late");
        let error = result(&mut client, purge).unwrap_err();
        assert!(matches!(error, Error::ConnectionForced(_)), "{error}");
        match result(&mut client, publish) {
            Ok(()) => {
                assert!(recovery.is_some());
                result_of(&mut client, Client::close).unwrap();
            }
            Err(error) => {
                let cause = error.cause();
                assert!(matches!(cause, Error::ConnectionForced(_)), "{error}");
                assert!(recovery.is_none());
            }
        }
        assert_usable(&mut client, "after a shutdown");
    }
}
