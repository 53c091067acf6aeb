//! Small plots as SVG, without any library.

/// One line or set of dots.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Points, both axes within 0..=1.
    pub points: Vec<(f64, f64)>,
    /// A colour.
    pub colour: &'static str,
    /// Dots, or a line.
    pub dots: bool,
}

const SIZE: f64 = 260.0;
const EDGE: f64 = 36.0;

/// A square plot of 0..=1 by 0..=1, with a grid.
#[must_use]
pub fn square(title: &str, axes: (&str, &str), series: &[Series]) -> String {
    let x = |v: f64| EDGE + v.clamp(0.0, 1.0) * (SIZE - 2.0 * EDGE);
    let y = |v: f64| SIZE - EDGE - v.clamp(0.0, 1.0) * (SIZE - 2.0 * EDGE);
    let mut out = format!("<figure><svg viewBox=\"0 0 {SIZE} {SIZE}\" role=\"img\" aria-label=\"{title}\">");
    for step in 0..=4 {
        let at = f64::from(step) / 4.0;
        out.push_str(&format!(
            "<line class=\"g\" x1=\"{0:.1}\" y1=\"{2:.1}\" x2=\"{1:.1}\" y2=\"{2:.1}\"/>\
             <line class=\"g\" x1=\"{3:.1}\" y1=\"{4:.1}\" x2=\"{3:.1}\" y2=\"{5:.1}\"/>\
             <text x=\"{3:.1}\" y=\"{6:.1}\" text-anchor=\"middle\">{at}</text>\
             <text x=\"{7:.1}\" y=\"{8:.1}\" text-anchor=\"end\">{at}</text>",
            x(0.0),
            x(1.0),
            y(at),
            x(at),
            y(0.0),
            y(1.0),
            y(0.0) + 12.0,
            x(0.0) - 4.0,
            y(at) + 3.0
        ));
    }
    for one in series {
        if one.dots {
            for (a, b) in &one.points {
                out.push_str(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\"/>",
                    x(*a),
                    y(*b),
                    one.colour
                ));
            }
            continue;
        }
        let points: Vec<String> = one
            .points
            .iter()
            .map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b)))
            .collect();
        out.push_str(&format!(
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>",
            one.colour,
            points.join(" ")
        ));
    }
    out.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(10 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text></svg><figcaption>{title}</figcaption></figure>",
        SIZE / 2.0,
        SIZE - 6.0,
        axes.0,
        SIZE / 2.0,
        axes.1
    ));
    out
}
