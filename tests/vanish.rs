//! A broker's host that vanishes without a word, as one whose cable is cut: a network namespace, whose link goes down.
//!
//! It takes the right to make namespaces, and `ip` (Debian's iproute2); where there is neither, the test says that it
//! proves nothing.

#![cfg(target_os = "linux")]

#[allow(
    dead_code,
    unused_imports,
    reason = "other test binaries need more of it"
)]
#[path = "broker/support.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Consume, Disconnect, Error, Message, Recovery};

use support::{LIMIT, unique};

/// What the outer test tells the inner one: the namespace of the broker, and the broker's port.
const INNER: &str = "PUKA_VANISH";

/// Addresses of the broker's host, on a link each.
const HOSTS: [&str; 2] = ["10.254.1.2", "10.254.2.2"];

fn ip(arguments: &str) -> bool {
    let run = Command::new("ip").args(arguments.split(' ')).output();
    run.is_ok_and(|output| output.status.success())
}

/// Two hosts with two links between them. Dropped, they are gone.
struct Namespaces {
    ours: String,
    brokers: String,
}

impl Namespaces {
    fn new() -> Option<Self> {
        let id = std::process::id();
        let both = Self {
            ours: format!("puka-a-{id}"),
            brokers: format!("puka-b-{id}"),
        };
        let Self { ours, brokers } = &both;
        let mut commands = vec![format!("netns add {ours}"), format!("netns add {brokers}")];
        for (namespace, address) in [(ours, 1), (brokers, 2)] {
            commands.push(format!("-n {namespace} link set lo up"));
            for link in [1, 2] {
                if address == 1 {
                    commands.push(format!(
                        "link add link{link} netns {ours} type veth peer name link{link} netns {brokers}"
                    ));
                }
                commands.push(format!(
                    "-n {namespace} addr add 10.254.{link}.{address}/24 dev link{link}"
                ));
            }
        }
        for namespace in [ours, brokers] {
            for link in [1, 2] {
                commands.push(format!("-n {namespace} link set link{link} up"));
            }
        }
        let failed = commands.iter().find(|command| !ip(command));
        if let Some(failed) = failed {
            println!("NOT PROVED: no vanishing host, for `ip {failed}` fails here");
            return None;
        }
        Some(both)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.ours));
        ip(&format!("netns del {}", self.brokers));
    }
}

/// A node in the broker's namespace.
struct Node {
    dir: String,
    port: String,
}

