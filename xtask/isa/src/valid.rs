//! What validators of others say of the texts: Khronos's of the SPIR-V that naga writes, Dawn's front end, which is Chromium's, of
//! the WGSL. Whichever is not installed is named and left out. Must not compile for a card.

use rustc_hash::FxHashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Layouts in workgroup memory. naga writes the stride of its arrays, which SPIR-V 1.4 on forbids without an extension; drivers
/// pass over it (gfx-rs/wgpu#7696). Validators before 2024 do not look.
const KNOWN: &str = "VUID-StandaloneSpirv-None-10684";

/// A validator.
struct Tool {
    name: &'static str,
    /// Where it comes from.
    from: &'static str,
    path: Option<PathBuf>,
}

/// The validators that are installed.
pub struct Validators {
    spirv_val: Tool,
    tint: Tool,
}

impl Validators {
    /// Looks for them in the search path.
    pub fn find() -> Validators {
        let tool = |name: &'static str, from: &'static str| {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            let mut places = std::env::split_paths(&folders).map(|folder| folder.join(name));
            let path = places.find(|path| path.is_file());
            Tool { name, from, path }
        };
        Validators {
            spirv_val: tool("spirv-val", "Debian: spirv-tools"),
            tint: tool("tint", "Dawn's command"),
        }
    }

    /// Those that are there, and those that are not.
    pub fn description(&self) -> String {
        let said = [&self.spirv_val, &self.tint].map(|tool| match tool.path {
            Some(_) => tool.name.to_owned(),
            None => format!("no {} ({})", tool.name, tool.from),
        });
        said.join(", ")
    }

    /// What is wrong with a text, given as WGSL with the values of its constants and as SPIR-V.
    pub fn check(&self, wgsl: &str, constants: &[(&str, f64)], spirv: &[u32]) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(path) = &self.spirv_val.path {
            let validate = |words: &[u32]| spirv_val(path, words);
            wrong.extend(judge(spirv, &validate).err());
        }
        if let Some(path) = &self.tint.path {
            wrong.extend(tint(path, wgsl, constants).err());
        }
        wrong
    }
}

/// The validator's verdict, but for what is [`KNOWN`]: it ends at the first error, so what is known is taken out and the rest
/// judged again.
fn judge(spirv: &[u32], validate: &dyn Fn(&[u32]) -> Result<(), String>) -> Result<(), String> {
    match validate(spirv) {
        Err(e) if e.contains(KNOWN) => validate(&without_workgroup_strides(spirv)),
        verdict => verdict,
    }
}

fn spirv_val(path: &Path, words: &[u32]) -> Result<(), String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    run(
        Command::new(path).args(["--target-env", "vulkan1.3"]),
        &bytes,
    )
}

/// Reads the text from a file, as the command takes no other.
fn tint(path: &Path, wgsl: &str, constants: &[(&str, f64)]) -> Result<(), String> {
    let file = std::env::temp_dir().join(format!("wgrad-isa-{}.wgsl", std::process::id()));
    std::fs::write(&file, wgsl).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut command = Command::new(path);
    command.args(["--format", "wgsl"]);
    if !constants.is_empty() {
        let pairs: Vec<String> = constants.iter().map(|(n, x)| format!("{n}={x}")).collect();
        command.args(["--overrides", &pairs.join(",")]);
    }
    let verdict = run(command.arg(&file), &[]);
    let _ = std::fs::remove_file(&file);
    verdict
}

/// Gives a command its input; an error is what it says.
fn run(command: &mut Command, input: &[u8]) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |e: std::io::Error| format!("{name}: {e}");
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read everything says why below.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {}", said.trim())),
    }
}

/// Words of a module before its first instruction.
const HEADER: usize = 5;

/// Opcode and operands of each instruction.
fn instructions(spirv: &[u32]) -> impl Iterator<Item = (u32, &[u32])> {
    let mut rest = spirv.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = (*rest.first()? >> 16) as usize;
        let (instruction, after) = rest.split_at_checked(length.max(1))?;
        rest = after;
        Some((instruction[0] & 0xffff, &instruction[1..]))
    })
}

