//! `auspex lint`: what is wrong with Rollout documents.

use std::path::PathBuf;
use std::process::ExitCode;

use auspex_canary::document::{Finding, lint};
use clap::Args;
use serde_json::{Value, json};

use super::{Output, print};
use crate::fault::Fault;

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Documents (YAML, several in one file with --- between them); - is standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Lint {
    pub(crate) fn carry_out(self) -> Result<ExitCode, Fault> {
        let mut found: Vec<(String, Finding)> = Vec::new();
        for file in &self.files {
            let text = super::read(file)?;
            found.extend(
                lint(&text)
                    .into_iter()
                    .map(|fault| (file.display().to_string(), fault)),
            );
        }
        match self.output {
            Output::Text if found.is_empty() => print::line("no fault found")?,
            Output::Text => found
                .iter()
                .try_for_each(|(file, fault)| print::line(&text(file, fault)))?,
            Output::Json => print::json(&Value::from(found.iter().map(document).collect::<Vec<_>>()))?,
        }
        Ok(if found.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn text(file: &str, fault: &Finding) -> String {
    let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
    let field = if fault.field.is_empty() {
        String::new()
    } else {
        format!("{}: ", fault.field)
    };
    format!("{file}{line}: {field}{}", fault.message)
}

fn document((file, fault): &(String, Finding)) -> Value {
    json!({"file": file, "line": fault.line, "field": fault.field, "message": fault.message})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_file_line_and_field() {
        let fault = Finding {
            line: Some(7),
            field: "spec.alpha".to_owned(),
            message: "3 is too much".to_owned(),
        };
        assert_eq!(text("a.yaml", &fault), "a.yaml:7: spec.alpha: 3 is too much");
        assert_eq!(document(&("a.yaml".to_owned(), fault))["line"], 7);
    }
}
