//! A process of the program.

use std::net::TcpListener;
use std::process::{Child, Command};

/// It is asked to go when the test is over, however it ends.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Asks it to go, as a supervisor does; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        Command::new("kill")
            .arg(self.0.id().to_string())
            .status()
            .unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.stop();
        }
    }
}

/// A port that nobody has, right now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
