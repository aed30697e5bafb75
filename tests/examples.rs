//! The examples, run against the broker at `AMQP_URL` as a person runs them; and their README.
//!
//! Each receiver is started first, and says when it is ready; then the sender is run. Examples that share a queue are
//! in one test, as tests run at once.
//!
//! `cargo test` builds the examples first; `cargo test --test examples` runs them as they were built last.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use puka::Client;

#[allow(
    dead_code,
    unused_imports,
    reason = "other test binaries need more of it"
)]
#[path = "broker/support.rs"]
mod support;

/// Longer than any example takes to say something.
const LIMIT: Duration = Duration::from_secs(60);

/// The ported examples: their originals, and the originals' lines that are neither blank nor comments.
const PORTS: [(&str, &str, usize); 21] = [
    ("send", "puka: send.py", 16),
    ("send_async", "puka: send_async.py", 17),
    ("receive", "puka: receive.py", 16),
    ("receive_one", "puka: receive_one.py", 17),
    ("parallel_declare", "puka: parallel_declare.py", 17),
    ("serialized_declare", "puka: serialized_declare.py", 17),
    ("emit_log_headers", "puka: emit_log_headers.py", 17),
    ("receive_logs_headers", "puka: receive_logs_headers.py", 24),
    ("stress_amqp", "puka: stress_amqp.py", 82),
    ("tutorial_send", "tutorial 1: send.py", 12),
    ("tutorial_receive", "tutorial 1: receive.py", 11),
    ("new_task", "tutorial 2: new_task.py", 15),
    ("worker", "tutorial 2: worker.py", 16),
    ("emit_log", "tutorial 3: emit_log.py", 12),
    ("receive_logs", "tutorial 3: receive_logs.py", 15),
    ("emit_log_direct", "tutorial 4: emit_log_direct.py", 14),
    (
        "receive_logs_direct",
        "tutorial 4: receive_logs_direct.py",
        22,
    ),
    ("emit_log_topic", "tutorial 5: emit_log_topic.py", 14),
    (
        "receive_logs_topic",
        "tutorial 5: receive_logs_topic.py",
        22,
    ),
    ("rpc_client", "tutorial 6: rpc_client.py", 26),
    ("rpc_server", "tutorial 6: rpc_server.py", 26),
];

fn url() -> String {
    env::var("AMQP_URL").expect("these tests need a broker at AMQP_URL: run scripts/test")
}

