//! Groups that are unlike each other: a model of each group alone, and an offset for each, both in the trees of the one model
//! by a switch on the group's column, which stands last.

use auspex_learn::gbdt::{self, Growth};
use auspex_learn::{Forest, Node, Tree, logit, sigmoid};

use crate::backtest::{Stretch, Unseen};
use crate::candidate::Candidate;
use crate::choose::{self, Tried};
use crate::fit::Fitted;
use crate::sample::Sample;

/// Groups, at most, that each get a model of their own, and rows that each must have.
const MOST_GROUPS: usize = 12;
const LEAST_ROWS: usize = 800;
/// Failures that a group must show before its offset is believed by half: trees know the group already, and what is over moves on.
const PULL: f64 = 1000.0;

/// The number that stands for each group in its column, by group.
fn numbers(train: &Sample) -> Vec<(u32, f32)> {
    let last = train.table.width().saturating_sub(1);
    let number = |(group, rows): (u32, Vec<usize>)| {
        let value = rows
            .first()
            .and_then(|row| train.table.row(*row).get(last).copied())?;
        (!value.is_nan()).then_some((group, value))
    };
    let mut found: Vec<(u32, f32)> = train.by_group().into_iter().filter_map(number).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}

/// Whether there are several groups, few enough and each large enough to be told apart by a model.
#[must_use]
pub fn few_and_large(train: &Sample) -> bool {
    let groups = train.by_group();
    (2..=MOST_GROUPS).contains(&groups.len()) && groups.iter().all(|(_, rows)| rows.len() >= LEAST_ROWS)
}

/// Boosted trees for groups that are few and large, as candidates: for each group alone, and for all together with the group
/// as an offset, so that no split is spent on telling groups apart. None when the groups are many or small.
#[must_use]
pub fn tried(
    train: &Sample,
    stretches: &[Stretch],
    weights: &[f64],
    (unseen, entrants, seed): (&Unseen, &[Candidate], u64),
) -> Vec<Tried> {
    let named = numbers(train).len() == train.by_group().len() && !train.names.is_empty();
    if !few_and_large(train) || !named || !entrants.contains(&Candidate::Ensemble) {
        return Vec::new();
    }
    type Way = fn(&Sample, &[usize], &[f64], u64) -> Forest;
    let ways: [(&str, Way); 2] = [("_by_group", each), ("_pooled", pooled)];
    let all: Vec<usize> = (0..train.rows()).collect();
    let one = |(variant, way): (&'static str, Way)| {
        let started = std::time::Instant::now();
        let parts = stretches.iter().map(|stretch| &stretch.fit).chain([&all]);
        let fits = parts.map(|rows| Fitted {
            forest: Ok(way(train, rows, weights, seed)),
            sequence: None,
            seconds: 0.0,
            parity: None,
            versions: std::collections::BTreeMap::new(),
        });
        let mut tried = choose::tried(Candidate::Gbdt, fits.collect(), (train, unseen), (train, None));
        tried.variant = variant;
        tried.seconds = started.elapsed().as_secs_f64();
        tried
    };
    ways.into_iter().map(one).collect()
}

/// A forest that does not know of groups, on top of each group's own failure rate.
fn pooled(train: &Sample, rows: &[usize], weights: &[f64], seed: u64) -> Forest {
    let part = train.take(rows);
    let own: Vec<f64> = rows
        .iter()
        .map(|row| weights.get(*row).copied().unwrap_or(1.0))
        .collect();
    let mut sums = std::collections::BTreeMap::<u32, (f64, f64)>::new();
    for ((group, label), weight) in part.groups.iter().zip(&part.labels).zip(&own) {
        let sum = sums.entry(*group).or_default();
        *sum = (sum.0 + weight, sum.1 + if *label { *weight } else { 0.0 });
    }
    let offset = |(all, failed): &(f64, f64)| logit((failed + 0.5) / (all + 1.0));
    let mean = sums.values().map(offset).sum::<f64>() / sums.len().max(1) as f64;
    let start: Vec<f64> = part
        .groups
        .iter()
        .map(|group| sums.get(group).map_or(mean, offset))
        .collect();
    let columns: Vec<usize> = (0..part.table.width().saturating_sub(1)).collect();
    let growth = Growth {
        trees: 200,
        leaves: 31,
        bags: 2,
        ..crate::fit::growth(&Candidate::Gbdt.settings(part.rows()), seed)
    };
    let mut forest = gbdt::fit_from(&part.table.select(&columns), &part.labels, &own, &growth, &start);
    let above: Vec<(u32, f64)> = sums
        .iter()
        .map(|(group, sum)| (*group, offset(sum) - mean))
        .collect();
    forest.trees.extend(switch(train, &above));
    forest.shift(mean);
    forest
}

