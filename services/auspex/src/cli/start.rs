//! What `auspex rollout start` is given: Auspex's own documents, or those of Argo Rollouts.

use std::path::{Path, PathBuf};

use auspex_argo::document::{Unreadable, read_each};
use auspex_proto::wire::PutAnalysisRequest;
use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use serde_json::Value as Json;

use super::analysis::Kept;
use super::reach::Line;
use super::{convert, id};
use crate::fault::Fault;

/// What there is to start.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Plans of analyses, which go first.
    pub plans: Vec<String>,
    /// Rollouts.
    pub rollouts: Vec<String>,
    /// The project of those that name none; empty: the server says that one is wanted.
    pub project: String,
}

/// Kubernetes' namespace, when none is named.
const NAMESPACE: &str = "default";

fn text<'d>(document: &'d Json, path: &str) -> &'d str {
    document.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

/// Reads files. A single document of one's own goes to the server as it is written, for its line numbers.
pub(crate) fn documents(files: &[PathBuf], kept: Kept) -> Result<Documents, Fault> {
    let mut out = Documents::default();
    let mut argo = Vec::new();
    for file in files {
        if file.is_dir() {
            argo.push(file.clone());
            continue;
        }
        let written = super::read(Path::new(file))?;
        let Ok(documents) = read_each(&written) else {
            // The server says what is wrong with it.
            out.rollouts.push(written);
            continue;
        };
        let of = |prefix: &str| {
            documents.iter().any(|document| {
                document
                    .as_ref()
                    .is_ok_and(|d| text(d, "/apiVersion").starts_with(prefix))
            })
        };
        if of("argoproj.io/") {
            argo.push(file.clone());
        } else if documents.len() > 1 && of("auspex.dev/") {
            for (document, at) in documents.into_iter().zip(1..) {
                own(&mut out, document)
                    .map_err(|fault| Fault::invalid(format!("{}, document {at}: {fault}", file.display())))?;
            }
        } else if documents
            .first()
            .is_some_and(|document| document.as_ref().is_ok_and(|d| text(d, "/kind") == "Analysis"))
        {
            out.plans.push(written);
        } else {
            out.rollouts.push(written);
        }
    }
    if !argo.is_empty() {
        imported(&argo, kept, &mut out)?;
    }
    if out.plans.is_empty() && out.rollouts.is_empty() {
        return Err(Fault::invalid("there is no rollout among the documents"));
    }
    Ok(out)
}

/// One of several documents of one's own: none is passed over in silence.
fn own(out: &mut Documents, document: Result<Json, Unreadable>) -> Result<(), Fault> {
    let document = document.map_err(Fault::invalid)?;
    match text(&document, "/kind") {
        "Analysis" | "Rollout" => sort(out, &document),
        kind => Err(Fault::invalid(format!(
            "kind: `{kind}` is neither Rollout nor Analysis"
        ))),
    }
}

fn sort(out: &mut Documents, document: &Json) -> Result<(), Fault> {
    let yaml = convert::yaml(std::slice::from_ref(document))?;
    match text(document, "/kind") {
        "Analysis" => out.plans.push(yaml),
        "Rollout" => out.rollouts.push(yaml),
        // Templates are in the plans already.
        _ => {}
    }
    Ok(())
}

fn imported(files: &[PathBuf], kept: Kept, out: &mut Documents) -> Result<(), Fault> {
    let converted = convert::converted(files, kept)?;
    if !converted.refused.is_empty() {
        let faults = converted
            .refused
            .iter()
            .map(|remark| format!("{}: {}: {}", remark.document, remark.field, remark.reason));
        return Err(Fault::invalid(faults.collect::<Vec<_>>().join("\n")));
    }
    if !converted.missing.is_empty() {
        return Err(Fault::invalid(format!(
            "analysis templates are missing: {}; give their files with -f too",
            converted.missing.join(", ")
        )));
    }
    for remark in &converted.notes {
        eprintln!("note: {}: {}: {}", remark.document, remark.field, remark.reason);
    }
    let named = |document: &Json| document.pointer("/metadata/project").is_some();
    if !converted.documents.iter().any(named) {
        NAMESPACE.clone_into(&mut out.project);
    }
    converted
        .documents
        .iter()
        .try_for_each(|document| sort(out, document))
}

/// Gives a plan to the server.
pub(crate) async fn put(line: &Line, project: &str, document: String) -> Result<(), Fault> {
    let request = PutAnalysisRequest {
        project: project.to_owned(),
        document,
        actor: id::person(),
    };
    AnalysisServiceClient::new(line.clone()).put(request).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGO: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop, namespace: acme}
