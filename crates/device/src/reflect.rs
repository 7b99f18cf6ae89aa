//! What a WGSL source declares: entry points, bindings, workgroup sizes.
//!
//! Works without a device, so that a test can validate every kernel anywhere. Must
//! stay pure: same source and constants, same answer.

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Expression, Handle, Module, TypeInner};

use crate::adapter::Features;
use crate::error::{Error, Result};

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<uniform>`
    Uniform,
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    ReadWrite,
}

/// One buffer binding of group 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindingInfo {
    /// The number in `@binding(n)`.
    pub binding: u32,
    /// Name of the variable.
    pub name: String,
    /// How it is used.
    pub access: Access,
    /// Smallest size in bytes; one element where the type ends in a run-time array.
    pub min_size: u64,
}

/// One `@compute` function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Name of the function.
    pub name: String,
    /// Invocations in each dimension of a workgroup.
    pub workgroup_size: [u32; 3],
    /// Bytes of `var<workgroup>` that the function uses.
    pub workgroup_bytes: u64,
    /// Bindings by number: in a module with one entry point every declared one, in a
    /// module with several the ones that this entry point uses.
    pub bindings: Vec<BindingInfo>,
}

/// What a module declares and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// The compute entry points, in source order.
    pub entries: Vec<EntryPoint>,
    /// Names (or decimal `@id`s) of the `override` constants.
    pub overrides: Vec<String>,
    /// Optional features without which a device cannot run it.
    pub needs: Features,
}

impl Reflection {
    /// The entry point called `name`.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&EntryPoint> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// Parses and validates `wgsl` with every optional feature allowed, and reflects it.
///
/// # Errors
/// [`Error::Shader`] with the source line where it does not parse or validate, where it
/// binds anything but buffers of group 0, or where a workgroup size depends on an
/// `override` without a default (see [`reflect_with`]).
pub fn reflect(wgsl: &str) -> Result<Reflection> {
    reflect_with(wgsl, &[])
}

/// [`reflect`] with values for `override` constants.
///
/// # Errors
/// Those of [`reflect`], and an unknown constant.
pub fn reflect_with(wgsl: &str, constants: &[(&str, f64)]) -> Result<Reflection> {
    let source = Source {
        label: "wgsl",
        wgsl,
        constants,
    };
    let mut reflection = source.reflect(Capabilities::all())?;
    // A subgroup needs no declaration, so it is found by validating without it; both
    // words below are in every subgroup builtin's name.
    if wgsl.contains("ubgroup") || wgsl.contains("quad") {
        let barrier = Capabilities::SUBGROUP_BARRIER;
        let without = Capabilities::all() - Capabilities::SUBGROUP - barrier;
        reflection.needs.subgroups = source.module(without).is_err();
        reflection.needs.subgroup_barrier = source.module(Capabilities::all() - barrier).is_err();
    }
    Ok(reflection)
}

/// A source with the label that its errors carry.
pub(crate) struct Source<'a> {
    pub(crate) label: &'a str,
    pub(crate) wgsl: &'a str,
    pub(crate) constants: &'a [(&'a str, f64)],
}

/// naga's name for what a device with `features` may run.
pub(crate) fn capabilities(features: &Features) -> Capabilities {
    let mut caps = Capabilities::default();
    caps.set(Capabilities::SHADER_FLOAT16, features.f16);
    caps.set(Capabilities::SUBGROUP, features.subgroups);
    caps.set(Capabilities::SUBGROUP_BARRIER, features.subgroup_barrier);
    caps.set(Capabilities::SHADER_FLOAT32_ATOMIC, features.f32_atomics);
    caps.set(
        Capabilities::COOPERATIVE_MATRIX,
        features.cooperative_matrix,
    );
    // Reading two halves out of a u32 is part of WGSL itself.
    caps | Capabilities::SHADER_FLOAT16_IN_FLOAT32
}

impl Source<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::Shader {
            label: self.label.to_owned(),
            message: message.into(),
        }
    }

    fn module(&self, caps: Capabilities) -> Result<(Module, ModuleInfo)> {
        let options = naga::front::wgsl::Options {
            parse_doc_comments: false,
            capabilities: caps,
        };
        let module = naga::front::wgsl::Frontend::new_with_options(options)
            .parse(self.wgsl)
            .map_err(|e| self.error(e.emit_to_string_with_path(self.wgsl, self.label)))?;
        let info = Validator::new(ValidationFlags::all(), caps)
            .validate(&module)
            .map_err(|e| self.error(e.emit_to_string_with_path(self.wgsl, self.label)))?;
        Ok((module, info))
    }

    /// Reflects the module as a device with `caps` would see it.
    pub(crate) fn reflect(&self, caps: Capabilities) -> Result<Reflection> {
        let (module, info) = self.module(caps)?;
        self.check_constants(&module)?;
        let entries = module
            .entry_points
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.stage == naga::ShaderStage::Compute)
            .map(|(index, _)| self.entry(&module, &info, index))
            .collect::<Result<_>>()?;
        Ok(Reflection {
            entries,
            overrides: module.overrides.iter().map(|(_, o)| key(o)).collect(),
            needs: needs(&module),
        })
    }

    fn check_constants(&self, module: &Module) -> Result<()> {
        let known: Vec<String> = module.overrides.iter().map(|(_, o)| key(o)).collect();
        let stranger = self
            .constants
            .iter()
            .find(|(name, _)| !known.iter().any(|k| k == name));
        match stranger {
            Some((name, _)) => Err(self.error(format!(
                "there is no override constant `{name}`; declared: {known:?}"
            ))),
            None => Ok(()),
        }
    }

    fn entry(&self, module: &Module, info: &ModuleInfo, index: usize) -> Result<EntryPoint> {
        let entry = &module.entry_points[index];
        let only = module.entry_points.len() == 1;
        let uses = info.get_entry_point(index);
        let mut bindings = Vec::new();
        let mut workgroup_bytes = 0;
        for (handle, variable) in module.global_variables.iter() {
            let used = !uses[handle].is_empty();
            if variable.space == AddressSpace::WorkGroup && used {
                workgroup_bytes += self.size(module, variable.ty)?;
            } else if used || (only && variable.binding.is_some()) {
                bindings.extend(self.binding(module, variable)?);
            }
        }
        bindings.sort_by_key(|b: &BindingInfo| b.binding);
        Ok(EntryPoint {
            name: entry.name.clone(),
            workgroup_size: self.workgroup_size(module, entry)?,
            workgroup_bytes,
            bindings,
        })
    }

    fn binding(
        &self,
        module: &Module,
        variable: &naga::GlobalVariable,
    ) -> Result<Option<BindingInfo>> {
        let name = variable.name.clone().unwrap_or_default();
        let access = match variable.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => {
                Access::ReadWrite
            }
            AddressSpace::Storage { .. } => Access::Read,
            AddressSpace::Private | AddressSpace::WorkGroup => return Ok(None),
            _ => {
                return Err(self.error(format!(
                    "`{name}` is neither a uniform nor a storage buffer"
                )));
            }
        };
        match variable.binding {
            Some(naga::ResourceBinding { group: 0, binding }) => Ok(Some(BindingInfo {
                binding,
                name,
                access,
                min_size: self.size(module, variable.ty)?,
            })),
            Some(at) => Err(self.error(format!(
                "`{name}` is in @group({}); only group 0 is supported",
                at.group
            ))),
            None => Err(self.error(format!("`{name}` has no @group and @binding"))),
        }
    }

    /// Bytes of a type; a run-time array counts as one element.
    fn size(&self, module: &Module, ty: Handle<naga::Type>) -> Result<u64> {
        match module.types[ty].inner {
            TypeInner::Array {
                size: naga::ArraySize::Pending(length),
                stride,
                ..
            } => {
                let length = self.override_value(module, length)?;
                Ok(u64::from(stride) * length as u64)
            }
            ref inner => inner
                .try_size(module.to_ctx())
                .map(u64::from)
                .ok_or_else(|| self.error("a type is too large")),
        }
    }

    fn workgroup_size(&self, module: &Module, entry: &naga::EntryPoint) -> Result<[u32; 3]> {
        let mut size = entry.workgroup_size;
        let overrides = entry.workgroup_size_overrides.unwrap_or_default();
        for (slot, expression) in size.iter_mut().zip(overrides) {
            if let Some(expression) = expression {
                *slot = self.value(module, expression)? as u32;
            }
        }
        Ok(size)
    }

    fn override_value(&self, module: &Module, handle: Handle<naga::Override>) -> Result<f64> {
        let constant = &module.overrides[handle];
        let name = key(constant);
        // The last value given counts, as it does in wgpu.
        let given = self.constants.iter().rev().find(|(k, _)| *k == name);
        match (given, constant.init) {
            (Some((_, value)), _) => Ok(*value),
            (None, Some(init)) => self.value(module, init),
            // The length of an array written as an expression is an override of its own.
            (None, None) => Err(self.error(format!(
                "override `{name}` has no default and was given no value"
            ))),
        }
    }

    /// Value of a constant expression over literals, constants and overrides.
    fn value(&self, module: &Module, handle: Handle<Expression>) -> Result<f64> {
        use naga::{BinaryOperator as Op, Literal as L};
        match module.global_expressions[handle] {
            Expression::Literal(L::U32(x)) => Ok(f64::from(x)),
            Expression::Literal(L::I32(x)) => Ok(f64::from(x)),
            Expression::Literal(L::F32(x)) => Ok(f64::from(x)),
            Expression::Literal(L::AbstractInt(x)) => Ok(x as f64),
            Expression::Literal(L::AbstractFloat(x)) => Ok(x),
            Expression::Constant(c) => self.value(module, module.constants[c].init),
            Expression::Override(o) => self.override_value(module, o),
            Expression::As { expr, .. } => self.value(module, expr),
            Expression::Binary { op, left, right } => {
                let (a, b) = (self.value(module, left)?, self.value(module, right)?);
                match op {
                    Op::Add => Ok(a + b),
                    Op::Subtract => Ok(a - b),
                    Op::Multiply => Ok(a * b),
                    Op::Divide if b != 0.0 => Ok((a / b).trunc()),
                    _ => Err(self.error("an operator in an override expression is not supported")),
                }
            }
            _ => Err(self.error("a size depends on an expression that is not supported")),
        }
    }
}

/// What WebGPU calls the constant: its `@id` if it has one, else its name.
fn key(constant: &naga::Override) -> String {
    match (constant.id, &constant.name) {
        (Some(id), _) => id.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => String::new(),
    }
}

fn needs(module: &Module) -> Features {
    let scalar = |kind, width| naga::Scalar { kind, width };
    let mut needs = Features::default();
    for (_, ty) in module.types.iter() {
        needs.f16 |= ty.inner.scalar() == Some(scalar(naga::ScalarKind::Float, 2));
        needs.f32_atomics |= ty.inner == TypeInner::Atomic(scalar(naga::ScalarKind::Float, 4));
        needs.cooperative_matrix |= matches!(ty.inner, TypeInner::CooperativeMatrix { .. });
    }
    needs
}
