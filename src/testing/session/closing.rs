//! How a channel or a connection ends: by an error, by either side's close, without a word.

use super::channel::State;
use super::fault::Fault;
use super::{CLOSING, Phase, SILENCE, Session, Turn};
use crate::testing::model::{Refusal, Scope};
use crate::wire;

impl Session {
    /// Something went wrong with what came on a channel.
    pub(super) fn fail(&mut self, turn: &mut Turn<'_>, channel: u16, fault: Fault) {
        match fault {
            Fault::Refused { refusal, method } => {
                let method = method.unwrap_or_default();
                if refusal.scope == Scope::Channel && self.channels.contains_key(&channel) {
                    self.fail_channel(turn, channel, &refusal, method);
                } else {
                    self.fail_connection(turn, &refusal, method);
                }
            }
            Fault::Unreadable(refusal) => {
                self.fail_connection(turn, &refusal, (0, 0));
                self.fall_silent(turn);
            }
            Fault::Wordless => self.end(turn),
        }
    }

    /// Its consumers end and its deliveries go back; confirms that were not sent are lost, as RabbitMQ loses them.
    fn fail_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        refusal: &Refusal,
        (class_id, method_id): (u16, u16),
    ) {
        turn.model.close_channel(self.key(number));
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.fail();
        }
        let close = wire::ChannelClose {
            reply_code: refusal.code,
            reply_text: &cut(&refusal.text),
            class_id,
            method_id,
        };
        let said = self.say(number, &close);
        debug_assert!(said.is_ok());
        // RabbitMQ's channel goes on with what queues have sent it until close-ok comes.
        if turn.chance.percent(50) {
            self.output.overtake_deliveries();
        }
    }

    fn fail_connection(&mut self, turn: &mut Turn<'_>, refusal: &Refusal, method: (u16, u16)) {
        match self.phase {
            Phase::Opening | Phase::Running => {
                self.close(turn, refusal.code, &refusal.text, method);
            }
            Phase::Starting if refusal.code == 403 && self.client.authentication_failure_close => {
                self.close(turn, refusal.code, &refusal.text, (0, 0));
                self.fall_silent(turn);
            }
            // Who has not logged in is told nothing.
            Phase::Header | Phase::Starting | Phase::Tuning => self.fall_silent(turn),
            Phase::Closing | Phase::Silent | Phase::Done => {}
        }
    }

    /// Sends `connection.close`.
    pub(in crate::testing) fn close(
        &mut self,
        turn: &mut Turn<'_>,
        code: u16,
        text: &str,
        (class_id, method_id): (u16, u16),
    ) {
        self.leave(turn);
        if turn.chance.percent(50) {
            self.output.drop_frames();
        }
        self.output.settle();
        let close = wire::ConnectionClose {
            reply_code: code,
            reply_text: &cut(text),
            class_id,
            method_id,
        };
        let said = self.say(0, &close);
        debug_assert!(said.is_ok());
        self.await_close(turn);
    }

    /// Nothing more is sent. It is the client's turn to close, or to say close-ok.
    fn await_close(&mut self, turn: &Turn<'_>) {
        self.output.settle();
        self.phase = Phase::Closing;
        let heartbeat = self.heartbeat.map_or(CLOSING, |beat| beat.interval());
        self.deadline = Some(turn.now + heartbeat.min(CLOSING));
        self.heartbeat = None;
    }

    /// Reads nothing any more, and closes the socket a while later.
    fn fall_silent(&mut self, turn: &mut Turn<'_>) {
        self.leave(turn);
        self.phase = Phase::Silent;
        self.heartbeat = None;
        self.deadline = Some(turn.now + SILENCE);
    }

    /// `connection.close` has come: all is over before it is answered.
    pub(super) fn client_closes(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.send_confirms(turn, false);
        self.leave(turn);
        self.output.settle();
        self.say(0, &wire::ConnectionCloseOk {})?;
        self.await_close(turn);
        Ok(())
    }

    /// Closes the socket without a word, whatever was still to be sent.
    pub(in crate::testing) fn end(&mut self, turn: &mut Turn<'_>) {
        self.leave(turn);
        self.output.clear();
        self.finish();
    }

    /// The same, where the model has forgotten all connections by itself.
    pub(in crate::testing) fn lose(&mut self, turn: &mut Turn<'_>) {
        self.is_in_model = false;
        self.end(turn);
    }

    pub(super) fn finish(&mut self) {
        self.phase = Phase::Done;
        self.deadline = None;
        self.heartbeat = None;
    }

    /// It takes no part in anything any more.
    fn leave(&mut self, turn: &mut Turn<'_>) {
        self.channels.clear();
        self.confirm_at = None;
        self.is_blocked = false;
        if std::mem::take(&mut self.is_in_model) {
            turn.model.disconnected(self.id);
        }
    }

    /// `channel.close` has come, or its close-ok, for a channel that the broker has not closed.
    pub(super) fn client_closes_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
    ) -> Result<(), Fault> {
        self.send_confirms(turn, false);
        turn.model.close_channel(self.key(number));
        self.channels.remove(&number);
        self.say(number, &wire::ChannelCloseOk {})
    }

    /// A method on a channel that the broker has closed: all but the two closes is ignored.
    pub(super) fn ignore(&mut self, number: u16, method: &wire::Method<'_>) -> Result<(), Fault> {
        debug_assert!(
            self.channels
                .get(&number)
                .is_some_and(|channel| channel.state == State::Closing)
        );
        match method {
            wire::Method::ChannelCloseOk(_) => {
                self.channels.remove(&number);
                Ok(())
            }
            wire::Method::ChannelClose(_) => self.say(number, &wire::ChannelCloseOk {}),
            _ => Ok(()),
        }
    }
}

/// A reply text has 255 bytes at most.
fn cut(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() > 255 {
        bytes.truncate(252);
        bytes.extend_from_slice(b"...");
    }
    bytes
}
