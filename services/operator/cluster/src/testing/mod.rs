//! Real parts for tests: an API server with its etcd, a line to it that can be cut, and a small HTTP server that imitates
//! documented answers where no API server is at hand; rights as roles grant them and as tables declare them.

mod imitation;
mod line;
mod rights;
mod server;

pub use imitation::{Answer, Imitation, Request};
pub use line::Line;
pub use rights::{Right, declared, granted};
pub use server::{ApiServer, assets};
