//! What every test needs, in memory: see `tests/broker/support.rs`. Each test has a thread of its own, and so brokers of its
//! own.

#[path = "../broker/session.rs"]
mod session;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use puka::testing;
use puka::testing::conformance::{self, Setup};
use puka::{Client, ClientOptions, Message};

pub(crate) use session::{LIMIT, MOMENT, Session, version};

/// Which RabbitMQ the tests run on.
pub(crate) fn is_rabbitmq_3() -> bool {
    std::env::var("PUKA_RABBITMQ").is_ok_and(|version| version == "3")
}

/// Whether clients have sockets, which the system knows of.
pub(crate) const HAS_SOCKETS: bool = false;

/// Whether what a test has declared is there when it is over.
const LEAVES_NAMES: bool = false;

thread_local! {
    /// The test's brokers, by host and port. The one that all would share is "localhost".
    static BROKERS: RefCell<BTreeMap<String, testing::Broker>> = RefCell::default();
    /// The one that was started last: its time is the test's, and who is nobody is nobody there.
    static CURRENT: RefCell<Option<testing::Broker>> = RefCell::default();
    static NEXT: Cell<u32> = const { Cell::new(1) };
}

fn number() -> u32 {
    NEXT.replace(NEXT.get() + 1)
}

/// Starts one that is known by that name.
fn start(host: &str, conf: &[&str]) -> testing::Broker {
    let broker = conformance::broker(setup(conf));
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for address in loopback {
        conformance::refuse(&broker, address);
    }
    conformance::forget(&broker, "no-such-host.invalid");
    BROKERS.with_borrow_mut(|brokers| brokers.insert(host.into(), broker.clone()));
    CURRENT.set(Some(broker.clone()));
    broker
}

/// What the lines of a `rabbitmq.conf` say.
fn setup(conf: &[&str]) -> Setup {
    let seed = std::env::var("PUKA_SEED");
    let mut setup = Setup {
        seed: seed.map_or(0, |seed| seed.parse().expect("a number")),
        is_old: is_rabbitmq_3(),
        ..Setup::default()
    };
    for line in conf {
        let (key, value) = line.split_once(" = ").expect("a key and a value");
        match key {
            "max_message_size" => setup.max_message_size = Some(value.parse().expect("a number")),
            "channel_max" => setup.channel_max = value.parse().expect("a number"),
            "auth_mechanisms.1" => setup.mechanisms = value.into(),
            _ => panic!("puka::testing has no {key}"),
        }
    }
    setup
}

fn current() -> testing::Broker {
    match CURRENT.with_borrow(Clone::clone) {
        Some(broker) => broker,
        None => start("localhost", &[]),
    }
}

/// The broker that all tests would share.
fn shared() -> testing::Broker {
    let known = BROKERS.with_borrow(|brokers| brokers.get("localhost").cloned());
    known.unwrap_or_else(|| start("localhost", &[]))
}

pub(crate) fn url() -> String {
    shared();
    "amqp://localhost/".into()
}

pub(crate) fn new_client(url: &str) -> puka::Result<Client> {
    new_client_with(url, ClientOptions::new())
}

pub(crate) fn new_client_with(url: &str, options: ClientOptions) -> puka::Result<Client> {
    if url.starts_with("amqps:") {
        return Client::with_options(url, options);
    }
    let after_login = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let host = after_login.trim_start_matches("amqp://");
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let known = BROKERS.with_borrow(|brokers| brokers.get(host).cloned());
    let broker = known.unwrap_or_else(current);
    broker.client_with_url(url, options)
}

/// The clients' time.
pub(crate) fn now() -> Instant {
    current().now()
}

/// Computes for that long: no call of the client's.
pub(crate) fn crunch(time: Duration) {
    current().advance(time);
}

/// Ends the connection under a client that does not look.
pub(crate) fn cut(client: &Client) {
    conformance::cut(&current(), client);
}

/// Host and port where nobody listens.
pub(crate) fn nobody() -> String {
    format!("127.0.0.1:{}", number())
}

