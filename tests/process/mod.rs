//! What the system says of this process: its memory. A test that asks is a process of its own, so that no other test's is
//! counted.
#![allow(dead_code, reason = "each test needs a part of it")]

/// Kilobytes in memory, now.
pub(crate) fn memory() -> usize {
    status("VmRSS:")
}

/// Kilobytes in memory, at the worst.
pub(crate) fn peak_memory() -> usize {
    status("VmHWM:")
}

fn status(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(what))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
