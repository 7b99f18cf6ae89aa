//! Measuring: each candidate is run once on operands drawn here, compared with the cpu, and only then timed. A candidate
//! replaces what the rules say only if it is faster by a margin in two comparisons.

use super::cache;
use super::shapes::TuneShape;
use crate::device::{Device, Kind, from_device};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Kernel, Origin, Place, Plan, Slot, Step};
use crate::storage::HostBufferMut;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgrad_cpu as cpu;
use wgrad_device::Buffer;
use wgrad_gpu::{Choice, Choices, Executor, Job, Prepared};

/// What [`Device::tune`] measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuneOptions {
    /// The products.
    pub shapes: Vec<TuneShape>,
    /// How long each candidate is timed.
    pub time: Duration,
    /// Where the choices are written; `None`: the user's cache directory, or what `WGRAD_TUNE_CACHE` names.
    pub directory: Option<PathBuf>,
}

impl Default for TuneOptions {
    fn default() -> TuneOptions {
        TuneOptions {
            shapes: TuneShape::usual(),
            time: Duration::from_millis(100),
            directory: None,
        }
    }
}

/// What has been found for one product, while others are still to come.
#[derive(Clone, Debug)]
pub struct TuneEvent {
    /// Products measured so far, this one among them.
    pub done: usize,
    /// Products in all.
    pub of: usize,
    /// This one.
    pub tuned: Tuned,
}

/// What has been found for one product.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The product, its sizes, and how the operands lie.
    pub product: String,
    /// What the rules choose.
    pub rule: String,
    /// What is fastest, which may be the same.
    pub best: String,
    /// How often the best is faster than the rule.
    pub speedup: f64,
    /// Candidates that gave wrong results or none, and why. They are not used.
    pub rejected: Vec<String>,
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.product)?;
        if self.best == self.rule {
            write!(f, "{}, as by rule", self.best)?;
        } else {
            write!(
                f,
                "{} is {:.2} times as fast as {}",
                self.best, self.speedup, self.rule
            )?;
        }
        self.rejected
            .iter()
            .try_for_each(|why| write!(f, "\n  rejected: {why}"))
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneReport {
    /// Each product.
    pub tuned: Vec<Tuned>,
    /// How many choices differ from the rules: [`Device::tuned`] of the same device when it is opened again.
    pub choices: usize,
    /// The file that was written.
    pub path: PathBuf,
}

/// A candidate is taken if its time is below this part of the rule's.
const MARGIN: f64 = 0.95;

/// So many times the least time is never made up for.
const HOPELESS: f64 = 4.0;

impl Device {
    /// Measures which kernels are fastest on this GPU for some matrix products and convolutions, and writes the result
    /// to a file that [`Device::gpu`] reads from then on; this device stays as it is. Takes a minute or more, and
    /// wants the device to itself. A choice changes the order of sums, and with it the last bits of results.
    /// `progress` is told of each product.
    ///
    /// # Errors
    /// The device is no GPU; `WGRAD_TUNE_CACHE=off` and no directory is given, or it cannot be written; the device is
    /// lost.
    pub fn tune(
        &self,
        options: &TuneOptions,
        progress: &mut dyn FnMut(&TuneEvent),
    ) -> Result<TuneReport> {
        let error = |kind, message: &str| Error::new(kind, "tune", message);
        let Kind::Gpu(gpu) = &self.0.kind else {
            return Err(error(ErrorKind::Unsupported, "only a GPU has choices"));
        };
        let directory = options
            .directory
            .clone()
            .or_else(cache::directory)
            .ok_or_else(|| error(ErrorKind::Value, "there is no directory for the choices"))?;
        let kernels: Vec<(Kernel, [usize; 3])> =
            options.shapes.iter().flat_map(|s| s.kernels()).collect();
        // What was found before for other products stays.
        let mut choices = gpu.executor.choices().clone();
        let mut tuned = Vec::new();
        for (n, &(ref kernel, lengths)) in kernels.iter().enumerate() {
            let trial = Trial::new(&gpu.executor, kernel.clone(), lengths, options.time)?;
            let found = trial.best(&mut choices)?;
            tuned.extend(found.clone());
            if let Some(found) = found {
                let of = kernels.len();
                progress(&TuneEvent {
                    done: n + 1,
                    of,
                    tuned: found,
                });
            }
        }
        let info = gpu.executor.gpu().info();
        let path = cache::write(&directory, info, choices.to_json()).map_err(|e| {
            let message = format!("{}: {e}", directory.display());
            error(ErrorKind::Value, &message)
        })?;
        Ok(TuneReport {
            tuned,
            choices: choices.len(),
            path,
        })
    }
}

