//! Whether features have moved away.

use auspex_proto::wire::DriftResponse;
use serde_json::json;

use super::{row, show};
use crate::cli::{Output, print};
use crate::fault::Fault;

pub(in crate::cli::features) fn drift(found: &DriftResponse, output: Output) -> Result<(), Fault> {
    let text = || {
        let mut rows = vec![row([
            "FEATURE", "THEN", "NOW", "PSI", "LIMIT", "KS", "Q", "NULLS", "DRIFT",
        ])];
        for f in &found.features {
            rows.push(row([
                &f.feature,
                &f.reference_samples.to_string(),
                &f.samples.to_string(),
                &format!("{:.3}", f.psi),
                &format!("{:.3}", f.psi_threshold),
                &format!("{:.3}", f.ks),
                &format!("{:.4}", f.q),
                &format!("{:.3} -> {:.3}", f.reference_null_rate, f.null_rate),
                match (f.drifted, f.reference_samples.min(f.samples)) {
                    (true, _) => "yes",
                    (false, 0) => "no data",
                    (false, _) => "",
                },
            ]));
        }
        print::table(&rows)
            + &format!(
                "share of importance that has drifted: {:.3}\n",
                found.weight_drifted
            )
    };
    let feature = |f: &auspex_proto::wire::FeatureDrift| {
        json!({
            "feature": f.feature, "reference_samples": f.reference_samples, "samples": f.samples,
            "reference_null_rate": f.reference_null_rate, "null_rate": f.null_rate, "out_of_range": f.out_of_range,
            "psi": f.psi, "psi_threshold": f.psi_threshold, "psi_p": f.psi_p, "ks": f.ks, "ks_p": f.ks_p, "q": f.q,
            "importance": f.importance, "drifted": f.drifted, "age_ms": f.age_ms,
        })
    };
    let document = || {
        json!({
            "weight_drifted": found.weight_drifted,
            "features": found.features.iter().map(feature).collect::<Vec<_>>(),
        })
    };
    show(output, text, document)
}
