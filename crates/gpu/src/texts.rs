//! The dispatches of a plan as texts, for tools that look at what is compiled. No device is needed: they are those that a device
//! of a class would be given. It must not run anything.

use super::call::Work;
use super::choices::Choices;
use super::lower::lower;
use super::target::Target;
use crate::DeviceClass;
use crate::plan::{Kernel, Plan};
use wgrad_device::Error;

/// What a dispatch compiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Family and variant.
    pub label: &'static str,
    /// The module; its entry point is `main`.
    pub wgsl: String,
    /// Values of `override` constants.
    pub constants: Vec<(&'static str, f64)>,
}

/// The texts of all dispatches of `plan`, in order, on a device of `class` that binds as much as cards do. Loops have those of
/// their bodies.
///
/// # Errors
/// What such a device cannot run.
pub fn texts(plan: &Plan, class: DeviceClass) -> Result<Vec<Text>, Error> {
    let target = Target {
        buffers: 32,
        binding: 1 << 31,
        ..Target::new(class)
    };
    let mut all = Vec::new();
    for step in &plan.steps {
        if let Kernel::Loop(l) = &step.kernel {
            all.extend(texts(&l.body, class)?);
            continue;
        }
        let lowered = lower(plan, step, target, &Choices::NONE)?;
        all.extend(lowered.work.into_iter().filter_map(|work| match work {
            Work::Clear => None,
            Work::Call(call) => Some(Text {
                label: call.label,
                wgsl: call.wgsl.into_owned(),
                constants: call.constants,
            }),
        }));
    }
    Ok(all)
}
