//! Where a connection is in its life: every state, and every way from one to another.
//!
//! ```text
//!            header >        < start   start-ok >       < tune   tune-ok, open >      < open-ok
//!   new() ------------> Start -------------------> Tune --------------------> Opening ------> Open
//!                                                                                              |
//!                              Over <------ < close-ok ------ Closing <------ close > ---------+
//!                               ^                                                              |
//!                               +---- < close, close-ok >  (at any time)  ---------------------+
//!
//!           the socket goes            another socket          open-ok             all is declared
//!   Open --------------------> Suspended ----------> Start ... ------> Recovering ----------------> Open
//!     ^                            ^                   |                   |
//!     |                            +-------------------+-------------------+  it goes, too
//! ```
//!
//! A connection that may have another socket is Suspended instead of Over. No other file changes the state but by
//! [`State::enter`].

/// Where the connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no socket, and will have another.
    Suspended,
    Start,
    Tune,
    Opening,
    /// What was there before the loss is being made again.
    Recovering,
    Open,
    Closing,
    Over,
}

impl State {
    /// Goes on to the next state.
    pub(crate) fn enter(&mut self, next: Self) {
        debug_assert!(self.leads_to(next), "{self:?} does not lead to {next:?}");
        *self = next;
    }

    fn leads_to(self, next: Self) -> bool {
        match (self, next) {
            // The login.
            (Self::Start, Self::Tune) | (Self::Tune, Self::Opening) => true,
            (Self::Opening, Self::Open | Self::Recovering) | (Self::Recovering, Self::Open) => true,
            // One socket goes, and another comes.
            (Self::Suspended | Self::Closing | Self::Over, Self::Suspended) => false,
            (_, Self::Suspended) | (Self::Suspended, Self::Start) => true,
            // The end.
            (Self::Open, Self::Closing) => true,
            (_, Self::Over) => true,
            _ => false,
        }
    }

    pub(crate) fn is_open(self) -> bool {
        self == Self::Open
    }

    /// Whether there are channels.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Open | Self::Recovering)
    }

    pub(crate) fn is_closing(self) -> bool {
        self == Self::Closing
    }

    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }
}
