//! Projects that learn from each other.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod made;

use auspex_trainer::prepare::prepare;
use auspex_trainer::train::finish;
use auspex_trainer::{Bench, Candidate};
use made::{csv, file, request, run};

#[test]
fn each_project_is_cut_by_its_own_time_and_has_its_own_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (number, (name, shift)) in [("shop", -0.5), ("bank", 1.0), ("news", 0.0)]
        .into_iter()
        .enumerate()
    {
        for (row, line) in csv(1200, number as u64, |_| shift).lines().enumerate() {
            match row {
                0 if number == 0 => text.push_str(&format!("{line},project\n")),
                0 => {}
                _ => text.push_str(&format!("{line},{name}\n")),
            }
        }
    }
    let mut request = request(&file(folder.path(), "t.csv", &text), &folder.path().join("o"));
    request.wanted.group = Some("project".to_owned());
    request.candidates = vec![Candidate::Logistic, Candidate::Gbdt, Candidate::Ensemble];
    let report = run(&request).unwrap();
    assert_eq!(report.table.features.last().unwrap(), "project");
    assert_eq!(report.groups.len(), 3);
    assert!(
        report
            .groups
            .values()
            .all(|figures| figures.rows == 240 && figures.ece < 0.15)
    );
    assert!(report.mean_of_groups.unwrap().roc_auc.unwrap() > 0.7);
    let names: Vec<&str> = report.candidates.iter().map(|row| row.name.as_str()).collect();
    assert!(
        names.contains(&"gbdt_pooled") && names.contains(&"gbdt_by_group"),
        "{names:?}"
    );
}

#[test]
fn groups_without_a_column_of_their_own_are_not_switched_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let text = csv(2600, 5, |_| 0.0);
    let mut request = request(&file(folder.path(), "t.csv", &text), &folder.path().join("o"));
    request.candidates = vec![Candidate::Logistic, Candidate::Gbdt, Candidate::Ensemble];
    // As they come from several projects of a mesh.
    let mut prepared = prepare(&request, &|_| ()).unwrap();
    prepared.train.groups = (0..prepared.train.rows()).map(|row| (row % 2) as u32).collect();
    let report = finish(&request, &Bench::default(), prepared, &|_| ()).unwrap();
    let names: Vec<&str> = report.candidates.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}
