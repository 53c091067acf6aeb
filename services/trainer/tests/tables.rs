//! Anybody's table: what is wrong with it is said by name, and what can be made of it is made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod made;

use auspex_trainer::Report;
use auspex_trainer::request::Request;
use made::{csv, fault, file, request, run};

fn trained(text: &str, change: impl Fn(&mut Request)) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&file(folder.path(), "t.csv", text), &folder.path().join("out"));
    change(&mut request);
    run(&request).unwrap()
}

#[test]
fn lines_are_those_of_the_file() {
    let rows = ["1,2,0", "2,3,1", "3,4,0", "4,WRONG"];
    let faults = [
        ("4,5,maybe", "--label: line ", " of `failed`"),
        ("soon,5,1", "--time: line ", " of `time`"),
        ("4,5", ": line ", " has 2 fields"),
        ("4,some,1", "line ", " holds `some`"),
    ];
    for (wrong, before, after) in faults {
        // An empty line, and a field of two lines, where there may be one.
        for (begin, end, gap, field, line) in [
            ("", "\n", "", "1", 5),
            ("", "\r\n", "", "1", 5),
            ("\u{feff}", "\r\n", "", "1", 5),
            ("", "\n", "\n", "1", 6),
            ("", "\r\n", "\r\n\r\n", "\"1\r\n\"", 8),
        ] {
            let first = rows.map(|row| row.replace("4,WRONG", wrong));
            let text = format!(
                "{begin}time,size,failed{end}{}{end}{}{end}{gap}{}{end}{}{end}",
                first[0].replacen(",2", &format!(",{field}"), 1),
                first[1],
                first[2],
                first[3]
            );
            let told = fault(&text, |request| request.wanted.features = vec!["size".to_owned()]);
            let wanted = format!("{before}{line}{after}");
            assert!(told.contains(&wanted), "{text:?}: {told}, not {wanted}");
        }
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let good = csv(300, 1, |_| 0.0);
    let says = |text: &str, words: &[&str]| {
        let fault = fault(text, |_| ());
        assert!(words.iter().all(|word| fault.contains(word)), "{fault}");
    };
    says("", &["is empty"]);
    says("time,size,failed\n", &["no rows"]);
    says("time,size,size,failed\n1,2,3,0\n", &["`size`", "two columns"]);
    says(
        "time,size,bug\n1,2,0\n",
        &["--label", "no column `failed`", "size"],
    );
    says(
        "time,size,failed\n1,2,0\n1,2\n",
        &["line 3 has 2 fields", "header has 3"],
    );
    says(
        "time,size,failed\nnoon,2,0\n1,3,1\n",
        &["--time", "line 2", "`noon`"],
    );
    says(
        "time,size,failed\n1,2,perhaps\n1,3,0\n",
        &["--label", "line 2", "`perhaps`"],
    );
    says(
        &good.lines().take(11).collect::<Vec<_>>().join("\n"),
        &["--data", "rows to learn from", "at least 50"],
    );
    says(
        &good.replace(",1\n", ",0\n"),
        &["--label", "all 300 rows", "passed"],
    );
    says(
        &good.replace(",0\n", ",\n").replace(",1\n", ",\n"),
        &["holds no outcome"],
    );
    let named = |features: &str| {
        let features = features.to_owned();
        fault(&good, move |request| {
            request.wanted.features = features.split(',').map(str::to_owned).collect()
        })
    };
    assert!(named("size,sise").contains("no column `sise`"));
    assert!(named("size,failed").contains("is the label"));
    assert!(named("size,size").contains("named twice"));
    assert!(fault(&good, |r| r.split = 1.0).contains("--split"));
    assert!(fault(&good, |r| r.table = "no/such.csv".into()).contains("no/such.csv"));
    assert!(
        fault(&good, |r| r.wanted.group = Some("team".to_owned()))
            .contains("--group: there is no column `team`")
    );
}

#[test]
fn odd_but_honest_tables_are_learned_from() {
    let plain = csv(900, 2, |_| 0.0);
    let base = trained(&plain, |_| ());
    assert!(base.test.roc_auc.unwrap() > 0.7, "{:?}", base.test);
    // Semicolons, a byte order mark, quotes with line breaks and commas, Windows line ends.
    let odd: String = plain
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("\u{feff}note;{}\r\n", line.replace(',', ";")),
            _ => format!(
                "\"he said \"\"no\"\";\nrow {row}\";{}\r\n",
                line.replace(',', ";")
            ),
        })
        .collect();
    let odd = trained(&odd, |_| ());
    assert_eq!(odd.table.features, base.table.features);
    assert_eq!(odd.artifact.sha256, base.artifact.sha256);
    // A constant, a row number, a column without a name, a copy of the label, free text.
    let more: String = plain
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!(",constant,copy,who,{line}\n"),
            _ => format!(
                "{row},7,{},person {row},{line}\n",
                if line.ends_with('1') { "yes" } else { "no" }
            ),
        })
        .collect();
    let more = trained(&more, |_| ());
    assert_eq!(more.artifact.sha256, base.artifact.sha256);
    let left: Vec<&str> = more.left_out.iter().map(|left| left.column.as_str()).collect();
    assert_eq!(left, ["", "constant", "who", "copy"]);
}

