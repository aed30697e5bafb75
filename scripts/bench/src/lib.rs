//! What all programs of the bench share: the job, and the meter that prints what it cost.

pub mod null;

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// How many publishes are under way at once, and the prefetch.
pub const IN_FLIGHT: usize = 1000;
pub const PREFETCH: u16 = 500;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work {
    /// Publish with confirms, a thousand under way.
    Confirm,
    /// Publish without.
    Publish,
    /// The same with 100,000 under way.
    ConfirmMany,
    /// Publish and wait, one by one.
    Wait,
    /// Consume with acks, one a message, in the library's quickest way.
    Ack,
    /// The same in a plain loop of waits, where a library has that.
    AckPlain,
    /// The same by a thousand consumers on one connection.
    AckMany,
    /// Consume without acks.
    NoAck,
    /// A thousand declares under way.
    Declare,
    /// No measurement: makes the queues, and puts the messages into the one that is consumed.
    Fill,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub work: Work,
    pub size: usize,
    pub messages: usize,
    pub url: String,
}

impl Job {
    /// The library and its job, as the command line has them: `LIBRARY WORK BYTES MESSAGES URL`.
    pub fn from_arguments() -> (String, Self) {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [library, work, size, messages, url] = &arguments[..] else {
            eprintln!("usage: puka-bench LIBRARY WORK BYTES MESSAGES URL");
            std::process::exit(2);
        };
        let work = match work.as_str() {
            "confirm" => Work::Confirm,
            "confirm-100000" => Work::ConfirmMany,
            "publish" => Work::Publish,
            "wait" => Work::Wait,
            "ack" => Work::Ack,
            "ack-plain" => Work::AckPlain,
            "ack-1000" => Work::AckMany,
            "noack" => Work::NoAck,
            "declare" => Work::Declare,
            "fill" => Work::Fill,
            _ => panic!("unknown work {work}"),
        };
        let job = Self {
            work,
            size: size.parse().expect("a size"),
            messages: messages.parse().expect("a number of messages"),
            url: url.clone(),
        };
        (library.clone(), job)
    }

    pub fn address(&self) -> &str {
        self.url.trim_start_matches("amqp://").trim_end_matches('/')
    }

    pub fn queue(&self) -> String {
        format!("bench-{}", self.size)
    }
}

/// What was measured between its making and `stop`.
pub struct Meter {
    begun: Instant,
    cpu: Duration,
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64)
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// The most memory that the process has had, in KiB. (`ru_maxrss` would count the parent's.)
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Meter {
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu: cpu(),
        }
    }

    pub fn stop(&self, job: &Job) {
        let (wall, cpu) = (self.begun.elapsed(), cpu() - self.cpu);
        println!(
            "{{\"messages\": {}, \"wall_s\": {:.6}, \"cpu_us_per_message\": {:.4}, \"messages_per_s\": {:.0}, \
             \"peak_kib\": {}}}",
            job.messages,
            wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / job.messages as f64,
            job.messages as f64 / wall.as_secs_f64(),
            peak()
        );
    }
}
