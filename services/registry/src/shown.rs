//! What the registry knows, as the wire says it.

use std::collections::BTreeMap;

use auspex_proto::wire;

use crate::catalog::version::{Baseline, Figure};
use crate::catalog::{Change, Head, Kept, Version};

/// A name.
#[must_use]
pub fn model(head: Head) -> wire::RegisteredModel {
    wire::RegisteredModel {
        aliases: head
            .aliases
            .iter()
            .map(|(name, alias)| (name.clone(), alias.version))
            .collect(),
        name: head.name,
        description: head.description,
        created_ms: head.created.0,
        changed_ms: head.changed.0,
        latest: head.latest,
        history: head.history.into_iter().map(change).collect(),
        tags: head.tags.into_iter().collect(),
    }
}

fn change(change: Change) -> wire::AliasChange {
    wire::AliasChange {
        alias: change.alias,
        version: change.version,
        previous: change.previous,
        time_ms: change.time.0,
        actor: change.actor,
        note: change.note,
        cause: change.cause.name().to_owned(),
        percent: u32::from(change.percent),
        experiment: change.experiment,
    }
}

fn file(kept: Kept) -> Option<wire::StoredFile> {
    (!kept.sha256.is_empty()).then_some(wire::StoredFile {
        file: kept.file,
        sha256: kept.sha256,
        size: kept.size,
    })
}

fn figure(figure: Figure) -> wire::Figure {
    wire::Figure {
        name: figure.name,
        value: figure.value,
        low: figure.bounds.map(|(low, _)| low),
        high: figure.bounds.map(|(_, high)| high),
        slice: figure.slice,
    }
}

fn baseline(baseline: Baseline) -> wire::DriftBaseline {
    wire::DriftBaseline {
        feature: baseline.feature,
        bounds: baseline.bounds,
        counts: baseline.counts,
        missing: baseline.missing,
    }
}

/// A version, with the aliases it has at this moment.
#[must_use]
pub fn version(version: Version, head: &Head, tags: BTreeMap<String, String>) -> wire::ModelVersion {
    let lineage = version.lineage;
    let quantile = |(level, value)| wire::ConformalQuantile { level, value };
    wire::ModelVersion {
        aliases: head.aliases_of(version.version),
        name: version.name,
        version: version.version,
        created_ms: version.created.0,
        actor: version.actor,
        summary: version.summary,
        manifest: file(version.manifest),
        artifact: file(version.artifact),
        golden: file(version.golden),
        others: version.others.into_iter().filter_map(file).collect(),
        format: version.format,
        feature_service: version.feature_service,
        schema_hash: version.schema_hash,
        features: version.features,
        output: version.output,
        lineage: Some(wire::Lineage {
            code_revision: lineage.code_revision,
            snapshot: lineage.snapshot,
            label: lineage.label,
            from_ms: lineage.from_ms,
            to_ms: lineage.to_ms,
            rows: lineage.rows,
            seed: lineage.seed,
            parameters: lineage.parameters.into_iter().collect(),
            versions: lineage.versions.into_iter().collect(),
            parent: lineage.parent,
            run_id: lineage.run_id,
        }),
        metrics: version.metrics.into_iter().map(figure).collect(),
        calibration: Some(wire::Calibration {
            method: version.calibration,
            parameters: version.calibration_parameters.into_iter().collect(),
            table: version
                .calibration_table
                .into_iter()
                .map(|(from, to)| wire::CalibrationRow { from, to })
                .collect(),
        }),
        conformal: version.conformal.into_iter().map(quantile).collect(),
        drift: version.drift.into_iter().map(baseline).collect(),
        golden_rows: version.golden_rows,
        golden_tolerance: version.golden_tolerance,
        label: version.label,
        tags: tags.into_iter().collect(),
        servable: version.why_not.is_empty(),
        why_not: version.why_not,
        location: version.location,
    }
}
