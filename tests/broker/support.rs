//! What every test needs: a connected client with names of its own, and brokers that may be harmed.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Delivery, Get, Promise};

/// Longer than anything takes that will ever come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Long enough that what has not come by then will mostly not come; never a proof.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);

pub(crate) fn url() -> String {
    std::env::var("AMQP_URL").expect("these tests need a broker at AMQP_URL: run scripts/test")
}

/// The version of a connected client's broker.
pub(crate) fn version(client: &Client) -> (u32, u32) {
    let version = client.connected().expect("it is connected").version();
    let mut parts = version
        .split('.')
        .map(|part| part.parse().expect("a number"));
    (parts.next().expect("major"), parts.next().expect("minor"))
}

/// A name that no other test has.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later than 1970");
    format!(
        "puka-{what}-{}-{}-{}",
        std::process::id(),
        now.subsec_nanos(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A connected client whose queues and exchanges are deleted in the end.
pub(crate) struct Session {
    client: Client,
    url: String,
    names: Vec<String>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self::with(ClientOptions::new())
    }

    pub(crate) fn with(options: ClientOptions) -> Self {
        Self::at(&url(), options)
    }

    pub(crate) fn at(url: &str, options: ClientOptions) -> Self {
        let mut client = Client::with_options(url, options).unwrap();
        client.connect().wait(&mut client).unwrap();
        Self {
            client,
            url: url.into(),
            names: Vec::new(),
        }
    }

    /// A name for a queue or an exchange.
    pub(crate) fn name(&mut self) -> String {
        let name = unique("test");
        self.names.push(name.clone());
        name
    }

    /// A queue that is there.
    pub(crate) fn queue(&mut self) -> String {
        let name = self.name();
        self.client
            .queue_declare(&name)
            .wait(&mut self.client)
            .unwrap();
        name
    }

    pub(crate) fn publish(&mut self, queue: &str, body: &'static str) {
        self.client
            .basic_publish("", queue, body)
            .wait(&mut self.client)
            .unwrap();
    }

    /// Takes one message for good.
    pub(crate) fn take(&mut self, queue: &str) -> Option<Delivery> {
        self.client
            .basic_get(Get::new(queue).no_ack(true))
            .wait(&mut self.client)
            .unwrap()
    }

    /// The next delivery, which has to come.
    pub(crate) fn next(&mut self, consumer: Promise<Delivery>) -> Delivery {
        self.client
            .wait_timeout(consumer, LIMIT)
            .unwrap()
            .expect("a delivery")
    }

    /// Asserts that no delivery comes, as far as one can see.
    pub(crate) fn nothing(&mut self, consumer: Promise<Delivery>) {
        let delivery = self.client.wait_timeout(consumer, MOMENT).unwrap();
        assert!(delivery.is_none(), "{delivery:?}");
    }

    /// Messages ready in a queue, once that many are: the broker counts a moment later than it confirms.
    pub(crate) fn wait_for_messages(&mut self, queue: &str, count: u32) {
        let until = Instant::now() + LIMIT;
        loop {
            let declare = puka::QueueDeclare::new(queue).passive(true);
            let found = self
                .client
                .queue_declare(declare)
                .wait(&mut self.client)
                .unwrap()
                .message_count;
            if found == count {
                return;
            }
            assert!(
                Instant::now() < until,
                "{found} messages in {queue}, not {count}"
            );
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        // The client of the test may be in any state.
        let Ok(mut client) = Client::new(&self.url) else {
            return;
        };
        if client.connect().wait(&mut client).is_err() {
            return;
        }
        for name in &self.names {
            let _ = client.queue_delete(name).wait(&mut client);
            let _ = client.exchange_delete(name).wait(&mut client);
        }
        let _ = client.close().wait(&mut client);
    }
}

/// A broker of a test's own.
pub(crate) struct Broker {
    pub(crate) url: String,
    /// Where it listens for TLS, if it was told to.
    pub(crate) tls_url: String,
    dir: String,
}

fn script(arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker");
    let output = Command::new(script)
        .args(arguments)
        .output()
        .expect("scripts/broker runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "scripts/broker {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

impl Broker {
    pub(crate) fn start(conf: &[&str]) -> Self {
        Self::start_with(conf, "")
    }

    /// With plugins.
    pub(crate) fn start_with(conf: &[&str], plugins: &str) -> Self {
        let major = std::env::var("PUKA_RABBITMQ").unwrap_or("3".into());
        let mut arguments = vec!["start", "--rabbitmq", &major, "--plugins", plugins];
        for line in conf {
            arguments.extend(["--conf", line]);
        }
        Self::of(&script(&arguments))
    }

    /// Another node of that one's cluster. The first must be dropped last.
    pub(crate) fn join(first: &Self) -> Self {
        Self::of(&script(&["start", "--join", &first.dir]))
    }

    fn of(lines: &str) -> Self {
        let value = |name: &str| {
            let line = lines
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.expect("the script prints it").to_owned()
        };
        Self {
            url: value("AMQP_URL"),
            tls_url: format!("amqps://127.0.0.1:{}/", value("BROKER_TLS_PORT")),
            dir: value("BROKER_DIR"),
        }
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("amqp://").trim_end_matches('/')
    }

    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        script(&[&["ctl", &self.dir], arguments].concat())
    }

    /// Erlang inside the broker: quick.
    pub(crate) fn eval(&self, expression: &str) -> String {
        script(&["eval", &self.dir, expression])
    }

    pub(crate) fn kill(&self) {
        script(&["kill", &self.dir]);
    }

    pub(crate) fn restart(&self) {
        script(&["restart", &self.dir]);
    }

    pub(crate) fn pause(&self) {
        script(&["pause", &self.dir]);
    }

    pub(crate) fn resume(&self) {
        script(&["resume", &self.dir]);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        script(&["stop", &self.dir]);
    }
}
