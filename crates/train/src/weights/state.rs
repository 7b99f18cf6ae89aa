//! A whole state as one file: every tensor of its tree, and what it holds beside tensors (random streams, optimisers'
//! steps and learning rates, variables, numbers and texts), by the paths that the tree gives them. It knows no layer and
//! no optimiser: whatever shows itself to the visits of a module is kept.

use super::WeightsError;
use crate::checkpoint::Checkpoint;
use crate::session::{to_array, to_tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use wgrad_graph::{Device, Generator, Tensor};
use wgrad_nn::{Host, Module, Saved};

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
    for (name, tensor) in state.state() {
        let array = wgrad_graph::block_on(to_array(&tensor))?;
        checkpoint.arrays.insert(format!("state.{name}"), array);
    }
    walk(state, &mut |key, host| {
        let text = match host {
            Host::Number(bits) => bits.to_string(),
            Host::Value(value) => value.show(),
            Host::Generator(g) => {
                let [seed, step, draws] = (*g).state();
                format!("{seed} {step} {draws}")
            }
            Host::Optimizer(o) => format!("{} {:?}", o.steps_taken(), o.learning_rate()),
            Host::Variable(v) => format!("{:?}", v.get()),
            _ => return,
        };
        checkpoint.metadata.insert(key.to_owned(), text);
    });
    checkpoint.save(path)?;
    Ok(())
}

/// Puts back what [`save`] has written, into a state of the same form. Tensors go to the devices of those they replace.
/// A state that does not fit is left as it was.
///
/// # Errors
/// The file is missing or damaged, or holds another state: one error lists everything that differs.
pub fn load(state: &mut dyn Module, path: impl AsRef<Path>) -> Result<(), WeightsError> {
    let path = path.as_ref();
    let checkpoint = Checkpoint::load(path)?;
    let undo = kept(state);
    let tensors = state.state();
    let problems = match put(state, &checkpoint) {
        Ok(problems) if problems.is_empty() => return Ok(()),
        Ok(problems) => problems,
        Err(e) => vec![e.to_string()],
    };
    restore(state, undo, &tensors);
    Err(WeightsError::State {
        origin: path.display().to_string(),
        problems,
    })
}

/// Shows what a state holds beside tensors, each under a key of its own: path and how many came there before.
fn walk(state: &mut dyn Module, visitor: &mut dyn FnMut(&str, Host<'_>)) {
    let mut path: Vec<String> = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    state.visit_host(&mut |host| match host {
        Host::Enter(name) => path.push(name.to_string()),
        Host::Leave => {
            path.pop();
        }
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
        _ => {}
    });
    let mut old = tensors.iter();
    state.visit_mut("", &mut |_, _, tensor| {
        if let Some((_, t)) = old.next() {
            *tensor = t.clone();
        }
    });
}

/// Puts the file's content into the state; everything that does not fit.
fn put(state: &mut dyn Module, checkpoint: &Checkpoint) -> Result<Vec<String>, WeightsError> {
    let device = state
        .state()
        .first()
        .map_or_else(Device::reference, |(_, t)| t.device().clone());
    let devices: HashMap<String, Device> = state
        .state()
        .into_iter()
        .map(|(name, t)| (name, t.device().clone()))
        .collect();
    let mut given: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, array) in &checkpoint.arrays {
        if let Some(name) = name.strip_prefix("state.") {
            let device = devices.get(name).unwrap_or(&device);
            given.insert(name.to_owned(), to_tensor(array, device));
        }
    }
    let mut problems = Vec::new();
    let mut known = 0;
    walk(state, &mut |key, host| {
        if matches!(host, Host::Tensor(_)) {
            return;
        }
        let Some(text) = checkpoint.metadata.get(key) else {
            problems.push(format!("missing {key}"));
            return;
        };
        known += 1;
        if let Err(m) = take(key, host, text, &given) {
            problems.push(m);
        }
    });
    if problems.is_empty() && known != checkpoint.metadata.len() {
        let n = checkpoint.metadata.len() - known;
        problems.push(format!(
            "{n} entries of the file have no place in the state"
        ));
    }
    if problems.is_empty() {
        let all: Vec<(String, Tensor)> = given.into_iter().collect();
        state.load_state(&all)?;
    }
    Ok(problems)
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
        Host::Optimizer(o) => {
            let (steps, lr) = text.split_once(' ').ok_or_else(wrong)?;
            let steps = steps.parse().map_err(|_| wrong())?;
            let lr = lr.parse().map_err(|_| wrong())?;
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
            o.resume(&moments, steps, lr)
                .map_err(|e| format!("{path}: {e}"))
        }
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
