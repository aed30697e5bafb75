//! The protocol alone, from before whole programs (`../main.rs`) could be in simulation. A whole client's life, from one
//! number: a random program's calls, a model of a broker, and a network that splits, delays and cuts at every byte, with
//! the time turned by hand. It is part of the unit tests, for the connection that it drives is not public; sockets, polls
//! and callbacks are not in it.
//!
//! What must hold, at every step:
//!
//! - a promise has one result, and a consumer its deliveries in order, none left out, and then one end;
//! - a publish that succeeded is with the broker, once unless a connection was lost; one that was not sent never is;
//! - one that was refused is in no queue and never was, and it is the one that was refused;
//! - nothing goes to a queue of a name that the broker has made and that has gone, nor asks for replies there;
//! - an AMQP error fails the call that caused it, and no other; with recovery, so does one that ends the connection;
//! - a consumer that is alive is one for the broker, too, and what it was bound to is bound;
//! - all that is written are whole frames, not too large, on channels that are open, for consumers that are there;
//! - what the broker is told of a delivery is what the program said of it;
//! - of a consumer that is cancelled nothing stays locked but what the program has read, and for that only its channel;
//! - nothing hangs: when all is delivered and all timers have run, every promise is settled; and when the connection is
//!   over, nothing is left in any table of it.
//!
//! `cargo test simulator` tries a few hundred seeds. `PUKA_SEED=7 cargo test simulator` tries that one and tells what
//! happens; `PUKA_SEEDS=100000 cargo test --release simulator` tries many, `PUKA_FIRST_SEED` on.

mod broker;
mod program;
mod rng;

use std::collections::VecDeque;
use std::io::{IoSlice, Read};
use std::time::{Duration, Instant};

use crate::ClientOptions;
use crate::connection::{Config, Connection, Event, Login, SLICES};
use crate::types::client_options::AuthMechanism;
use crate::types::error::{Disconnect, Error};
use crate::types::ids::PromiseNumber;
use crate::types::recovery::Recovery;
use broker::{Broker, Limits};
use program::Program;
use rng::Rng;

/// Seeds that once showed a fault.
const ONCE_BROKEN: &[u64] = &[
    // What was given up while the broker was blocked was forgotten before the broker had answered it: its return ended
    // the connection, and its refusal was blamed on others.
    189, 347,
];

/// How many bytes a connection may ask for at once: its read buffer, and a body's first piece.
const READ_MAX: usize = (64 + 1024) * 1024;

fn body_of(id: u64, len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|index| (id.wrapping_mul(31).wrapping_add(index)) as u8)
        .collect()
}

/// What came of a seed.
#[derive(Debug, Default)]
struct Report {
    steps: u64,
    frames: u64,
    publishes: u64,
    deliveries: u64,
    losses: u64,
}

struct Simulation {
    rng: Rng,
    now: Instant,
    connection: Connection,
    program: Program,
    broker: Broker,
    /// Bytes on their way.
    to_broker: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// Whether there is a socket, to the client's knowledge.
    is_linked: bool,
    recovers: bool,
    losses: u64,
    closes: bool,
    tells: bool,
}

