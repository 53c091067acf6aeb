//! A shift of the level of one series, whenever it begins, under autocorrelation that nobody tells us.
//!
//! `D_t` is the value minus what the season lets expect. Null: a stationary AR(1) of any mean, scale and coefficient `f`. A flat
//! prior on the mean and a right-Haar prior on the scale make the likelihood free of both (they are projected out), so that
//! neither has to be known from the past: with few points before the change little is claimed. `log m0(f) = 1/2 ln(1 - f^2)
//! - 1/2 ln Szz - (N-1)/2 ln Syy`, and a half-normal shift has a closed form as in [`super::super::shift`].
//!
//! A CUSUM takes the greatest evidence over all beginnings of a shift, and cries wolf sooner or later for certain. Here
//! beginnings are *summed*, by weights fixed beforehand that sum to 1: each one's likelihood over the greatest null likelihood
//! is an e-value, so their sum is one, at every look (Shin, Ramdas and Rinaldo 2023, *E-detectors*, with weights spent once).
//! What is not counted, a beginning too young or dropped for want of room, only lowers the sum.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::super::ahead::whole as whole_number;
use super::super::shift::{BETS_AFTER_HISTORY, Bet, Moments, NULLS};
use super::wander::{Channel, Seen, View};
use crate::numeric::{greatest_likelihood, log_sum_exp, real};

/// Points between two beginnings, and points behind one from which it counts: a single point far out is then spread thin.
const EVERY: u32 = 8;
const LEAST: u32 = 8;
/// Beginnings that are kept besides the change itself.
const KEPT: usize = 7;
/// Points for which a beginning is not dropped, however little it shows.
const YOUNG: u32 = 48;
/// Share of the change itself; the rest goes to later beginnings, the `j`th getting `w / ((j + w) (j + w + 1))` of it.
const AT_CHANGE: f64 = 0.6;
const WEIGHT: f64 = 16.0;
/// Nats by which a later beginning must lead the change itself before the shift is measured from there.
const LEAD: f64 = 3.0;
/// Coefficients that a null may have besides those of pairs, and their part of the likelihood: one series may all but walk.
static SLOWER: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let part = |f: f64| (f, 0.5 * (-f * f).ln_1p());
    [0.99, 0.995, 0.999].map(part).to_vec()
});
/// Nats below the greatest likelihood from which a term is not worth its logarithms.
const NEGLIGIBLE: f64 = 7.0;

/// Where a shift may have begun, and the differences from there on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 10]", into = "[f64; 10]")]
pub(super) struct Start {
    /// Which beginning: 0 is the change.
    at: u32,
    points: u32,
    sum: f64,
    before: f64,
    /// Sum of the differences, and the one before them, that nobody held.
    whole: (f64, f64),
    channel: Channel,
}

/// Running sums from which every likelihood is computed; no history is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    points: u32,
    /// Sum, sum of squares, of products of neighbours, of squares without the first and the last.
    sum: f64,
    square: f64,
    product: f64,
    inner: f64,
    first: f64,
    last: f64,
    /// The first point after the change.
    first_changed: f64,
    /// The change, then later beginnings.
    starts: Vec<Start>,
}

/// As it is stored: no names, for there are many.
impl From<Start> for [f64; 10] {
    fn from(start: Start) -> Self {
        let Channel(mean, xx, xy, xz) = start.channel;
        let (sum, before) = start.whole;
        let [at, points] = [start.at, start.points].map(f64::from);
        [at, points, start.sum, start.before, sum, before, mean, xx, xy, xz]
    }
}

impl From<[f64; 10]> for Start {
    fn from([at, points, sum, before, whole, whole_before, mean, xx, xy, xz]: [f64; 10]) -> Self {
        Self {
            at: whole_number(at),
            points: whole_number(points),
            sum,
            before,
            whole: (whole, whole_before),
            channel: Channel(mean, xx, xy, xz),
        }
    }
}

impl Start {
    /// Sums of squares of the regressor, of products with the residuals, and with those of a constant, at coefficient `f`.
    ///
    /// The change may be a jump. A later beginning is as any other point: one innovation far out moves an autoregression for a
    /// while, and would be taken for a beginning by whoever looked for jumps everywhere.
    fn moments(&self, f: f64, first: f64, last: f64) -> (f64, f64, f64) {
        let step = 1.0 - f;
        let residuals = self.sum - f * (self.before + self.sum - last);
        if self.at > 0 {
            let xx = f64::from(self.points) * step * step;
            return (xx, step * residuals, xx);
        }
        let jump = first - f * self.before;
        let others = f64::from(self.points.saturating_sub(1)) * step;
        (
            1.0 + others * step,
            jump + step * (residuals - jump),
            step * (1.0 + others),
        )
    }

    /// Log of its share.
    fn weight(&self) -> f64 {
        if self.at == 0 {
            return AT_CHANGE.ln();
        }
        let at = real(u64::from(self.at - 1)) + WEIGHT;
        ((1.0 - AT_CHANGE) * WEIGHT / (at * (at + 1.0))).ln()
    }
}

