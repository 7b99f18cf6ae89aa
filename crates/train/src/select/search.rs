//! Searching settings: a grid, at random, and successive halving.

use super::Random;
use crate::trainer::{Result, TrainError};
use std::collections::BTreeMap;
use std::fmt;

/// What one setting may be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Choice {
    /// One of these.
    Values(Vec<f64>),
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Uniform in the logarithm between two positive numbers: learning rates, decays.
    LogUniform(f64, f64),
    /// A whole number, both ends included.
    Integer(i64, i64),
}

/// Settings by name, and what each may be.
///
/// ```
/// use wgrad_train::select::SearchSpace;
/// let space = SearchSpace::new().values("width", [16.0, 32.0]).log_uniform("lr", 1e-4, 1e-1);
/// // Scores are better when lower.
/// let ranked = space.random(8, 1, |trial| Ok((trial["lr"].ln() + 5.0).abs() + 1.0 / trial["width"]))?;
/// assert!(ranked[0].score <= ranked[7].score);
/// let grid = space.grid(3, |trial| Ok(trial["width"]))?;
/// assert_eq!((grid.len(), grid[0].trial["width"]), (6, 16.0));
/// # Ok::<(), wgrad_train::TrainError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchSpace {
    choices: BTreeMap<String, Choice>,
}

/// Settings to try.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Its number, from 0.
    pub number: usize,
    /// Its own seed, which follows from the search's and its number.
    pub seed: u64,
    values: BTreeMap<String, f64>,
}

impl Trial {
    /// The setting of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
    }
}

impl std::ops::Index<&str> for Trial {
    type Output = f64;

    /// # Panics
    /// There is no such setting: see [`Trial::get`].
    fn index(&self, name: &str) -> &f64 {
        &self.values[name]
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.values.iter().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            write!(f, "{gap}{name}={value}")?;
        }
        Ok(())
    }
}

/// A trial and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The settings.
    pub trial: Trial,
    /// Lower is better; NaN is worst.
    pub score: f64,
    /// What it was given in the end by [`SearchSpace::halving`]; 0 otherwise.
    pub budget: u64,
}

/// Successive halving (Jamieson and Talwalkar 2016): all trials get the first budget, the best part of them more, and so on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halving {
    /// Trials at first.
    pub trials: usize,
    /// Budget (epochs, steps) of each at first.
    pub budget: u64,
    /// One in so many goes on, with a budget so many times as large.
    pub factor: usize,
}

impl SearchSpace {
    /// Without settings.
    pub fn new() -> SearchSpace {
        SearchSpace::default()
    }

    fn with(mut self, name: &str, choice: Choice) -> SearchSpace {
        self.choices.insert(name.to_owned(), choice);
        self
    }

    /// With a setting that is one of these.
    pub fn values(self, name: &str, values: impl Into<Vec<f64>>) -> SearchSpace {
        self.with(name, Choice::Values(values.into()))
    }

    /// With a setting between two numbers.
    pub fn uniform(self, name: &str, low: f64, high: f64) -> SearchSpace {
        self.with(name, Choice::Uniform(low, high))
    }

    /// With a setting between two positive numbers, uniform in its logarithm.
    pub fn log_uniform(self, name: &str, low: f64, high: f64) -> SearchSpace {
        self.with(name, Choice::LogUniform(low, high))
    }

    /// With a whole number, both ends included.
    pub fn integer(self, name: &str, low: i64, high: i64) -> SearchSpace {
        self.with(name, Choice::Integer(low, high))
    }

    fn check(&self) -> Result<()> {
        for (name, choice) in &self.choices {
            let fine = match choice {
                Choice::Values(values) => !values.is_empty(),
                Choice::Uniform(a, b) => a.is_finite() && b.is_finite() && a <= b,
                Choice::LogUniform(a, b) => *a > 0.0 && b.is_finite() && a <= b,
                Choice::Integer(a, b) => a <= b,
            };
            if !fine {
                let message = format!("the setting {name:?} cannot be chosen from {choice:?}");
                return Err(TrainError::Setup(message));
            }
        }
        Ok(())
    }