impl Simulation {
    fn new(seed: u64, tells: bool) -> Self {
        let mut rng = Rng::new(seed);
        let limits = Limits {
            channel_max: if rng.percent(50) {
                3 + rng.below(10) as u16
            } else {
                2047
            },
            frame_max: if rng.percent(50) {
                4096
            } else {
                4096 + rng.below(130_000) as u32
            },
            heartbeat: if rng.percent(30) { 10 } else { 0 },
        };
        let recovers = rng.percent(50);
        let mut options = ClientOptions::new().resend_after_refusal(rng.percent(80));
        if recovers {
            options = options.recovery(Recovery::new());
        }
        if rng.percent(30) {
            options = options.heartbeat(10);
        }
        if rng.percent(20) {
            options = options.blocked_timeout(Duration::from_secs(20));
        }
        // Then what is on its way to a consumer that is replaced is too much for its gate.
        let has_low_mark = rng.percent(20);
        if has_low_mark {
            options = options.unread_high_water_mark(rng.below(1500));
        }
        let now = crate::net::clock::now();
        let config = Config {
            login: Login {
                mechanisms: vec![AuthMechanism::Plain],
                username: "guest".into(),
                password: "guest".into(),
                vhost: "/".into(),
            },
            recovers,
            options,
            client: 7,
            epoch: 1,
            now,
        };
        let mut broker = Broker::new(limits);
        for queue in program::QUEUES {
            if rng.percent(60) {
                broker.add_queue(queue);
                for _ in 0..rng.below(12) {
                    broker.store(&mut rng, queue);
                }
            }
        }
        for &exchange in broker::EXCHANGES {
            if rng.percent(70) {
                broker.add_exchange(exchange, "fanout");
            }
        }
        broker.add_queue(broker::MOODY);
        broker.connect();
        let mut connection = Connection::new(PromiseNumber(1), config);
        if rng.percent(60) {
            connection.limit_return_work(rng.below(8));
        }
        Self {
            connection,
            program: Program::new(limits.channel_max < 2047, has_low_mark, recovers),
            rng,
            now,
            broker,
            to_broker: VecDeque::new(),
            to_client: VecDeque::new(),
            is_linked: true,
            recovers,
            losses: 0,
            closes: false,
            tells,
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            eprintln!("{}", what());
        }
    }

    fn run(mut self) -> Report {
        let most = 100 + self.rng.below(900) as u64;
        let mut steps = 0;
        for _ in 0..most {
            if self.connection.is_over() {
                break;
            }
            self.step();
            steps += 1;
        }
        self.settle_down();
        self.program.check_settled();
        self.broker.check_settled();
        self.program.check_locks(&self.broker, &self.connection);
        self.connection.check_gates();
        self.program.check_alive(&self.broker, &self.connection);
        if !self.connection.is_over() {
            self.close();
            self.settle_down();
        }
        assert!(self.connection.is_over(), "closed, and yet not over");
        self.program
            .check_over(&self.broker, self.losses > 0, self.recovers);
        let left = self.connection.leftovers();
        assert!(left.is_empty(), "left in the connection: {left:?}");
        Report {
            steps,
            frames: self.broker.frames,
            publishes: self.program.publishes,
            deliveries: self.program.deliveries,
            losses: self.losses,
        }
    }

