//! The broker: what it says, asked for or not, right or wrong.

use bytes::{Bytes, BytesMut};

use super::Session;
use crate::fuzzing::Choices;
use crate::wire::{
    self, ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, FieldValue, METHODS, Method,
    Properties, WireMethod, begin_frame, end_frame, write_method,
};

impl Session {
    /// The broker does what it was asked for, or some of it.
    pub(super) fn answer(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.byte();
        self.write(usize::MAX);
        match kind % 16 {
            0..=5 => {
                for _ in 0..=kind >> 5 {
                    if let Some((_, frames)) = self.owed.pop_front() {
                        self.feed(&frames);
                    }
                }
            }
            6 => {
                let index = usize::from(choices.byte()) % self.owed.len().max(1);
                let Some(&(channel, _)) = self.owed.get(index) else {
                    return;
                };
                // Each channel's in order, but no channel's before another's.
                let first = self.owed.iter().position(|(of, _)| *of == channel);
                if let Some((_, frames)) = first.and_then(|first| self.owed.remove(first)) {
                    self.feed(&frames);
                }
            }
            7 => {
                let index = usize::from(choices.byte()) % self.owed.len().max(1);
                let Some(&(channel @ 1.., _)) = self.owed.get(index) else {
                    return;
                };
                let (code, text) = [
                    (404, "NOT_FOUND - no exchange 'logs' in vhost '/'"),
                    (405, "RESOURCE_LOCKED - cannot obtain exclusive access"),
                    (404, "NOT_FOUND - queue 'a' is down or inaccessible"),
                    (406, "PRECONDITION_FAILED - message size 1 is larger than"),
                ][usize::from(kind >> 6)];
                self.refuse(channel, code, text);
            }
            8..=10 => self.deliver(kind, choices),
            11 => self.cancel(choices),
            12 => {
                let ack = wire::BasicAck {
                    delivery_tag: self.tag(choices),
                    multiple: kind & 0x20 != 0,
                };
                self.say(1, &ack);
            }
            13 => {
                let nack = wire::BasicNack {
                    delivery_tag: self.tag(choices),
                    multiple: kind & 0x20 != 0,
                    requeue: false,
                };
                self.say(1, &nack);
            }
            14 => self.give_back(kind, choices),
            _ => self.reply(choices),
        }
    }

    /// The tag of a publish.
    fn tag(&mut self, choices: &mut Choices<'_>) -> u64 {
        let tag = choices.byte().into();
        self.is_honest &= self.confirms && (1..=self.published).contains(&tag);
        tag
    }

    fn refuse(&mut self, channel: u16, reply_code: u16, text: &str) {
        self.owed.retain(|(of, _)| *of != channel);
        self.consumers.retain(|(of, _)| *of != channel);
        self.callers.remove(&channel);
        if channel == 1 {
            (self.published, self.confirms) = (0, false);
        }
        let close = wire::ChannelClose {
            reply_code,
            reply_text: text.as_bytes(),
            ..Default::default()
        };
        self.say(channel, &close);
    }

    fn deliver(&mut self, kind: u8, choices: &mut Choices<'_>) {
        let index = usize::from(choices.byte()) % self.consumers.len().max(1);
        let Some((channel, tag)) = self.consumers.get(index).cloned() else {
            return;
        };
        let mut properties = Properties::default();
        match kind >> 6 {
            1 => properties.set_content_type("text/plain"),
            2 => {
                let value = choices.short().cast_signed();
                // Now and then the last one that there is.
                let offset = i64::from(value) << (choices.byte() % 64);
                properties.headers.insert("x-stream-offset", offset);
            }
            _ => {}
        }
        self.delivered += 1;
        let deliver = wire::BasicDeliver {
            consumer_tag: &tag,
            delivery_tag: self.delivered,
            ..Default::default()
        };
        let frames = self.content(channel, &deliver, &properties, choices);
        self.feed(&frames);
    }

    /// A queue of a consumer has gone.
    fn cancel(&mut self, choices: &mut Choices<'_>) {
        let index = usize::from(choices.byte()) % self.consumers.len().max(1);
        if index < self.consumers.len() {
            let (channel, tag) = self.consumers.swap_remove(index);
            let cancel = wire::BasicCancel {
                consumer_tag: &tag,
                no_wait: true,
            };
            self.say(channel, &cancel);
        }
    }

