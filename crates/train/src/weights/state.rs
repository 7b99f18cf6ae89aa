//! A whole state as one file: every tensor of its tree, and what it holds beside tensors (random streams, optimisers'
//! steps and learning rates, variables, numbers and texts), by the paths that the tree gives them. It knows no layer and
//! no optimiser: whatever shows itself to the visits of a module is kept. Several states share a file as parts of it.

use super::WeightsError;
use crate::checkpoint::Checkpoint;
use crate::session::{to_array, to_tensor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use wgrad_graph::{Device, Generator, Tensor};
use wgrad_nn::optim::LEFT_OUT;
use wgrad_nn::{Hooks, Host, Module, Saved};

/// Writes everything that a state holds, atomically: models, optimisers, averages, random streams, numbers, however many
/// there are. [`load`] puts it back.
///
/// ```
/// use wgrad_nn::{Adam, Context, Linear, Module, Optimizer, gradients};
/// use wgrad_graph::{Device, Generator};
/// #[derive(Module)]
/// #[module(crate = wgrad_nn)]
/// struct State { net: Linear, adam: Adam, cx: Context, epoch: u64 }
/// let (mut rng, device) = (Generator::new(0), Device::cpu());
/// let mut new = || State {
///     net: Linear::new(2, 1, &mut rng, &device),
///     adam: Adam::new(0.1),
///     cx: Context::train(7),
///     epoch: 0,
/// };
/// let mut state = new();
/// let loss = state.net.forward(&wgrad_graph::Tensor::ones(&[1, 2], wgrad_graph::DType::F32, &device)).sum();
/// let step = gradients(&loss, &state.net)?;
/// state.adam.step(&mut state.net, &step)?;
/// state.epoch = 3;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("run.safetensors");
/// wgrad_train::weights::save(&mut state, &path)?;
///
/// let mut again = new();
/// wgrad_train::weights::load(&mut again, &path)?;
/// assert_eq!((again.epoch, again.adam.steps()), (3, 1));
/// assert_eq!(again.net.weight.to_vec::<f32>()?, state.net.weight.to_vec::<f32>()?);
/// # Ok::<(), wgrad_train::weights::WeightsError>(())
/// ```
///
/// # Errors
/// A tensor cannot be computed or read, or the file cannot be written: the old one is whole then.
pub fn save(state: &mut dyn Module, path: impl AsRef<Path>) -> Result<(), WeightsError> {
    let mut checkpoint = Checkpoint::default();
    gather(&mut checkpoint, STATE, state)?;
    checkpoint.save(path)?;
    Ok(())
}

/// Puts back what [`save`] has written, into a state of the same form. Tensors go to the devices of those they replace.
/// A state that does not fit is left as it was. A trainer's checkpoint holds its state in this form too.
///
/// # Errors
/// The file is missing or damaged, or holds another state: one error lists everything that differs.
pub fn load(state: &mut dyn Module, path: impl AsRef<Path>) -> Result<(), WeightsError> {
    let path = path.as_ref();
    let checkpoint = Checkpoint::load(path)?;
    spread(&checkpoint, STATE, state, &path.display().to_string())
}

/// What the names of a part begin with in a file: those of tensors, of skipped tensors, and of everything else.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) tensors: &'a str,
    pub(crate) skipped: &'a str,
    pub(crate) host: &'a str,
}

/// What a trainer keeps beside the state begins with this.
pub(crate) const RESERVED: &str = "wgrad.";

/// The state itself.
pub(crate) const STATE: Part<'_> = Part {
    tensors: "state.",
    skipped: "skipped.",
    host: "",
};

impl Part<'_> {
    /// Whether metadata of this name belong to the part.
    fn owns(&self, key: &str) -> bool {
        match self.host {
            "" => !key.starts_with(RESERVED),
            host => key.starts_with(host),
        }
    }
}

