//! Data planes outside: how soon what is on the log holds there, and whether users lose anything while all of them are moved
//! from one version to the other and back, and controllers are killed.
//!
//! Both are measured on real HAProxy and real Envoy, as far as there are any; one that is not there is said so, and its rows
//! are missing.

mod flips;
mod plane;
mod soon;

use self::plane::{Kind, Plane};
use super::row::Row;

/// `only`: what of it, by a part of `haproxy flips`, `haproxy soon`, `envoy flips`, `envoy soon`.
pub(super) async fn measure(quick: bool, only: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in [Kind::Haproxy, Kind::Envoy] {
        let Some(program) = kind.program().await else {
            continue;
        };
        let called = kind.name().to_lowercase();
        let wants = |what: &str| only.is_none_or(|only| format!("{called} {what}").contains(only));
        if wants("flips") {
            let folder = super::scratch()?;
            let plane = Plane::start((kind, &program), folder.path(), 1).await?;
            rows.extend(flips::measure(&plane, folder.path(), quick).await?);
        }
        if wants("soon") {
            let folder = super::scratch()?;
            let plane = Plane::start((kind, &program), folder.path(), soon::SERVICES).await?;
            rows.extend(Box::pin(soon::measure(&plane, folder.path(), quick)).await?);
        }
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "there is neither an HAProxy nor an Envoy here, or nothing of that name"
    );
    Ok(rows)
}
