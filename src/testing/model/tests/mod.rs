//! What a real RabbitMQ was seen to do, the model does: texts are those of 3.10 and 4.0, word for word.

mod chance;
mod consume;
mod dead_letter;
mod declare;
mod publish;
mod refusals;
mod rights;
mod settle;
mod time;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::wire::{FieldTable, FieldValue, Properties};

/// A model, and some channels of guest's: number `n` is of connection `n / 10`.
struct World {
    model: Model,
    start: Instant,
}

/// What one delivery says.
type Seen = (String, u64, String);

impl World {
    fn new() -> Self {
        Self::of(Version::V4)
    }

    fn of(version: Version) -> Self {
        let settings = Settings {
            version,
            max_message_size: 1000,
        };
        let start = Instant::now();
        let mut model = Model::new(settings);
        model.advance(start);
        let mut world = Self { model, start };
        for channel in [1, 2, 11] {
            world.open(channel, "guest");
        }
        world
    }

    fn open(&mut self, channel: u16, user: &str) {
        let key = channel_key(channel);
        self.model.connected(key.link, user, "/").unwrap();
        self.model.open_channel(key);
    }

    /// So much later than the beginning.
    fn at(&mut self, milliseconds: u64) {
        let now = self.start + Duration::from_millis(milliseconds);
        self.model.advance(now);
    }

    fn queue(&mut self, queue: &str) {
        self.queue_with(queue, FieldTable::new());
    }

    fn queue_with(&mut self, queue: &str, arguments: FieldTable) {
        let is_quorum = arguments.contains("x-queue-type");
        let declare = QueueDeclare {
            queue,
            durable: is_quorum,
            arguments,
            ..QueueDeclare::default()
        };
        let declared = self.model.declare_queue(on(1), declare).unwrap();
        assert_eq!(declared.queue, queue);
    }

    fn exchange(&mut self, exchange: &str, kind: &str) {
        let declare = ExchangeDeclare {
            exchange,
            kind,
            ..ExchangeDeclare::default()
        };
        self.model.declare_exchange(on(1), declare).unwrap();
    }

    fn bind(&mut self, queue: &str, exchange: &str, routing_key: &str) {
        let bind = Bind {
            source: exchange,
            destination: queue,
            routing_key,
            ..Bind::default()
        };
        self.model.bind_queue(on(1), bind).unwrap();
    }

    fn send(&mut self, exchange: &str, routing_key: &str, body: &'static str) -> Published {
        self.send_with(exchange, routing_key, body, Properties::default())
    }

    fn send_with(
        &mut self,
        exchange: &str,
        routing_key: &str,
        body: &'static str,
        properties: Properties,
    ) -> Published {
        let publish = Publish {
            exchange,
            routing_key,
            is_confirmed: true,
            properties,
            body: Bytes::from_static(body.as_bytes()),
            ..Publish::default()
        };
        self.model.publish(on(1), publish).unwrap()
    }

    fn consume(&mut self, channel: u16, queue: &str, tag: &str) {
        self.consume_with(channel, queue, tag, FieldTable::new());
    }

    fn consume_with(&mut self, channel: u16, queue: &str, tag: &str, arguments: FieldTable) {
        let consume = Consume {
            queue,
            tag,
            arguments,
            ..Consume::default()
        };
        self.model.consume(channel_key(channel), consume).unwrap();
    }

    fn prefetch(&mut self, channel: u16, count: u16) {
        self.model
            .qos(channel_key(channel), 0, count, false)
            .unwrap();
    }

    fn get(&mut self, channel: u16, queue: &str) -> Option<Got> {
        self.model.get(on(channel), queue, false).unwrap()
    }

    /// Consumer, tag and body of what has been delivered since.
    fn delivered(&mut self) -> Vec<Seen> {
        let events = self.model.take_events().into_iter();
        let seen = events.filter_map(|event| match event {
            Event::Deliver {
                consumer,
                delivery_tag,
                message,
                ..
            } => Some((consumer.tag, delivery_tag, text(&message))),
            Event::Cancel(_) => None,
        });
        seen.collect()
    }

    /// Consumers that the broker has ended since.
    fn cancelled(&mut self) -> Vec<String> {
        let events = self.model.take_events().into_iter();
        let seen = events.filter_map(|event| match event {
            Event::Cancel(consumer) => Some(consumer.tag),
            Event::Deliver { .. } => None,
        });
        seen.collect()
    }

    /// The bodies that are ready.
    fn ready(&self, queue: &str) -> Vec<String> {
        let queue = self.model.queue("/", queue).expect("a queue");
        queue.ready.iter().map(|it| text(&it.message)).collect()
    }

    fn has_queue(&self, queue: &str) -> bool {
        self.model.queue("/", queue).is_some()
    }

    fn has_exchange(&mut self, exchange: &str) -> bool {
        let declare = ExchangeDeclare {
            exchange,
            passive: true,
            ..ExchangeDeclare::default()
        };
        self.model.declare_exchange(on(1), declare).is_ok()
    }
}

fn channel_key(channel: u16) -> ChannelKey {
    let link = LinkId(u64::from(channel / 10));
    ChannelKey { link, channel }
}

fn on(channel: u16) -> Caller<'static> {
    Caller::Channel(channel_key(channel))
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body.to_vec()).expect("a test's body")
}

fn seen(consumer: &str, tag: u64, body: &str) -> Seen {
    (consumer.to_owned(), tag, body.to_owned())
}

fn table(key: &'static str, value: impl Into<FieldValue>) -> FieldTable {
    FieldTable::new().with(key, value)
}

fn texts(all: &[&str]) -> FieldValue {
    let all = all.iter().map(|&text| FieldValue::from(text.to_owned()));
    FieldValue::Array(all.collect())
}

fn headers(headers: FieldTable) -> Properties {
    let mut properties = Properties::default();
    properties.headers = headers;
    properties
}

/// How its dead letters get to the queue "dead".
fn dead_letters() -> FieldTable {
    table("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "dead")
}
