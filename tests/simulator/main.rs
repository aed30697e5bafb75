//! Whole programs, from one number: programs of chance with clients of the public API, a RabbitMQ in memory, a network that
//! splits, delays, refuses and cuts at every byte, and a clock that jumps to whatever happens next.
//!
//! A [life](program) has one to three clients, whose programs are straight scripts, callbacks, loops in callbacks, loops
//! of the program's own, several clients in one loop, jobs of other threads, work between calls; they share queues, and are
//! trouble for each other. The [world](world) has hosts that differ, and [troubles](trouble) of all kinds. What must hold
//! at every step is with the [judge].
//!
//! `cargo test --features testing --test simulator` tries a few hundred seeds. `PUKA_SEED=7 cargo test …` tries that one
//! and tells what happens; `PUKA_SEEDS=100000 cargo test --release …` tries many, `PUKA_FIRST_SEED` on. One that fails
//! prints its transcript.

#![cfg(feature = "testing")]

mod actor;
mod acts;
mod answer;
mod chance;
mod judge;
mod ledger;
mod names;
mod options;
mod program;
mod sim;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sim::{Figures, Sim};

/// How much of a long transcript is shown.
const LINES: usize = 400;

/// So many seeds that fail are enough.
const VIOLATIONS: u64 = 10;

/// A life that takes longer than that lasts for ever.
const LONGEST: Duration = Duration::from_secs(60);

/// Ends the process if this seed's life hangs.
fn watch(seed: u64) {
    static CURRENT: Mutex<Option<(u64, Instant)>> = Mutex::new(None);
    let current = || CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = current().replace((seed, Instant::now())).is_none();
    if !is_first {
        return;
    }
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Some((seed, since)) = *current()
                && since.elapsed() > LONGEST
            {
                eprintln!("seed {seed}: the life hangs");
                std::process::exit(1);
            }
        }
    });
}

/// What came of a seed: the figures, or what was violated; and the transcript, if asked for.
fn try_seed(seed: u64, tells: bool) -> (Result<Figures, String>, Vec<String>) {
    let sim = Sim::new(seed, tells);
    if tells && number("PUKA_SEED").is_some() {
        println!("{}", sim.transcript().join("\n"));
        sim.state().is_live = true;
    }
    let tried = catch_unwind(AssertUnwindSafe(|| program::live(&sim)));
    let result = match tried {
        Ok(()) => Ok(sim.state().figures.clone()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            Err(text.unwrap_or_else(|| "a panic".into()))
        }
    };
    let transcript = sim.transcript();
    world::forget(&sim);
    (result, transcript)
}

/// The seed is lived once more, and told.
fn tell(seed: u64) {
    let (_, transcript) = try_seed(seed, true);
    let skipped = transcript.len().saturating_sub(LINES);
    if skipped > 0 {
        eprintln!("… {skipped} lines before …");
    }
    for line in &transcript[skipped..] {
        eprintln!("{line}");
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

#[test]
fn whatever_the_programs_do_and_the_world() {
    if let Some(seed) = number("PUKA_SEED") {
        // RUST_LOG=puka=trace tells what the clients say of themselves.
        let _ = env_logger::builder().format_timestamp(None).try_init();
        let (result, _) = try_seed(seed, true);
        println!("{result:?}");
        assert!(result.is_ok(), "{result:?}");
        return;
    }
    let first = number("PUKA_FIRST_SEED").unwrap_or(0);
    let mut sum = Figures::default();
    let mut violations = Vec::new();
    let most = number("PUKA_VIOLATIONS").unwrap_or(VIOLATIONS) as usize;
    for seed in first..first + number("PUKA_SEEDS").unwrap_or(200) {
        watch(seed);
        match try_seed(seed, false).0 {
            Ok(figures) => sum.add(&figures),
            Err(violated) => violations.push((seed, violated)),
        }
        if violations.len() >= most {
            break;
        }
    }
    for (seed, violated) in &violations {
        eprintln!("seed {seed}: {violated}");
    }
    if let Some(&(seed, _)) = violations.first() {
        tell(seed);
        panic!("PUKA_SEED={seed} cargo test --features testing --test simulator -- --nocapture");
    }
    println!("{sum:?}");
    // It is no use if nothing happens.
    assert!(
        sum.publishes > 1000 && sum.deliveries > 100 && sum.losses > 10,
        "{sum:?}"
    );
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 1000..1010 {
        let (one, transcript) = try_seed(seed, true);
        let (other, again) = try_seed(seed, true);
        assert_eq!(one.err(), other.err());
        let differs = transcript
            .iter()
            .zip(&again)
            .position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!(
                "seed {seed}: {:?} the first time, then {:?}",
                transcript[at], again[at]
            );
        }
        assert_eq!(transcript.len(), again.len(), "seed {seed}");
    }
}