/// The module without strides of arrays that variables in workgroup memory hold.
fn without_workgroup_strides(spirv: &[u32]) -> Vec<u32> {
    const ARRAY: u32 = 28;
    const STRUCT: u32 = 30;
    const POINTER: u32 = 32;
    const DECORATE: u32 = 71;
    const WORKGROUP: u32 = 4;
    const ARRAY_STRIDE: u32 = 6;
    let mut held: FxHashSet<u32> = FxHashSet::default();
    // Types stand before those that are made of them, so that what is held is known from behind.
    let all: Vec<(u32, &[u32])> = instructions(spirv).collect();
    for (opcode, operands) in all.iter().rev() {
        match (*opcode, *operands) {
            (POINTER, &[_, WORKGROUP, to]) => {
                held.insert(to);
            }
            (ARRAY, &[id, of, _]) if held.contains(&id) => {
                held.insert(of);
            }
            (STRUCT, &[id, ref of @ ..]) if held.contains(&id) => held.extend(of),
            _ => {}
        }
    }
    let mut out = spirv[..HEADER.min(spirv.len())].to_vec();
    for (opcode, operands) in all {
        let stride = matches!(operands, [id, ARRAY_STRIDE, ..] if held.contains(id));
        if opcode != DECORATE || !stride {
            out.push((operands.len() as u32 + 1) << 16 | opcode);
            out.extend(operands);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::convert;

    const TEXT: &str = "
        var<workgroup> tile: array<vec4<f32>, 64>;
        @group(0) @binding(0) var<storage, read_write> a: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            tile[i].x = a[i];
            workgroupBarrier();
            a[i] = tile[63 - i].x;
        }";

    fn module() -> Vec<u32> {
        convert(TEXT, &[]).expect("a valid text").spirv
    }

    /// The module without the first instruction of this opcode that `is`.
    fn without(spirv: &[u32], opcode: u32, is: fn(&[u32]) -> bool) -> Vec<u32> {
        let (mut out, mut gone) = (spirv[..HEADER].to_vec(), false);
        for (o, operands) in instructions(spirv) {
            if !gone && o == opcode && is(operands) {
                gone = true;
                continue;
            }
            out.push((operands.len() as u32 + 1) << 16 | o);
            out.extend(operands);
        }
        assert!(gone, "nothing to leave out");
        out
    }

    #[test]
    fn only_strides_of_workgroup_memory_are_taken_out() {
        let module = module();
        let strides = |spirv: &[u32]| {
            let all = instructions(spirv);
            all.filter(|(o, operands)| *o == 71 && operands[1] == 6)
                .count()
        };
        let less = without_workgroup_strides(&module);
        assert_eq!((strides(&module), strides(&less)), (2, 1));
        assert_eq!(less.len() + 4, module.len());
        assert_eq!(without_workgroup_strides(&less), less);
        assert!(without_workgroup_strides(&[]).is_empty());
    }

    #[test]
    fn what_is_known_hides_nothing() {
        let module = module();
        let known = || Err(format!("error: [{KNOWN}] no layout here"));
        assert!(
            judge(&module, &|m: &[u32]| if m == module {
                known()
            } else {
                Ok(())
            })
            .is_ok()
        );
        let other = |m: &[u32]| {
            if m == module {
                known()
            } else {
                Err("another".into())
            }
        };
        assert_eq!(judge(&module, &other), Err("another".to_owned()));
        assert!(judge(&module, &|_: &[u32]| known()).is_err());
    }

    #[test]
    fn a_planted_violation_is_found() {
        let validators = Validators::find();
        println!("{}", validators.description());
        let module = module();
        assert_eq!(validators.check(TEXT, &[], &module), [""; 0]);
        if validators.spirv_val.path.is_some() {
            // A buffer without a binding.
            let bare = without(&module, 71, |operands| operands[1] == 33);
            let wrong = validators.check(TEXT, &[], &bare);
            assert!(
                wrong.len() == 1 && wrong[0].contains("missing Binding"),
                "{wrong:?}"
            );
        }
        if validators.tint.path.is_some() {
            // A barrier that not all invocations reach.
            let text = TEXT.replace("workgroupBarrier();", "if a[i] > 0 { workgroupBarrier(); }");
            let wrong = validators.check(&text, &[], &module);
            assert!(
                wrong.len() == 1 && wrong[0].contains("uniform"),
                "{wrong:?}"
            );
        }
    }
}
