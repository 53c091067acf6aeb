//! The chi-squared distribution, for thresholds that know their sample size.

/// Logarithm of the gamma function at half a whole number, by its recurrence: degrees of freedom are whole.
fn ln_gamma_of_half(freedom: f64) -> f64 {
    let (mut a, mut sum) = (freedom / 2.0, 0.0);
    while a > 1.0 {
        a -= 1.0;
        sum += a.ln();
    }
    // The gamma function of 1 is 1, of 1/2 the square root of pi.
    if a < 1.0 {
        sum + 0.5 * std::f64::consts::PI.ln()
    } else {
        sum
    }
}

/// The upper tail of the chi-squared distribution: P(X > x) with so many degrees of freedom, a whole number.
#[must_use]
pub fn chi_squared_tail(x: f64, freedom: f64) -> f64 {
    if x <= 0.0 || freedom <= 0.0 {
        return 1.0;
    }
    let (a, x) = (freedom / 2.0, x / 2.0);
    let front = (a * x.ln() - x - ln_gamma_of_half(freedom)).exp();
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
        assert!((ln_gamma_of_half(10.0) - 24.0_f64.ln()).abs() < 1e-12);
    }
}
