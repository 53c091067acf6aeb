//! The HTTP doors on one router.

use std::net::{IpAddr, Ipv4Addr};

use auspex_chassis::serve::Peer;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::routing::{options, post};

use crate::config::Config;
use crate::intake::Intake;
use crate::{cloudevents, github};

/// `POST /webhooks/github`, `POST` and `OPTIONS /events`.
pub(crate) fn router(intake: &Intake, config: &Config) -> Router {
    let events = options(cloudevents::handshake).post(cloudevents::deliver);
    let github = post(github::deliver).with_state(github::Door::new(intake, config));
    Router::new().route("/webhooks/github", github).route(
        "/events",
        events.with_state(cloudevents::Door::new(intake, config)),
    )
}

/// Who is at the other end. Behind a reverse proxy that is the proxy: all senders share its bucket then.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<Peer>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.0.ip())
}