/// A forest whose trees ask first which group it is.
fn each(train: &Sample, rows: &[usize], weights: &[f64], seed: u64) -> Forest {
    let part = train.take(rows);
    let forests: Vec<(u32, Forest)> = part
        .by_group()
        .into_iter()
        .map(|(group, within)| {
            let own = part.take(&within);
            let growth = Growth {
                trees: 100,
                bags: 2,
                leaves: if own.rows() < 6000 { 7 } else { 12 },
                ..crate::fit::growth(&Candidate::Gbdt.settings(own.rows()), seed)
            };
            let at = |place: &usize| {
                rows.get(*place)
                    .and_then(|row| weights.get(*row))
                    .copied()
                    .unwrap_or(1.0)
            };
            let weights: Vec<f64> = within.iter().map(at).collect();
            (group, gbdt::fit(&own.table, &own.labels, &weights, &growth))
        })
        .collect();
    let most = forests
        .iter()
        .map(|(_, forest)| forest.trees.len())
        .max()
        .unwrap_or(0);
    let trees = (0..most).filter_map(|place| {
        let of: Vec<(u32, Tree)> = forests
            .iter()
            .map(|(group, forest)| {
                let none = || Tree(vec![Node::leaf(0.0, 1.0)]);
                (*group, forest.trees.get(place).cloned().unwrap_or_else(none))
            })
            .collect();
        switch_trees(train, &of)
    });
    Forest {
        trees: trees.collect(),
    }
}

/// How far each group's failures are off what a calibrated model says of it, in log-odds before calibration.
#[must_use]
pub fn offsets(train: &Sample, unseen: &Unseen, raws: &[f64]) -> Vec<(u32, f64)> {
    let platt = unseen.platt(raws);
    let group = |row: &usize| train.groups.get(*row).copied().unwrap_or(u32::MAX);
    let groups = numbers(train);
    groups
        .into_iter()
        .map(|(name, _)| {
            let mut offset = 0.0_f64;
            for _ in 0..20 {
                let (mut gradient, mut hessian) = (PULL * 0.25 * offset, PULL * 0.25);
                for ((row, raw), (label, weight)) in unseen
                    .rows
                    .iter()
                    .zip(raws)
                    .zip(unseen.labels.iter().zip(&unseen.weights))
                {
                    if group(row) != name {
                        continue;
                    }
                    let p = sigmoid(platt.a * raw + platt.b + offset);
                    gradient += weight * (p - f64::from(u8::from(*label)));
                    hessian += weight * p * (1.0 - p);
                }
                offset -= (gradient / hessian).clamp(-1.0, 1.0);
            }
            (name, offset / platt.a)
        })
        .collect()
}

/// Log-odds of the unseen rows with the offsets of their groups.
#[must_use]
pub fn shifted(train: &Sample, unseen: &Unseen, raws: &[f64], offsets: &[(u32, f64)]) -> Vec<f64> {
    let by_group: std::collections::BTreeMap<u32, f64> = offsets.iter().copied().collect();
    let of = |row: &usize| train.groups.get(*row).and_then(|group| by_group.get(group));
    let rows = unseen.rows.iter().zip(raws);
    rows.map(|(row, raw)| raw + of(row).copied().unwrap_or(0.0))
        .collect()
}

/// The offsets as a tree.
#[must_use]
pub fn switch(train: &Sample, offsets: &[(u32, f64)]) -> Option<Tree> {
    let leaf = |(group, offset): &(u32, f64)| (*group, Tree(vec![Node::leaf(*offset as f32, 1.0)]));
    switch_trees(train, &offsets.iter().map(leaf).collect::<Vec<_>>())
}

/// One tree that leads each group to a tree of its own; a group that is not known to none.
fn switch_trees(train: &Sample, trees: &[(u32, Tree)]) -> Option<Tree> {
    let counts: std::collections::BTreeMap<u32, usize> = train
        .by_group()
        .into_iter()
        .map(|(g, rows)| (g, rows.len()))
        .collect();
    let mut parts = Vec::new();
    for (group, number) in numbers(train) {
        let tree = trees.iter().find(|(of, _)| *of == group).map(|(_, tree)| tree)?;
        parts.push((number, counts.get(&group).copied().unwrap_or(1) as f32, tree));
    }
    let column = train.table.width().checked_sub(1)? as u32;
    let cover: f32 = parts.iter().map(|part| part.1).sum();
    let mut whole = Tree(vec![
        Node {
            feature: column,
            threshold: f32::MIN,
            yes: 1,
            no: 2,
            missing_yes: true,
            value: 0.0,
            cover: cover + 1.0,
        },
        Node::leaf(0.0, 1.0),
        Node::leaf(0.0, cover),
    ]);
    graft(&mut whole, 2, column, &parts);
    Some(whole)
}

