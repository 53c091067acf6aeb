//! A seeded source of random numbers for the proofs: the judge itself knows no randomness.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough to simulate with, not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a path: paths of one seed do not overlap in practice.
    #[must_use]
    pub fn new(seed: u64, path: u64) -> Self {
        let mut random = Self(seed ^ path.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.0 = random.bits() ^ path;
        random
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform within (0, 1).
    pub fn uniform(&mut self) -> f64 {
        (crate::numeric::real(self.bits() >> 11) + 0.5) / crate::numeric::real(1 << 53)
    }

    /// Whether an event of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Student's t with three degrees of freedom, scaled to variance 1: heavy tails.
    pub fn heavy(&mut self) -> f64 {
        let chi = (0..3).map(|_| self.normal().powi(2)).sum::<f64>() / 3.0;
        self.normal() / chi.sqrt() / 3f64.sqrt()
    }

    /// Poisson of this mean.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let mut left = mean.max(0.0);
        let mut count = 0;
        // A sum of Poisson variables is one: halve until the product below cannot underflow.
        while left > 30.0 {
            count += self.below(30.0);
            left -= 30.0;
        }
        count + self.below(left)
    }

    fn below(&mut self, mean: f64) -> u64 {
        let (floor, mut product, mut count) = ((-mean).exp(), self.uniform(), 0);
        while product > floor {
            product *= self.uniform();
            count += 1;
        }
        count
    }
}