/// One product on one device.
struct Trial<'a> {
    executor: &'a Executor,
    plan: Plan,
    leaves: Vec<Buffer>,
    /// What the cpu gives.
    want: Vec<f32>,
    /// How far a result may be from it.
    tolerance: f32,
    time: Duration,
}

/// Why a candidate is not used.
type Rejection = String;

impl<'a> Trial<'a> {
    fn new(
        executor: &'a Executor,
        kernel: Kernel,
        lengths: [usize; 3],
        time: Duration,
    ) -> Result<Trial<'a>> {
        let operands = [(lengths[0], 1), (lengths[1], 2)].map(|(n, seed)| uniform(n, seed));
        let plan = plan(kernel, lengths);
        let want = on_the_cpu(&plan, &operands).ok_or_else(|| {
            let message =
                "there is no room to compute on the host what the device is compared with";
            Error::new(ErrorKind::OutOfMemory, "tune", message)
        })?;
        // The results are sums of numbers in −1..1.
        let size = want.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let upload = |v: &Vec<f32>| executor.gpu().upload(bytemuck::cast_slice(v));
        let leaves: std::result::Result<_, _> = operands.iter().map(upload).collect();
        Ok(Trial {
            executor,
            plan,
            leaves: leaves.map_err(|e| from_device(&e))?,
            want,
            tolerance: 1e-4 * size.max(1e-3),
            time,
        })
    }

    /// Measures all candidates and sets the choice, if one wins.
    fn best(&self, choices: &mut Choices) -> Result<Option<Tuned>> {
        let kernel = &self.plan.steps[0].kernel;
        let Some((class, candidates)) = self.executor.candidates(kernel) else {
            return Ok(None);
        };
        let mut rejected = Vec::new();
        let mut sound: Vec<(Choice, Prepared, f64)> = Vec::new();
        for choice in candidates {
            let mut only = Choices::NONE;
            only.set(class, choice);
            let prepared = self.executor.prepare_with(&self.plan, &only);
            let least = sound.iter().map(|s| s.2).fold(f64::INFINITY, f64::min);
            let judged = match prepared {
                Ok(prepared) => self
                    .judge(&prepared, least)?
                    .map(|seconds| (prepared, seconds)),
                Err(e) => Err(alive(e)?),
            };
            match judged {
                Ok((prepared, seconds)) => sound.push((choice, prepared, seconds)),
                Err(why) => rejected.push(format!("{choice}: {why}")),
            }
            if sound.is_empty() {
                // Without the rule there is nothing to compare with.
                break;
            }
        }
        let Some((rule, by_rule, _)) = sound.first() else {
            let message = format!("the usual kernel fails: {}", rejected.join("; "));
            return Err(Error::new(ErrorKind::Internal, "tune", message));
        };
        let fastest = sound.iter().min_by(|a, b| a.2.total_cmp(&b.2));
        let (mut best, mut speedup) = (*rule, 1.0);
        if let Some((choice, prepared, seconds)) = fastest.filter(|(c, ..)| c != rule) {
            // In turn, so that what else the machine does falls on both.
            let mut again = [f64::INFINITY; 2];
            for _ in 0..3 {
                for (least, prepared) in again.iter_mut().zip([prepared, by_rule]) {
                    *least = least.min(self.seconds(prepared, f64::INFINITY)?);
                }
            }
            let wins = |one: f64, other: f64| one < MARGIN * other;
            if wins(*seconds, sound[0].2) && wins(again[0], again[1]) {
                best = *choice;
                speedup = again[1] / again[0];
            }
        }
        choices.unset(&class);
        if best != *rule {
            choices.set(class, best);
        }
        Ok(Some(Tuned {
            product: described(kernel),
            rule: rule.to_string(),
            best: best.to_string(),
            speedup,
            rejected,
        }))
    }

    /// Seconds of a run, or why its result must not be used. `least` is what there is to beat.
    fn judge(
        &self,
        prepared: &Prepared,
        least: f64,
    ) -> Result<std::result::Result<f64, Rejection>> {
        let got = match self.result(prepared) {
            Ok(got) => got,
            Err(e) => return Ok(Err(alive(e)?)),
        };
        let wrong = |(got, want): (&f32, &f32)| {
            let apart = (got - want).abs();
            apart.is_nan() || apart > self.tolerance
        };
        if got.len() != self.want.len() {
            return Ok(Err("a result of another length".to_string()));
        }
        if let Some(at) = got.iter().zip(&self.want).position(wrong) {
            let (got, want) = (got[at], self.want[at]);
            return Ok(Err(format!("element {at} is {got}, not {want}")));
        }
        self.seconds(prepared, least).map(Ok)
    }

    /// What a run writes over NaN.
    fn result(&self, prepared: &Prepared) -> std::result::Result<Vec<f32>, wgrad_device::Error> {
        let gpu = self.executor.gpu();
        let nan = vec![f32::NAN; self.want.len()];
        let own = gpu.upload(bytemuck::cast_slice(&nan))?;
        let leaves: Vec<&Buffer> = self.leaves.iter().collect();
        let own = &mut [Some(own)];
        let job = Job {
            leaves: &leaves,
            ..Job::default()
        };
        let results = self.executor.run_job(prepared, &job, own)?.results;
        let bytes = gpu.read_blocking(&results[0])?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Seconds of a run: the best of three series, or of one run if that is far from `least`.
    fn seconds(&self, prepared: &Prepared, least: f64) -> Result<f64> {
        let one = self.series(prepared, 1)?;
        if one > HOPELESS * least {
            return Ok(one);
        }
        let share = self.time.as_secs_f64() / 3.0;
        let n = (share / one.max(1e-9)).clamp(1.0, 1000.0) as u32;
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            best = best.min(self.series(prepared, n)?);
        }
        Ok(best)
    }

    fn series(&self, prepared: &Prepared, n: u32) -> Result<f64> {
        let leaves: Vec<&Buffer> = self.leaves.iter().collect();
        let run = || {
            let start = Instant::now();
            for _ in 0..n {
                self.executor.run(prepared, &leaves, &[])?;
            }
            self.executor.gpu().synchronize_blocking()?;
            Ok(start.elapsed().as_secs_f64() / f64::from(n))
        };
        run().map_err(|e: wgrad_device::Error| from_device(&e))
    }
}

