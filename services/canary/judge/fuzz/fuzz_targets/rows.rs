//! Any text, in both formats: it is read or refused with a line, and what is read can be judged.
#![no_main]

use auspex_judge::Options;
use auspex_judge::report::run;
use auspex_judge::rows::{Format, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for format in [Format::Csv, Format::JsonLines] {
        match parse("input", text, format) {
            Ok(rows) => drop(run(&rows, &Options { change_at: Some(0.0), ..Options::default() })),
            Err(errors) => assert!(errors.iter().all(|error| error.line >= 1 && !error.reason.is_empty())),
        }
    }
});
