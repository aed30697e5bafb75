//! What this crate's own tests look at and turn, and no program should.
