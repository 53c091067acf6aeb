//! The chi-squared distribution, for thresholds that know their sample size.

/// Logarithm of the gamma function (Lanczos), for x > 0; within 1e-13.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let base = x + 7.5;
    let sum = COEFFICIENTS
        .iter()
        .zip(1_i32..)
        .fold(0.999_999_999_999_809_9, |sum, (c, i)| {
            sum + c / (x + f64::from(i))
        });
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * base.ln() - base + sum.ln()
}

/// The upper tail of the chi-squared distribution: P(X > x) with these degrees of freedom.
#[must_use]
pub fn chi_squared_tail(x: f64, freedom: f64) -> f64 {
    if x <= 0.0 || freedom <= 0.0 {
        return 1.0;
    }
    let (a, x) = (freedom / 2.0, x / 2.0);
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..500 {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    // Lentz's continued fraction.
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..500 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        let inverse = an * d + b;
        d = 1.0 / if inverse.abs() < 1e-300 { 1e-300 } else { inverse };
        c = b + an / c;
        if c.abs() < 1e-300 {
            c = 1e-300;
        }
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * h).clamp(0.0, 1.0)
}

/// The value that is exceeded with this probability, 0..1.
#[must_use]
pub fn chi_squared_quantile(exceeded: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0 * freedom + 100.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if chi_squared_tail(middle, freedom) > exceeded {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_come_out() {
        for (x, freedom, tail) in [
            (3.841_458_820_694_124, 1.0, 0.05),
            (16.918_977_604_620_448, 9.0, 0.05),
            (21.665_994_333_461_926, 9.0, 0.01),
            (2.0, 2.0, (-1.0_f64).exp()),
        ] {
            assert!((chi_squared_tail(x, freedom) - tail).abs() < 1e-10, "{x}");
            assert!((chi_squared_quantile(tail, freedom) - x).abs() < 1e-8, "{x}");
        }
        assert!((ln_gamma(5.0) - 24.0_f64.ln()).abs() < 1e-12);
    }
}
