//! One library, one kind of work: what a message costs the process. It prints one line of JSON.
//!
//! `puka-bench LIBRARY WORK BYTES MESSAGES URL`; `scripts/bench/run` runs them all.

mod floor;
mod puka_client;

use puka_bench::Job;

fn main() {
    let (library, job) = Job::from_arguments();
    match library.as_str() {
        "floor" => floor::run(&job),
        "puka" => puka_client::run(&job).expect("puka"),
        _ => panic!("unknown library {library}"),
    }
}
