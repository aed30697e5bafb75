//! What a consumer's gate holds back, and what consumers that have ended leave, stays within the mark. A process of its own, so
//! that no other test's memory is counted.
#![cfg(target_os = "linux")]

mod process;
mod wire;

use puka::{Client, ClientOptions, Consume, Delivery, Error, Promise};

use process::peak_memory;
use wire::endless;

const MARK: usize = 16 << 20;

/// Far more deliveries than the mark allows, but few enough for a machine that keeps them all.
const MOST: u64 = 8 * MARK as u64 / 10_000;

fn connected(url: &str) -> Client {
    let options = ClientOptions::new().unread_high_water_mark(MARK);
    let mut client = Client::with_options(url, options).unwrap();
    client.connect().wait(&mut client).unwrap();
    client
}

/// Waits for what never comes, while memory fills up, and then takes some.
fn fill_and_take(client: &mut Client, consumer: Promise<Delivery>) {
    let never = client.basic_get("endless");
    for _ in 0..10 {
        let error = client.wait(never).unwrap_err();
        assert!(matches!(error, Error::UnreadDeliveries(_)), "{error}");
    }
    for number in 1..=4 * MARK as u64 / 10_000 {
        let delivery = client.wait(consumer).unwrap();
        assert_eq!(delivery.delivery_tag(), number);
        client.basic_ack(delivery).unwrap();
    }
}

#[test]
fn gates_and_ended_consumers_stay_within_the_mark() {
    let before = peak_memory();
    let check = |what: &str| {
        let grown = peak_memory() - before;
        assert!(grown < 4 * MARK / 1024, "{what}: memory grew by {grown} kB");
    };
    let url = endless::start(MOST);

    let mut client = connected(&url);
    let consumer = client.basic_consume(Consume::new("endless").exclusive(true));
    client.basic_qos(consumer, 1).wait(&mut client).unwrap();
    fill_and_take(&mut client, consumer);
    check("an exclusive consumer with a prefetch of later");

    let mut client = connected(&url);
    let consumer = client.basic_consume(Consume::new("endless").prefetch_count(1));
    fill_and_take(&mut client, consumer);
    check("a broker that ignores the prefetch");

    for no_ack in [true, false] {
        let mut client = connected(&url);
        for _ in 0..6 {
            // Nothing of what was there before is in the way.
            assert!(
                client
                    .basic_get("empty")
                    .wait(&mut client)
                    .unwrap()
                    .is_none()
            );
            client.basic_consume(Consume::new("endless").no_ack(no_ack));
            let never = client.basic_get("endless");
            assert!(client.wait(never).is_err());
            let _ = client.close().wait(&mut client);
            client.connect().wait(&mut client).unwrap();
        }
        check("consumers that have ended");
    }
}