spec:
  selector: {matchLabels: {app: shop}}
  template: {spec: {containers: [{image: "shop:v2"}]}}
  strategy:
    canary:
      canaryService: c
      stableService: s
      trafficRouting:
        managedRoutes: [{name: beta}, {name: mirror}]
        istio: {virtualService: {name: v}}
      analysis: {templates: [{templateName: t}], startingStep: 1}
      dynamicStableScale: true
      steps:
      - setHeaderRoute: {name: beta, match: [{headerName: x-beta, headerValue: {exact: "1"}}]}
      - setMirrorRoute: {name: mirror, percentage: 20, match: [{path: {prefix: /}}]}
      - setWeight: 10
      - pause: {duration: 1m}
      - pause: {}
      - analysis: {templates: [{templateName: t2}]}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: t}
spec: {metrics: [{name: m, interval: 5s, provider: {web: {url: "http://x"}}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: t2}
spec: {metrics: [{name: m, provider: {web: {url: "http://x"}}}]}
"#;

    fn of(text: &str) -> Result<Documents, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, text).unwrap();
        documents(&[file], Kept::Strict)
    }

    #[test]
    fn what_is_converted_is_what_control_and_the_analysis_take() {
        let blue_green = ARGO.split_once("    canary:").unwrap().0.to_owned()
            + "    blueGreen:\n      activeService: a\n      previewService: p\n      autoPromotionSeconds: 30\n      postPromotionAnalysis: {templates: [{templateName: t2}]}\n"
            + ARGO
                .split_once("---")
                .map(|(_, rest)| rest)
                .map(|rest| format!("---{rest}"))
                .unwrap()
                .as_str();
        let rolling = ARGO.split_once("    canary:").unwrap().0.to_owned() + "    canary: {maxSurge: 1}\n";
        for text in [ARGO, &blue_green, &rolling] {
            let found = of(text).unwrap();
            assert_eq!(found.rollouts.len(), 1);
            for rollout in &found.rollouts {
                let read = auspex_canary::document::Document::parse(rollout).unwrap();
                assert_eq!(read.metadata.project.as_deref(), Some("acme"));
                assert_eq!(read.spec.mode, Some(auspex_proto::decision::Mode::Observe));
            }
            for plan in &found.plans {
                auspex_argo::plan::Document::read(plan).unwrap();
            }
        }
    }

    #[test]
    fn of_several_documents_none_is_passed_over_in_silence() {
        let one = "apiVersion: auspex.dev/v1\nkind: Rollout\nmetadata: {name: a}\nspec: {service: a}\n";
        assert_eq!(of(&format!("{one}---\n{one}")).unwrap().rollouts.len(), 2);
        let fault = of(&format!("{one}---\n{}", one.replace("Rollout", "Rolout"))).unwrap_err();
        let told = "a.yaml, document 2: kind: `Rolout` is neither Rollout nor Analysis";
        assert!(fault.to_string().ends_with(told), "{fault}");
        let fault = of(&format!("{one}---\n? [a]\n: 1\n")).unwrap_err();
        assert!(fault.to_string().contains("a.yaml, document 2: "), "{fault}");
    }

    #[test]
    fn missing_templates_are_named() {
        let alone = ARGO.split_once("---").unwrap().0;
        let fault = of(alone).unwrap_err().to_string();
        assert!(fault.contains("analysis templates are missing: "), "{fault}");
    }

    #[test]
    fn every_rollout_of_the_corpus_is_one_that_control_takes() {
        let Ok(corpus) = std::env::var("AUSPEX_CORPUS") else {
            eprintln!("AUSPEX_CORPUS is not set: the corpus is not looked at");
            return;
        };
        let folder = Path::new(&corpus).join("argo-rollouts");
        let converted = convert::converted(&[folder], Kept::Safe).unwrap();
        let mut rollouts = 0;
        for document in &converted.documents {
            let yaml = convert::yaml(std::slice::from_ref(document)).unwrap();
            match text(document, "/kind") {
                "Rollout" => {
                    rollouts += 1;
                    auspex_canary::document::Document::parse(&yaml).unwrap();
                }
                "Analysis" => drop(auspex_argo::plan::Document::read(&yaml)),
                _ => {}
            }
        }
        assert!(rollouts > 10, "only {rollouts}");
    }
}