/// Writes all that a module holds as a part of a checkpoint.
pub(crate) fn gather(
    checkpoint: &mut Checkpoint,
    part: Part<'_>,
    module: &mut dyn Module,
) -> Result<(), WeightsError> {
    for (name, tensor) in module.state() {
        let array = wgrad_graph::block_on(to_array(&tensor))?;
        checkpoint
            .arrays
            .insert(format!("{}{name}", part.tensors), array);
    }
    let mut skipped = Vec::new();
    walk(module, &mut |key, host| {
        let text = match host {
            Host::Number(bits) => bits.to_string(),
            Host::Value(value) => value.show(),
            Host::Generator(g) => {
                let [seed, step, draws] = (*g).state();
                format!("{seed} {step} {draws}")
            }
            Host::Optimizer(o) => optimizer_text(o),
            Host::Variable(v) => format!("{:?}", v.get()),
            Host::Tensor(t) => {
                skipped.push((key.to_owned(), t.clone()));
                return;
            }
            _ => return,
        };
        checkpoint
            .metadata
            .insert(format!("{}{key}", part.host), text);
    });
    for (key, tensor) in skipped {
        let array = wgrad_graph::block_on(to_array(&tensor))?;
        checkpoint
            .arrays
            .insert(format!("{}{key}", part.skipped), array);
    }
    Ok(())
}

/// Puts a part of a checkpoint into a module of the same form, which is left as it was if it does not fit. `origin` is
/// the file.
pub(crate) fn spread(
    checkpoint: &Checkpoint,
    part: Part<'_>,
    module: &mut dyn Module,
    origin: &str,
) -> Result<(), WeightsError> {
    let undo = kept(module);
    let tensors = module.state();
    let problems = match put(module, checkpoint, part) {
        Ok(problems) if problems.is_empty() => return Ok(()),
        Ok(problems) => problems,
        Err(e) => vec![e.to_string()],
    };
    restore(module, undo, &tensors);
    Err(WeightsError::State {
        origin: origin.to_owned(),
        problems,
    })
}

/// Whether a checkpoint has anything of a part.
pub(crate) fn has(checkpoint: &Checkpoint, part: Part<'_>) -> bool {
    let tensor = |name: &String| name.starts_with(part.tensors);
    checkpoint.metadata.keys().any(|k| part.owns(k)) || checkpoint.arrays.keys().any(tensor)
}

/// Steps, learning rate, and the rates that groups have of their own, if there are groups.
fn optimizer_text(optimizer: &dyn Hooks) -> String {
    let rates = optimizer.group_rates();
    let (steps, lr) = (optimizer.steps_taken(), optimizer.learning_rate());
    match rates.is_empty() {
        true => format!("{steps} {lr:?}"),
        // As bits, for JSON has no infinity.
        false => {
            let bits = rates.iter().map(|(n, lr)| (n, lr.map(f64::to_bits)));
            let list = serde_json::json!(bits.collect::<Vec<_>>());
            format!("{steps} {lr:?} {list}")
        }
    }
}

