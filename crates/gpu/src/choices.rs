//! Which core and how many pieces a matrix product gets, where a measurement on the device at hand says otherwise than
//! the rules in `gemm`. A choice changes the order in which sums are taken and nothing else. Knows no file and times
//! nothing: what is read is judged here, because it may come from anywhere.

use super::cores::Core;
#[cfg(not(target_arch = "wasm32"))]
use super::target::Target;

/// Which product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProductKind {
    Matmul,
    ConvForward,
    ConvInputGrad,
    ConvWeightGrad,
}

/// Products that share a choice: sizes up to the next power of two, and how the operands lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeClass {
    pub(super) kind: ProductKind,
    /// Base-two logarithms of rows, columns, sum and planes, rounded up.
    pub(super) sizes: [u32; 4],
    pub(super) a_along_sum: bool,
    pub(super) b_along_sum: bool,
    pub(super) aligned: bool,
}

/// How to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub(super) core: Core,
    /// Sums are split until there are as many tiles.
    pub(super) busy: usize,
}

/// All choices for a device, at most one for a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(Vec<(ShapeClass, Choice)>);

impl Choices {
    /// No choices: the rules decide.
    pub const NONE: Choices = Choices(Vec::new());

    /// What is chosen for a class.
    pub fn get(&self, class: &ShapeClass) -> Option<Choice> {
        let known = self.0.iter().find(|(c, _)| c == class);
        known.map(|(_, choice)| *choice)
    }

    /// Chooses for a class.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn set(&mut self, class: ShapeClass, choice: Choice) {
        self.0.retain(|(c, _)| *c != class);
        self.0.push((class, choice));
    }

    /// Leaves a class to the rules again.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn unset(&mut self, class: &ShapeClass) {
        self.0.retain(|(c, _)| c != class);
    }

    /// For how many classes something is chosen.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the rules alone hold.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod json {
    use super::*;
    use serde_json::Value;

    /// The most tiles that a choice may ask for, and the most choices.
    const MOST_BUSY: usize = 1 << 16;
    const MOST_CHOICES: usize = 4096;

    const KINDS: [(ProductKind, &str); 4] = [
        (ProductKind::Matmul, "matmul"),
        (ProductKind::ConvForward, "conv"),
        (ProductKind::ConvInputGrad, "conv input grad"),
        (ProductKind::ConvWeightGrad, "conv weight grad"),
    ];

    impl core::fmt::Display for Choice {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "{}, {} tiles", self.core.name(), self.busy)
        }
    }

    impl Choices {
        /// As a list for a file.
        pub fn to_json(&self) -> Value {
            let each = |(class, choice): &(ShapeClass, Choice)| {
                let kind = KINDS.iter().find(|(kind, _)| *kind == class.kind);
                serde_json::json!({
                    "product": kind.map(|(_, name)| name),
                    "sizes": class.sizes,
                    "a_along_sum": class.a_along_sum,
                    "b_along_sum": class.b_along_sum,
                    "aligned": class.aligned,
                    "core": choice.core.name(),
                    "busy": choice.busy,
                })
            };
            self.0.iter().map(each).collect()
        }

        /// From such a list, if it is one and `target` can run all of it.
        pub(in super::super) fn from_json(list: &Value, target: Target) -> Option<Choices> {
            let list = list.as_array().filter(|l| l.len() <= MOST_CHOICES)?;
            let mut choices = Choices::NONE;
            for entry in list {
                let (class, choice) = (class(entry)?, choice(entry)?);
                if !choice.core.runs(target, class.b_along_sum) {
                    return None;
                }
                choices.set(class, choice);
            }
            Some(choices)
        }
    }

    fn class(entry: &Value) -> Option<ShapeClass> {
        let name = entry.get("product")?.as_str()?;
        let flag = |key: &str| entry.get(key)?.as_bool();
        let sizes = entry.get("sizes")?.as_array()?;
        let mut exponents = [0; 4];
        if sizes.len() != exponents.len() {
            return None;
        }
        for (exponent, size) in exponents.iter_mut().zip(sizes) {
            *exponent = size.as_u64().filter(|&n| n <= 64)? as u32;
        }
        Some(ShapeClass {
            kind: KINDS.iter().find(|(_, n)| *n == name)?.0,
            sizes: exponents,
            a_along_sum: flag("a_along_sum")?,
            b_along_sum: flag("b_along_sum")?,
            aligned: flag("aligned")?,
        })
    }

    fn choice(entry: &Value) -> Option<Choice> {
        let name = entry.get("core")?.as_str()?;
        let busy = entry.get("busy")?.as_u64()?;
        Some(Choice {
            core: *Core::ALL.iter().find(|core| core.name() == name)?,
            busy: usize::try_from(busy)
                .ok()
                .filter(|n| (1..=MOST_BUSY).contains(n))?,
        })
    }
}
