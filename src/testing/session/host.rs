//! What one host of a cluster says of itself, and proposes.

use crate::wire::{FieldTable, MIN_FRAME_MAX, PROTOCOL_HEADER};

/// A host of a cluster. They may differ.
#[derive(Debug, Clone)]
pub(crate) struct HostSettings {
    pub(crate) product: String,
    pub(crate) version: String,
    /// Of its capabilities, those that it has.
    pub(crate) capabilities: Vec<String>,
    /// The mechanisms of authentication, with blanks between them: PLAIN, AMQPLAIN, EXTERNAL.
    pub(crate) mechanisms: String,
    /// Whom a client's certificate names: the user of EXTERNAL.
    pub(crate) external_user: Option<String>,
    pub(crate) channel_max: u16,
    /// 0: no limit.
    pub(crate) frame_max: u32,
    /// In seconds; 0: none.
    pub(crate) heartbeat: u16,
}

impl Default for HostSettings {
    fn default() -> Self {
        let capabilities = [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        ];
        Self {
            product: "RabbitMQ".into(),
            version: "4.0.5".into(),
            capabilities: capabilities.map(String::from).into(),
            mechanisms: "PLAIN AMQPLAIN".into(),
            external_user: None,
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        }
    }
}

impl HostSettings {
    /// The server properties of `connection.start`.
    pub(super) fn properties(&self) -> FieldTable {
        let capabilities: FieldTable = self
            .capabilities
            .iter()
            .map(|name| (name.as_str(), true))
            .collect();
        FieldTable::new()
            .with("capabilities", capabilities)
            .with("cluster_name", "puka::testing")
            .with("information", "A RabbitMQ in memory")
            .with("platform", "Rust")
            .with("product", self.product.as_str())
            .with("version", self.version.as_str())
    }

    pub(super) fn offers(&self, mechanism: &str) -> bool {
        self.mechanisms
            .split(' ')
            .any(|offered| offered == mechanism)
    }

    /// The least that a client may propose, and what holds until both have agreed: more since 4.1.
    pub(super) fn min_frame_max(&self) -> u32 {
        if self.version() >= (4, 1) {
            8192
        } else {
            MIN_FRAME_MAX
        }
    }

    /// What it answers to who says another protocol's: 4 would rather have AMQP 1.0.
    pub(super) fn protocol_header(&self) -> &'static [u8] {
        if self.version() >= (4, 0) {
            b"AMQP\x03\x01\x00\x00"
        } else {
            PROTOCOL_HEADER
        }
    }

    fn version(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten().unwrap_or(0);
        (next(), next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_frame_grew_with_4_1() {
        let least = |version: &str| {
            let host = HostSettings {
                version: version.into(),
                ..HostSettings::default()
            };
            host.min_frame_max()
        };
        let old = ["3.10.8", "4.0.5", "strange"].map(least);
        assert_eq!(old, [4096; 3]);
        assert_eq!(["4.1.0", "4.3.6", "5.0"].map(least), [8192; 3]);
    }
}