impl Level {
    /// Adds a difference; `changed` says that it lies after the change, `seen` what the chosen filter did with it, `whole` what
    /// it is where nobody holds it, and what the one before it was.
    pub(super) fn absorb(&mut self, d: f64, changed: bool, seen: Option<Seen>, whole: (f64, f64)) {
        if changed {
            self.begin(d, seen, whole);
        }
        self.square += d * d;
        self.sum += d;
        if self.points == 0 {
            self.first = d;
        } else {
            self.product += d * self.last;
            if self.points > 1 {
                self.inner += self.last * self.last;
            }
        }
        self.last = d;
        self.points = self.points.saturating_add(1);
    }

    /// Opens a beginning where one is due, dropping the old one that shows least, and carries the others on.
    fn begin(&mut self, d: f64, seen: Option<Seen>, (whole, before): (f64, f64)) {
        let changed = self.changed();
        // Later beginnings are of no use where nobody follows them.
        let due = changed == 0 || (seen.is_some() && changed.is_multiple_of(EVERY));
        if changed == 0 {
            self.first_changed = d;
        }
        if due {
            if self.starts.len() > KEPT {
                let shows = |start: &Start| start.sum.abs() / f64::from(start.points.max(1)).sqrt();
                let old = self.starts.iter().enumerate().skip(1);
                let old = old.filter(|(_, start)| start.points >= YOUNG);
                let least = old.min_by(|(_, a), (_, b)| shows(a).total_cmp(&shows(b)));
                if let Some((at, _)) = least {
                    self.starts.remove(at);
                }
            }
            self.starts.push(Start {
                at: changed / EVERY,
                points: 0,
                sum: 0.0,
                before: self.last,
                whole: (0.0, before),
                channel: Channel::default(),
            });
        }
        for start in &mut self.starts {
            if let Some(seen) = &seen {
                start.channel.absorb(start.at == 0 && start.points == 0, seen);
            }
            start.points = start.points.saturating_add(1);
            start.sum += d;
            start.whole.0 += whole;
        }
    }

    /// The latest difference.
    pub(super) const fn last(&self) -> f64 {
        self.last
    }

    /// Where the shift most likely began, if that is long enough after the change.
    pub(super) fn leading(&self, view: Option<&View>) -> Option<Start> {
        let shows = |start: &Start| {
            let (up, down) = self.log_begun(std::slice::from_ref(start), 0.0, view);
            up.max(down)
        };
        let (first, later) = self.starts.split_first()?;
        let told = later.iter().filter(|start| start.points >= LEAST);
        let told = told.map(|start| (start, shows(start)));
        let (start, shown) = told.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (shown > shows(first) + LEAD).then_some(*start)
    }

    /// Log e-values upwards and downwards against "the level rose by `shift` at this beginning of another's".
    pub(super) fn log_e_from(&self, start: &Start, shift: f64) -> (f64, f64) {
        let (sum, before) = start.whole;
        let mut own = self.clone();
        own.starts = vec![Start {
            sum,
            before,
            ..*start
        }];
        let (up, down) = own.log_begun(&own.starts, shift, None);
        let null = own.log_null(shift, None);
        (up - null, down - null)
    }

    /// Points after the change, and before it.
    pub(super) fn changed(&self) -> u32 {
        self.starts.first().map_or(0, |start| start.points)
    }

    pub(super) fn history(&self) -> u32 {
        self.points - self.changed()
    }

    /// Mean after the change minus mean before it.
    pub(super) fn effect(&self) -> Option<f64> {
        let start = self.starts.first()?;
        let before = (self.sum - start.sum) / f64::from(self.history().max(1));
        Some(start.sum / f64::from(start.points.max(1)) - before)
    }

    /// Root mean square of all differences.
    pub(super) fn size(&self) -> f64 {
        (self.square / f64::from(self.points.max(1))).sqrt()
    }

    /// Residuals at coefficient `f` and a constant: sum of squares of the constant, of products with the residuals, and of
    /// squares of what is left of the residuals without it.
    fn centred(&self, f: f64) -> (f64, f64, f64) {
        let step = 1.0 - f;
        let n = f64::from(self.points);
        let zz = (1.0 - f * f) + (n - 1.0) * step * step;
        let steps = (self.sum - self.first) - f * (self.sum - self.last);
        let zy = (1.0 - f * f) * self.first + step * steps;
        let yy = self.square - 2.0 * f * self.product + f * f * self.inner;
        (zz, zy, yy - zy * zy / zz)
    }

    /// Moments with the mean projected out and a shift taken out, from the sums of a regressor.
    fn moments(&self, (xx, xy, xz): (f64, f64, f64), (zz, zy, yy): (f64, f64, f64), shift: f64) -> Moments {
        let (xx, xy) = (xx - xz * xz / zz, xy - xz * zy / zz);
        Moments {
            yy: (yy - 2.0 * shift * xy + shift * shift * xx).max(self.least()),
            xx: xx.max(1e-12),
            xy: xy - shift * xx,
        }
    }

    /// Below this a sum of squares is rounding.
    fn least(&self) -> f64 {
        1e-12 * self.square
    }

