//! `scripts/broker`, interrupted: a Ctrl-C, or two, at any moment leaves neither a node nor a command behind.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A script that runs in a process group of its own, as a terminal has it, with a folder of its own for nodes.
struct Script {
    process: Child,
    folder: PathBuf,
}

impl Script {
    fn run(name: &str, command: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("puka-script-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let version = std::env::var("PUKA_RABBITMQ").unwrap_or("3".into());
        let process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/broker"))
            .args(["run", "--rabbitmq", &version, "--"])
            .args(command)
            .env("TMPDIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    /// What a Ctrl-C does.
    fn interrupt(&self) {
        let group = format!("-{}", self.process.id());
        let status = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(status.unwrap().success());
    }

    fn nodes(&self) -> usize {
        fs::read_dir(&self.folder).unwrap().count()
    }

    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Should it be there still, the test has failed.
        let _ = self.process.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_ctrl_c_while_a_node_starts_ends_it() {
    let mut script = Script::run("start", &["true"]);
    let until = Instant::now() + LIMIT;
    while script.nodes() == 0 {
        assert!(Instant::now() < until, "no node starts");
        thread::sleep(Duration::from_millis(1));
    }
    script.interrupt();
    assert!(!script.end().success());
    assert_eq!(script.nodes(), 0);
}

#[test]
fn a_second_ctrl_c_does_not_keep_the_first_from_ending_the_command_and_the_node() {
    let command = "trap '' INT; echo $$; exec sleep 1000";
    let mut script = Script::run("command", &["sh", "-c", command]);
    let mut line = String::new();
    let said = script.process.stdout.take().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    // The command takes no Ctrl-C.
    script.interrupt();
    script.interrupt();
    assert_eq!(script.end().code(), Some(130));
    assert_eq!(script.nodes(), 0);
    let command = Path::new("/proc").join(line.trim());
    assert!(!command.exists(), "the command goes on");
}

#[test]
fn the_commands_own_code_is_the_scripts() {
    let mut script = Script::run("code", &["sh", "-c", "exit 7"]);
    assert_eq!(script.end().code(), Some(7));
    assert_eq!(script.nodes(), 0);
}
