//! Gauss-Legendre points on (0, 1): a sum over `m` of them is the integral of any polynomial up to degree `2m - 1`, exactly.

/// The points, ascending, each with its weight. The weights add up to 1.
#[must_use]
pub fn points(m: usize) -> Vec<(f64, f64)> {
    let n = m as f64;
    let point = |k: usize| {
        // Tricomi's guess is near enough for Newton to double its digits at each step.
        let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..8 {
            let (value, derivative) = legendre(m, x);
            slope = derivative;
            x -= value / derivative;
        }
        let weight = 1.0 / ((1.0 - x * x) * slope * slope);
        (0.5 - 0.5 * x, weight)
    };
    (0..m).map(point).collect()
}

/// Legendre's polynomial of a degree, and its derivative.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut this) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (before, this) = (this, ((2.0 * k - 1.0) * x * this - (k - 1.0) * before) / k);
    }
    let n = degree as f64;
    (this, n * (x * this - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_integrated_exactly() {
        for m in 1..=32 {
            let points = points(m);
            for degree in 0..2 * m {
                let sum: f64 = points.iter().map(|(t, w)| w * t.powi(degree as i32)).sum();
                assert!(
                    (sum - 1.0 / (degree as f64 + 1.0)).abs() < 1e-13,
                    "{m} {degree} {sum}"
                );
            }
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