/// Shows what a state holds beside tensors, each under a key of its own: path and how many came there before. The count of
/// steps that an optimiser left out is a part of its steps, and not shown.
fn walk(state: &mut dyn Module, visitor: &mut dyn FnMut(&str, Host<'_>)) {
    let mut path: Vec<String> = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    state.visit_host(&mut |host| match host {
        Host::Enter(name) => path.push(name.to_string()),
        Host::Leave => {
            path.pop();
        }
        Host::Tensor(_) if path.last().is_some_and(|name| name == LEFT_OUT) => {}
        host => {
            let place = path.join(".");
            let count = counts.entry(place.clone()).or_insert(0);
            let key = format!("{place}#{count}");
            *count += 1;
            visitor(&key, host);
        }
    });
}

/// A copy of one thing beside tensors.
enum Kept {
    Saved(Saved),
    Stream(Box<Generator>),
    Variable(f64),
    Tensor(Tensor),
    Nothing,
}

fn kept(state: &mut dyn Module) -> Vec<Kept> {
    let mut all = Vec::new();
    walk(state, &mut |_, host| {
        all.push(match host {
            Host::Value(v) => Kept::Saved(v.save()),
            Host::Optimizer(o) => Kept::Saved(o.save()),
            Host::Generator(g) => Kept::Stream(Box::new(g.clone())),
            Host::Variable(v) => Kept::Variable(v.get()),
            Host::Tensor(t) => Kept::Tensor(t.clone()),
            _ => Kept::Nothing,
        });
    });
    all
}

/// Puts everything back, in the order in which it was kept.
fn restore(state: &mut dyn Module, undo: Vec<Kept>, tensors: &[(String, Tensor)]) {
    let mut undo = undo.into_iter();
    walk(state, &mut |_, host| match (host, undo.next()) {
        (Host::Value(v), Some(Kept::Saved(saved))) => {
            v.restore(&saved);
        }
        (Host::Optimizer(o), Some(Kept::Saved(saved))) => {
            o.restore(&saved);
        }
        (Host::Generator(g), Some(Kept::Stream(saved))) => *g = *saved,
        (Host::Variable(v), Some(Kept::Variable(saved))) => v.set(saved),
        (Host::Tensor(t), Some(Kept::Tensor(saved))) => *t = saved,
        _ => {}
    });
    let mut old = tensors.iter();
    state.visit_mut("", &mut |_, _, tensor| {
        if let Some((_, t)) = old.next() {
            *tensor = t.clone();
        }
    });
}

/// Tensors of a file by name, on the devices of those whose places they take.
struct Given {
    tensors: BTreeMap<String, Tensor>,
    skipped: BTreeMap<String, Tensor>,
}

impl Given {
    fn of(checkpoint: &Checkpoint, part: Part<'_>, state: &mut dyn Module) -> Given {
        let mut devices: HashMap<String, Device> = HashMap::new();
        let mut first: Option<Device> = None;
        for (name, tensor) in state.state() {
            first.get_or_insert_with(|| tensor.device().clone());
            devices.insert(format!("{}{name}", part.tensors), tensor.device().clone());
        }
        walk(state, &mut |key, host| {
            if let Host::Tensor(t) = host {
                devices.insert(format!("{}{key}", part.skipped), t.device().clone());
            }
        });
        // A tensor without a place, such as a moment that is not made yet, goes where most of the state is.
        let first = first.unwrap_or_else(Device::reference);
        let taken = |prefix: &str| {
            let of_part = checkpoint.arrays.iter().filter_map(|(name, array)| {
                let device = devices.get(name).unwrap_or(&first);
                let own = name.strip_prefix(prefix)?;
                Some((own.to_owned(), to_tensor(array, device)))
            });
            of_part.collect()
        };
        Given {
            tensors: taken(part.tensors),
            skipped: taken(part.skipped),
        }
    }
}

/// Puts a part of the file into the state; everything that does not fit.
fn put(
    state: &mut dyn Module,
    checkpoint: &Checkpoint,
    part: Part<'_>,
) -> Result<Vec<String>, WeightsError> {
    let given = Given::of(checkpoint, part, state);
    let mut problems = Vec::new();
    let (mut known, mut skipped) = (0, 0);
    walk(state, &mut |key, host| {
        if let Host::Tensor(tensor) = host {
            skipped += 1;
            problems.extend(replaced(key, tensor, given.skipped.get(key)).err());
            return;
        }
        let Some(text) = checkpoint.metadata.get(&format!("{}{key}", part.host)) else {
            problems.push(format!("missing {key}"));
            return;
        };
        known += 1;
        problems.extend(take(key, host, text, &given.tensors).err());
    });
    let own = checkpoint.metadata.keys().filter(|k| part.owns(k)).count();
    let left = own.saturating_sub(known) + given.skipped.len().saturating_sub(skipped);
    if problems.is_empty() && left > 0 {
        problems.push(format!(
            "{left} entries of the file have no place in the state"
        ));
    }
    if problems.is_empty() {
        let apart = apart(state, checkpoint, part);
        let all: Vec<(String, Tensor)> = given.tensors.into_iter().collect();
        state.load_state(&all)?;
        state.visit_mut("", &mut |name, _, tensor| {
            if apart.contains(name)
                && let Some((_, own)) = all.iter().find(|(given, _)| given == name)
            {
                *tensor = own.clone();
            }
        });
    }
    Ok(problems)
}

/// Places that share a tensor with one before, of which the file tells other values: a copy of a network that has not been
/// trained yet is the network itself, and loading gives both what the first gets.
fn apart(state: &mut dyn Module, checkpoint: &Checkpoint, part: Part<'_>) -> HashSet<String> {
    let mut seen: Vec<(Tensor, String)> = Vec::new();
    let mut apart = HashSet::new();
    let bytes = |name: &str| {
        let array = checkpoint.arrays.get(&format!("{}{name}", part.tensors));
        array.map(|array| &array.bytes)
    };
    state.visit(
        "",
        &mut |name, _, tensor| match seen.iter().find(|(t, _)| t.same(tensor)) {
            Some((_, first)) if bytes(first) != bytes(name) => {
                apart.insert(name.to_owned());
            }
            Some(_) => {}
            None => seen.push((tensor.clone(), name.to_owned())),
        },
    );
    apart
}

/// A tensor that is no part of the state's tree, from a file.
fn replaced(key: &str, tensor: &mut Tensor, new: Option<&Tensor>) -> Result<(), String> {
    let new = new.ok_or_else(|| format!("missing {key}"))?;
    let form = |t: &Tensor| format!("{}{:?}", t.dtype(), t.shape());
    new.check().map_err(|e| format!("{key} is invalid: {e}"))?;
    if form(new) != form(tensor) {
        return Err(format!("{key} is {}, not {}", form(new), form(tensor)));
    }
    *tensor = new.clone();
    Ok(())
}

/// One entry into its place.
fn take(
    key: &str,
    host: Host<'_>,
    text: &str,
    given: &BTreeMap<String, Tensor>,
) -> Result<(), String> {
    let wrong = || format!("{key} is {text:?} in the file");
    match host {
        Host::Number(bits) => (text == bits.to_string())
            .then_some(())
            .ok_or_else(|| format!("{key} is {text} in the file and {bits} in the state")),
        Host::Generator(g) => {
            let words: Option<Vec<u64>> = text.split(' ').map(|w| w.parse().ok()).collect();
            match words.as_deref() {
                Some(&[seed, step, draws]) => {
                    *g = Generator::from_state([seed, step, draws]);
                    Ok(())
                }
                _ => Err(wrong()),
            }
        }
        Host::Variable(v) => {
            v.set(text.parse().map_err(|_| wrong())?);
            Ok(())
        }
        Host::Optimizer(o) => take_optimizer(key, o, text, given),
        Host::Value(v) => {
            if v.show() == text {
                return Ok(());
            }
            let differs = || format!("{key} is {text} in the file and {} in the state", v.show());
            let saved = parsed(&v.save(), text).ok_or_else(differs)?;
            if v.restore(&saved) {
                Ok(())
            } else {
                Err(wrong())
            }
        }
        _ => Ok(()),
    }
}

fn take_optimizer(
    key: &str,
    optimizer: &mut dyn Hooks,
    text: &str,
    given: &BTreeMap<String, Tensor>,
) -> Result<(), String> {
    let wrong = || format!("{key} is {text:?} in the file");
    let mut words = text.splitn(3, ' ');
    let mut word = || words.next().ok_or_else(wrong);
    let steps = word()?.parse().map_err(|_| wrong())?;
    let lr = word()?.parse().map_err(|_| wrong())?;
    let rates: Vec<(String, Option<u64>)> = match word() {
        Ok(list) => serde_json::from_str(list).map_err(|_| wrong())?,
        Err(_) => Vec::new(),
    };
    let rates: Vec<(String, Option<f64>)> = rates
        .into_iter()
        .map(|(name, bits)| (name, bits.map(f64::from_bits)))
        .collect();
    let path = key.rsplit_once('#').map_or("", |(path, _)| path);
    let moments: Vec<(String, Tensor)> = given
        .iter()
        .filter_map(|(name, t)| {
            let inner = match path {
                "" => name.as_str(),
                _ => name.strip_prefix(path)?.strip_prefix('.')?,
            };
            Some((inner.to_owned(), t.clone()))
        })
        .collect();
    optimizer
        .resume(&moments, steps, lr)
        .map_err(|e| format!("{path}: {e}"))?;
    // A file from before groups were kept says nothing of them.
    if !rates.is_empty() && !optimizer.set_group_rates(&rates) {
        let names: Vec<String> = rates.into_iter().map(|(name, _)| name).collect();
        return Err(format!(
            "{path} has the groups {} in the file",
            names.join(", ")
        ));
    }
    Ok(())
}

/// A number, truth value or text of the type of `like`; `None` for other types.
fn parsed(like: &Saved, text: &str) -> Option<Saved> {
    macro_rules! of {
        ($($t:ty)*) => {$(
            if like.is::<$t>() {
                return text.parse::<$t>().ok().map(|v| Box::new(v) as Saved);
            }
        )*};
    }
    of! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 }
    if like.is::<String>() {
        return serde_json::from_str::<String>(text)
            .ok()
            .map(|v| Box::new(v) as Saved);
    }
    None
}
