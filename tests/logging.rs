//! What is logged: something at debug, nothing at info and above on a healthy day, and never a password. A process of
//! its own, for there is one logger in each.

use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};
use puka::Client;

struct Lines(Mutex<Vec<(Level, String)>>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("puka") {
            self.0
                .lock()
                .unwrap()
                .push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

#[test]
fn a_healthy_day_is_told_at_debug_and_no_password_at_all() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let url =
        std::env::var("AMQP_URL").expect("this test needs a broker at AMQP_URL: run scripts/test");
    let mut client = Client::new(&url).unwrap();
    client.connect().wait(&mut client).unwrap();
    client
        .basic_publish("puka-wrong-exchange", "", "a")
        .wait(&mut client)
        .unwrap_err();
    client
        .update_secret("a new secret", "it expires")
        .wait(&mut client)
        .unwrap();
    let debug = format!("{client:?}");
    assert!(!debug.contains("secret"), "{debug}");
    client.close().wait(&mut client).unwrap();

    let options = puka::ClientOptions::new().hosts(["guest:secret@rabbit2"]);
    let debug = format!("{options:?}");
    let error = Client::with_options(&url, options).unwrap_err();
    assert!(
        !format!("{debug} {error} {error:?}").contains("secret"),
        "{debug} {error}"
    );

    let address = url
        .trim_start_matches("amqp://")
        .rsplit('@')
        .next()
        .unwrap();
    let mut client = Client::new(&format!("amqp://guest:secret@{address}")).unwrap();
    let promise = client.connect();
    let debug = format!("{client:?}");
    let error = client.wait(promise).unwrap_err();
    let shown = format!("{debug} {client:?} {error} {error:?}");
    assert!(!shown.contains("secret"), "{shown}");

    let lines = LINES.0.lock().unwrap();
    assert!(
        lines
            .iter()
            .all(|(level, line)| *level >= Level::Debug && !line.contains("secret")),
        "{lines:?}"
    );
    for part in [
        "connecting to",
        "connected to RabbitMQ",
        "closed channel 1",
        "connection closed",
        "ACCESS_REFUSED",
    ] {
        assert!(
            lines.iter().any(|(_, line)| line.contains(part)),
            "{part} is not in {lines:?}"
        );
    }
    drop(lines);
    a_reply_that_is_none_is_told_as_a_warning(&url);
}

fn a_reply_that_is_none_is_told_as_a_warning(url: &str) {
    let mut client = Client::new(url).unwrap();
    client.connect().wait(&mut client).unwrap();
    let declare = puka::QueueDeclare::server_named().exclusive(true);
    let queue = client.queue_declare(declare).wait(&mut client).unwrap();
    let limit = std::time::Duration::from_secs(1);
    let call = client.call_timeout("", &queue.queue, "a", limit);
    let consumer = client.basic_consume(&queue.queue);
    let request = client.wait(consumer).unwrap();
    let to = request.properties.reply_to().unwrap().to_owned();
    client.basic_publish("", to, "without the id");
    client.wait(call).unwrap_err();
    let lines = LINES.0.lock().unwrap();
    let told =
        |(level, line): &(Level, String)| *level == Level::Warn && line.contains("correlation_id");
    assert!(lines.iter().any(told), "{lines:?}");
}