    fn freedom(&self) -> f64 {
        f64::from(self.points.saturating_sub(1).max(1))
    }

    /// Greatest null likelihood over the coefficients, and of the chosen filter where a shift from the change on is taken out.
    pub(super) fn log_null(&self, shift: f64, view: Option<&View>) -> f64 {
        let start = self.starts.first().filter(|_| shift.abs() > 0.0);
        let half = 0.5 * self.freedom();
        let pairs = NULLS.iter().chain(SLOWER.iter()).map(|(f, norm)| {
            let centred = self.centred(*f);
            let yy = start.map_or(centred.2.max(self.least()), |start| {
                self.moments(start.moments(*f, self.first_changed, self.last), centred, shift)
                    .yy
            });
            (norm - 0.5 * centred.0.ln(), yy)
        });
        let quick = greatest_likelihood(half, pairs);
        let slow = start.zip(view).map(|(start, view)| {
            let yy = self.moments(start.channel.sums(), view.centred, shift).yy;
            view.bet.norm - std::f64::consts::LN_2 - 0.5 * view.centred.0.ln() - half * yy.ln()
        });
        slow.map_or(quick, |slow| quick.max(slow))
    }

    /// Likelihoods of a shift of unknown size that began at the change, beyond `shift`: upwards, and downwards.
    pub(super) fn log_at_change(&self, shift: f64, view: Option<&View>) -> (f64, f64) {
        self.log_begun(self.starts.get(..1).unwrap_or_default(), shift, view)
    }

    /// The same over all beginnings, by their shares.
    pub(super) fn log_ever(&self, view: Option<&View>) -> (f64, f64) {
        self.log_begun(&self.starts, 0.0, view)
    }

    fn log_begun(&self, starts: &[Start], shift: f64, view: Option<&View>) -> (f64, f64) {
        let bets: Vec<_> = BETS_AFTER_HISTORY
            .iter()
            .map(|bet| (bet, self.centred(bet.f)))
            .collect();
        // Half is bet on one of a grid of coefficients, half on what the past speaks for.
        let even = -std::f64::consts::LN_2;
        let mut told = Told {
            n: self.freedom(),
            least: self.least(),
            bets: Vec::new(),
        };
        for start in starts
            .iter()
            .filter(|start| start.at == 0 || start.points >= LEAST)
        {
            let weight = start.weight() + even;
            for (bet, centred) in &bets {
                let moments = self.moments(
                    start.moments(bet.f, self.first_changed, self.last),
                    *centred,
                    shift,
                );
                told.add(bet, moments, weight - 0.5 * centred.0.ln());
            }
            if let Some(view) = view {
                let moments = self.moments(start.channel.sums(), view.centred, shift);
                told.add(
                    &view.bet,
                    moments,
                    weight + view.price - 0.5 * view.centred.0.ln(),
                );
            }
        }
        told.sums()
    }

    /// The sums after `more` points of a mean `by` above that of the past, which scatter and resemble each other as before.
    pub(super) fn foreseen(&self, more: u32, by: f64) -> Self {
        let n = f64::from(self.points.max(1));
        let (mean, points) = (self.sum / n, f64::from(more));
        let scatter = (self.square / n - mean * mean).max(0.0);
        let pairs = (self.product / n - mean * mean).clamp(-scatter, scatter);
        let next = mean + by;
        let square = self.square + points * (next * next + scatter);
        let mut starts = self.starts.clone();
        for start in &mut starts {
            start.points = start.points.saturating_add(more);
            start.sum += points * next;
        }
        Self {
            points: self.points.saturating_add(more),
            sum: self.sum + points * next,
            square,
            product: self.product + points * (next * next + pairs),
            inner: (square - self.first * self.first - next * next).max(0.0),
            last: next,
            starts,
            ..*self
        }
    }
}

/// Bets on a shift, with so many degrees of freedom: each with its moments, what adds to its log, and the most it can be.
struct Told<'a> {
    n: f64,
    least: f64,
    bets: Vec<(&'a Bet, Moments, f64, f64)>,
}

impl<'a> Told<'a> {
    fn add(&mut self, bet: &'a Bet, moments: Moments, weight: f64) {
        let norm = bet.norm + weight;
        let rest = (moments.yy - moments.xy * moments.xy / moments.xx).max(self.least);
        self.bets
            .push((bet, moments, norm, norm - 0.5 * self.n * rest.ln()));
    }

    /// Logs of the sums of all likelihoods upwards and downwards.
    fn sums(self) -> (f64, f64) {
        let top = self
            .bets
            .iter()
            .fold(f64::NEG_INFINITY, |top, (.., most)| top.max(*most));
        let (mut up, mut down) = (Vec::new(), Vec::new());
        // What cannot come near the greatest adds nothing that would be seen.
        for (bet, moments, norm, _) in self.bets.iter().filter(|(.., most)| *most > top - NEGLIGIBLE) {
            bet.each(*norm, moments, (self.n, self.least), |log, above, below| {
                up.push(log + above);
                down.push(log + below);
            });
        }
        (log_sum_exp(up.into_iter()), log_sum_exp(down.into_iter()))
    }
}