/// The error as a reason to reject a candidate, unless nothing can follow it.
fn alive(e: wgrad_device::Error) -> Result<Rejection> {
    match e {
        wgrad_device::Error::DeviceLost { .. } => Err(from_device(&e)),
        e => Ok(e.to_string()),
    }
}

/// A product by its sizes, for people.
fn described(kernel: &Kernel) -> String {
    match kernel {
        Kernel::Matmul(m) => {
            let flat = |transposed: bool| if transposed { "ᵀ" } else { "" };
            let (a, b) = (flat(m.a.col > m.a.row), flat(m.b.col > m.b.row));
            format!("matmul {}x{}x{}x{} a{a}b{b}", m.batch, m.m, m.n, m.k)
        }
        Kernel::Conv(c) => format!(
            "conv {:?} {}x{}x{}x{}x{}",
            c.kind, c.batch, c.in_channels, c.out_channels, c.input[2], c.kernel[2]
        ),
        _ => String::new(),
    }
}

/// A plan of this kernel alone, whose operands are leaves.
fn plan(kernel: Kernel, lengths: [usize; 3]) -> Plan {
    let places = [Place::Leaf(0), Place::Leaf(1), Place::Output(0)];
    let slots = lengths.into_iter().zip(places).map(|(len, place)| Slot {
        dtype: DType::F32,
        len,
        place,
    });
    let step = Step {
        kernel,
        inputs: vec![0, 1],
        output: 2,
        more_outputs: Vec::new(),
        then: None,
        check: 0,
        origin: Origin {
            name: "tune".to_string(),
            location: Location::caller(),
            node: 0,
        },
    };
    Plan {
        slots: slots.collect(),
        steps: vec![step],
        outputs: vec![2],
        n_leaves: 2,
        ..Plan::default()
    }
}