/// A name that no other test has.
pub(crate) fn unique(what: &str) -> String {
    format!("puka-{what}-{}", number())
}

/// Somebody who lets clients connect, and says nothing.
pub(crate) struct Silent {
    pub(crate) url: String,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let broker = Broker::start(&[]);
        broker.pause();
        Self {
            url: broker.url.clone(),
        }
    }
}

/// A server elsewhere: it replies to so many requests with the body doubled.
pub(crate) struct Server(Arc<AtomicUsize>);

impl Server {
    pub(crate) fn new(queue: &str, requests: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(requests));
        serve(&shared(), queue.into(), left.clone());
        Self(left)
    }

    /// It has replied to all.
    pub(crate) fn join(self) {
        assert_eq!(self.0.load(Ordering::Relaxed), 0);
    }
}

fn serve(broker: &testing::Broker, queue: String, left: Arc<AtomicUsize>) {
    if left.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(request) = broker.take(&queue).unwrap() {
        let properties = &request.properties;
        let reply = Message::new(request.body_str().repeat(2))
            .correlation_id(properties.correlation_id().unwrap());
        broker
            .publish("", properties.reply_to().unwrap(), reply)
            .unwrap();
        left.fetch_sub(1, Ordering::Relaxed);
    }
    broker.after(Duration::from_millis(1), move |broker| {
        serve(broker, queue, left)
    });
}

/// A broker of a test's own.
pub(crate) struct Broker {
    pub(crate) url: String,
    host: String,
    broker: testing::Broker,
}

impl Broker {
    pub(crate) fn start(conf: &[&str]) -> Self {
        let host = format!("broker-{}:5672", number());
        Self {
            url: format!("amqp://{host}/"),
            broker: start(&host, conf),
            host,
        }
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// As an operator would, with a text for everybody.
    pub(crate) fn close_connections(&self) {
        self.broker.close_connections(320);
    }

    pub(crate) fn raise_alarm(&self) {
        self.broker.block("low on memory");
    }

    pub(crate) fn clear_alarm(&self) {
        self.broker.unblock();
    }

    pub(crate) fn add_user(&self, name: &str, password: &str) {
        self.broker.add_user(name, password);
    }

    /// What a user may configure, write and read in the virtual host "/".
    pub(crate) fn set_permissions(&self, user: &str, [configure, write, read]: [&str; 3]) {
        self.broker
            .set_permissions(user, configure, write, read)
            .unwrap();
    }

    /// All that it has is where it belongs.
    pub(crate) fn sync(&self) {}

    pub(crate) fn kill(&self) {
        self.broker.stop();
    }

    pub(crate) fn restart(&self) {
        self.broker.restart();
        self.broker.start();
    }

    pub(crate) fn pause(&self) {
        self.broker.pause();
    }

    pub(crate) fn resume(&self) {
        self.broker.resume();
    }
}

/// Stands between a client and its broker, and may keep the broker's words to itself.
pub(crate) struct Between {
    pub(crate) url: String,
    broker: testing::Broker,
    address: IpAddr,
}

impl Between {
    /// Before the broker that all tests share.
    pub(crate) fn shared() -> Self {
        let number = number();
        let host = format!("between-{number}");
        let address = Ipv4Addr::from(0xC0A8_0000 + number).into();
        let broker = shared();
        conformance::set_address(&broker, &host, address);
        BROKERS.with_borrow_mut(|brokers| brokers.insert(host.clone(), broker.clone()));
        Self {
            url: format!("amqp://{host}/"),
            broker,
            address,
        }
    }

    /// From now on the client hears nothing.
    pub(crate) fn mute(&self) {
        conformance::deafen(&self.broker, self.address);
    }

    /// The client loses its connection, and the broker hears of that some time later.
    pub(crate) fn split(&self, time: Duration) {
        conformance::split(&self.broker, self.address, time);
    }

    /// Cuts all connections; new ones are whole.
    pub(crate) fn cut(&self) {
        conformance::cut_all(&self.broker, self.address);
    }
}