/// An example that runs; dropped, it is killed.
struct Example {
    name: String,
    process: Child,
    output: Receiver<String>,
    seen: Vec<String>,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_at(&url(), name, arguments)
    }

    fn start_at(url: &str, name: &str, arguments: &[&str]) -> Self {
        let program = program(name);
        assert!(
            program.exists(),
            "there is no {}: `cargo test` builds the examples, and so does `cargo build --examples`",
            program.display()
        );
        let mut process = Command::new(program)
            .args(arguments)
            .env("AMQP_URL", url)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let (lines, output) = channel();
        read_lines(process.stdout.take().expect("a pipe"), lines.clone());
        read_lines(process.stderr.take().expect("a pipe"), lines);
        Self {
            name: name.into(),
            process,
            output,
            seen: Vec::new(),
        }
    }

    /// The next line it prints; `None` when it has ended.
    fn next_line(&mut self, until: Instant) -> Option<String> {
        let left = until.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} says nothing more after {:#?}", self.name, self.seen)
            }
        }
    }

    /// Asserts that it goes on by printing this line.
    #[track_caller]
    fn says(&mut self, line: &str) {
        let said = self.next_line(Instant::now() + LIMIT);
        assert_eq!(said.as_deref(), Some(line), "{}", self.name);
    }

    /// Asserts that it goes on by printing a line that begins so; what follows.
    #[track_caller]
    fn says_first(&mut self, start: &str) -> String {
        let said = self.next_line(Instant::now() + LIMIT);
        let rest = said.as_deref().and_then(|line| line.strip_prefix(start));
        rest.unwrap_or_else(|| panic!("{} says {said:?}, not {start:?}", self.name))
            .into()
    }

    /// All that it prints until it ends, which it has to do well.
    #[track_caller]
    fn finish(mut self) -> Vec<String> {
        let until = Instant::now() + LIMIT;
        while self.next_line(until).is_some() {}
        let status = self.process.wait().expect("the example has ended");
        assert!(
            status.success(),
            "{}: {status}, {:#?}",
            self.name,
            self.seen
        );
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line to a broker, which is cut for good once so many bytes have come from the client, or once neither side has said
/// anything for a moment.
struct Line {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
    is_cut: Arc<AtomicBool>,
}

impl Line {
    /// A line that is not cut has `usize::MAX`.
    fn to(url: &str, cut_after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let broker = url
            .trim_start_matches("amqp://")
            .trim_end_matches('/')
            .to_owned();
        let line = Self {
            url: format!("amqp://127.0.0.1:{port}/"),
            sent: Arc::default(),
            is_cut: Arc::default(),
        };
        let (sent, is_cut) = (line.sent.clone(), line.is_cut.clone());
        thread::spawn(move || {
            let mut lines = Vec::new();
            // Two clients have two lines, and after the cut nobody listens any more.
            listener.set_nonblocking(true).expect("it does not block");
            while !is_cut.load(SeqCst) {
                let Ok((client, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                client.set_nonblocking(false).expect("it blocks");
                let Ok(broker) = TcpStream::connect(&broker) else {
                    return;
                };
                let (sent, is_cut) = (sent.clone(), is_cut.clone());
                lines.push(thread::spawn(move || {
                    carry(&client, &broker, cut_after, &sent, &is_cut);
                }));
            }
        });
        line
    }

    /// What the client has sent.
    fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("no panic").clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.is_cut.store(true, SeqCst);
    }
}

/// Carries bytes both ways until the line is cut, or the client goes.
fn carry(
    client: &TcpStream,
    broker: &TcpStream,
    cut_after: usize,
    sent: &Mutex<Vec<u8>>,
    is_cut: &AtomicBool,
) {
    const QUIET: Duration = Duration::from_secs(1);
    let tick = Some(Duration::from_millis(20));
    let mut quiet_since = Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    for stream in [client, broker] {
        stream.set_read_timeout(tick).expect("a limit");
    }
    'carry: while !is_cut.load(SeqCst) {
        for (mut from, mut to) in [(client, broker), (broker, client)] {
            let count = match from.read(&mut buffer) {
                Ok(0) => break 'carry,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => continue,
                Err(_) => break 'carry,
            };
            quiet_since = Instant::now();
            if std::ptr::eq(from, client) {
                let mut sent = sent.lock().expect("no panic");
                sent.extend_from_slice(&buffer[..count]);
                if sent.len() > cut_after {
                    is_cut.store(true, SeqCst);
                    break 'carry;
                }
            }
            if to.write_all(&buffer[..count]).is_err() {
                break 'carry;
            }
        }
        if cut_after != usize::MAX && quiet_since.elapsed() > QUIET {
            is_cut.store(true, SeqCst);
        }
    }
    for stream in [client, broker] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Where cargo has put the example: beside the folder of this test.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("this test is a file");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<this test>");
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    profile.join("examples").join(file)
}

/// Sends each line on, until the stream ends or nobody listens.
fn read_lines(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

/// The queues and exchanges of a test: what an earlier run has left is deleted, and so is what this one leaves.
struct Names(Vec<String>);

impl Names {
    fn fresh(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = Self(names.into_iter().map(Into::into).collect());
        names.delete().expect("leftovers are deleted");
        names
    }

    fn delete(&self) -> puka::Result<()> {
        let mut client = Client::new(&url())?;
        client.connect().wait(&mut client)?;
        let queues: Vec<_> = self
            .0
            .iter()
            .map(|name| client.queue_delete(name))
            .collect();
        client.wait_for_all(&queues)?;
        let exchanges: Vec<_> = self
            .0
            .iter()
            .map(|name| client.exchange_delete(name))
            .collect();
        client.wait_for_all(&exchanges)?;
        client.close().wait(&mut client)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let deleted = self.delete();
        assert!(deleted.is_ok() || thread::panicking(), "{deleted:?}");
    }
}

/// Asserts that a receiver that is not told what to receive says how to use it.
#[track_caller]
fn needs_arguments(name: &str, usage: &str) {
    let mut receiver = Example::start(name, &[]);
    let said = receiver.says_first("Usage: ");
    assert!(
        said.ends_with(&format!("{name}{} {usage}", env::consts::EXE_SUFFIX)),
        "{said}"
    );
    let status = receiver.process.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{name}");
}

#[test]
fn what_send_and_send_async_send_is_received() {
    let _names = Names::fresh(["test"]);

    let mut send = Example::start("send", &[]);
    send.says(" [*] Message sent");
    let size = send.says_first(" [*] Queue size: ");
    assert!(["0", "1"].contains(&&*size), "{size}");
    send.finish();

    let mut receive_one = Example::start("receive_one", &[]);
    receive_one.says("  [*] Waiting for a message. Press CTRL+C to quit.");
    let received = receive_one.says_first(" [x] Received message ");
    assert!(received.contains("Hello world!"), "{received}");
    receive_one.finish();

    let mut receive = Example::start("receive", &[]);
    receive.says("  [*] Waiting for messages. Press CTRL+C to quit.");
    let senders = [
        (
            Example::start("send_async", &[]),
            &[" [*] Message sent"][..],
        ),
        (
            Example::start("hello_callbacks", &[]),
            &[" [*] Message sent"],
        ),
        (Example::start("hello", &[]), &[]),
    ];
    for (sender, says) in senders {
        assert_eq!(sender.finish(), says);
        let received = receive.says_first(" [x] Received message ");
        assert!(received.contains("Hello world!"), "{received}");
        // Else it was the one that receive_one should have acknowledged.
        assert!(received.contains("redelivered: false"), "{received}");
    }
}

#[test]
fn a_thousand_queues_are_declared_and_deleted_with_a_log() {
    let queues = (0..1000).map(|i| format!("a{i:04}"));
    let names = Names::fresh(queues);
    let parallel = Example::start("parallel_declare", &[]).finish();
    let serialized = Example::start("serialized_declare", &[]).finish();
    for log in [parallel, serialized] {
        assert!(
            log.iter().any(|line| line.starts_with("[DEBUG puka")),
            "{log:?}"
        );
    }

    let mut client = Client::new(&url()).unwrap();
    client.connect().wait(&mut client).unwrap();
    let passive = |name| puka::QueueDeclare::new(name).passive(true);
    let declared: Vec<_> = names
        .0
        .iter()
        .map(|name| client.queue_declare(passive(name)))
        .collect();
    for promise in declared {
        let error = client.wait(promise).unwrap_err();
        assert_eq!(error.reply_code(), Some(404), "{error}");
    }
    client.close().wait(&mut client).unwrap();
}

#[test]
fn a_log_line_goes_to_the_receivers_of_one_of_its_headers() {
    let _names = Names::fresh(["headers_logs"]);
    needs_arguments("receive_logs_headers", "[header:value]...");

    let mut receiver = Example::start("receive_logs_headers", &["from:kernel", "level:error"]);
    receiver.says(r#" [*] Waiting for logs ["from:kernel", "level:error"]. To exit press CTRL+C"#);

    let emit = |arguments: &[&str]| Example::start("emit_log_headers", arguments).finish();
    let sent = emit(&[]);
    assert_eq!(sent, [r#" [x] Sent {"anonymous": "info"} "Hello World!""#]);
    let sent = emit(&["from:cron", "level:error", "It fails."]);
    assert_eq!(
        sent,
        [r#" [x] Sent {"from": "cron", "level": "error"} "It fails.""#]
    );
    receiver.says(r#" [x] {"from": "cron", "level": "error"}:"It fails.""#);
}

#[test]
fn the_first_tutorial_sends_hello_world() {
    let _names = Names::fresh(["hello"]);
    let mut receiver = Example::start("tutorial_receive", &[]);
    receiver.says(" [*] Waiting for messages. To exit press CTRL+C");
    let sent = Example::start("tutorial_send", &[]).finish();
    assert_eq!(sent, [" [x] Sent 'Hello World!'"]);
    receiver.says(r#" [x] Received "Hello World!""#);
}

#[test]
fn a_worker_does_one_task_after_another() {
    let _names = Names::fresh(["task_queue"]);
    let mut worker = Example::start("worker", &[]);
    worker.says(" [*] Waiting for messages. To exit press CTRL+C");

    let new_task = |arguments: &[&str]| Example::start("new_task", arguments).finish();
    assert_eq!(
        new_task(&["One", "second."]),
        [r#" [x] Sent "One second.""#]
    );
    assert_eq!(new_task(&[]), [r#" [x] Sent "Hello World!""#]);
    worker.says(r#" [x] Received "One second.""#);
    worker.says(" [x] Done");
    worker.says(r#" [x] Received "Hello World!""#);
    worker.says(" [x] Done");
}

#[test]
fn a_log_line_goes_to_every_receiver() {
    let _names = Names::fresh(["logs"]);
    let mut receivers = [(); 2].map(|()| Example::start("receive_logs", &[]));
    for receiver in &mut receivers {
        receiver.says(" [*] Waiting for logs. To exit press CTRL+C");
    }

    let emit = |arguments: &[&str]| Example::start("emit_log", arguments).finish();
    assert_eq!(emit(&[]), [r#" [x] Sent "info: Hello World!""#]);
    assert_eq!(
        emit(&["All", "is", "well."]),
        [r#" [x] Sent "All is well.""#]
    );
    for receiver in &mut receivers {
        receiver.says(r#" [x] "info: Hello World!""#);
        receiver.says(r#" [x] "All is well.""#);
    }
}

#[test]
fn a_log_line_goes_to_the_receivers_of_its_severity() {
    let _names = Names::fresh(["direct_logs"]);
    needs_arguments("receive_logs_direct", "[info] [warning] [error]");

    let mut receiver = Example::start("receive_logs_direct", &["warning", "error"]);
    receiver.says(" [*] Waiting for logs. To exit press CTRL+C");

    let emit = |arguments: &[&str]| Example::start("emit_log_direct", arguments).finish();
    assert_eq!(emit(&[]), [r#" [x] Sent "info":"Hello World!""#]);
    assert_eq!(
        emit(&["error", "Run.", "Run."]),
        [r#" [x] Sent "error":"Run. Run.""#]
    );
    receiver.says(r#" [x] "error":"Run. Run.""#);
}

#[test]
fn a_log_line_goes_to_the_receivers_of_its_topic() {
    let _names = Names::fresh(["topic_logs"]);
    needs_arguments("receive_logs_topic", "[binding_key]...");

    let mut receiver = Example::start("receive_logs_topic", &["kern.*", "*.critical"]);
    receiver.says(" [*] Waiting for logs. To exit press CTRL+C");

    let emit = |arguments: &[&str]| Example::start("emit_log_topic", arguments).finish();
    assert_eq!(emit(&[]), [r#" [x] Sent "anonymous.info":"Hello World!""#]);
    let sent = emit(&["kern.critical", "A", "kernel", "error"]);
    assert_eq!(sent, [r#" [x] Sent "kern.critical":"A kernel error""#]);
    receiver.says(r#" [x] "kern.critical":"A kernel error""#);
}

#[test]
fn a_server_computes_what_a_client_asks() {
    let _names = Names::fresh(["rpc_queue"]);
    let mut server = Example::start("rpc_server", &[]);
    server.says(" [x] Awaiting RPC requests");
    for _ in 0..2 {
        let asked = Example::start("rpc_client", &[]).finish();
        assert_eq!(asked, [" [x] Requesting fib(30)", " [.] Got 832040"]);
        server.says(" [.] fib(30)");
    }
    let asked = Example::start("call", &[]).finish();
    assert_eq!(asked, [" [.] Got 55", " [.] Got 6765", " [.] Got 832040"]);
}

#[test]
fn a_resilient_publisher_counts() {
    let _names = Names::fresh(["numbers"]);
    let said = Example::start("resilient", &["2"]).finish();
    assert_eq!(said, [" [x] The broker has 1", " [x] The broker has 2"]);
}

#[test]
fn threads_do_every_task() {
    let line = Line::to(&url(), usize::MAX);
    let mut said = Example::start_at(&line.url, "threads", &[]).finish();
    said.sort();
    let done: Vec<_> = (1..=8).map(|task| format!(" [x] Done {task}")).collect();
    assert_eq!(said, done);
    // basic.ack, each on a channel of its own or not, with 9 bytes of arguments.
    let sent = line.sent();
    let acks = sent
        .windows(8)
        .filter(|bytes| bytes[..4] == [0, 0, 0, 13] && bytes[4..] == [0, 60, 0, 80]);
    assert_eq!(acks.count(), 8);
}

#[test]
fn the_stress_test_gets_going() {
    let _names = Names::fresh((0..32).map(|i| format!("q{i:04}")));
    let mut stress = Example::start("stress_amqp", &[]);
    stress.says(" [*] loop");
    // At first the queues are declared and filled, for which a busy broker takes its time.
    let until = Instant::now() + LIMIT;
    loop {
        let said = stress.says_first("send: ");
        let (rate, average) = said.split_once("  avg: ").expect("two numbers");
        let average = average.strip_suffix("ms").expect("milliseconds");
        let number = |text: &str| text.parse::<f64>().expect("a number");
        if number(rate) > 0.0 && number(average) > 0.0 {
            break;
        }
        assert!(
            Instant::now() < until,
            "it does not get going: {:#?}",
            stress.seen
        );
    }
}

#[test]
fn the_round_trip_says_each_step() {
    let mut roundtrip = Example::start("roundtrip", &[]);
    roundtrip.says_first(" [*] Connected to RabbitMQ ");
    roundtrip.says_first(" [*] Declared the queue amq.gen-");
    roundtrip.says(" [x] Published, and the broker has confirmed it");
    roundtrip.says(r#" [x] Received "Hello world!""#);
    roundtrip.says(" [x] Acknowledged: 0 messages are left in the queue");
    roundtrip.says(" [*] Closed");
    roundtrip.finish();
}

#[test]
fn a_client_runs_in_a_poll_of_the_program() {
    let mut bare_poll = Example::start("bare_poll", &[]);
    bare_poll.says_first(" [*] Connected to RabbitMQ ");
    bare_poll.says(r#" [x] Received "Hello world!""#);
    bare_poll.says(" [*] Closed: Ok(())");
    bare_poll.finish();
}

#[test]
fn two_clients_run_in_one_loop() {
    let received = Example::start("two_clients", &[]).finish();
    let message = |i| format!(r#" [x] Received "message {i}""#);
    assert_eq!(received, [message(1), message(2), message(3)]);
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Lines that are neither blank nor comments.
fn lines_of_code(name: &str) -> usize {
    let code = fs::read_to_string(examples().join(format!("{name}.rs"))).expect("the example");
    let lines = code.lines().map(str::trim_start);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[test]
fn the_readme_tells_how_long_the_ports_are_and_none_is_much_longer_than_its_original() {
    let mut ratios = Vec::new();
    let mut table = String::new();
    for (name, original, python) in PORTS {
        let rust = lines_of_code(name);
        let ratio = rust as f64 / python as f64;
        ratios.push(ratio);
        let row =
            format!("| [{name}]({name}.rs) | {original} | {python} | {rust} | {ratio:.2} |\n");
        table.push_str(&row);
    }
    ratios.sort_by(f64::total_cmp);
    let (median, max) = (ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    assert!(median <= 1.3, "the median is {median}");
    assert!(max <= 1.6, "the maximum is {max}");

    let readme = fs::read_to_string(examples().join("README.md")).expect("the README");
    assert!(
        readme.contains(&table),
        "examples/README.md should say:\n{table}"
    );
    let summary = format!("The median is {median:.2}, the maximum {max:.2}.");
    assert!(
        readme.contains(&summary),
        "examples/README.md should say: {summary}"
    );
}

/// Every example, with arguments that it takes.
fn every_example() -> Vec<(String, Vec<&'static str>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(examples()).expect("the examples") {
        let path = entry.expect("an example").path();
        if path.extension() == Some(OsStr::new("rs")) {
            let name = path.file_stem().and_then(OsStr::to_str).expect("a name");
            let arguments = match name {
                "receive_logs_headers" => vec!["from:kernel"],
                "receive_logs_direct" => vec!["error"],
                "receive_logs_topic" => vec!["#"],
                _ => vec![],
            };
            all.push((name.to_owned(), arguments));
        }
    }
    all
}

impl Example {
    /// How it ends, which it has to in time; it may say what it likes.
    #[track_caller]
    fn end(mut self) -> (bool, String) {
        let until = Instant::now() + LIMIT;
        while self.next_line(until).is_some() {}
        let status = self.process.wait().expect("it has ended");
        (status.success(), self.seen.join("\n"))
    }
}

/// A program that says that it has done what it has not is worse than none.
#[test]
fn without_a_broker_every_example_fails_and_says_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = nobody.local_addr().expect("an address").port();
    drop(nobody);
    // A name has to be looked up first, and there is no socket while that takes.
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("amqp://{host}:{port}/");
        for (name, arguments) in every_example() {
            let (success, said) = Example::start_at(&url, &name, &arguments).end();
            assert!(!success, "{name} at {host} succeeds, and says {said}");
            assert!(
                said.contains("ConnectionBroken"),
                "{name} at {host}: {said}"
            );
            assert!(!said.contains(" [x]"), "{name} at {host}: {said}");
        }
    }
}

/// At the first byte, in the login, in the first request, in the first message, and when there is nothing more to say.
#[test]
fn with_a_broker_that_dies_every_example_fails_and_says_why() {
    // It may take what other tests wait for.
    let broker = support::Broker::start(&[]);
    thread::scope(|scope| {
        for cut_after in [0, 8, 390, 480, 600, 1_000_000] {
            let url = &broker.url;
            scope.spawn(move || {
                for (name, arguments) in every_example() {
                    // It goes on trying: there is a test for that.
                    if name == "resilient" {
                        continue;
                    }
                    let line = Line::to(url, cut_after);
                    let (success, said) = Example::start_at(&line.url, &name, &arguments).end();
                    let is_cut = line.is_cut.load(SeqCst);
                    // It may have been done before.
                    assert_eq!(success, !is_cut, "{name}, {cut_after}: {said}");
                    let why = ["ConnectionBroken", "OutcomeUnknown", "NotSent"];
                    assert!(
                        success || why.iter().any(|why| said.contains(why)),
                        "{name}, {cut_after}: {said}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_resilient_publisher_goes_on_when_its_line_is_cut() {
    let _names = Names::fresh(["numbers"]);
    let line = Line::to(&url(), 600);
    let mut resilient = Example::start_at(&line.url, "resilient", &[]);
    loop {
        let said = resilient.next_line(Instant::now() + LIMIT);
        let said = said.expect("it goes on");
        if said.starts_with(" [!] Lost: ") {
            return;
        }
        assert!(
            said.starts_with(" [x] The broker has ") || said.starts_with('['),
            "{said}"
        );
    }
}

/// A program of the examples as a text shows it: without its first comment, and with a broker of its own.
fn shown(name: &str) -> String {
    let code = fs::read_to_string(examples().join(format!("{name}.rs"))).expect("the example");
    let lines = code
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.contains("let url ="));
    let text: String = lines.map(|line| line.to_owned() + "\n").collect();
    text.replace("&url", "\"amqp://localhost/\"")
        .trim()
        .to_owned()
}

#[test]
fn the_first_programs_of_the_texts_are_examples() {
    let readme = include_str!("../README.md").to_owned();
    let docs: String = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n")
        .collect();
    for text in [&readme, &docs] {
        for name in ["hello", "hello_callbacks"] {
            let program = shown(name);
            assert!(text.contains(&program), "a text should have:\n{program}");
        }
        assert_eq!(text.matches("fn main()").count(), 2);
    }
}

#[test]
fn every_example_is_in_the_readme_and_in_a_test() {
    let readme = fs::read_to_string(examples().join("README.md")).expect("the README");
    let tests = include_str!("examples.rs");
    let mut count = 0;
    for entry in fs::read_dir(examples()).expect("the examples") {
        let path = entry.expect("an example").path();
        if path.extension() != Some(OsStr::new("rs")) {
            continue;
        }
        count += 1;
        let name = path.file_stem().and_then(OsStr::to_str).expect("a name");
        let link = format!("[{name}]({name}.rs)");
        assert!(
            readme.contains(&link),
            "examples/README.md does not have {link}"
        );
        let starts = [
            format!(r#"Example::start("{name}", "#),
            format!(r#"Example::start_at(&line.url, "{name}", "#),
        ];
        let is_run = starts.iter().any(|start| tests.contains(start));
        assert!(is_run, "no test runs {name}");
    }
    assert_eq!(count, PORTS.len() + 8);
}
