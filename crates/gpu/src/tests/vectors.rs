//! No text writes a part of a vector that other invocations see. WGSL lets such a write access the whole vector, and compilers do
//! read, change and write it: of two invocations that write two parts with no barrier between, one may undo the other.

use naga::valid::{Capabilities, FunctionInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Block, Expression, Function, Handle, Statement, TypeInner};

/// Where a text stores a component of a vector in workgroup memory or a buffer: the lines.
pub(super) fn parts_stored(wgsl: &str) -> Vec<String> {
    let options = naga::front::wgsl::Options {
        parse_doc_comments: false,
        capabilities: Capabilities::all(),
    };
    let module = naga::front::wgsl::Frontend::new_with_options(options).parse(wgsl);
    let module = module.expect("a text that parses");
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
    let info = info.expect("a valid text");
    let mut found = Vec::new();
    for (handle, function) in module.functions.iter() {
        stores(&function.body, &mut |pointer| {
            found.extend(part(wgsl, function, &info[handle], &module, pointer));
        });
    }
    for (i, entry) in module.entry_points.iter().enumerate() {
        stores(&entry.function.body, &mut |pointer| {
            let info = info.get_entry_point(i);
            found.extend(part(wgsl, &entry.function, info, &module, pointer));
        });
    }
    found
}

/// The line of a pointer to a part of a vector that is shared.
fn part(
    wgsl: &str,
    function: &Function,
    info: &FunctionInfo,
    module: &naga::Module,
    pointer: Handle<Expression>,
) -> Option<String> {
    let shared = matches!(
        info[pointer].ty.inner_with(&module.types),
        TypeInner::ValuePointer {
            size: None,
            space: AddressSpace::WorkGroup | AddressSpace::Storage { .. },
            ..
        }
    );
    let span = function.expressions.get_span(pointer).to_range();
    shared.then(|| span.map_or_else(String::new, |at| wgsl[at].to_owned()))
}

/// Calls `f` with the pointer of every store of a block and of the blocks in it.
fn stores(block: &Block, f: &mut dyn FnMut(Handle<Expression>)) {
    for statement in block.iter() {
        match statement {
            Statement::Store { pointer, .. } => f(*pointer),
            Statement::Block(inner) => stores(inner, f),
            Statement::If { accept, reject, .. } => {
                stores(accept, f);
                stores(reject, f);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|c| stores(&c.body, f)),
            Statement::Loop {
                body, continuing, ..
            } => {
                stores(body, f);
                stores(continuing, f);
            }
            _ => {}
        }
    }
}

#[test]
fn parts_of_shared_vectors_are_found() {
    let text = |statement: &str| {
        format!(
            "var<workgroup> sh: array<vec4<f32>, 8>;\n\
             @group(0) @binding(0) var<storage, read_write> out: array<vec2<u32>>;\n\
             fn put(at: ptr<function, vec4<f32>>) {{ (*at).y = 1.0; }}\n\
             @compute @workgroup_size(8)\n\
             fn main(@builtin(local_invocation_index) i: u32) {{\n\
             var own = vec4<f32>();\n{statement}\n}}\n"
        )
    };
    for fine in [
        "own.x = 1.0; own[i % 4u] = 2.0; put(&own);",
        "sh[i] = own; out[i] = vec2<u32>(1u, i);",
    ] {
        assert!(parts_stored(&text(fine)).is_empty(), "{fine}");
    }
    for part in [
        "sh[i / 4u][i % 4u]",
        "sh[i].x",
        "out[i].y",
        "out[i / 2u][i % 2u]",
    ] {
        let value = if part.starts_with("sh") { "0.0" } else { "i" };
        for statement in [
            format!("{part} = {value};"),
            format!("if (i > 3u) {{ for (var j = 0u; j < i; j++) {{ {part} = {value}; }} }}"),
        ] {
            assert_eq!(parts_stored(&text(&statement)), [part], "{statement}");
        }
    }
}
