//! Texts of others, for a person's eyes.

use std::fmt;

/// A peer's text for a terminal or a log: its control characters must not reach either.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            c if c.is_control() || is_steering(c) => write!(f, "{}", c.escape_default()),
            c => write!(f, "{c}"),
        })
    }
}

/// Ends of lines and turns of direction that are no control characters to Unicode, but to a terminal.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_the_rest_stays() {
        let text = Printable("caf\u{e9} \u{1b}[2J\n\u{202e}").to_string();
        assert_eq!(text, "caf\u{e9} \\u{1b}[2J\\n\\u{202e}");
    }
}
