//! Ignored publishes leave memory flat. A process of its own, so that no other test's memory is counted.
#![cfg(target_os = "linux")]

mod process;

use puka::{Client, ClientOptions};

use process::memory;

#[test]
fn ignored_publishes_leave_memory_flat() {
    // Fewer than the ten million that PUKA_IGNORED=10000000 tries: a test may not take so long.
    let count: u64 = std::env::var("PUKA_IGNORED").map_or(300_000, |count| count.parse().unwrap());
    let url =
        std::env::var("AMQP_URL").expect("this test needs a broker at AMQP_URL: run scripts/test");
    let mark = 1 << 20;
    let mut client =
        Client::with_options(&url, ClientOptions::new().high_water_mark(mark)).unwrap();
    client.connect().wait(&mut client).unwrap();
    for _ in 0..30_000 {
        client.basic_publish("", "puka-nowhere", "ignored");
    }
    let (before, mut last) = (memory(), None);
    let mut grown = Vec::new();
    for number in 1..=count {
        last = Some(client.basic_publish("", "puka-nowhere", "ignored"));
        assert!(
            client.buffered() <= mark + 200,
            "{} bytes are buffered",
            client.buffered()
        );
        if number % (count / 10) == 0 {
            grown.push(memory().saturating_sub(before));
        }
    }
    println!("memory grew by {grown:?} kB over {count} publishes, from {before} kB");
    client.wait(last.unwrap()).unwrap();
    // What is in flight varies, within the mark; what is kept of each would show in the end.
    let most = grown.into_iter().max().unwrap_or_default();
    assert!(most < 16 * 1024, "memory grew by {most} kB");
}
