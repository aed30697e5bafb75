//! How the broker says no.

/// What a refusal closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The channel that asked.
    Channel,
    /// The whole connection.
    Connection,
}

/// Why something was not done: what `channel.close` or `connection.close` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// AMQP's reply code.
    pub(crate) code: u16,
    /// The whole reply text, the name of the code in front: "NOT_FOUND - no queue 'q' in vhost '/'".
    pub(crate) text: String,
    pub(crate) scope: Scope,
}

/// What most requests give back.
pub(crate) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    /// The name that RabbitMQ puts in front of a reply text.
    pub(crate) fn name_of(code: u16) -> &'static str {
        match code {
            311 => "CONTENT_TOO_LARGE",
            312 => "NO_ROUTE",
            313 => "NO_CONSUMERS",
            320 => "CONNECTION_FORCED",
            402 => "INVALID_PATH",
            403 => "ACCESS_REFUSED",
            404 => "NOT_FOUND",
            405 => "RESOURCE_LOCKED",
            406 => "PRECONDITION_FAILED",
            501 => "FRAME_ERROR",
            502 => "SYNTAX_ERROR",
            503 => "COMMAND_INVALID",
            504 => "CHANNEL_ERROR",
            505 => "UNEXPECTED_FRAME",
            506 => "RESOURCE_ERROR",
            530 => "NOT_ALLOWED",
            540 => "NOT_IMPLEMENTED",
            _ => "INTERNAL_ERROR",
        }
    }

    fn new(code: u16, scope: Scope, text: &str) -> Self {
        let text = format!("{} - {text}", Self::name_of(code));
        Self { code, text, scope }
    }

    /// Closes the channel: 403 to 406, and the other codes of AMQP's "soft" errors.
    pub(crate) fn channel(code: u16, text: impl AsRef<str>) -> Self {
        Self::new(code, Scope::Channel, text.as_ref())
    }

    /// Closes the connection.
    pub(crate) fn connection(code: u16, text: impl AsRef<str>) -> Self {
        Self::new(code, Scope::Connection, text.as_ref())
    }

    /// What cannot happen.
    pub(super) fn internal(what: &str) -> Self {
        debug_assert!(false, "{what}");
        Self::connection(541, format!("puka::testing is at fault: {what}"))
    }

    /// What this broker does not do, though RabbitMQ does.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::connection(540, format!("puka::testing has no {what}"))
    }
}