    /// Whatever is under way then.
    fn close(&mut self) {
        self.closes = true;
        self.program.close(&mut self.connection);
        self.collect();
        self.see_to_the_end();
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..30 => {
                let told = self.program.act(
                    &mut self.connection,
                    &mut self.broker,
                    &mut self.rng,
                    self.now,
                );
                self.tell(|| told);
                self.collect();
                self.see_to_the_end();
            }
            30..45 => {
                let most = self.some_bytes();
                self.write(most);
            }
            45..60 => {
                let most = self.some_bytes();
                self.feed_broker(most);
            }
            60..72 => {
                for _ in 0..=self.rng.below(4) {
                    match self.rng.below(4) {
                        0 => self.broker.deliver(&mut self.rng),
                        1 => self.broker.confirm(&mut self.rng),
                        _ => self.broker.work(&mut self.rng),
                    };
                }
            }
            72..82 => {
                for _ in 0..=self.rng.below(8) {
                    if let Some(frame) = self.broker.flush(&mut self.rng) {
                        self.to_client.extend(frame);
                    }
                }
            }
            82..94 => {
                let most = self.some_bytes();
                self.read(most);
            }
            94..97 => self.pass(),
            97 => {
                let queue = self.rng.pick(program::QUEUES);
                self.broker.interfere(&mut self.rng, queue);
            }
            98 if self.rng.percent(15) => {
                self.tell(|| "the network is cut".into());
                self.cut();
            }
            98 if self.rng.percent(5) => {
                self.tell(|| "an operator closes the connection".into());
                self.broker.force();
            }
            98 if self.rng.percent(5) => {
                self.tell(|| "the program closes the connection".into());
                self.close();
            }
            _ => self.dial(),
        }
    }

    fn some_bytes(&mut self) -> usize {
        match self.rng.below(4) {
            0 => 1 + self.rng.below(8),
            1 => 1 + self.rng.below(200),
            2 => 1 + self.rng.below(10_000),
            _ => usize::MAX,
        }
    }

    /// The socket takes some bytes.
    fn write(&mut self, most: usize) -> bool {
        let mut left = most;
        let mut any = false;
        while self.is_linked && left > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.connection.out.slices(&mut slices);
            let mut written = 0;
            for slice in &slices[..used] {
                let taken = left.min(slice.len());
                self.to_broker.extend(&slice[..taken]);
                left -= taken;
                written += taken;
            }
            if written == 0 {
                break;
            }
            any = true;
            self.connection.handle_written(written, self.now);
        }
        any
    }

    fn feed_broker(&mut self, most: usize) -> bool {
        let count = most.min(self.to_broker.len());
        let bytes: Vec<u8> = self.to_broker.drain(..count).collect();
        self.broker.feed(&bytes);
        count > 0
    }

    /// The client reads some bytes; or the end behind them.
    fn read(&mut self, most: usize) -> bool {
        if !self.is_linked {
            return false;
        }
        let count = most.min(self.to_client.len());
        let bytes: Vec<u8> = self.to_client.drain(..count).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() && !self.connection.is_done() {
            let mut filled = 0;
            let mut offered = 0;
            for space in self.connection.read_space() {
                offered += space.len();
                filled += rest.read(space).expect("bytes");
            }
            assert!((1..=READ_MAX).contains(&offered), "{offered} bytes of room");
            self.connection.handle_read(filled, self.now);
            self.collect();
        }
        if self.to_client.is_empty() && self.broker.is_closed() && !self.connection.is_done() {
            self.connection.disconnected(Disconnect::Eof);
            self.collect();
        }
        self.see_to_the_end();
        count > 0
    }

    /// What the client does with its socket when it has done with it.
    fn see_to_the_end(&mut self) {
        if self.is_linked && self.connection.is_done() {
            // The last frames get out, or not.
            if self.rng.percent(70) {
                self.write(usize::MAX);
            }
            self.unlink();
        }
    }

    /// Both lose the socket; some of what was on its way may have come through.
    fn unlink(&mut self) {
        let through = self.rng.below(self.to_broker.len() + 1);
        self.feed_broker(through);
        while self.rng.percent(80) && self.broker.work(&mut self.rng) {}
        self.broker.disconnect();
        self.to_broker.clear();
        self.to_client.clear();
        self.is_linked = false;
        self.losses += u64::from(!self.closes);
    }

    fn cut(&mut self) {
        if !self.is_linked {
            return;
        }
        let through = self.rng.below(self.to_client.len() + 1);
        self.read(through);
        if !self.connection.is_done() {
            self.connection.disconnected(Disconnect::Eof);
            self.collect();
        }
        if self.is_linked {
            self.unlink();
        }
    }

    /// The client has another socket, if it wants one.
    fn dial(&mut self) {
        if self.is_linked || !self.connection.is_suspended() {
            return;
        }
        if self.rng.percent(5) {
            let is_neutral = |error: &Error| error.reply().is_none_or(|reply| reply.code == 320);
            let error = self.connection.take_failure().filter(is_neutral);
            let error = error.unwrap_or(Error::Closed);
            self.connection.end(&error);
            self.collect();
            return;
        }
        self.tell(|| "another socket".into());
        if self.rng.percent(30) {
            self.broker.differ(&mut self.rng);
        }
        self.broker.connect();
        self.connection.restart();
        self.is_linked = true;
        self.collect();
    }

    /// Some time passes.
    fn pass(&mut self) {
        let millis = self.rng.below(9_000) as u64;
        self.pass_until(self.now + Duration::from_millis(millis));
    }

    /// Time passes, and the timers run.
    fn pass_until(&mut self, now: Instant) {
        self.now = now;
        self.broker.heartbeat();
        for round in 0.. {
            assert!(round < 100, "a timer is due for ever");
            let due = self.connection.poll_timeout();
            if due.is_none_or(|at| at > self.now) {
                break;
            }
            self.connection.handle_timeout(self.now);
            self.collect();
        }
        self.see_to_the_end();
    }

    /// Everything under way arrives, and all is done that is to be done.
    fn settle_down(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it does not come to rest");
            let mut busy = self.write(usize::MAX);
            busy |= self.feed_broker(usize::MAX);
            self.broker.set_blocked(false);
            while self.broker.work(&mut self.rng) {
                busy = true;
            }
            while let Some(frame) = self.broker.flush(&mut self.rng) {
                self.to_client.extend(frame);
            }
            busy |= self.read(usize::MAX);
            self.see_to_the_end();
            if !self.is_linked && self.connection.is_suspended() {
                self.dial();
                busy = true;
            }
            // What waits for a time, once nothing else happens.
            let waits =
                self.program.waits(&self.connection) || self.connection.next_round().is_some();
            if !busy && waits {
                let Some(at) = self.connection.poll_timeout() else {
                    return;
                };
                self.pass_until(self.now.max(at));
                busy = true;
            }
            // Nodes come back: in the end, or when that has taken a while.
            let is_time = !busy || round % 500 == 499;
            let healed = is_time && self.broker.heal();
            if !busy && !healed {
                return;
            }
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.tell(|| format!("    {event:?}"));
            match event {
                Event::Resolved(PromiseNumber(promise), result) => {
                    self.program.settled(promise, result, &mut self.broker);
                }
                Event::Published {
                    first: PromiseNumber(first),
                    last: PromiseNumber(last),
                } => {
                    for promise in first..=last {
                        let published = Ok(crate::types::results::Outcome::Published);
                        self.program.settled(promise, published, &mut self.broker);
                    }
                }
                Event::Delivery(PromiseNumber(promise), delivery) => {
                    self.program.delivered(promise, *delivery, &self.broker);
                }
                Event::Stale(PromiseNumber(consumer)) => self.program.forget_unread(consumer),
                Event::Unread {
                    consumer: PromiseNumber(consumer),
                    channel,
                    gone,
                } => {
                    let unread = self.program.give_back(consumer, &gone);
                    self.connection.give_back(channel, &unread);
                }
                Event::Notice(_) => {}
            }
        }
    }
}

