//! From the protocol header to `connection.open-ok`.

use super::auth::log_in;
use super::fault::{Fault, name, table};
use super::heartbeat::Heartbeat;
use super::{Capabilities, PROTOCOL_HEADER, Phase, Session, Turn};
use crate::wire::{self, FieldTable, FieldValue};

impl Session {
    /// False: it is not there yet, or another protocol's.
    pub(super) fn read_protocol_header(&mut self) -> bool {
        if self.input.len() < PROTOCOL_HEADER.len() {
            return false;
        }
        let header = self.input.split_to(PROTOCOL_HEADER.len());
        if header[..] != PROTOCOL_HEADER[..] {
            self.output.raw(self.host.protocol_header());
            self.finish();
            return false;
        }
        let properties = self.host.properties();
        let mechanisms = self.host.mechanisms.clone();
        let start = wire::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.encoded(),
            mechanisms: mechanisms.as_bytes(),
            locales: b"en_US",
        };
        let said = self.say(0, &start);
        debug_assert!(said.is_ok());
        self.phase = Phase::Starting;
        true
    }

    pub(super) fn start_ok(
        &mut self,
        turn: &mut Turn<'_>,
        ok: &wire::ConnectionStartOk<'_>,
    ) -> Result<(), Fault> {
        let properties = table(ok.client_properties)?;
        self.client = capabilities(&properties);
        if let Some(name) = properties.get("connection_name") {
            self.name = name.as_str().unwrap_or_default().into();
        }
        self.user = log_in(turn, &self.host, ok)?;
        self.phase = Phase::Tuning;
        let tune = wire::ConnectionTune {
            channel_max: self.host.channel_max,
            frame_max: self.host.frame_max,
            heartbeat: self.host.heartbeat,
        };
        self.say(0, &tune)
    }

    pub(super) fn tune_ok(
        &mut self,
        turn: &mut Turn<'_>,
        ok: &wire::ConnectionTuneOk,
    ) -> Result<(), Fault> {
        let host = &self.host;
        check(
            "channel_max",
            1,
            host.channel_max.into(),
            ok.channel_max.into(),
        )?;
        check(
            "frame_max",
            host.min_frame_max(),
            host.frame_max,
            ok.frame_max,
        )?;
        self.channel_max = ok.channel_max.into();
        self.frame_max = match ok.frame_max {
            0 => usize::MAX,
            max => max as usize,
        };
        self.heartbeat = Heartbeat::start(turn.now, ok.heartbeat);
        self.phase = Phase::Opening;
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        turn: &mut Turn<'_>,
        open: &wire::ConnectionOpen<'_>,
    ) -> Result<(), Fault> {
        let vhost = name(open.virtual_host)?;
        turn.model.connected(self.id, &self.user, vhost)?;
        self.is_in_model = true;
        self.phase = Phase::Running;
        self.deadline = None;
        self.say(0, &wire::ConnectionOpenOk::default())?;
        // Nothing may come before it.
        self.output.settle();
        Ok(())
    }
}

fn capabilities(properties: &FieldTable) -> Capabilities {
    let Some(FieldValue::Table(capabilities)) = properties.get("capabilities") else {
        return Capabilities::default();
    };
    let has = |name| capabilities.get(name) == Some(FieldValue::Bool(true));
    Capabilities {
        authentication_failure_close: has("authentication_failure_close"),
        connection_blocked: has("connection.blocked"),
        consumer_cancel_notify: has("consumer_cancel_notify"),
    }
}

/// What the client has chosen must be within what the host proposed; 0 is no limit.
fn check(what: &str, least: u32, most: u32, chosen: u32) -> Result<(), Fault> {
    let (than, which, limit) = if chosen != 0 && chosen < least {
        ("lower", "minimum", least)
    } else if most != 0 && (chosen == 0 || chosen > most) {
        ("higher", "maximum", most)
    } else {
        return Ok(());
    };
    let text =
        format!("negotiated {what} = {chosen} is {than} than the {which} allowed value ({limit})");
    // RabbitMQ names connection.tune, not its answer.
    Err(Fault::connection(530, text).about((10, 30)))
}
