//! An endless queue, and nobody who reads it: memory stays within the mark. A process of its own, so that no other test's
//! memory is counted.
#![cfg(target_os = "linux")]

mod process;
mod wire;

use puka::{Client, ClientOptions, Consume, Error};

use process::peak_memory;
use wire::endless;

const MARK: usize = 16 << 20;

#[test]
fn an_endless_queue_that_nobody_reads_does_not_eat_memory() {
    let url = endless::start(u64::MAX);
    let options = ClientOptions::new().unread_high_water_mark(MARK);
    let mut client = Client::with_options(&url, options).unwrap();
    client.connect().wait(&mut client).unwrap();
    let before = peak_memory();
    let consumer = client.basic_consume(Consume::new("endless"));
    let never = client.basic_get("endless");
    for _ in 0..100 {
        let error = client.wait(never).unwrap_err();
        assert!(matches!(error, Error::UnreadDeliveries(_)), "{error}");
        assert!(client.loop_forever().is_err());
    }
    // It goes on as they are taken, and does not stop for good.
    for _ in 0..10 * MARK / 10_000 {
        client.wait(consumer).unwrap();
        assert!(matches!(
            client.wait(never),
            Err(Error::UnreadDeliveries(_))
        ));
    }
    let grown = peak_memory() - before;
    assert!(grown < 2 * MARK / 1024, "memory grew by {grown} kB");
}
