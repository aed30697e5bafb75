//! The regular expressions of permissions: the few forms that people write there. Others are refused in words.

/// A pattern, which is looked for anywhere in a name unless it has anchors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Alternative {
    from_start: bool,
    to_end: bool,
    items: Vec<(Atom, Repeat)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Any,
    Char(char),
    /// From and to, both included.
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    Maybe,
    Any,
    Some,
}

impl Pattern {
    /// An empty text matches the empty name only, as RabbitMQ has it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let text = if text.is_empty() { "^$" } else { text };
        let mut chars = text.chars().peekable();
        let mut alternatives = Vec::new();
        let mut current = Alternative::default();
        while let Some(char) = chars.next() {
            let atom = match char {
                '|' => {
                    alternatives.push(std::mem::take(&mut current));
                    continue;
                }
                '^' if current.items.is_empty() => {
                    current.from_start = true;
                    continue;
                }
                '$' if chars.peek().is_none_or(|&next| next == '|') => {
                    current.to_end = true;
                    continue;
                }
                '.' => Atom::Any,
                '\\' => match chars.next() {
                    Some(escaped) if escaped.is_ascii_punctuation() => Atom::Char(escaped),
                    _ => return Err(refusal(text)),
                },
                '[' => class(&mut chars).ok_or_else(|| refusal(text))?,
                '(' | ')' | '*' | '+' | '?' | '{' | '}' | '^' | '$' => return Err(refusal(text)),
                char => Atom::Char(char),
            };
            let repeat = match chars.peek() {
                Some('*') => Repeat::Any,
                Some('+') => Repeat::Some,
                Some('?') => Repeat::Maybe,
                _ => Repeat::Once,
            };
            if repeat != Repeat::Once {
                chars.next();
            }
            current.items.push((atom, repeat));
        }
        alternatives.push(current);
        Ok(Self { alternatives })
    }

    pub(super) fn is_match(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.alternatives.iter().any(|it| it.is_match(&name))
    }
}

fn refusal(text: &str) -> String {
    format!("puka::testing does not understand the regular expression {text:?}")
}

/// What is behind the opening bracket, up to the closing one.
fn class(chars: &mut impl Iterator<Item = char>) -> Option<Atom> {
    let mut inside = Vec::new();
    loop {
        match chars.next()? {
            ']' => break,
            char => inside.push(char),
        }
    }
    let negated = inside.first() == Some(&'^');
    let mut rest = &inside[usize::from(negated)..];
    if rest.is_empty() || rest.contains(&'\\') || rest.contains(&'[') {
        return None;
    }
    let mut ranges = Vec::new();
    while let Some((&from, behind)) = rest.split_first() {
        if let [&'-', to, ..] = behind.iter().take(2).collect::<Vec<_>>()[..] {
            ranges.push((from, *to));
            rest = &behind[2..];
        } else {
            ranges.push((from, from));
            rest = behind;
        }
    }
    Some(Atom::Class { ranges, negated })
}

impl Alternative {
    /// All places that the items can end at, from all that they may begin at: no way back, so no name takes long.
    fn is_match(&self, name: &[char]) -> bool {
        let last = if self.from_start { 0 } else { name.len() };
        let mut places: Vec<bool> = (0..=name.len()).map(|place| place <= last).collect();
        for (atom, repeat) in &self.items {
            let mut next = vec![false; places.len()];
            for place in 0..places.len() {
                let stays = matches!(repeat, Repeat::Maybe | Repeat::Any) && places[place];
                let before = place.checked_sub(1);
                let steps = before.is_some_and(|before| {
                    let again = matches!(repeat, Repeat::Any | Repeat::Some) && next[before];
                    (places[before] || again) && atom.is_match(name[before])
                });
                next[place] = stays || steps;
            }
            places = next;
        }
        if self.to_end {
            places.last() == Some(&true)
        } else {
            places.contains(&true)
        }
    }
}

impl Atom {
    fn is_match(&self, char: char) -> bool {
        match self {
            Self::Any => true,
            Self::Char(own) => *own == char,
            Self::Class { ranges, negated } => {
                let is_in = ranges.iter().any(|&(from, to)| (from..=to).contains(&char));
                is_in != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_expressions_match_as_in_rabbitmq() {
        for (pattern, yes, no) in [
            (".*", vec!["", "a", "amq.default"], vec![]),
            ("^$", vec![""], vec!["a"]),
            ("", vec![""], vec!["a"]),
            ("^app-", vec!["app-", "app-x"], vec!["app", "my-app-x"]),
            ("^app-.*", vec!["app-", "app-x"], vec!["app", "my-app-x"]),
            ("app", vec!["app", "my-app-x"], vec!["ap"]),
            ("^a$|^b", vec!["a", "b", "bc"], vec!["ac", "cb"]),
            (r"^a\.b$", vec!["a.b"], vec!["axb"]),
            ("^[a-c_]+$", vec!["abc_", "a"], vec!["", "d", "ad"]),
            ("^[^a]b?c*$", vec!["b", "xbcc", "xcc"], vec!["ab", "xbb"]),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            for name in yes {
                assert!(pattern.is_match(name), "{pattern:?} {name:?}");
            }
            for name in no {
                assert!(!pattern.is_match(name), "{pattern:?} {name:?}");
            }
        }
    }

    #[test]
    fn an_expression_of_another_form_is_refused_in_words() {
        for text in [
            "^(a|b)$", "[a", "a{2}", r"\d", "[", "[]a]", "*a", "a^b", "a$b", r"a\",
        ] {
            let error = Pattern::new(text).unwrap_err();
            assert!(
                error.contains("puka::testing does not understand"),
                "{error}"
            );
        }
    }
}
