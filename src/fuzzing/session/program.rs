//! The program: what it asks the client for.

use std::time::Duration;

use super::Session;
use crate::connection::{Request, RpcRequest, Settle};
use crate::fuzzing::Choices;
use crate::types::ids::PromiseNumber;
use crate::types::message::Message;
use crate::types::requests::{
    Consume, ConsumeMulti, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, QueueBind,
    QueueDeclare, QueueDelete, Requeue,
};
use crate::wire::FieldTable;

const NAMES: [&str; 4] = [
    "a",
    "work",
    "",
    "a name that is too long to be kept in place",
];

impl Session {
    /// What is under way from the start.
    pub(in crate::fuzzing) fn ask(&mut self) {
        self.request(Request::QueueDeclare(QueueDeclare::new("a")));
        self.request(Request::Consume(
            Consume::new("work").prefetch_count(2).into(),
        ));
        self.request(Request::Get(Get::new("work")));
        self.publish("", Message::new("one"));
        self.publish("logs", Message::new("two").mandatory(true).header("k", "v"));
        self.call("work");
    }

    fn promise(&mut self) -> u64 {
        self.promises += 1;
        self.open.insert(self.promises);
        self.promises
    }

    fn request(&mut self, request: Request) {
        let promise = self.promise();
        if matches!(request, Request::Consume(_)) {
            self.consuming.insert(promise);
        }
        self.connection.request(PromiseNumber(promise), request);
        self.collect();
    }

    fn publish(&mut self, exchange: &str, message: Message) {
        let promise = self.promise();
        self.connection
            .publish(PromiseNumber(promise), exchange, "work", message);
        self.collect();
    }

    fn call(&mut self, routing_key: &str) {
        let timeout = Duration::from_secs(3);
        let sending = RpcRequest {
            exchange: "".into(),
            routing_key: routing_key.into(),
            message: Message::new("question"),
            timeout,
            deadline: self.now + timeout,
        };
        self.request(Request::Rpc(Box::new(sending)));
    }

    /// The program wants something.
    pub(super) fn ask_for_more(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.byte();
        let name = NAMES[usize::from(kind >> 6)];
        let request = match kind % 24 {
            0 => Request::QueueDeclare(QueueDeclare::new(name).durable(kind & 0x20 != 0)),
            1 => Request::QueueDeclare(QueueDeclare::new(name).exclusive(true).auto_delete(true)),
            2 => Request::QueueDelete(QueueDelete::new(name)),
            3 => Request::QueuePurge(name.into()),
            4 => Request::QueueBind(QueueBind::new(name, "logs")),
            5 => Request::QueueUnbind(QueueBind::new(name, "logs")),
            6 => Request::ExchangeDeclare(ExchangeDeclare::topic(name)),
            7 => Request::ExchangeDelete(ExchangeDelete::new(name)),
            8 => Request::ExchangeBind(ExchangeBind::new(name, "logs")),
            9 => Request::ExchangeUnbind(ExchangeBind::new(name, "logs")),
            10 => Request::Get(Get::new(name).no_ack(kind & 0x20 != 0)),
            11 => Request::Consume(
                Consume::new(name)
                    .prefetch_count(choices.byte().into())
                    .no_ack(kind & 0x20 != 0)
                    .into(),
            ),
            12 => Request::Consume(
                ConsumeMulti::new(["a", "work"]).prefetch_count(choices.byte().into()),
            ),
            13 => {
                let stream = Consume::new(name).argument("x-stream-offset", "first");
                Request::Consume(stream.prefetch_count(1).into())
            }
            _ => return self.tell(kind, choices),
        };
        self.request(request);
    }

    /// The program has more to say.
    fn tell(&mut self, kind: u8, choices: &mut Choices<'_>) {
        let (flag, name) = (kind & 0x20 != 0, NAMES[usize::from(kind >> 6)]);
        match kind % 24 {
            14 => self.call(name),
            15..=17 => {
                let size = self.body(usize::from(choices.short()));
                let mut message = Message::new(vec![kind; size]).mandatory(flag);
                if kind % 24 == 16 {
                    let table = FieldTable::new().with("h", kind);
                    message = message.headers(table).correlation_id(name).priority(kind);
                }
                self.publish(name, message);
            }
            18 | 19 => {
                let how = match kind >> 6 {
                    0 => Settle::Ack { multiple: flag },
                    1 => Settle::Reject(if flag { Requeue::Yes } else { Requeue::No }),
                    _ => Settle::Nack {
                        multiple: flag,
                        requeue: Requeue::Yes,
                    },
                };
                let index = usize::from(choices.byte());
                if let Some(delivery) = self.deliveries.get(index % self.deliveries.len().max(1)) {
                    let _ = self.connection.settle(delivery.origin, how);
                    if kind % 24 == 18 {
                        self.deliveries.remove(index % self.deliveries.len());
                    }
                }
            }
            20 => {
                let promise = self.promise();
                let consumer = u64::from(choices.byte());
                self.connection
                    .cancel(PromiseNumber(promise), PromiseNumber(consumer));
            }
            21 => {
                let promise = self.promise();
                let (consumer, prefetch) = (u64::from(choices.byte()), choices.byte());
                self.connection.qos(
                    PromiseNumber(promise),
                    PromiseNumber(consumer),
                    prefetch.into(),
                );
            }
            22 => {
                let promise = self.promise();
                let consumer = u64::from(choices.byte());
                self.connection
                    .recover(PromiseNumber(promise), PromiseNumber(consumer));
            }
            _ if flag => {
                let promise = self.promise();
                let secret = "s".repeat(choices.short().into());
                self.connection
                    .update_secret(PromiseNumber(promise), secret, &name.into());
            }
            _ if kind >> 6 == 3 => {
                let promise = self.promise();
                self.connection.close(PromiseNumber(promise));
            }
            _ => {}
        }
    }
}
