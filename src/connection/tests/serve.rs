//! A script that answers by itself, where a test is not about the answers.

use std::time::Duration;

use super::frames::raw_frame;
use super::script::Script;
use crate::connection::{Request, RpcRequest};
use crate::types::message::Message;
use crate::wire::{self, FRAME_METHOD, Method, split_frame};

impl Script {
    /// A broker that has a word for some methods, and answers all others that it gets meanwhile as one does that has
    /// nothing to say. The word: false, and the method is answered.
    pub(super) fn serve(&mut self, mut word: impl FnMut(&mut Self, u16, &Method<'_>) -> bool) {
        self.write(usize::MAX);
        while let Some(frame) = split_frame(&mut self.output, usize::MAX).unwrap() {
            if frame.kind == FRAME_METHOD {
                let method = Method::decode(&frame.payload).unwrap();
                if !word(self, frame.channel, &method) {
                    self.answer(frame.channel, &method);
                }
                self.write(usize::MAX);
            }
        }
    }

    pub(super) fn answer(&mut self, channel: u16, method: &Method<'_>) {
        match method {
            Method::ChannelOpen(_) => self.send(channel, wire::ChannelOpenOk::default()),
            Method::ConfirmSelect(_) => self.send(channel, wire::ConfirmSelectOk {}),
            Method::BasicQos(_) => self.send(channel, wire::BasicQosOk {}),
            Method::BasicGet(_) => self.send(channel, wire::BasicGetEmpty::default()),
            Method::ExchangeDeclare(_) => self.send(channel, wire::ExchangeDeclareOk {}),
            Method::QueueBind(_) => self.send(channel, wire::QueueBindOk {}),
            Method::QueueDeclare(declare) => {
                let queue = declare.queue;
                let ok = wire::QueueDeclareOk {
                    queue,
                    ..Default::default()
                };
                self.send(channel, ok);
            }
            Method::BasicConsume(consume) if !consume.no_wait => {
                let consumer_tag = consume.consumer_tag;
                self.send(channel, wire::BasicConsumeOk { consumer_tag });
            }
            _ => {}
        }
    }

    /// The broker is there, and so much time passes.
    pub(super) fn live(&mut self, time: Duration) {
        self.send_bytes(&raw_frame(wire::FRAME_HEARTBEAT, 0, b""));
        self.pass(time);
    }

    /// The broker closes the connection because of such a request.
    pub(super) fn die_of(&mut self, (class_id, method_id): (u16, u16)) {
        self.write(usize::MAX);
        self.output.clear();
        let close = wire::ConnectionClose {
            reply_code: 541,
            class_id,
            method_id,
            ..Default::default()
        };
        self.send(0, close);
        self.write(usize::MAX);
        self.output.clear();
        assert!(self.connection.is_suspended());
    }

    /// A request to another program.
    pub(super) fn call(&mut self, timeout: Duration) -> u64 {
        let sending = RpcRequest {
            exchange: "".into(),
            routing_key: "rpc".into(),
            message: Message::new("x"),
            timeout,
            deadline: self.now + timeout,
        };
        self.request(Request::Rpc(Box::new(sending)))
    }
}
