//! A peer with an endless queue.

use std::thread;

use super::peer::{Peer, listen};
use super::{delivery, open_ok, tune, usual_start};

/// Serves whoever comes, at that URL; each first consumer gets `most` deliveries of 10,000 bytes, and then the end.
pub(crate) fn start(most: u64) -> String {
    let address = listen(move |peer| {
        thread::spawn(move || serve(peer, most));
    });
    format!("amqp://{address}/")
}

/// Logs a client in, and sends its first consumer deliveries until it has gone.
fn serve(mut peer: Peer, most: u64) -> Option<()> {
    // A delivery's body is one frame.
    peer.log_in(&[usual_start(), tune(100, 131_072, 0), open_ok()])?;
    loop {
        let frame = peer.hear()?;
        peer.answer(&frame)?;
        if frame.id() == Some((60, 20)) {
            let (channel, tag, body) = (frame.channel, frame.consumer_tag(), [b'x'; 10_000]);
            return (1..=most)
                .try_for_each(|number| peer.say(&delivery(channel, tag, number, &body)));
        }
    }
}
