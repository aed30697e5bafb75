//! A peer that serves a client as a broker does, and tells what it hears.

use std::iter;
use std::sync::mpsc::{Receiver, Sender, channel};

use puka::{Client, ClientOptions};

use crate::support::{client_of, result_of};
use crate::wire::peer::{End, Peer};
use crate::wire::{
    BODY, HEARTBEAT, confirm, delivery, method, open_ok, purge_ok, short, tune, usual_start,
};

/// What a peer hears, as far as a test wants to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Heartbeat,
    Ack(u64),
    Body,
}

/// What a peer does when a client consumes from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deliveries {
    pub(crate) count: u64,
    pub(crate) size: usize,
}

pub(crate) const FEW: Deliveries = Deliveries { count: 10, size: 5 };

/// Deliveries beyond the mark for what lies unread.
pub(crate) const FULL: Deliveries = Deliveries {
    count: 200,
    size: 10_000,
};

pub(crate) fn small_marks() -> ClientOptions {
    ClientOptions::new()
        .unread_high_water_mark(300_000)
        .high_water_mark(50_000)
}

pub(crate) fn client(
    options: ClientOptions,
    heartbeat: u16,
    deliveries: Deliveries,
) -> (Client, Receiver<Heard>) {
    let (sender, heard) = channel();
    let mut client = client_of(options, move |peer| {
        serve(peer, heartbeat, deliveries, &sender);
    });
    result_of(&mut client, Client::connect).unwrap();
    (client, heard)
}

/// Does as a broker does, with heartbeats every `heartbeat` seconds agreed on, and tells what it hears. All publishes are
/// confirmed.
pub(crate) fn serve(mut peer: Peer, heartbeat: u16, deliveries: Deliveries, heard: &Sender<Heard>) {
    let login = [usual_start(), tune(100, 131_072, heartbeat), open_ok()];
    if peer.log_in(&login).is_none() {
        return peer.end(End::Reset);
    }
    let mut published = 0;
    while let Some(frame) = peer.hear() {
        let channel = frame.channel;
        if frame.kind == HEARTBEAT {
            let _ = heard.send(Heard::Heartbeat);
            // Answers in kind, so that the client is not alone.
            peer.say(&crate::wire::heartbeat());
            continue;
        }
        let Some(id) = frame.id() else {
            if frame.kind == BODY {
                published += 1;
                let _ = heard.send(Heard::Body);
                peer.say(&confirm(80, channel, published, false));
            }
            continue;
        };
        match id {
            (50, 30) => peer.say(&purge_ok(channel, 0)),
            (60, 20) => {
                let tag = frame.consumer_tag();
                let body = vec![b'x'; deliveries.size];
                let all =
                    (1..=deliveries.count).map(|number| delivery(channel, tag, number, &body));
                let ok = method(channel, (60, 21), &short(tag));
                peer.say(&iter::once(ok).chain(all).collect::<Vec<_>>().concat())
            }
            (60, 80) => {
                let tag: [u8; 8] = frame.payload[4..12].try_into().unwrap();
                let _ = heard.send(Heard::Ack(u64::from_be_bytes(tag)));
                Some(())
            }
            _ => peer.answer(&frame),
        };
    }
    peer.end(End::Silence);
}
