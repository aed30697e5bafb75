//! A node, and clients that are driven by hand. What the node says is compared as text: the channel, the method, what
//! matters in it, and behind "=" the body.
//!
//! The codes, texts and times are RabbitMQ's own (3.10 and 4.0 say the same): each was seen on a real one.

mod channels;
mod closing;
mod confirms;
mod connections;
mod consuming;
mod handshake;
mod heartbeats;
mod troubles;

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::testing::model::{LinkId, Settings, Version};
use crate::testing::node::{HostSettings, Node};
use crate::wire::{
    self, Arena, ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD,
    FieldTable, Method, PROTOCOL_HEADER, Properties, WireMethod, begin_frame, end_frame,
    split_frame, write_method,
};

struct World {
    node: Node,
    now: Instant,
    host: HostSettings,
    /// What clients say they can do.
    capabilities: &'static [&'static str],
}

impl World {
    fn new() -> Self {
        Self::with_seed(0)
    }

    fn with_seed(seed: u64) -> Self {
        Self {
            node: Node::new(
                seed,
                Settings {
                    version: Version::V4,
                    max_message_size: 16 * 1024 * 1024,
                },
            ),
            now: Instant::now(),
            host: HostSettings::default(),
            capabilities: &[
                "authentication_failure_close",
                "connection.blocked",
                "consumer_cancel_notify",
            ],
        }
    }

    fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.node.receive(self.now, link, bytes);
    }

    fn say(&mut self, link: LinkId, channel: u16, method: &impl WireMethod) {
        self.send(link, &method_frame(channel, method));
    }

    /// What the node has said since it was last asked.
    fn said(&mut self, link: LinkId) -> Vec<String> {
        let mut bytes = BytesMut::from(&self.node.take_output(link, usize::MAX)[..]);
        let mut said: Vec<String> = Vec::new();
        while let Some(frame) = split_frame(&mut bytes, usize::MAX).unwrap() {
            match frame.kind {
                FRAME_METHOD => {
                    let method = Method::decode(&frame.payload).unwrap();
                    said.push(format!("{} {}", frame.channel, show(&method)));
                }
                FRAME_HEADER => {
                    ContentHeader::decode(&frame.payload, &mut Arena::default()).unwrap();
                    said.last_mut().unwrap().push_str(" = ");
                }
                FRAME_BODY => {
                    let body = str::from_utf8(&frame.payload).unwrap();
                    said.last_mut().unwrap().push_str(body);
                }
                _ => said.push("heartbeat".into()),
            }
        }
        said
    }

    /// A client with its protocol header out.
    fn connect(&mut self) -> LinkId {
        let link = self.node.accept(self.now, &self.host);
        self.send(link, PROTOCOL_HEADER);
        assert_eq!(self.said(link), ["0 connection.start"]);
        link
    }

    fn start_ok(&mut self, link: LinkId, mechanism: &str, response: &[u8]) {
        let can: FieldTable = self.capabilities.iter().map(|&name| (name, true)).collect();
        let properties = FieldTable::new().with("capabilities", can);
        let ok = wire::ConnectionStartOk {
            client_properties: properties.encoded(),
            mechanism: mechanism.as_bytes(),
            response,
            locale: b"en_US",
        };
        self.say(link, 0, &ok);
    }

    fn tune_ok(&mut self, link: LinkId, channel_max: u16, frame_max: u32, heartbeat: u16) {
        let ok = wire::ConnectionTuneOk {
            channel_max,
            frame_max,
            heartbeat,
        };
        self.say(link, 0, &ok);
    }

    fn open_vhost(&mut self, link: LinkId, vhost: &str) {
        let open = wire::ConnectionOpen {
            virtual_host: vhost.as_bytes(),
            ..Default::default()
        };
        self.say(link, 0, &open);
    }

    /// A client that has logged in and tuned.
    fn tuned(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> LinkId {
        let link = self.connect();
        self.start_ok(link, "PLAIN", b"\0guest\0guest");
        assert_eq!(self.said(link), ["0 connection.tune 2047 131072 60"]);
        self.tune_ok(link, channel_max, frame_max, heartbeat);
        link
    }

    fn open_with(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> LinkId {
        let link = self.tuned(channel_max, frame_max, heartbeat);
        self.open_vhost(link, "/");
        assert_eq!(self.said(link), ["0 connection.open-ok"]);
        link
    }

    /// A client with channel 1 open, and no heartbeats.
    fn open(&mut self) -> LinkId {
        let link = self.open_with(2047, 131_072, 0);
        self.open_channel(link, 1);
        link
    }

    fn open_channel(&mut self, link: LinkId, channel: u16) {
        self.say(link, channel, &wire::ChannelOpen::default());
        assert_eq!(self.said(link), [format!("{channel} channel.open-ok")]);
    }

    /// A queue, and nothing else said.
    fn queue(&mut self, link: LinkId, queue: &str) {
        self.say(link, 1, &declare(queue));
        let ok = format!("1 queue.declare-ok {queue} 0 0");
        assert_eq!(self.said(link), [ok]);
    }

    fn confirm(&mut self, link: LinkId, channel: u16) {
        self.say(link, channel, &wire::ConfirmSelect::default());
        assert_eq!(self.said(link), [format!("{channel} confirm.select-ok")]);
    }

    fn publish(&mut self, link: LinkId, queue: &str, body: &str) {
        self.send(link, &publish(1, ("", queue), false, body));
    }

    /// Lets that many seconds pass.
    fn pass(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.node.poll_timeout().filter(|next| *next <= until) {
            self.now = next;
            self.node.handle_timeout(next);
        }
        self.now = until;
    }
}

fn method_frame(channel: u16, method: &impl WireMethod) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_method(&mut out, channel, method).unwrap();
    out.to_vec()
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out.to_vec()
}

