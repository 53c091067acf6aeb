//! The plot of the policies: harmed requests of each kind of bad candidate, and seconds to everything of sound ones.

use std::fmt::Write as _;

use super::Outcome;

const WIDTH: f64 = 860.0;
const BAR: f64 = 16.0;
const LEFT: f64 = 150.0;
const COLOURS: [&str; 6] = ["#9aa0a6", "#c58b5a", "#7aa6d8", "#4d84c4", "#2f5f9e", "#15407a"];

/// As SVG. Lengths are logarithmic: harm differs by powers of ten.
pub(super) fn drawn(outcomes: &[Outcome]) -> String {
    let mut body = String::new();
    let mut y = 30.0;
    let mut candidates: Vec<&str> = outcomes.iter().map(|outcome| outcome.candidate).collect();
    candidates.dedup();
    for candidate in candidates {
        let sound = candidate.starts_with("sound");
        let what = if sound {
            "seconds to 100 %"
        } else {
            "harmed requests"
        };
        text(
            &mut body,
            (10.0, y),
            &format!("{candidate}: {what} (mean)"),
            "600",
        );
        y += 10.0;
        let mine: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.candidate == candidate)
            .collect();
        let value = |outcome: &Outcome| if sound { outcome.seconds } else { outcome.harmed };
        for (at, outcome) in mine.iter().enumerate() {
            let length = (1.0 + value(outcome)).log10() / 5.0 * (WIDTH - LEFT - 230.0);
            let colour = COLOURS.get(at).copied().unwrap_or("#000");
            let bar = format!(
                "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>\n",
                BAR - 3.0
            );
            body.push_str(&bar);
            text(&mut body, (10.0, y + 11.0), outcome.driver, "400");
            let told = match sound {
                true => format!(
                    "{:.0} s, rolled back {:.1} %",
                    value(outcome),
                    100.0 * outcome.rolled_back
                ),
                false => format!(
                    "{:.0}, promoted {:.1} %",
                    value(outcome),
                    100.0 * outcome.promoted
                ),
            };
            text(&mut body, (LEFT + length + 6.0, y + 11.0), &told, "400");
            y += BAR;
        }
        y += 26.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, (x, y): (f64, f64), what: &str, weight: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    // Writing into a string does not fail.
    writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\">{what}</text>"
    )
    .ok();
}
