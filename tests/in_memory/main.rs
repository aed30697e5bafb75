//! The tests of `tests/broker`, on the RabbitMQ of `puka::testing` in place of a real one. Where the two differ, `testing` is
//! wrong. `PUKA_RABBITMQ` says which one it plays, 3 or 4 (the default); `PUKA_SEED` puts a network of chance between.
//!
//! What is left out, and why:
//!
//! | | |
//! |---|---|
//! | `embedding` | sockets of the test's own, and the system's polls: in memory there is nothing that those could watch |
//! | `nodes` | plugins, clusters, rare settings: `testing` is one node without plugins |
//! | `streams` | `testing` has none, and says so |
//! | `threads` | threads of the test's own: in memory, who waits for them sees that nothing is to happen |
//!
//! Of `callers`' table two lines are passed over: `as_fd`, and `connect_over`, which takes a socket.
#![cfg(feature = "testing")]

#[path = "../broker/auth.rs"]
mod auth;
#[path = "../broker/basic.rs"]
mod basic;
#[path = "../broker/blocked.rs"]
mod blocked;
#[path = "../broker/callers.rs"]
mod callers;
#[path = "../broker/cancel.rs"]
mod cancel;
#[path = "../broker/connection.rs"]
mod connection;
#[path = "../broker/consume.rs"]
mod consume;
#[path = "../broker/dead_letters.rs"]
mod dead_letters;
#[path = "../broker/exchange.rs"]
mod exchange;
#[path = "../broker/features.rs"]
mod features;
#[path = "../broker/handle.rs"]
mod handle;
#[path = "../broker/limits.rs"]
mod limits;
#[path = "../broker/liveness.rs"]
mod liveness;
#[path = "../broker/loops.rs"]
mod loops;
#[path = "../broker/loss.rs"]
mod loss;
#[path = "../broker/publish.rs"]
mod publish;
#[path = "../broker/queue.rs"]
mod queue;
#[path = "../broker/recovery.rs"]
mod recovery;
#[path = "../broker/restored.rs"]
mod restored;
#[path = "../broker/routing.rs"]
mod routing;
#[path = "../broker/rules.rs"]
mod rules;
mod support;
#[path = "../broker/table.rs"]
mod table;
#[path = "../broker/trouble.rs"]
mod trouble;
#[path = "../broker/unread.rs"]
mod unread;
#[path = "../broker/words.rs"]
mod words;

#[test]
fn every_file_of_tests_runs_here_or_is_in_the_table() {
    let (there, here) = (include_str!("../broker/main.rs"), include_str!("main.rs"));
    let modules = there.lines().filter_map(|line| line.strip_prefix("mod "));
    for module in modules.map(|module| module.trim_end_matches(';')) {
        let runs = here.contains(&format!("\nmod {module};"));
        let is_left_out = here.contains(&format!("\n//! | `{module}` |"));
        assert_ne!(runs, is_left_out, "{module}");
    }
}