fn heartbeat() -> Vec<u8> {
    frame(FRAME_HEARTBEAT, 0, b"")
}

fn declare(queue: &str) -> wire::QueueDeclare<'_> {
    wire::QueueDeclare {
        queue: queue.as_bytes(),
        ..Default::default()
    }
}

fn consume<'a>(queue: &'a str, tag: &'a str) -> wire::BasicConsume<'a> {
    wire::BasicConsume {
        queue: queue.as_bytes(),
        consumer_tag: tag.as_bytes(),
        ..Default::default()
    }
}

fn header(size: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    let header = ContentHeader {
        class_id: 60,
        body_size: size as u64,
        properties: Properties::default(),
    };
    header.encode(&mut out).unwrap();
    out.to_vec()
}

/// All frames of a message.
fn publish(channel: u16, (exchange, key): (&str, &str), mandatory: bool, body: &str) -> Vec<u8> {
    let publish = wire::BasicPublish {
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        mandatory,
        ..Default::default()
    };
    let mut bytes = method_frame(channel, &publish);
    bytes.extend(frame(FRAME_HEADER, channel, &header(body.len())));
    if !body.is_empty() {
        bytes.extend(frame(FRAME_BODY, channel, body.as_bytes()));
    }
    bytes
}

fn close() -> wire::ConnectionClose<'static> {
    wire::ConnectionClose {
        reply_code: 200,
        ..Default::default()
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A method, and what matters in it.
fn show(method: &Method<'_>) -> String {
    let name = method.name();
    match method {
        Method::ConnectionTune(tune) => format!(
            "{name} {} {} {}",
            tune.channel_max, tune.frame_max, tune.heartbeat
        ),
        Method::ConnectionClose(close) => format!(
            "{name} {} {}.{}",
            text(close.reply_text),
            close.class_id,
            close.method_id
        ),
        Method::ChannelClose(close) => format!(
            "{name} {} {}.{}",
            text(close.reply_text),
            close.class_id,
            close.method_id
        ),
        Method::ConnectionBlocked(blocked) => format!("{name} {}", text(blocked.reason)),
        Method::QueueDeclareOk(ok) => format!(
            "{name} {} {} {}",
            text(ok.queue),
            ok.message_count,
            ok.consumer_count
        ),
        Method::QueueDeleteOk(ok) => format!("{name} {}", ok.message_count),
        Method::QueuePurgeOk(ok) => format!("{name} {}", ok.message_count),
        Method::BasicConsumeOk(ok) => format!("{name} {}", text(ok.consumer_tag)),
        Method::BasicCancelOk(ok) => format!("{name} {}", text(ok.consumer_tag)),
        Method::BasicCancel(cancel) => format!("{name} {}", text(cancel.consumer_tag)),
        Method::BasicAck(ack) => with(name, ack.delivery_tag, ack.multiple, "multiple"),
        Method::BasicNack(nack) => with(name, nack.delivery_tag, nack.multiple, "multiple"),
        Method::BasicReturn(back) => format!("{name} {}", text(back.reply_text)),
        Method::BasicDeliver(deliver) => {
            let name = format!("{name} {}", text(deliver.consumer_tag));
            with(&name, deliver.delivery_tag, deliver.redelivered, "again")
        }
        Method::BasicGetOk(ok) => {
            let shown = with(name, ok.delivery_tag, ok.redelivered, "again");
            format!("{shown} +{}", ok.message_count)
        }
        _ => name.to_owned(),
    }
}

fn with(name: &str, tag: u64, flag: bool, word: &str) -> String {
    let word = if flag {
        format!(" {word}")
    } else {
        String::new()
    };
    format!("{name} {tag}{word}")
}