/// Turns a leaf into a choice among these parts.
fn graft(whole: &mut Tree, at: usize, column: u32, parts: &[(f32, f32, &Tree)]) {
    if let [(_, cover, tree)] = parts {
        let own: f32 = tree.0.first().map_or(1.0, |root| root.cover);
        let shift = whole.0.len() as u32;
        // The root takes the place of the leaf, the rest follows.
        for (place, node) in tree.0.iter().enumerate() {
            let mut node = *node;
            node.cover = node.cover / own * cover;
            if !node.is_leaf() {
                node.yes = shift + node.yes - 1;
                node.no = shift + node.no - 1;
            }
            match (place, whole.0.get_mut(at)) {
                (0, Some(slot)) => *slot = node,
                _ => whole.0.push(node),
            }
        }
        return;
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    let (Some(last), Some(first)) = (left.last(), right.first()) else {
        return;
    };
    let place = whole.0.len();
    let cover = |of: &[(f32, f32, &Tree)]| of.iter().map(|part| part.1).sum::<f32>();
    if let Some(node) = whole.0.get_mut(at) {
        *node = Node {
            feature: column,
            threshold: f32::midpoint(last.0, first.0),
            yes: place as u32,
            no: place as u32 + 1,
            missing_yes: false,
            value: 0.0,
            cover: cover(parts),
        };
    }
    whole.0.push(Node::leaf(0.0, cover(left)));
    whole.0.push(Node::leaf(0.0, cover(right)));
    graft(whole, place, column, left);
    graft(whole, place + 1, column, right);
}

#[cfg(test)]
mod tests {
    use auspex_learn::Matrix;

    use super::*;

    fn sample() -> Sample {
        let rows = 300;
        Sample {
            names: vec!["x".to_owned(), "project".to_owned()],
            table: Matrix::new(
                (0..rows).flat_map(|row| [row as f32, (row % 3) as f32]).collect(),
                2,
            ),
            labels: (0..rows).map(|row| row % 3 == 1).collect(),
            times: (0..rows).map(f64::from).collect(),
            groups: (0..rows).map(|row| (row % 3) as u32).collect(),
            ..Sample::default()
        }
    }

    #[test]
    fn each_group_is_led_to_its_own_tree() {
        let tree = |v: f32| {
            Tree(vec![
                Node {
                    feature: 0,
                    threshold: 10.0,
                    yes: 1,
                    no: 2,
                    missing_yes: true,
                    value: 0.0,
                    cover: 9.0,
                },
                Node::leaf(v, 4.0),
                Node::leaf(-v, 5.0),
            ])
        };
        let whole = switch_trees(&sample(), &[(0, tree(1.0)), (1, tree(2.0)), (2, tree(3.0))]).unwrap();
        let says = |x: f32, group: f32| whole.reach(&[x, group]).unwrap().value;
        assert_eq!([says(5.0, 0.0), says(5.0, 1.0), says(5.0, 2.0)], [1.0, 2.0, 3.0]);
        assert_eq!(
            [says(50.0, 0.0), says(50.0, 1.0), says(50.0, 2.0)],
            [-1.0, -2.0, -3.0]
        );
        assert_eq!(says(5.0, f32::NAN), 0.0);
    }

    #[test]
    fn a_group_that_fails_more_often_is_lifted() {
        let s = sample();
        let unseen = Unseen {
            rows: (0..300).collect(),
            stretch: vec![0; 300],
            labels: s.labels.clone(),
            weights: vec![100.0; 300],
            ..Unseen::default()
        };
        let found = offsets(&s, &unseen, &vec![-0.7; 300]);
        assert!(
            found[1].1 > 2.0 && found[0].1 < -1.0 && found[2].1 < -1.0,
            "{found:?}"
        );
        let raws = shifted(&s, &unseen, &vec![-0.7; 300], &found);
        assert!((raws[1] + 0.7 - found[1].1).abs() < 1e-12, "{}", raws[1]);
    }
}
