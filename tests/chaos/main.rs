//! A publisher and a consumer with recovery, while nodes of a cluster are killed, and connections are cut: not one
//! confirmed message may be lost, and both programs end by themselves.
//!
//! `PUKA_KILLS` and `PUKA_CUTS` say how many, `PUKA_SEED` repeats a run's choices.

mod chance;
mod programs;
mod proxy;
#[allow(dead_code, unused_imports, reason = "the other tests need more of it")]
#[path = "../broker/support.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use chance::Chance;
use programs::Ledger;
use proxy::Proxy;
use puka::QueueDeclare;
use support::{Broker, unique, url};

fn count(variable: &str, default: usize) -> usize {
    let value = std::env::var(variable);
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn report(what: &str, ledger: &Ledger) {
    let get = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{what}: {} messages confirmed, none of them lost; {} came twice, {} were refused; {} connections restored, {} \
         consumers cancelled by the broker",
        get(&ledger.confirmed),
        get(&ledger.doubled),
        get(&ledger.refused),
        get(&ledger.restored),
        get(&ledger.cancelled)
    );
}

#[test]
fn nothing_confirmed_is_lost_while_nodes_of_a_cluster_are_killed() {
    let mut chance = Chance::new("cluster");
    let kills = count("PUKA_KILLS", 10);
    let first = Broker::start(&[]);
    let others = [0; 2].map(|_| Broker::join(&first));
    let nodes = [&others[0], &others[1], &first];
    let hosts = nodes.map(|node| node.host().to_owned());
    let queue = unique("quorum");
    let declare = QueueDeclare::new(&queue)
        .durable(true)
        .argument("x-queue-type", "quorum");
    let options = programs::options().hosts(&hosts[1..]);
    let urls = [&*nodes[0].url, &*nodes[1].url];
    let ledger = programs::run(urls, options, declare, &queue, |_| {
        for kill in 0..kills {
            let node = nodes[kill % nodes.len()];
            // The moment is the chance's choice; nothing waits for it.
            thread::sleep(Duration::from_millis(chance.below(3000) as u64));
            node.kill();
            thread::sleep(Duration::from_millis(chance.below(2000) as u64));
            node.restart();
        }
    });
    report(&format!("{kills} kills"), &ledger);
    assert!(ledger.restored.load(Ordering::Relaxed) >= kills / 3);
}

#[test]
fn nothing_confirmed_is_lost_while_connections_are_cut() {
    let chance = Chance::new("proxy");
    let cuts = count("PUKA_CUTS", 200);
    let url = url();
    let address = url.trim_start_matches("amqp://").trim_end_matches('/');
    let proxy = Proxy::start(address.parse().unwrap(), chance);
    let queue = unique("cut");
    let declare = QueueDeclare::new(&queue).durable(true);
    let through = proxy.url();
    let ledger = programs::run([&through; 2], programs::options(), declare, &queue, |_| {
        while proxy.faults().ended() < cuts {
            thread::sleep(Duration::from_millis(50));
        }
        proxy.calm_down();
    });
    report(&format!("{:?}", proxy.faults()), &ledger);
    let mut client = puka::Client::new(&url).unwrap();
    client.connect().wait(&mut client).unwrap();
    client.queue_delete(&queue).wait(&mut client).unwrap();
}
