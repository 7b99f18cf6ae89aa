//! Parameter groups: some parameters of one optimiser with hyperparameters of their own. Says which rule a parameter has;
//! knows no rule.

use super::state::{Moment, Next, Rules, Setting, Update};
use crate::Gradients;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wgrad_graph::{Error, ErrorKind, Result, Tensor};

/// The hyperparameters of an optimiser, with its rule. Used as a trait object: what is done with groups is compiled once, not
/// for each optimiser.
pub(crate) trait Settings: Send + Sync {
    /// A copy.
    fn boxed(&self) -> Box<dyn Settings>;

    /// The learning rate as it is kept.
    fn rate(&self) -> f64;

    fn set_rate(&mut self, lr: f64);

    /// The groups that have been added to it.
    fn groups(&self) -> &Groups;

    /// An error if a number is out of its range.
    fn validate(&self) -> Result<()>;

    /// What is kept for each parameter.
    fn moments(&self) -> Vec<Moment>;

    /// The numbers that change from step to step.
    fn numbers(&self, step: u64) -> Vec<f64>;

    /// The numbers that are built into a plan.
    fn hyperparameters(&self) -> Vec<(&'static str, f64)>;

    /// A new parameter and its new moments.
    fn update(&self, update: &Update) -> (Tensor, Vec<Tensor>);
}

/// The groups of an optimiser, in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Groups(Vec<Group>);

pub(crate) type Belongs = Arc<dyn Fn(&str, &Tensor) -> bool + Send + Sync>;

#[derive(Clone)]
struct Group {
    name: String,
    /// Tells its parameters from those of other groups of the same hyperparameters.
    id: u64,
    belongs: Belongs,
    settings: Box<dyn Settings>,
    /// Its own learning rate, if it has one.
    lr: Option<f64>,
}

static NEXT_GROUP: AtomicU64 = AtomicU64::new(1);

impl Clone for Box<dyn Settings> {
    fn clone(&self) -> Box<dyn Settings> {
        self.as_ref().boxed()
    }
}

impl Groups {
    /// Adds a group with these settings, where the optimiser's learning rate is `before`.
    pub(crate) fn add(
        &mut self,
        before: f64,
        name: &str,
        belongs: Belongs,
        settings: Box<dyn Settings>,
    ) {
        let lr = settings.rate();
        self.0.push(Group {
            name: name.to_string(),
            id: NEXT_GROUP.fetch_add(1, Ordering::Relaxed),
            belongs,
            lr: (lr.to_bits() != before.to_bits()).then_some(lr),
            settings,
        });
    }

    /// Names and learning rates, where `lr` is that of the optimiser.
    pub(crate) fn rates(&self, lr: f64) -> Vec<(String, f64)> {
        let groups = self.0.iter();
        groups
            .map(|g| (g.name.clone(), g.lr.unwrap_or(lr)))
            .collect()
    }

    /// Names, and learning rates of their own.
    pub(crate) fn own_rates(&self) -> Vec<(String, Option<f64>)> {
        self.0.iter().map(|g| (g.name.clone(), g.lr)).collect()
    }

    /// Puts back what [`Groups::own_rates`] gave; false, and nothing changed, if the names are others.
    pub(crate) fn set_own_rates(&mut self, rates: &[(String, Option<f64>)]) -> bool {
        let names = self.0.iter().map(|g| &g.name);
        let same = names.eq(rates.iter().map(|(name, _)| name));
        if same {
            for (group, (_, lr)) in self.0.iter_mut().zip(rates) {
                group.lr = *lr;
            }
        }
        same
    }

    /// Gives a group a learning rate of its own.
    pub(crate) fn set_rate(&mut self, name: &str, lr: f64) -> Result<()> {
        let mut groups = self.0.iter_mut();
        if let Some(group) = groups.find(|g| g.name == name) {
            group.lr = Some(lr);
            return Ok(());
        }
        let names: Vec<&str> = self.0.iter().map(|g| g.name.as_str()).collect();
        let message = match names.is_empty() {
            true => format!("there is no group {name}: this optimiser has none"),
            false => format!("there is no group {name}, only {}", names.join(", ")),
        };
        Err(Error::new(ErrorKind::Value, "set_group_lr", message))
    }

    /// The settings of each group, with the learning rate that holds now.
    fn settings(&self, lr: f64) -> impl Iterator<Item = Box<dyn Settings>> {
        self.0.iter().map(move |group| {
            let mut settings = group.settings.clone();
            settings.set_rate(group.lr.unwrap_or(lr));
            settings
        })
    }

