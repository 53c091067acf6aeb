//! Every YAML of Argo Rollouts' own examples converts, all but the routers, providers and plugins that are listed here.
//!
//! The files are not part of this tree: AUSPEX_CORPUS names the folder that holds `argo-rollouts/`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auspex_argo::convert::{Converted, convert};
use auspex_argo::document::{Kind, read_each};
use auspex_argo::expr::Mode;
use auspex_argo::template::Templates;

/// What is refused: the file, and the fields with a word of the reason.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    (
        "examples/ambassador/rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.ambassador", "Ambassador")],
    ),
    (
        "examples/apisix/rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.apisix", "APISIX")],
    ),
    (
        "examples/appmesh/canary-rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.appMesh", "App Mesh")],
    ),
    (
        "examples/traffic-management/rollout-linkerd.yaml",
        &[
            (
                "spec.metrics[0].provider.job.spec.template.metadata.annotations.linkerd.io/inject",
                "without quotes",
            ),
            ("spec.strategy.canary.trafficRouting.smi", "SMI"),
        ],
    ),
    (
        "examples/traffic-routing-experiment-step/rollout-alb-experiment-step.yaml",
        &[("spec.strategy.canary.trafficRouting.alb", "Load Balancers")],
    ),
    (
        "examples/traffic-routing-experiment-step/rollout-smi-experiment-step.yaml",
        &[("spec.strategy.canary.trafficRouting.smi", "SMI")],
    ),
    (
        "getting-started/alb/rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.alb", "Load Balancers")],
    ),
    (
        "getting-started/mixed/rollout.yaml",
        &[
            ("spec.strategy.canary.trafficRouting.nginx", "NGINX"),
            ("spec.strategy.canary.trafficRouting.smi", "SMI"),
        ],
    ),
    (
        "getting-started/nginx/rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.nginx", "NGINX")],
    ),
    (
        "getting-started/smi/rollout.yaml",
        &[("spec.strategy.canary.trafficRouting.smi", "SMI")],
    ),
];

fn yamls(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yamls(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            out.push(path);
        }
    }
}

fn of(text: &str) -> Converted {
    let mut kinds = Vec::new();
    let mut out = Converted::default();
    for document in read_each(text).unwrap() {
        match document {
            Ok(document) => kinds.push(Kind::of(&document).unwrap()),
            Err(fault) => {
                let (field, reason) = fault.0.split_once(": ").unwrap();
                out.refused.push(auspex_argo::convert::Remark {
                    document: String::new(),
                    field: field.to_owned(),
                    reason: reason.to_owned(),
                });
            }
        }
    }
    let mut templates = Templates::default();
    templates.add_all(&kinds);
    let mut converted = convert(&kinds, &templates, Mode::Strict);
    out.refused.append(&mut converted.refused);
    Converted {
        refused: out.refused,
        ..converted
    }
}

#[test]
fn every_file_converts_or_is_refused_by_name() {
    let Ok(corpus) = std::env::var("AUSPEX_CORPUS") else {
        // Past the test harness, which shows what a passing test prints to nobody.
        let told = b"NOT RUN: AUSPEX_CORPUS is not set: Argo's own documents are not looked at\n";
        std::io::Write::write_all(&mut std::io::stderr(), told).unwrap();
        return;
    };
    let folder = Path::new(&corpus).join("argo-rollouts");
    let mut files = Vec::new();
    yamls(&folder, &mut files);
    assert!(
        files.len() > 40,
        "only {} files in {}",
        files.len(),
        folder.display()
    );
    let expected: BTreeMap<&str, &[(&str, &str)]> = REFUSED.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in &files {
        let name = file.strip_prefix(&folder).unwrap().display().to_string();
        let text = std::fs::read_to_string(file).unwrap();
        let converted = of(&text);
        let expected = expected.get(name.as_str()).copied().unwrap_or_default();
        seen += usize::from(!expected.is_empty());
        let as_listed = converted.refused.len() == expected.len()
            && converted
                .refused
                .iter()
                .zip(expected)
                .all(|(found, (field, word))| found.field == *field && found.reason.contains(word));
        if !as_listed {
            wrong.push(format!("{name}: {:?}", converted.refused));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, REFUSED.len(), "the list names files that are not there");
}