impl Node {
    fn start(namespace: &str) -> Self {
        let major = std::env::var("PUKA_RABBITMQ").unwrap_or("3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker");
        let output = Command::new("ip")
            .args(["netns", "exec", namespace, script, "start"])
            .args(["--rabbitmq", &major])
            .args(["--conf", "listeners.tcp.v4 = 0.0.0.0:{port}"])
            .args(["--conf", "loopback_users.guest = false"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("BROKER_DIR="));
        let dir = line.unwrap_or_else(|| panic!("{output:?}")).to_owned();
        let (_, port) = dir.rsplit_once('-').unwrap();
        Self {
            port: port.to_owned(),
            dir,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker");
        let _ = Command::new(script).args(["stop", &self.dir]).status();
    }
}

#[test]
fn a_host_that_vanishes_is_noticed() {
    if let Ok(inner) = std::env::var(INNER) {
        let (namespace, port) = inner.split_once(' ').unwrap();
        return from_inside(namespace, port);
    }
    if std::env::var("PUKA_RABBITMQ").is_ok_and(|version| version != "3") {
        return; // It is the systems that are tested here, and one broker is enough for them.
    }
    let Some(namespaces) = Namespaces::new() else {
        return;
    };
    let node = Node::start(&namespaces.brokers);
    let status = Command::new("ip")
        .args(["netns", "exec", &namespaces.ours])
        .arg(std::env::current_exe().unwrap())
        .args(["a_host_that_vanishes_is_noticed", "--exact", "--nocapture"])
        .env(INNER, format!("{} {}", namespaces.brokers, node.port))
        .status()
        .unwrap();
    assert!(status.success(), "see above");
}

/// What the program does when the host vanishes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Busy {
    Waiting,
    Writing,
    Computing,
}

/// The system remembers for a moment that a host was not there.
fn connected(url: &str, options: ClientOptions) -> Client {
    let until = Instant::now() + LIMIT;
    let mut client = Client::with_options(url, options).unwrap();
    while let Err(error) = client.connect().wait(&mut client) {
        assert!(Instant::now() < until, "{error}");
    }
    client
}

fn from_inside(namespace: &str, port: &str) {
    let set_link = |link: usize, state: &str| {
        assert!(ip(&format!("-n {namespace} link set link{link} {state}")));
    };
    let url = format!("amqp://{}:{port}/", HOSTS[0]);
    let heartbeat = (ClientOptions::new().heartbeat(2).tcp_timeout(None), 4);
    let system = (ClientOptions::new().tcp_timeout(Duration::from_secs(4)), 4);
    for (what, (options, promised)) in [("heartbeat", heartbeat), ("tcp_timeout", system)] {
        for busy in [Busy::Waiting, Busy::Writing, Busy::Computing] {
            let mut client = connected(&url, options.clone());
            let queue = unique("vanish");
            client.queue_declare(&queue).wait(&mut client).unwrap();
            let consumer = client.basic_consume(&queue);
            client
                .basic_publish("", &queue, "x")
                .wait(&mut client)
                .unwrap();
            client.wait(consumer).unwrap();
            set_link(1, "down");
            let begun = Instant::now();
            let error = match busy {
                Busy::Waiting => client.wait_timeout(consumer, LIMIT).unwrap_err(),
                Busy::Writing => {
                    let publish = client.basic_publish("", &queue, vec![0; 15_000_000]);
                    client.wait_timeout(publish, LIMIT).unwrap_err()
                }
                Busy::Computing => {
                    // Twice as long as was promised: the next call is told.
                    while begun.elapsed() < Duration::from_secs(2 * promised) {
                        std::hint::black_box(&queue);
                    }
                    client.wait_timeout(consumer, LIMIT).unwrap_err()
                }
            };
            println!(
                "{what}, {busy:?}: noticed after {:?}, {promised} s promised: {error}",
                begun.elapsed()
            );
            assert!(error.is_connection_broken(), "{error}");
            match error.cause() {
                Error::ConnectionBroken(Disconnect::BrokerSilent(_)) => {
                    assert_eq!(what, "heartbeat")
                }
                Error::ConnectionBroken(Disconnect::Io(_)) => {}
                error => panic!("{error}"),
            }
            set_link(1, "up");
        }
    }
    a_broker_that_blocks_is_missed_too(&url, namespace, port, &set_link);
    the_next_host_is_there(&url, port, &|| set_link(1, "down"));
}

/// In a memory alarm the broker's host takes no bytes, and answers the system's questions. Then it does not.
fn a_broker_that_blocks_is_missed_too(
    url: &str,
    namespace: &str,
    port: &str,
    set_link: &dyn Fn(usize, &str),
) {
    let alarm = |event: &str| {
        let dir = std::env::temp_dir().join(format!("puka-broker-{port}"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker");
        let expression = format!("gen_event:sync_notify(rabbit_alarm, {event}).");
        let status = Command::new("ip")
            .args(["netns", "exec", namespace, script, "eval"])
            .arg(dir)
            .arg(expression)
            .status()
            .unwrap();
        assert!(status.success());
    };
    let timeout = Duration::from_secs(2);
    let mut client = connected(url, ClientOptions::new().tcp_timeout(timeout));
    let queue = unique("vanish");
    client.queue_declare(&queue).wait(&mut client).unwrap();
    alarm("{set_alarm, {{resource_limit, memory, node()}, []}}");
    let publish = client.basic_publish("", &queue, vec![0; 15_000_000]);
    while client.blocked().is_none() {
        client.sleep(Duration::from_millis(10)).unwrap();
    }
    // The host is there, and that is seen.
    let blocked = client.wait_timeout(publish, 4 * timeout).unwrap();
    assert!(blocked.is_none());
    set_link(1, "down");
    let begun = Instant::now();
    let error = client.wait_timeout(publish, 2 * LIMIT).unwrap_err();
    println!("blocked: noticed after {:?}: {error}", begun.elapsed());
    assert!(error.is_connection_broken(), "{error}");
    set_link(1, "up");
    alarm("{clear_alarm, {resource_limit, memory, node()}}");
}

/// With a second way to the broker, the program goes on there.
fn the_next_host_is_there(url: &str, port: &str, vanish: &dyn Fn()) {
    let options = ClientOptions::new()
        .hosts([format!("{}:{port}", HOSTS[1])])
        .heartbeat(2)
        .connect_timeout(Duration::from_secs(2))
        .recovery(Recovery::new().limit(LIMIT));
    let mut client = connected(url, options);
    let queue = unique("vanish");
    client.queue_declare(&queue).wait(&mut client).unwrap();
    let consumer = client.basic_consume(Consume::new(&queue).no_ack(true));
    vanish();
    let message = Message::new("there").mandatory(true);
    let publish = client.basic_publish("", &queue, message);
    client
        .wait_timeout(publish, LIMIT)
        .unwrap()
        .expect("a confirm");
    let delivery = client.wait_timeout(consumer, LIMIT).unwrap();
    assert_eq!(delivery.expect("a delivery").body, "there");
    client.queue_delete(&queue).wait(&mut client).unwrap();
    client.close().wait(&mut client).unwrap();
}