#[test]
fn missing_infinite_and_unlabelled_values_are_told() {
    let text: String = csv(900, 3, |_| 0.0)
        .lines()
        .enumerate()
        .map(|(row, line)| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            match row {
                0 => {}
                row if row % 17 == 0 => cells[5] = String::new(),
                row if row % 7 == 0 => cells[1] = "NaN".to_owned(),
                row if row % 11 == 0 => cells[2] = "inf".to_owned(),
                row if row % 13 == 0 => cells[4] = String::new(),
                _ => {}
            }
            format!("{}\n", cells.join(","))
        })
        .collect();
    let report = trained(&text, |_| ());
    assert!(report.test.roc_auc.unwrap() > 0.65);
    assert!(report.table.unlabelled > 40);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("`tests`") && note.contains("infinite")),
        "{:?}",
        report.notes
    );
}

#[test]
fn the_order_of_the_file_does_not_matter_when_there_is_a_time() {
    let text = csv(600, 4, |_| 0.0);
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    let (plain, turned) = (trained(&text, |_| ()), trained(&lines.join("\n"), |_| ()));
    assert_eq!(plain.artifact.sha256, turned.artifact.sha256);
    assert!(turned.notes.iter().any(|note| note.contains("sorted")));
}

#[test]
fn a_table_larger_than_the_room_is_thinned_out_and_says_so() {
    use auspex_trainer::table::load::MOST_ROWS;
    let rows = MOST_ROWS as usize + 1000;
    let mut text = String::from("x,failed\n");
    for row in 0..rows {
        text.push_str(if row % 3 == 0 {
            "1,1\n"
        } else if row % 7 == 0 {
            "1,0\n"
        } else {
            "0,0\n"
        });
    }
    let report = trained(&text, |request| {
        request.wanted.time = None;
        request.candidates = vec![auspex_trainer::Candidate::Baseline];
    });
    assert_eq!(report.table.stride, 2);
    assert!(report.table.train_rows + report.table.test_rows <= MOST_ROWS as usize);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("every 2 rows one is used")),
        "{:?}",
        report.notes
    );
}

#[test]
fn what_32_bits_cannot_hold_is_told() {
    let text: String = csv(900, 6, |_| 0.0)
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("far,{line}\n"),
            _ => format!("{}e300,{line}\n", row % 7),
        })
        .collect();
    let report = trained(&text, |_| ());
    let told = |note: &String| note.contains("`far`") && note.contains("told apart no more");
    assert!(report.notes.iter().any(told), "{:?}", report.notes);
}

#[test]
fn a_test_table_that_lacks_a_column_and_outcomes_too_young_are_named() {
    let text = csv(900, 7, |_| 0.0);
    let folder = tempfile::tempdir().unwrap();
    let path = made::file(folder.path(), "newer.csv", "time,size,failed\n1,2,0\n");
    let fault = made::fault(&text, |request| request.test = Some(path.clone()));
    assert!(
        fault.starts_with("--test: ") && fault.contains("newer.csv") && fault.contains("`tests`"),
        "{fault}"
    );
    let fault = made::fault(&text, |request| request.delay = 1e9);
    assert!(
        fault.contains("720 more are too young for --label-delay"),
        "{fault}"
    );
}

/// Rows with a column that holds one value, and one of sizes that hardly fit into 32 bits.
fn with_constant(rows: usize) -> String {
    let good = csv(rows, 3, |_| 0.0);
    let lines = good.lines().enumerate().map(|(row, line)| match row {
        0 => format!("always,vast,kind2,{line}\n"),
        row => format!("7,{}e38,one,{line}\n", [-3, 3, 2][row % 3]),
    });
    lines.collect()
}

#[test]
fn a_column_of_one_value_stays_in_a_schema_that_is_named() {
    let text = with_constant(700);
    let free = trained(&text, |_| ());
    assert!(
        !free
            .table
            .features
            .iter()
            .any(|name| name == "always" || name == "kind2")
    );
    let named = ["size", "always", "kind2", "vast"];
    let asked = trained(&text, |request| {
        request.wanted.features = named.map(str::to_owned).to_vec()
    });
    assert_eq!(asked.table.features, named);
    assert!(
        asked
            .notes
            .iter()
            .any(|note| note.contains("`always` holds one value"))
    );
    let served = trained(&text, |request| request.feature_service = "mine@1".to_owned());
    assert_eq!(served.table.features.first().map(String::as_str), Some("always"));
    let nothing = fault(&text, |request| {
        request.wanted.features = vec!["always".to_owned()]
    });
    assert!(
        nothing.contains("left to learn from: `always` holds one value only"),
        "{nothing}"
    );
}

#[test]
fn a_delay_without_a_time_counts_rows_and_says_so() {
    let text = csv(300, 2, |_| 0.0);
    let fault = fault(&text, |request| {
        request.wanted.time = None;
        request.delay = 90.0 * 86_400.0;
    });
    assert!(
        fault.contains("too young for --label-delay, which counts rows"),
        "{fault}"
    );
}
