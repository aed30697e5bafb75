//! Replies that the broker owes.

use crate::connection::request::Call;

/// A reply that the broker owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    OpenOk,
    SelectOk,
    Call(Call),
    Get,
    QosOk,
    ConsumeOk,
    /// Of a consumer that ends.
    CancelOk,
    /// Of a consumer that another, with a new prefetch, has replaced; the last one settles `basic_qos`'s promise.
    Replaced(Option<u64>),
    /// For `basic_recover`'s promise.
    RecoverOk(u64),
}
