//! Services as processes of their own: started, killed, stopped and continued.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::top;

/// The program, built once per test run, or the one that `AUSPEX_PROGRAM` names.
///
/// # Panics
/// When it does not build.
#[allow(clippy::panic, reason = "a test without its program is a failed test")]
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(named) = std::env::var_os("AUSPEX_PROGRAM") {
        return PathBuf::from(named);
    }
    BUILT
        .get_or_init(|| {
            let done = Command::new(env!("CARGO"))
                // As a part of its own tests: then it is the one that the test run has built already, with the same features.
                .args([
                    "test",
                    "--workspace",
                    "--no-run",
                    "--locked",
                    "--quiet",
                    "--test",
                    "demo",
                ])
                .current_dir(top())
                .status();
            assert!(
                done.is_ok_and(|status| status.success()),
                "the program does not build"
            );
            let folder =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from);
            folder.join("debug/auspex")
        })
        .clone()
}

/// A running process; it is killed with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    arguments: Vec<String>,
    log: PathBuf,
    /// Where it listens on loopback.
    pub port: u16,
}

impl Process {
    /// Runs services with these settings (`section.key=value`, or a path for a whole file), and waits until they are ready.
    ///
    /// # Panics
    /// When they are not within 60 s.
    #[must_use]
    pub fn start(services: &[&str], settings: &[String], log: PathBuf) -> Self {
        let port = free_port();
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(services.iter().map(|s| (*s).to_owned()));
        for setting in settings {
            let flag = if setting.contains('=') {
                "--set"
            } else {
                "--config"
            };
            arguments.extend([flag.to_owned(), setting.clone()]);
        }
        arguments.extend(["--set".to_owned(), format!("server.listen=127.0.0.1:{port}")]);
        let child = spawn(&arguments, &log);
        let mut process = Self {
            child,
            arguments,
            log,
            port,
        };
        process.ready();
        process
    }

    /// SIGKILL, then a new process in its place.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        self.child = spawn(&self.arguments, &self.log);
        self.ready();
    }

    /// SIGSTOP: it does nothing, and knows nothing of it.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().ok().and_then(|status| status.code())
    }

    fn signal(&self, name: &str) {
        Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .ok();
    }

    fn ready(&mut self) {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if get(self.port, "/readyz")
                .is_some_and(|answer| answer.contains("ready\n") && answer.contains(" 200 "))
            {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                break_off(&format!(
                    "{:?} ended with {status}; its log is {}",
                    self.arguments,
                    self.log.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        break_off(&format!(
            "{:?} is not ready after 60 s; its log is {}",
            self.arguments,
            self.log.display()
        ));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal("CONT");
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[allow(clippy::panic, reason = "a test without its process is a failed test")]
fn break_off(why: &str) -> ! {
    panic!("{why}")
}

#[allow(clippy::expect_used, reason = "a test without its process is a failed test")]
fn spawn(arguments: &[String], log: &PathBuf) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("its log can be opened");
    Command::new(program())
        .args(arguments)
        .current_dir(top())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the program starts")
}

/// A port that is free at this moment.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .map_or(0, |a| a.port())
}

/// The whole answer to a GET, or nothing.
#[must_use]
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