    /// Tries all combinations: all of [`Choice::Values`] and of whole numbers, and `points` of each range, its ends
    /// included. The best comes first.
    ///
    /// # Errors
    /// A setting has nothing to choose from, or a trial fails.
    pub fn grid(
        &self,
        points: usize,
        mut run: impl FnMut(&Trial) -> Result<f64>,
    ) -> Result<Vec<Ranked>> {
        self.check()?;
        let mut all = vec![BTreeMap::new()];
        for (name, choice) in &self.choices {
            let values = choice.points(points);
            let with = |rest: &BTreeMap<String, f64>| -> Vec<_> {
                let of = |v: &f64| {
                    let mut settings = rest.clone();
                    settings.insert(name.clone(), *v);
                    settings
                };
                values.iter().map(of).collect()
            };
            all = all.iter().flat_map(with).collect();
        }
        let trials = all.into_iter().enumerate().map(|(number, values)| Trial {
            number,
            seed: number as u64,
            values,
        });
        let scores = trials.map(|trial| Ok((run(&trial)?, trial)));
        Ok(ranked(scores.collect::<Result<Vec<_>>>()?, 0))
    }

    /// The settings of one trial of a random search.
    pub fn trial(&self, number: usize, seed: u64) -> Trial {
        let mut random = Random::new(seed, number as u64);
        let own = random.next();
        let choices = self.choices.iter();
        let values = choices.map(|(name, choice)| (name.clone(), choice.drawn(&mut random)));
        Trial {
            number,
            seed: own,
            values: values.collect(),
        }
    }

    /// Tries settings at random (Bergstra and Bengio 2012). The best comes first.
    ///
    /// # Errors
    /// As [`SearchSpace::grid`].
    pub fn random(
        &self,
        trials: usize,
        seed: u64,
        mut run: impl FnMut(&Trial) -> Result<f64>,
    ) -> Result<Vec<Ranked>> {
        self.check()?;
        let scores = (0..trials).map(|n| {
            let trial = self.trial(n, seed);
            Ok((run(&trial)?, trial))
        });
        Ok(ranked(scores.collect::<Result<Vec<_>>>()?, 0))
    }

    /// Tries settings at random with a small budget, and the better ones again with a larger one, until one is left. `run`
    /// is given the trial and its budget in all: it may go on from where it left the same trial, by the trial's number.
    /// The best comes first; those that went further stand before all others.
    ///
    /// # Errors
    /// As [`SearchSpace::grid`], or the factor is below 2.
    ///
    /// ```
    /// use wgrad_train::select::{Halving, SearchSpace};
    /// let space = SearchSpace::new().uniform("x", -1.0, 1.0);
    /// let mut spent = 0;
    /// let ranked = space.halving(Halving { trials: 9, budget: 1, factor: 3 }, 1, |trial, budget| {
    ///     spent += budget;
    ///     Ok(trial["x"].abs() + 1.0 / budget as f64)
    /// })?;
    /// assert_eq!((spent, ranked[0].budget, ranked.len()), (9 + 3 * 3 + 9, 9, 9));
    /// # Ok::<(), wgrad_train::TrainError>(())
    /// ```
    pub fn halving(
        &self,
        halving: Halving,
        seed: u64,
        mut run: impl FnMut(&Trial, u64) -> Result<f64>,
    ) -> Result<Vec<Ranked>> {
        self.check()?;
        if halving.factor < 2 || halving.budget == 0 {
            return Err(TrainError::Setup(format!("{halving:?} halves nothing")));
        }
        let mut alive: Vec<Trial> = (0..halving.trials).map(|n| self.trial(n, seed)).collect();
        let mut budget = halving.budget;
        let mut out: Vec<Ranked> = Vec::new();
        while !alive.is_empty() {
            let scores = alive
                .into_iter()
                .map(|trial| Ok((run(&trial, budget)?, trial)));
            let mut round = ranked(scores.collect::<Result<Vec<_>>>()?, budget);
            let go_on = round.len() / halving.factor;
            if go_on == 0 {
                round.append(&mut out);
                return Ok(round);
            }
            let mut rest = round.split_off(go_on);
            alive = round.into_iter().map(|r| r.trial).collect();
            rest.append(&mut out);
            out = rest;
            budget = budget.saturating_mul(halving.factor as u64);
        }
        Ok(out)
    }
}

