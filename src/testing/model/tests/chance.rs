//! Many requests of chance: whatever comes, the books balance, and nothing waits that could go on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::*;
use crate::testing::chance::Chance;

const QUEUES: [&str; 6] = ["a", "b", "c", "d", "e", "quorum"];
const CHANNELS: [u16; 4] = [1, 2, 11, 12];
const TAGS: [&str; 3] = ["x", "y", "z"];

fn arguments(queue: &str) -> FieldTable {
    let to = |queue: &'static str| {
        table("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", queue)
    };
    match queue {
        "a" => to("b").with("x-max-length", 5),
        "b" => to("a").with("x-message-ttl", 30),
        "c" => table("x-max-priority", 2).with("x-max-length-bytes", 20),
        "d" => to("c").with("x-single-active-consumer", true),
        "e" => to("e")
            .with("x-max-length", 3)
            .with("x-overflow", "reject-publish-dlx"),
        _ => to("d")
            .with("x-queue-type", "quorum")
            .with("x-delivery-limit", 2),
    }
}

struct Life {
    world: World,
    chance: Chance,
    milliseconds: u64,
    /// Tags that are out, by channel, as far as the events tell.
    out: BTreeMap<u16, Vec<u64>>,
    log: Vec<String>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let mut world = World::of(if seed.is_multiple_of(2) {
            Version::V3
        } else {
            Version::V4
        });
        world.open(12, "guest");
        Self {
            world,
            chance,
            milliseconds: 0,
            out: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.chance.below(from.len())]
    }

    fn declare(&mut self) -> String {
        let queue = self.pick(&QUEUES);
        let declare = QueueDeclare {
            queue,
            durable: queue == "quorum",
            auto_delete: queue == "b",
            arguments: arguments(queue),
            ..QueueDeclare::default()
        };
        let channel = self.pick(&CHANNELS);
        let declared = self.world.model.declare_queue(on(channel), declare);
        format!("declare {queue} {declared:?}")
    }

    fn publish(&mut self) -> String {
        let routing_key = self.pick(&QUEUES);
        let mut properties = Properties::default();
        if self.chance.percent(30) {
            properties.set_expiration(["0", "10", "50"][self.chance.below(3)]);
        }
        if self.chance.percent(30) {
            properties.set_priority(self.chance.below(4) as u8);
        }
        let body = ["", "four", "eightght"][self.chance.below(3)];
        let published = self.world.send_with("", routing_key, body, properties);
        format!("publish {routing_key} {published:?}")
    }

    fn consume(&mut self) -> String {
        let channel = self.pick(&CHANNELS);
        let (queue, tag) = (self.pick(&QUEUES), self.pick(&TAGS));
        let consume = Consume {
            queue,
            tag,
            no_ack: self.chance.percent(20),
            exclusive: self.chance.percent(5),
            arguments: table("x-priority", self.chance.below(3) as i32),
        };
        let count = self.chance.below(4) as u16;
        let shared = self.chance.percent(10) && queue != "quorum";
        let key = channel_key(channel);
        self.world.model.qos(key, 0, count, shared).unwrap();
        let consumed = self.world.model.consume(key, consume);
        format!("consume {channel} {queue} {count} {shared} {consumed:?}")
    }

    fn settle(&mut self) -> String {
        let channel = self.pick(&CHANNELS);
        let key = channel_key(channel);
        let tags = self.out.entry(channel).or_default();
        if tags.is_empty() {
            return String::new();
        }
        let place = self.chance.below(tags.len());
        let tag = tags[place];
        let multiple = self.chance.percent(30);
        if multiple {
            tags.retain(|&other| other > tag);
        } else {
            tags.remove(place);
        }
        let model = &mut self.world.model;
        let how = self.chance.below(3);
        let settled = match how {
            0 => model.ack(key, tag, multiple),
            _ => model.nack(key, tag, multiple, how == 1),
        };
        settled.unwrap();
        format!("settle {channel} {tag} {multiple} {how}")
    }

    fn get(&mut self) -> String {
        let (channel, queue) = (self.pick(&CHANNELS), self.pick(&QUEUES));
        let no_ack = self.chance.percent(50);
        let got = self.world.model.get(on(channel), queue, no_ack);
        if let (Ok(Some(got)), false) = (&got, no_ack) {
            self.out.entry(channel).or_default().push(got.delivery_tag);
        }
        format!("get {channel} {queue} {no_ack} {got:?}")
    }

    fn end(&mut self) -> String {
        let channel = self.pick(&CHANNELS);
        let key = channel_key(channel);
        let model = &mut self.world.model;
        match self.chance.below(6) {
            0 => {
                let queue = QUEUES[self.chance.below(QUEUES.len())];
                let gone = model.delete_queue(on(channel), queue, false, false);
                format!("delete {queue} {gone:?}")
            }
            1 => {
                model.close_channel(key);
                model.open_channel(key);
                self.out.remove(&channel);
                format!("close {channel}")
            }
            2 => {
                model.disconnected(key.link);
                for channel in CHANNELS.into_iter().filter(|it| it / 10 == channel / 10) {
                    self.world.open(channel, "guest");
                    self.out.remove(&channel);
                }
                format!("disconnect {channel}")
            }
            3 if self.chance.percent(20) => {
                model.restart();
                for channel in CHANNELS {
                    self.world.open(channel, "guest");
                }
                self.out.clear();
                "restart".into()
            }
            4 => {
                model.recover(key, true).unwrap();
                self.out.remove(&channel);
                format!("recover {channel}")
            }
            _ => {
                let tag = TAGS[self.chance.below(TAGS.len())];
                model.cancel(key, tag);
                format!("cancel {channel} {tag}")
            }
        }
    }

    fn step(&mut self) {
        let did = match self.chance.below(20) {
            0..3 => self.declare(),
            3..10 => self.publish(),
            10..12 => self.consume(),
            12..16 => self.settle(),
            16 => self.get(),
            17 => self.end(),
            _ => {
                self.milliseconds += self.chance.below(20) as u64;
                self.world.at(self.milliseconds);
                format!("at {}", self.milliseconds)
            }
        };
        self.log.push(did);
        for event in self.world.model.take_events() {
            self.log.push(format!("  {event:?}"));
            if let Event::Deliver {
                consumer,
                delivery_tag,
                ..
            } = event
            {
                let channel = &self.world.model.channels[&consumer.channel];
                if channel.unacked.contains_key(&delivery_tag) {
                    let out = self.out.entry(consumer.channel.channel).or_default();
                    out.push(delivery_tag);
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let model = &self.world.model;
        for (key, channel) in &model.channels {
            let known = self.out.get(&key.channel).cloned().unwrap_or_default();
            let tags: Vec<_> = channel.unacked.keys().copied().collect();
            assert_eq!(tags, known, "channel {}", key.channel);
            let to_consumers = channel.unacked.values().filter(|it| it.consumer.is_some());
            assert_eq!(to_consumers.count(), channel.consumers_unacked);
        }
        let queues = &model.vhosts["/"].queues;
        for (name, queue) in queues {
            self.check_queue(name, queue);
        }
        let consumers = queues.values().map(|queue| queue.consumers.len()).sum();
        let known = model
            .channels
            .values()
            .map(|channel| channel.consumers.len());
        assert_eq!(known.sum::<usize>(), consumers);
        assert!(model.changed.is_empty() && model.dead.is_empty());
    }

    fn check_queue(&self, name: &str, queue: &queue::Queue) {
        let model = &self.world.model;
        let priorities: Vec<_> = queue
            .consumers
            .iter()
            .map(|it| Reverse(it.priority))
            .collect();
        assert!(priorities.is_sorted());
        for consumer in &queue.consumers {
            let channel = &model.channels[&consumer.key.channel];
            assert_eq!(
                channel.consumers.get(&consumer.key.tag).map(String::as_str),
                Some(name)
            );
            let is_its = |tag: Option<&String>| tag == Some(&consumer.key.tag);
            let out = channel.unacked.values().filter(|unacked| {
                unacked.queue_id == queue.id && is_its(unacked.consumer.as_ref())
            });
            // Its name's predecessor may have left some.
            assert!(consumer.unacked <= out.count());
            let limit = usize::from(consumer.prefetch);
            assert!(limit == 0 || consumer.unacked <= limit);
            let is_active = queue
                .active
                .as_ref()
                .is_none_or(|active| *active == consumer.key);
            let has_room = limit == 0 || consumer.unacked < limit;
            let shared = usize::from(channel.shared_prefetch);
            let has_shared_room = shared == 0 || channel.consumers_unacked < shared;
            let could = is_active && (consumer.no_ack || has_room && has_shared_room);
            assert!(!could || queue.ready.is_empty(), "{name} waits for nothing");
        }
        assert!(!queue.is_too_long());
        let next = queue.next_event();
        assert!(
            next.is_none_or(|at| at > model.now),
            "{name} has an old message in front"
        );
        assert!(name != "quorum" || queue.ready.values().all(|it| it.returns <= 2));
    }
}

#[test]
fn the_books_balance_whatever_comes_and_each_run_is_the_same() {
    for seed in 1..=25 {
        let run = || {
            let mut life = Life::new(seed);
            for _ in 0..300 {
                life.step();
            }
            life.log
        };
        assert!(run() == run(), "seed {seed} was not the same twice");
    }
}