    /// An error if two groups have one name, a group has groups, or a number of one is out of its range.
    fn validate(&self, lr: f64) -> Result<()> {
        let fail = |message: String| Err(Error::new(ErrorKind::Value, "step", message));
        for (at, (group, settings)) in self.0.iter().zip(self.settings(lr)).enumerate() {
            let name = &group.name;
            if self.0[..at].iter().any(|g| g.name == *name) {
                return fail(format!("two groups have the name {name}"));
            }
            if !settings.groups().0.is_empty() {
                return fail(format!("the group {name} has groups of its own"));
            }
            if let Err(e) = settings.validate() {
                return fail(format!("group {name}: {}", e.message()));
            }
        }
        Ok(())
    }

    /// The number of a parameter's rule: 0 for none of the groups, then the groups in order.
    fn of(&self, name: &str, parameter: &Tensor) -> usize {
        let found = self.0.iter().position(|g| (g.belongs)(name, parameter));
        found.map_or(0, |at| at + 1)
    }
}

/// The settings for no group, with the learning rate `lr`, and for each group. The first is `None` where it is what the
/// optimiser itself has.
type All = (Option<Box<dyn Settings>>, Vec<Box<dyn Settings>>);

fn all(optimizer: &dyn Settings, lr: f64) -> Result<All> {
    let own = (optimizer.rate().to_bits() != lr.to_bits()).then(|| {
        let mut own = optimizer.boxed();
        own.set_rate(lr);
        own
    });
    own.as_deref().unwrap_or(optimizer).validate()?;
    optimizer.groups().validate(lr)?;
    Ok((own, optimizer.groups().settings(lr).collect()))
}

/// The numbers of all rules that change from step to step.
pub(crate) fn numbers(optimizer: &dyn Settings, lr: f64, step: u64) -> Result<Vec<f64>> {
    let (own, groups) = all(optimizer, lr)?;
    let mut numbers = own.as_deref().unwrap_or(optimizer).numbers(step);
    for group in &groups {
        numbers.extend(group.numbers(step));
    }
    Ok(numbers)
}

/// The numbers that are built into a plan: the optimiser's, then for each group which it is and its own.
pub(crate) fn hyperparameters(optimizer: &dyn Settings) -> Vec<(&'static str, f64)> {
    let mut all = optimizer.hyperparameters();
    for group in &optimizer.groups().0 {
        all.push(("group", group.id as f64));
        all.extend(group.settings.hyperparameters());
    }
    all
}

/// The names of [`hyperparameters`], with those of the groups.
pub(crate) fn described(optimizer: &dyn Settings) -> Vec<(String, f64)> {
    let own = optimizer.hyperparameters().into_iter();
    let mut all: Vec<(String, f64)> = own.map(|(name, v)| (name.to_string(), v)).collect();
    for group in &optimizer.groups().0 {
        all.push((format!("group {}", group.name), group.id as f64));
        let own = group.settings.hyperparameters().into_iter();
        all.extend(own.map(|(name, v)| (format!("{}.{name}", group.name), v)));
    }
    all
}

/// The kinds of moments that a parameter can have, for no group and for each.
pub(crate) fn kinds(optimizer: &dyn Settings) -> Vec<Vec<&'static str>> {
    let groups = optimizer.groups().0.iter().map(|g| g.settings.as_ref());
    let all = [optimizer].into_iter().chain(groups);
    all.map(|o| o.moments().iter().map(|(kind, _)| *kind).collect())
        .collect()
}

/// What a step gives that takes the rules, with the learning rate `lr`.
pub(crate) fn with_rules(
    optimizer: &dyn Settings,
    (lr, step): (f64, u64),
    next: &dyn Fn(&Rules) -> Result<Next>,
) -> Result<Next> {
    let (own, groups) = all(optimizer, lr)?;
    let own = own.as_deref().unwrap_or(optimizer);
    let groups = groups.iter().map(|g| g.as_ref());
    let all: Vec<&dyn Settings> = [own].into_iter().chain(groups).collect();
    let rules: Vec<_> = all.iter().map(|o| move |u: &Update| o.update(u)).collect();
    let settings = all.iter().zip(&rules).map(|(o, rule)| Setting {
        moments: o.moments(),
        numbers: o.numbers(step),
        rule,
    });
    next(&Rules {
        settings: settings.collect(),
        of: &|name, parameter| optimizer.groups().of(name, parameter),
    })
}

/// The group of each parameter that has a gradient, as a step takes it.
pub(crate) fn members(
    optimizer: &dyn Settings,
    gradients: &Gradients,
) -> Vec<(String, Option<String>)> {
    let groups = optimizer.groups();
    let name = |at: usize| Some(groups.0.get(at.checked_sub(1)?)?.name.clone());
    let own = gradients.iter();
    own.map(|(n, g)| (n.to_string(), name(groups.of(n, g))))
        .collect()
}
