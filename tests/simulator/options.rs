//! The options of a client, by chance.

use std::time::Duration;

use puka::{AuthMechanism, ClientOptions, Recovery};

use super::chance::Chance;

/// What was chosen, as far as the judge has to know it.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) recovers: bool,
    pub(crate) topology: bool,
    pub(crate) resends: bool,
    /// In seconds; 0: none.
    pub(crate) heartbeat: u16,
    pub(crate) keeper: bool,
    pub(crate) high_water_mark: usize,
    pub(crate) unread_mark: usize,
    pub(crate) blocking_publish: bool,
    pub(crate) blocked_timeout: Option<Duration>,
    /// So few channels that they may run out.
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    pub(crate) pubacks: Option<bool>,
    pub(crate) several_hosts: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) limit: Duration,
    pub(crate) amqplain: bool,
}

impl Chosen {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let heartbeats = chance.percent(40);
        Self {
            recovers: chance.percent(55),
            topology: chance.percent(90),
            resends: chance.percent(80),
            heartbeat: if heartbeats {
                chance.pick(&[1, 2, 5, 10, 60])
            } else {
                0
            },
            keeper: heartbeats && chance.percent(40),
            high_water_mark: match chance.below(10) {
                0 => 0,
                1 | 2 => chance.below(3000),
                3 => chance.below(30_000),
                _ => 16 * 1024 * 1024,
            },
            unread_mark: match chance.below(10) {
                0 => 0,
                1 | 2 => chance.below(1500),
                3 => chance.below(20_000),
                _ => 64 * 1024 * 1024,
            },
            blocking_publish: chance.percent(70),
            blocked_timeout: chance.percent(25).then(|| Duration::from_secs(5)),
            channel_max: if chance.percent(25) {
                3 + chance.below(10) as u16
            } else {
                0
            },
            frame_max: match chance.below(4) {
                0 => 8192,
                1 => 8192 + chance.below(20_000) as u32,
                _ => 131_072,
            },
            pubacks: chance.percent(10).then_some(false),
            several_hosts: chance.percent(40),
            connect_timeout: Duration::from_secs(chance.pick(&[2, 10])),
            limit: Duration::from_secs(chance.pick(&[3, 30, 300])),
            amqplain: chance.percent(10),
        }
    }

    pub(crate) fn options(&self, name: &str) -> ClientOptions {
        let mut options = ClientOptions::new()
            .connection_name(name)
            .resend_after_refusal(self.resends)
            .heartbeat(self.heartbeat)
            .background_heartbeats(self.keeper)
            .high_water_mark(self.high_water_mark)
            .unread_high_water_mark(self.unread_mark)
            .blocking_publish(self.blocking_publish)
            .blocked_timeout(self.blocked_timeout)
            .channel_max(self.channel_max)
            .frame_max(self.frame_max)
            .connect_timeout(self.connect_timeout);
        if self.recovers {
            let recovery = Recovery::new().topology(self.topology).limit(self.limit);
            options = options.recovery(recovery);
        }
        if let Some(pubacks) = self.pubacks {
            options = options.pubacks(pubacks);
        }
        if self.several_hosts {
            options = options.hosts(["two", "three"]);
        }
        if self.amqplain {
            options = options.auth_mechanisms([AuthMechanism::AmqPlain, AuthMechanism::Plain]);
        }
        options
    }
}
