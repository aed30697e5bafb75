//! What every test needs: clients and brokers, here real ones. `tests/in_memory` runs the same tests on others.

#[path = "between.rs"]
mod between;
#[path = "session.rs"]
mod session;

use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use puka::{Client, ClientOptions, Consume, Message, QueueDeclare};

pub(crate) use between::Between;
pub(crate) use session::{LIMIT, MOMENT, Session, version};

/// Whether clients have sockets, which the system knows of.
pub(crate) const HAS_SOCKETS: bool = true;

/// Whether what a test has declared is there when it is over.
const LEAVES_NAMES: bool = true;

pub(crate) fn url() -> String {
    std::env::var("AMQP_URL").expect("these tests need a broker at AMQP_URL: run scripts/test")
}

pub(crate) fn new_client(url: &str) -> puka::Result<Client> {
    Client::new(url)
}

pub(crate) fn new_client_with(url: &str, options: ClientOptions) -> puka::Result<Client> {
    Client::with_options(url, options)
}

/// The clients' time.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Computes for that long: no call of the client's.
pub(crate) fn crunch(time: Duration) {
    let until = now() + time;
    let mut sum = 0_u64;
    while now() < until {
        for number in 0..100_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
}

/// Ends the connection under a client that does not look.
pub(crate) fn cut(client: &Client) {
    let fd = client.as_fd().unwrap();
    socket2::SockRef::from(&fd)
        .shutdown(std::net::Shutdown::Both)
        .unwrap();
}

/// Host and port where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Somebody who lets clients connect, and says nothing.
pub(crate) struct Silent {
    pub(crate) url: String,
    _listener: TcpListener,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            url: format!("amqp://{}/", listener.local_addr().unwrap()),
            _listener: listener,
        }
    }
}

/// A server elsewhere: it replies to so many requests with the body doubled.
pub(crate) struct Server(JoinHandle<()>);

impl Server {
    pub(crate) fn new(queue: &str, requests: usize) -> Self {
        let mut server = Session::new();
        let consumer = server.basic_consume(Consume::new(queue).no_ack(true));
        let declared = server.queue_declare(QueueDeclare::new(queue).passive(true));
        server.wait(declared).unwrap();
        Self(std::thread::spawn(move || {
            for _ in 0..requests {
                let request = server.next(consumer);
                let reply = Message::new(request.body_str().repeat(2))
                    .correlation_id(request.properties.correlation_id().unwrap());
                let to = request.properties.reply_to().unwrap();
                server
                    .basic_publish("", to, reply)
                    .wait(&mut server)
                    .unwrap();
            }
        }))
    }

    /// It has replied to all.
    pub(crate) fn join(self) {
        self.0.join().unwrap();
    }
}

/// Which RabbitMQ the tests run on.
pub(crate) fn is_rabbitmq_3() -> bool {
    std::env::var("PUKA_RABBITMQ").map_or(true, |version| version == "3")
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

    /// As an operator would, with a text for everybody.
    pub(crate) fn close_connections(&self) {
        self.eval("rabbit_networking:close_all_connections(\"a test\").");
    }

    /// Returns when every connection has been sent word, so that what comes next meets the alarm.
    pub(crate) fn raise_alarm(&self) {
        self.alarm("{set_alarm, {{resource_limit, memory, node()}, []}}");
    }

    pub(crate) fn clear_alarm(&self) {
        self.alarm("{clear_alarm, {resource_limit, memory, node()}}");
    }

    fn alarm(&self, event: &str) {
        self.eval(&format!("gen_event:sync_notify(rabbit_alarm, {event})."));
    }

    pub(crate) fn add_user(&self, name: &str, password: &str) {
        self.eval(&format!(
            "rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"{password}\">>, <<\"test\">>)."
        ));
    }

    /// What a user may configure, write and read in the virtual host "/".
    pub(crate) fn set_permissions(&self, user: &str, permissions: [&str; 3]) {
        let permissions = permissions.map(|pattern| format!("<<\"{pattern}\">>"));
        self.eval(&format!(
            "rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"/\">>, {}, <<\"test\">>).",
            permissions.join(", ")
        ));
    }

    /// RabbitMQ 3 keeps what was declared in memory for a while, and a kill may lose it.
    pub(crate) fn sync(&self) {
        self.eval("mnesia:sync_log().");
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