    /// The return of a message, whoever published it.
    fn give_back(&mut self, kind: u8, choices: &mut Choices<'_>) {
        let mut properties = Properties::default();
        let promise = choices.byte();
        properties.set_correlation_id(&promise.to_string());
        let mark = FieldValue::I64(promise.into());
        properties.headers.insert("x-puka-delivery-tag", mark);
        if kind & 0x20 != 0 {
            properties.headers.insert("x-puka-footer", true);
        }
        let channel = match kind >> 6 {
            0 => 1,
            _ => u16::from(choices.byte() % 8),
        };
        self.is_honest &= self.callers.contains(&channel);
        let frames = self.content(channel, &wire::BasicReturn::default(), &properties, choices);
        self.feed(&frames);
    }

    /// The reply to a call.
    fn reply(&mut self, choices: &mut Choices<'_>) {
        let mut properties = Properties::default();
        properties.set_correlation_id(&choices.byte().to_string());
        let deliver = wire::BasicDeliver {
            consumer_tag: b"puka-reply",
            ..Default::default()
        };
        let channel = u16::from(choices.byte() % 8);
        self.is_honest &= self.callers.contains(&channel);
        let frames = self.content(channel, &deliver, &properties, choices);
        self.feed(&frames);
    }

    /// Frames of all kinds, well-formed or not.
    pub(super) fn say_anything(&mut self, choices: &mut Choices<'_>) {
        let kind = choices.byte();
        match kind % 4 {
            0 => {
                let count = usize::from(choices.short());
                let bytes = choices.bytes(count);
                self.is_honest &= bytes.is_empty();
                self.feed(bytes);
            }
            1 => {
                let channel = u16::from(choices.byte());
                let count = usize::from(choices.byte());
                let payload = choices.bytes(count);
                self.is_honest = false;
                let frame = frame(kind >> 4, channel, payload);
                self.feed(&frame);
            }
            2 => {
                let (_, class, id, _) = METHODS[usize::from(choices.byte()) % METHODS.len()];
                let channel = u16::from(kind >> 4);
                let mut payload = [class.to_be_bytes(), id.to_be_bytes()].concat();
                let count = usize::from(choices.byte());
                payload.extend_from_slice(choices.bytes(count));
                self.is_honest = false;
                let frame = frame(FRAME_METHOD, channel, &payload);
                self.feed(&frame);
            }
            _ if kind & 0x10 != 0 => {
                self.say(0, &wire::ConnectionBlocked { reason: b"memory" });
            }
            _ if kind & 0x20 != 0 => self.say(0, &wire::ConnectionUnblocked {}),
            // A part of what is owed: the rest, or something else, may follow.
            _ => {
                let count = usize::from(choices.short());
                if let Some((_, frames)) = self.owed.front_mut() {
                    let part = frames.split_to(count.min(frames.len()));
                    self.is_honest &= part.is_empty();
                    self.feed(&part);
                }
            }
        }
    }

    /// A method's frame, and those of a message.
    fn content(
        &mut self,
        channel: u16,
        method: &impl WireMethod,
        properties: &Properties,
        choices: &mut Choices<'_>,
    ) -> BytesMut {
        let size = usize::from(choices.short()) * [1, 5][usize::from(choices.byte() % 2)];
        let size = self.body(size);
        let most = [100, 4_000, 70_000, usize::MAX][usize::from(choices.byte() % 4)];
        let mut out = BytesMut::new();
        write_method(&mut out, channel, method).expect("a method of ours");
        let header = ContentHeader {
            class_id: 60,
            body_size: size as u64,
            properties: properties.clone(),
        };
        let mark = begin_frame(&mut out, FRAME_HEADER, channel);
        header.encode(&mut out).expect("properties of ours");
        end_frame(&mut out, mark);
        for piece in vec![b'b'; size].chunks(most.min(self.frame_max as usize - 8)) {
            out.extend_from_slice(&frame(FRAME_BODY, channel, piece));
        }
        out
    }

    pub(super) fn say(&mut self, channel: u16, method: &impl WireMethod) {
        let bytes = method_frame(channel, method);
        self.feed(&bytes);
    }