fn try_seed(seed: u64, tells: bool) -> Report {
    let tried = std::panic::catch_unwind(|| Simulation::new(seed, tells).run());
    tried.unwrap_or_else(|panic| {
        eprintln!("seed {seed} fails: PUKA_SEED={seed} cargo test --lib simulator -- --nocapture");
        std::panic::resume_unwind(panic)
    })
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
    )
}

#[test]
fn whatever_the_program_does_and_the_network() {
    if let Some(seed) = number("PUKA_SEED") {
        println!("{:?}", try_seed(seed, true));
        return;
    }
    let first = number("PUKA_FIRST_SEED").unwrap_or(0);
    let mut sum = Report::default();
    for seed in first..first + number("PUKA_SEEDS").unwrap_or(300) {
        let Report {
            steps,
            frames,
            publishes,
            deliveries,
            losses,
        } = try_seed(seed, false);
        sum.steps += steps;
        sum.frames += frames;
        sum.publishes += publishes;
        sum.deliveries += deliveries;
        sum.losses += losses;
    }
    println!("{sum:?}");
    // It is no use if nothing happens.
    assert!(sum.publishes > 1000 && sum.deliveries > 100 && sum.losses > 10);
}

#[test]
fn what_once_failed() {
    for &seed in ONCE_BROKEN {
        try_seed(seed, false);
    }
}
