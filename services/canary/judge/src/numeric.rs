//! Special functions and sums of exponentials, written so that they neither overflow nor panic.

/// `ln(sum_i exp(x_i))`; minus infinity for an empty or impossible sum.
#[must_use]
pub fn log_sum_exp(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut top, mut sum) = (f64::NEG_INFINITY, 0.0);
    for x in terms {
        if x > top {
            // What was summed so far counts against the new greatest.
            sum = sum * (top - x).exp() + 1.0;
            top = x;
        } else if x.is_finite() {
            sum += (x - top).exp();
        }
    }
    if top.is_finite() { top + sum.ln() } else { top }
}

/// `ln(sum_i w_i exp(x_i))` for weights `w_i >= 0`.
#[must_use]
pub fn log_mix(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    log_sum_exp(terms.map(|(weight, x)| {
        if weight > 0.0 {
            weight.ln() + x
        } else {
            f64::NEG_INFINITY
        }
    }))
}

/// The greatest of `norm - half ln(square)` over pairs (norm, square), `square > 0`; minus infinity without any.
///
/// A pair that `ln x >= 1 - 1/x` shows to stay below the greatest so far costs no logarithm.
#[must_use]
pub fn greatest_likelihood(half: f64, pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut best, mut best_norm, mut best_square) = (f64::NEG_INFINITY, 0.0, 0.0);
    for (norm, square) in pairs {
        if half * (1.0 - best_square / square) >= norm - best_norm && best > f64::NEG_INFINITY {
            continue;
        }
        let likelihood = norm - half * square.ln();
        if likelihood > best {
            (best, best_norm, best_square) = (likelihood, norm, square);
        }
    }
    best
}

/// Lanczos coefficients, g = 7, n = 9 (Godfrey): about 15 digits for positive arguments.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// Natural logarithm of the gamma function for `x > 0`; infinity otherwise.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::INFINITY;
    }
    if x < 0.5 {
        // Reflection keeps the series away from its pole.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let mut series = LANCZOS[0];
    let mut shift = 0.0;
    for coefficient in &LANCZOS[1..] {
        shift += 1.0;
        series += coefficient / (x + shift);
    }
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + series.ln()
}

/// Natural logarithm of the beta function, `a, b > 0`.
#[must_use]
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Complementary error function, relative error below 1.2e-7 everywhere (Chebyshev fit, Press et al.), as its logarithm:
/// the tail stays exact where the function itself would underflow.
fn log_erfc_positive(x: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    t.ln() - x * x + FIT.iter().rev().fold(0.0, |sum, c| sum * t + c)
}

/// Natural log of the standard normal distribution function.
#[must_use]
pub fn log_normal_cdf(z: f64) -> f64 {
    let (near, far) = log_normal_sides(z.abs());
    if z < 0.0 { far } else { near }
}

/// The same at `z` and at `-z`, `z >= 0`, for the price of one.
fn log_normal_sides(z: f64) -> (f64, f64) {
    let far = log_erfc_positive(z / std::f64::consts::SQRT_2) - std::f64::consts::LN_2;
    ((-far.exp()).ln_1p(), far)
}

/// Natural log of Student's distribution function with `n` degrees of freedom, by Wallace's normal approximation.
#[must_use]
pub fn log_student_cdf(t: f64, n: f64) -> f64 {
    log_student_sides(t, n).0
}

/// The same at `t` and at `-t`.
#[must_use]
pub fn log_student_sides(t: f64, n: f64) -> (f64, f64) {
    let z = (8.0 * n + 1.0) / (8.0 * n + 3.0) * (n * (t * t / n).ln_1p()).sqrt();
    let (near, far) = log_normal_sides(z);
    if t < 0.0 { (far, near) } else { (near, far) }
}

/// Count as a float. Exact below 2^53, which no counter of events reaches.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 do not occur; rounding there is harmless"
)]
pub const fn real(count: u64) -> f64 {
    count as f64
}

/// Root of a function that is positive at `inside` and not at `outside`, by so many halvings.
///
/// Returns a point on the `outside` side of the root, so that a bound found this way never claims too much.
#[must_use]
pub fn bisect(steps: u32, inside: f64, outside: f64, positive: impl Fn(f64) -> bool) -> f64 {
    let (mut near, mut far) = (inside, outside);
    for _ in 0..steps {
        let middle = 0.5 * (near + far);
        if positive(middle) {
            near = middle;
        } else {
            far = middle;
        }
    }
    far
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_matches_known_values() {
        assert!((ln_gamma(0.5) - 0.572_364_942_924_700_1).abs() < 1e-13);
        assert!((ln_gamma(10.0) - 362_880f64.ln()).abs() < 1e-12);
        assert!((ln_gamma(0.1) - 2.252_712_651_734_206).abs() < 1e-12);
        assert!(ln_gamma(-1.0).is_infinite() && ln_gamma(f64::NAN).is_infinite());
    }

    #[test]
    fn normal_and_student_match_known_values() {
        assert!((log_normal_cdf(-3.0).exp() - 1.349_898_031_630_095e-3).abs() < 1e-9);
        assert!((log_normal_cdf(1.0).exp() - 0.841_344_746_068_543).abs() < 1e-6);
        assert!((log_normal_cdf(-40.0) + 804.608_442).abs() < 1e-3);
        // Student, 10 degrees: P(T < 2.228) = 0.975.
        assert!((log_student_cdf(2.228_138_851_964_939, 10.0).exp() - 0.975).abs() < 2e-4);
    }

    #[test]
    fn sums_of_exponentials_do_not_overflow() {
        assert!((log_sum_exp([1000.0, 1000.0].into_iter()) - 1000.0 - 2f64.ln()).abs() < 1e-12);
        assert_eq!(log_sum_exp(std::iter::empty()), f64::NEG_INFINITY);
        assert_eq!(log_mix([(0.0, 5.0)].into_iter()), f64::NEG_INFINITY);
    }

    #[test]
    fn what_is_passed_over_is_never_the_greatest() {
        let mut random = crate::simulate::random::Random::new(1, 1);
        for _ in 0..2_000 {
            let half = 1.0 + 200.0 * random.uniform();
            let pairs: Vec<(f64, f64)> = (0..20)
                .map(|_| (random.normal(), (0.2 * random.normal()).exp()))
                .collect();
            let each = pairs.iter().map(|(norm, square)| norm - half * square.ln());
            let expected = each.fold(f64::NEG_INFINITY, f64::max);
            let said = greatest_likelihood(half, pairs.into_iter());
            assert!((said - expected).abs() < 1e-9, "{said} {expected}");
        }
        assert_eq!(greatest_likelihood(1.0, std::iter::empty()), f64::NEG_INFINITY);
    }

    #[test]
    fn agrees_with_the_oracle() {
        let oracle = crate::oracle();
        for row in oracle["cdf"]["normal"].as_array().expect("rows") {
            let at = |k: usize| row[k].as_f64().expect("number");
            assert!((log_normal_cdf(at(0)) - at(1)).abs() < 1e-6, "{row}");
        }
        for row in oracle["cdf"]["student"].as_array().expect("rows") {
            let at = |k: usize| row[k].as_f64().expect("number");
            // Wallace is coarsest far out at few degrees of freedom, where evidence is negative anyway.
            let tolerance = if at(0) < -5.0 { 0.1 } else { 2e-3 };
            assert!((log_student_cdf(at(0), at(1)) - at(2)).abs() < tolerance, "{row}");
        }
    }
}
