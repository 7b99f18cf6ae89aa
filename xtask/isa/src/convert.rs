//! WGSL to SPIR-V, Metal's language and HLSL with naga, with the options that wgpu 30 gives it for trusted modules. Must not
//! know what a text computes.

use naga::back::pipeline_constants::process_overrides;
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};

/// A binding: its number, whether it is uniform, whether it is only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    pub number: u32,
    pub uniform: bool,
    pub read_only: bool,
}

impl Binding {
    /// Where it is declared.
    fn resource(self) -> ResourceBinding {
        ResourceBinding {
            group: 0,
            binding: self.number,
        }
    }
}

/// A module for drivers.
pub struct Converted {
    pub spirv: Vec<u32>,
    pub bindings: Vec<Binding>,
    /// Languages that naga could not write, each with its reason.
    pub failures: Vec<String>,
}

const STAGE: ShaderStage = ShaderStage::Compute;

fn unchecked() -> BoundsCheckPolicies {
    BoundsCheckPolicies {
        index: BoundsCheckPolicy::Unchecked,
        buffer: BoundsCheckPolicy::Unchecked,
        image_load: BoundsCheckPolicy::Unchecked,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}

fn bindings(module: &Module) -> Vec<Binding> {
    let mut all: Vec<Binding> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let number = variable.binding.as_ref()?.binding;
            let (uniform, read_only) = match variable.space {
                AddressSpace::Uniform => (true, true),
                AddressSpace::Storage { access } => (false, !access.contains(StorageAccess::STORE)),
                _ => return None,
            };
            Some(Binding {
                number,
                uniform,
                read_only,
            })
        })
        .collect();
    all.sort_unstable();
    all
}

/// Converts a text.
///
/// # Errors
/// What naga says of a text that it does not take.
pub fn convert(wgsl: &str, constants: &[(&str, f64)]) -> Result<Converted, String> {
    let capabilities =
        Capabilities::default() | Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SUBGROUP;
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|e| e.emit_to_string(wgsl))?;
    let constants = constants.iter().map(|&(name, x)| (name.to_owned(), x));
    let (module, info) =
        process_overrides(&module, &info, Some((STAGE, "main")), &constants.collect())
            .map_err(|e| format!("constants: {e}"))?;
    let bindings = bindings(&module);
    let spirv = spirv(&module, &info, &bindings)?;
    let others = [
        metal(&module, &info, &bindings),
        dx12(&module, &info, &bindings),
    ];
    Ok(Converted {
        spirv,
        bindings,
        failures: others.into_iter().filter_map(Result::err).collect(),
    })
}

fn spirv(
    module: &Module,
    info: &naga::valid::ModuleInfo,
    bindings: &[Binding],
) -> Result<Vec<u32>, String> {
    let place = |b: &Binding| {
        let from = b.resource();
        let to = spv::BindingInfo {
            descriptor_set: 0,
            binding: b.number,
            binding_array_size: None,
        };
        (from, to)
    };
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: unchecked(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ray_query_initialization_tracking: false,
        use_storage_input_output_16: false,
        binding_map: bindings.iter().map(place).collect(),
        task_dispatch_limits: None,
        mesh_shader_primitive_indices_clamp: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let entry = spv::PipelineOptions {
        entry_point: "main".into(),
        shader_stage: STAGE,
    };
    spv::write_vec(module, info, &options, Some(&entry)).map_err(|e| format!("SPIR-V: {e}"))
}

fn metal(
    module: &Module,
    info: &naga::valid::ModuleInfo,
    bindings: &[Binding],
) -> Result<(), String> {
    let mut resources = msl::EntryPointResources::default();
    for (n, b) in bindings.iter().enumerate() {
        let from = b.resource();
        let to = msl::BindTarget {
            buffer: Some(n as u8),
            mutable: !b.read_only,
            ..Default::default()
        };
        resources.resources.insert(from, to);
    }
    resources.sizes_buffer = Some(bindings.len() as u8);
    let options = msl::Options {
        lang_version: (3, 0),
        per_entry_point_map: msl::EntryPointResourceMap::from([("main".to_owned(), resources)]),
        fake_missing_bindings: false,
        bounds_check_policies: unchecked(),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let entry = msl::PipelineOptions {
        entry_point: Some((STAGE, "main".into())),
        ..Default::default()
    };
    let written = msl::write_string(module, info, &options, &entry);
    written.map(|_| ()).map_err(|e| format!("MSL: {e}"))
}

fn dx12(
    module: &Module,
    info: &naga::valid::ModuleInfo,
    bindings: &[Binding],
) -> Result<(), String> {
    let mut map = hlsl::BindingMap::default();
    let mut registers = [0; 3];
    for b in bindings {
        let register = &mut registers[match (b.uniform, b.read_only) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        }];
        let from = b.resource();
        let to = hlsl::BindTarget {
            space: 0,
            register: *register,
            ..Default::default()
        };
        map.insert(from, to);
        *register += 1;
    }
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        binding_map: map,
        fake_missing_bindings: false,
        special_constants_binding: Some(hlsl::BindTarget {
            space: 0,
            register: registers[0],
            ..Default::default()
        }),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let entry = hlsl::PipelineOptions {
        entry_point: Some((STAGE, "main".into())),
    };
    let mut out = String::new();
    let written = hlsl::Writer::new(&mut out, &options, &entry).write(module, info, None);
    written.map(|_| ()).map_err(|e| format!("HLSL: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_all_three() {
        let text = "
            override N: u32 = 1;
            @group(0) @binding(0) var<storage, read> a: array<f32>;
            @group(0) @binding(1) var<storage, read_write> b: array<f32>;
            @compute @workgroup_size(N) fn main(@builtin(global_invocation_id) id: vec3<u32>) { b[id.x] = 2.0 * a[id.x]; }";
        let converted = convert(text, &[("N", 64.0)]).expect("a valid text");
        assert_eq!(converted.spirv[0], 0x0723_0203);
        assert!(converted.failures.is_empty(), "{:?}", converted.failures);
        let read: Vec<bool> = converted.bindings.iter().map(|b| b.read_only).collect();
        assert_eq!(read, [true, false]);
        assert!(convert("fn main( {", &[]).is_err());
    }
}
