//! Replies that the broker owes.

use crate::connection::request::Call;
use crate::types::ids::PromiseNumber;

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
    Replaced(Option<PromiseNumber>),
    /// For `basic_recover`'s promise.
    RecoverOk(PromiseNumber),
}