    /// What a broker says to that, if anything.
    pub(super) fn answer_to(&mut self, channel: u16, method: &Method<'_>) -> Option<Bytes> {
        let answer = match method {
            Method::ChannelOpen(_) => {
                if channel == 1 {
                    (self.published, self.confirms) = (0, false);
                }
                method_frame(channel, &wire::ChannelOpenOk::default())
            }
            Method::ConfirmSelect(_) => {
                self.confirms = true;
                method_frame(channel, &wire::ConfirmSelectOk {})
            }
            Method::QueueDeclare(declare) => method_frame(
                channel,
                &wire::QueueDeclareOk {
                    queue: if declare.queue.is_empty() {
                        b"amq.gen-1"
                    } else {
                        declare.queue
                    },
                    ..Default::default()
                },
            ),
            Method::QueueDelete(_) => method_frame(channel, &wire::QueueDeleteOk::default()),
            Method::QueuePurge(_) => method_frame(channel, &wire::QueuePurgeOk::default()),
            Method::QueueBind(_) => method_frame(channel, &wire::QueueBindOk {}),
            Method::QueueUnbind(_) => method_frame(channel, &wire::QueueUnbindOk {}),
            Method::ExchangeDeclare(_) => method_frame(channel, &wire::ExchangeDeclareOk {}),
            Method::ExchangeDelete(_) => method_frame(channel, &wire::ExchangeDeleteOk {}),
            Method::ExchangeBind(_) => method_frame(channel, &wire::ExchangeBindOk {}),
            Method::ExchangeUnbind(_) => method_frame(channel, &wire::ExchangeUnbindOk {}),
            Method::BasicQos(_) => method_frame(channel, &wire::BasicQosOk {}),
            Method::BasicConsume(consume) if !consume.no_wait => {
                let tag = Bytes::copy_from_slice(consume.consumer_tag);
                self.consumers.push((channel, tag));
                method_frame(
                    channel,
                    &wire::BasicConsumeOk {
                        consumer_tag: consume.consumer_tag,
                    },
                )
            }
            Method::BasicConsume(_) => {
                self.callers.insert(channel);
                return None;
            }
            Method::BasicCancel(cancel) => {
                let is_other = |(_, tag): &(u16, Bytes)| tag != cancel.consumer_tag;
                self.consumers.retain(is_other);
                method_frame(
                    channel,
                    &wire::BasicCancelOk {
                        consumer_tag: cancel.consumer_tag,
                    },
                )
            }
            Method::BasicGet(_) if self.delivered.is_multiple_of(2) => {
                method_frame(channel, &wire::BasicGetEmpty::default())
            }
            Method::BasicGet(_) => {
                self.delivered += 1;
                let got = wire::BasicGetOk {
                    delivery_tag: self.delivered,
                    ..Default::default()
                };
                let mut none = Choices { rest: &[0, 9] };
                self.content(channel, &got, &Properties::default(), &mut none)
            }
            Method::BasicRecover(_) => method_frame(channel, &wire::BasicRecoverOk {}),
            Method::BasicPublish(_) if channel == 1 && self.confirms => {
                self.published += 1;
                method_frame(
                    channel,
                    &wire::BasicAck {
                        delivery_tag: self.published,
                        multiple: false,
                    },
                )
            }
            Method::ConnectionUpdateSecret(_) => {
                method_frame(channel, &wire::ConnectionUpdateSecretOk {})
            }
            Method::ConnectionClose(_) => method_frame(channel, &wire::ConnectionCloseOk {}),
            _ => return None,
        };
        Some(answer.freeze())
    }

    /// The return of an empty message, if it is one that no queue can take.
    pub(super) fn return_of(&self, channel: u16, header: &ContentHeader) -> Option<Bytes> {
        if !header.properties.headers().contains("x-puka-footer") {
            return None;
        }
        let mut out = method_frame(channel, &wire::BasicReturn::default());
        let mark = begin_frame(&mut out, FRAME_HEADER, channel);
        header
            .encode(&mut out)
            .expect("what was read can be written");
        end_frame(&mut out, mark);
        Some(out.freeze())
    }

    /// So many bytes of a body, if there have not been too many.
    pub(super) fn body(&mut self, size: usize) -> usize {
        let size = size.min(self.bodies);
        self.bodies -= size;
        size
    }
}

fn method_frame(channel: u16, method: &impl WireMethod) -> BytesMut {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).expect("a method of ours");
    out
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out
}
