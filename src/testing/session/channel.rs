//! One channel: what its frames make together.

use bytes::BytesMut;

use super::confirms::Confirms;
use super::fault::{Fault, name};
use super::{Session, Turn, decode};
use crate::wire::{self, Arena, ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Method};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// `channel.open` is to come.
    Starting,
    Running,
    /// The broker has closed it; until close-ok comes, all is ignored.
    Closing,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) state: State,
    /// A message whose frames are coming in.
    partial: Option<Partial>,
    /// There are none before `confirm.select`.
    pub(super) confirms: Option<Confirms>,
}

/// `basic.publish`, with what has come of its content.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) mandatory: bool,
    pub(super) immediate: bool,
    pub(super) header: ContentHeader,
    has_header: bool,
    pub(super) body: BytesMut,
}

/// What a channel is told.
pub(super) enum Command<'a> {
    Method(Method<'a>),
    Publish(Box<Partial>),
}

impl Channel {
    fn new() -> Self {
        Self {
            state: State::Starting,
            partial: None,
            confirms: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    pub(super) fn fail(&mut self) {
        self.state = State::Closing;
        self.confirms = None;
    }

    /// Adds a frame to what has come.
    fn assemble<'a>(&mut self, kind: u8, payload: &'a [u8]) -> Result<Option<Command<'a>>, Fault> {
        match &mut self.partial {
            Some(partial) => {
                let about = |fault: Fault| fault.about((60, 40));
                partial.take(kind, payload).map_err(about)?;
                Ok(self
                    .partial
                    .take_if(|partial| partial.is_whole())
                    .map(|whole| Command::Publish(Box::new(whole))))
            }
            None if kind == FRAME_METHOD => match decode(payload)? {
                Method::BasicPublish(publish) => {
                    self.partial = Some(Partial::new(&publish)?);
                    Ok(None)
                }
                method => Ok(Some(Command::Method(method))),
            },
            None => {
                let text = "expected method frame, got non method frame instead";
                Err(Fault::connection(505, text))
            }
        }
    }
}

impl Partial {
    fn new(publish: &wire::BasicPublish<'_>) -> Result<Self, Fault> {
        Ok(Self {
            exchange: name(publish.exchange)?.into(),
            routing_key: name(publish.routing_key)?.into(),
            mandatory: publish.mandatory,
            immediate: publish.immediate,
            header: ContentHeader::default(),
            has_header: false,
            body: BytesMut::new(),
        })
    }

    fn is_whole(&self) -> bool {
        self.has_header && self.body.len() as u64 == self.header.body_size
    }

    fn take(&mut self, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        match (kind, self.has_header) {
            (FRAME_HEADER, false) => {
                let header = ContentHeader::decode(payload, &mut Arena::default());
                // RabbitMQ's channel dies of one that it cannot read.
                self.header = header.map_err(|_| Fault::internal())?;
                self.has_header = true;
                if self.header.class_id != 60 {
                    let text = format!(
                        "expected content header for class 60, got one for class {} instead",
                        self.header.class_id
                    );
                    return Err(Fault::connection(505, text));
                }
            }
            (_, false) => {
                let text =
                    "expected content header for class 60, got non content header frame instead";
                return Err(Fault::connection(505, text));
            }
            (FRAME_BODY, true) => {
                self.body.extend_from_slice(payload);
                if self.body.len() as u64 > self.header.body_size {
                    // RabbitMQ would wait for ever for it to end.
                    let text = format!(
                        "puka::testing has got a body of at least {} bytes, whose header says {}",
                        self.body.len(),
                        self.header.body_size
                    );
                    return Err(Fault::connection(501, text));
                }
            }
            (_, true) => {
                let text = "expected content body, got non content body frame instead";
                return Err(Fault::connection(505, text));
            }
        }
        Ok(())
    }
}

impl Session {
    pub(super) fn take_channel_frame(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        kind: u8,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let open = self.channels.len();
        if !self.channels.contains_key(&number) && self.channel_max != 0 && open >= self.channel_max
        {
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({})",
                self.channel_max
            );
            return Err(Fault::connection(530, text));
        }
        let channel = self.channels.entry(number).or_insert_with(Channel::new);
        let command = channel.assemble(kind, payload)?;
        let state = channel.state;
        if kind != FRAME_METHOD {
            self.heed_alarm(turn)?;
        }
        match (state, command) {
            (_, None) | (State::Closing, Some(Command::Publish(_))) => Ok(()),
            (State::Closing, Some(Command::Method(method))) => self.ignore(number, &method),
            (State::Starting, Some(Command::Method(Method::ChannelOpen(_)))) => {
                self.open_channel(turn, number)
            }
            (State::Starting, Some(command)) => {
                let fault = Fault::connection(504, "expected 'channel.open'");
                Err(fault.about(command.id()))
            }
            (State::Running, Some(Command::Method(method))) => self
                .call(turn, number, &method)
                .map_err(|fault| fault.about(method.id())),
            (State::Running, Some(Command::Publish(publish))) => self
                .publish(turn, number, *publish)
                .map_err(|fault| fault.about((60, 40))),
        }
    }

    fn open_channel(&mut self, turn: &mut Turn<'_>, number: u16) -> Result<(), Fault> {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.state = State::Running;
        }
        turn.model.open_channel(self.key(number));
        self.say(number, &wire::ChannelOpenOk::default())
    }

    /// Who publishes in an alarm is told, and not read any more.
    fn heed_alarm(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(reason) = turn.alarm else {
            return Ok(());
        };
        self.is_blocked = true;
        if self.client.connection_blocked {
            let reason = reason.as_bytes();
            let reason = reason.get(..255).unwrap_or(reason);
            self.say(0, &wire::ConnectionBlocked { reason })?;
        }
        Ok(())
    }
}

impl Command<'_> {
    fn id(&self) -> (u16, u16) {
        match self {
            Self::Method(method) => method.id(),
            Self::Publish(_) => (60, 40),
        }
    }
}