/// What the cpu computes; nothing where it has no room.
fn on_the_cpu(plan: &Plan, operands: &[Vec<f32>]) -> Option<Vec<f32>> {
    let executor = cpu::Executor::new();
    let prepared = cpu::Prepared::new(plan);
    let leaf =
        |v: &Vec<f32>| HostBufferMut::copy_of(bytemuck::cast_slice(v)).map(HostBufferMut::freeze);
    let leaves: Vec<_> = operands.iter().map(leaf).collect::<Result<_, _>>().ok()?;
    let leaves: Vec<_> = leaves.iter().collect();
    let results = executor.run((plan, &prepared), &leaves, &[], &0.into(), None);
    let bytes = results.ok()?[0].bytes()[..4 * plan.slots[2].len].to_vec();
    Some(bytemuck::pod_collect_to_vec(&bytes))
}

/// Numbers in −1..1, from a generator of words (splitmix64).
fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 / (1u32 << 23) as f32) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::plan::Matmul;

    fn device() -> Option<Device> {
        match Device::gpu_blocking(None, &Settings::default()) {
            Ok(device) => Some(device),
            Err(e) if std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
                panic!("no GPU: {e}")
            }
            Err(e) => {
                println!("skipped: no adapter ({e})");
                None
            }
        }
    }

    /// Products of 40 by 24 by 32.
    fn small(executor: &Executor) -> Trial<'_> {
        let shape = TuneShape::Matmul {
            batch: 1,
            m: 40,
            n: 24,
            k: 32,
        };
        let (kernel, lengths) = shape.kernels().swap_remove(0);
        Trial::new(executor, kernel, lengths, Duration::from_millis(1)).expect("a trial")
    }

    #[test]
    fn a_wrong_candidate_is_rejected() {
        let Some(device) = device() else { return };
        let Kind::Gpu(gpu) = &device.0.kind else {
            panic!("a GPU")
        };
        let trial = small(&gpu.executor);
        let prepare = |plan: &Plan| gpu.executor.prepare(plan).expect("prepares");
        let sound = trial.judge(&prepare(&trial.plan), 1.0).expect("runs");
        assert!(sound.is_ok_and(|seconds| seconds > 0.0));
        // One that leaves out the last term of each sum, and one that writes nothing.
        let changed = |change: fn(&mut Matmul)| {
            let mut plan = trial.plan.clone();
            if let Kernel::Matmul(matmul) = &mut plan.steps[0].kernel {
                change(matmul);
            }
            trial.judge(&prepare(&plan), 1.0).expect("runs")
        };
        assert!(changed(|matmul| matmul.k -= 1).is_err());
        let nothing = changed(|matmul| matmul.m -= 1).expect_err("the last row is missing");
        assert!(nothing.contains("NaN"), "{nothing}");
    }

    #[test]
    fn every_candidate_of_every_product_is_sound() {
        let Some(device) = device() else { return };
        let Kind::Gpu(gpu) = &device.0.kind else {
            panic!("a GPU")
        };
        let shapes: [TuneShape; 3] = ["33x70x260", "2x64x64x64", "conv:3x5x20x9x3"]
            .map(|text| text.parse().expect("a shape"));
        let mut choices = Choices::NONE;
        for (kernel, lengths) in shapes.iter().flat_map(|s| s.kernels()) {
            let time = Duration::from_micros(1);
            let trial = Trial::new(&gpu.executor, kernel, lengths, time).expect("a trial");
            let tuned = trial.best(&mut choices).expect("runs").expect("candidates");
            assert!(tuned.rejected.is_empty(), "{tuned}");
        }
    }

    /// The WGSL of the trial's kernel as a device that is opened with this directory runs it, and its choices.
    fn opened(directory: &std::path::Path) -> (String, usize) {
        let device = device().expect("the adapter is still there");
        let gpu = device.as_gpu().expect("a GPU").clone();
        let class = wgrad_gpu::class_of(&gpu);
        let executor = Executor::new(gpu, class).expect("an executor");
        let executor = crate::device::with_choices(executor, Some(directory.to_path_buf()));
        let prepared = executor.prepare(&small(&executor).plan).expect("prepares");
        (prepared.wgsl(0).concat(), executor.choices().len())
    }

    #[test]
    fn choices_of_a_file_are_used_if_they_are_sound() {
        let Some(device) = device() else { return };
        let Kind::Gpu(gpu) = &device.0.kind else {
            panic!("a GPU")
        };
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        let info = gpu.executor.gpu().info();
        let by_rule = opened(at);
        assert_eq!(by_rule.1, 0);
        // What the rules would never choose for so small a product.
        let trial = small(&gpu.executor);
        let mut wide = Choices::NONE;
        let (class, all) = gpu
            .executor
            .candidates(&trial.plan.steps[0].kernel)
            .expect("candidates");
        let chosen = all.into_iter().find(|c| c.to_string().starts_with("wide"));
        wide.set(class, chosen.expect("every device runs it"));
        let list = wide.to_json();
        cache::write(at, info, list.clone()).expect("writes");
        let (text, n) = opened(at);
        assert_eq!(n, 1);
        use wgrad_shaders::kernels::{MATMUL_WIDE, MATMUL_WIDE_ALIGNED};
        assert!([MATMUL_WIDE, MATMUL_WIDE_ALIGNED].contains(&&*text));
        assert_ne!(text, by_rule.0);
        // Lists that this device must not take.
        for (key, value) in [
            ("core", serde_json::json!("huge")),
            ("core", serde_json::json!(7)),
            ("busy", serde_json::json!(0)),
            ("busy", serde_json::json!(u64::MAX)),
            ("sizes", serde_json::json!([1, 2, 3])),
            ("sizes", serde_json::json!([1, 2, 3, 400])),
            ("product", serde_json::json!(null)),
            ("aligned", serde_json::json!("yes")),
        ] {
            let mut list = list.clone();
            list[0][key] = value;
            cache::write(at, info, list).expect("writes");
            assert_eq!(opened(at), by_rule, "{key}");
        }
        cache::write(at, info, serde_json::json!({"a": 1})).expect("writes");
        assert_eq!(opened(at), by_rule, "no list");
    }

    #[test]
    fn what_tuning_finds_is_there_at_the_next_opening() {
        let Some(device) = device() else { return };
        let directory = tempfile::tempdir().expect("a directory");
        let options = TuneOptions {
            shapes: vec!["48x40x64".parse().expect("a shape")],
            time: Duration::from_millis(2),
            directory: Some(directory.path().to_path_buf()),
        };
        let mut events = Vec::new();
        let report = device
            .tune(&options, &mut |event| events.push((event.done, event.of)))
            .expect("tunes");
        assert_eq!(events, [(1, 3), (2, 3), (3, 3)]);
        assert_eq!(report.tuned.len(), 3);
        assert!(report.path.starts_with(directory.path()));
        assert_eq!(opened(directory.path()).1, report.choices);
        let of_cpu = Device::cpu().tune(&options, &mut |_| {});
        assert_eq!(of_cpu.expect_err("no GPU").kind(), ErrorKind::Unsupported);
    }
}