/// The best first; equal ones in the order of their numbers.
fn ranked(scores: Vec<(f64, Trial)>, budget: u64) -> Vec<Ranked> {
    let all = scores.into_iter().map(|(score, trial)| Ranked {
        trial,
        score,
        budget,
    });
    let mut all: Vec<Ranked> = all.collect();
    all.sort_by(|a, b| match (a.score.is_nan(), b.score.is_nan()) {
        (false, false) => a.score.total_cmp(&b.score),
        (a, b) => a.cmp(&b),
    });
    all
}

impl Choice {
    fn points(&self, n: usize) -> Vec<f64> {
        let between = |a: f64, b: f64| -> Vec<f64> {
            match n {
                0 | 1 => vec![a],
                _ => {
                    let share = |i: usize| i as f64 / (n - 1) as f64;
                    (0..n).map(|i| a + (b - a) * share(i)).collect()
                }
            }
        };
        match *self {
            Choice::Values(ref values) => values.clone(),
            Choice::Uniform(a, b) => between(a, b),
            Choice::LogUniform(a, b) => between(a.ln(), b.ln()).into_iter().map(f64::exp).collect(),
            Choice::Integer(a, b) => (a..=b).map(|i| i as f64).collect(),
        }
    }

    fn drawn(&self, random: &mut Random) -> f64 {
        match *self {
            Choice::Values(ref values) => values[random.below(values.len().max(1))],
            Choice::Uniform(a, b) => a + (b - a) * random.uniform(),
            Choice::LogUniform(a, b) => (a.ln() + (b.ln() - a.ln()) * random.uniform()).exp(),
            Choice::Integer(a, b) => {
                let n = usize::try_from(b.saturating_sub(a)).unwrap_or(usize::MAX - 1);
                a.saturating_add(random.below(n + 1) as i64) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_repeats_a_search_and_ranges_are_kept() {
        let space = SearchSpace::new()
            .uniform("a", -2.0, 3.0)
            .log_uniform("b", 1e-5, 1e-1)
            .integer("c", -3, 4)
            .values("d", [0.5, 8.0]);
        let run = |t: &Trial| Ok(t["a"] + t["c"]);
        let first = space.random(200, 7, run).expect("trials");
        assert_eq!(first, space.random(200, 7, run).expect("trials"));
        assert_ne!(first, space.random(200, 8, run).expect("trials"));
        for r in &first {
            let t = &r.trial;
            assert!((-2.0..3.0).contains(&t["a"]) && (1e-5..=1e-1).contains(&t["b"]));
            assert!((-3.0..=4.0).contains(&t["c"]) && t["c"].fract() == 0.0);
            assert!(t["d"] == 0.5 || t["d"] == 8.0);
        }
        let below = first.iter().filter(|r| r.trial["b"] < 1e-3).count();
        assert!((70..130).contains(&below), "half of the decades: {below}");
        let whole: std::collections::BTreeSet<i64> =
            first.iter().map(|r| r.trial["c"] as i64).collect();
        assert_eq!(whole.len(), 8);
    }

    #[test]
    fn nan_is_worst_and_bad_spaces_are_errors() {
        let space = SearchSpace::new().values("x", [1.0, 2.0, 3.0]);
        let all = space
            .grid(1, |t| Ok(if t["x"] < 2.0 { f64::NAN } else { t["x"] }))
            .expect("trials");
        let order: Vec<f64> = all.iter().map(|r| r.trial["x"]).collect();
        assert_eq!(order, [2.0, 3.0, 1.0]);
        for bad in [
            SearchSpace::new().values("x", []),
            SearchSpace::new().log_uniform("x", 0.0, 1.0),
            SearchSpace::new().uniform("x", 1.0, f64::NAN),
            SearchSpace::new().integer("x", 2, 1),
        ] {
            let text = bad
                .random(1, 0, |_| Ok(0.0))
                .expect_err("nothing to choose")
                .to_string();
            assert!(text.contains("\"x\""), "{text}");
        }
    }
}
