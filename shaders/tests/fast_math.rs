//! The elementary functions where a compiler may reassociate and contract, as Metal's does by default: their WGSL is
//! translated to C, compiled by `cc` with `-ffast-math`, and held to the bounds of `math.rs` against f64. Says plainly
//! where there is no C compiler.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Flags of the compilations: Metal's freedom, without and with fused multiply-adds.
const FLAGS: [&[&str]; 3] = [
    &["-O1", "-ffast-math"],
    &["-O3", "-ffast-math"],
    &[
        "-O3",
        "-ffast-math",
        "-mfma",
        "-mavx2",
        "-ffp-contract=fast",
    ],
];

/// What C needs before the translated text.
const PRELUDE: &str = r#"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
typedef struct { float x, y; } vec2f;
typedef struct { uint32_t x, y; } vec2u;
static inline uint32_t of_float(float v) { uint32_t b; memcpy(&b, &v, 4); return b; }
static inline uint32_t of_int(int32_t v) { return (uint32_t)v; }
static inline uint32_t of_uint(uint32_t v) { return v; }
static inline float as_float(uint32_t v) { float f; memcpy(&f, &v, 4); return f; }
#define BITS(v) (_Generic((v), float: of_float, int: of_int, unsigned: of_uint)(v))
#define select(a, b, c) ((c) ? (b) : (a))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define clamp(v, a, b) min(max(v, a), b)
#define abs(v) fabsf(v)
#define round(v) rintf(v)
#define floor(v) floorf(v)
#define ceil(v) ceilf(v)
#define trunc(v) truncf(v)
#define sqrt(v) sqrtf(v)
#define countLeadingZeros(v) ((uint32_t)__builtin_clz(v))
"#;

/// One word of WGSL as C has it.
fn word(w: &str) -> String {
    match w {
        "f32" => "float".into(),
        "i32" => "int32_t".into(),
        "u32" => "uint32_t".into(),
        "let" | "var" => "__auto_type".into(),
        _ => {
            let number = w.starts_with(|c: char| c.is_ascii_digit());
            let plain = number && !w.starts_with("0x") && !w.ends_with('f');
            let float = plain && (w.contains('.') || w.contains('e'));
            if float {
                format!("{w}f")
            } else {
                w.to_string()
            }
        }
    }
}

/// Words, numbers with their exponents, and single characters.
fn tokens(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < c.len() {
        let start = at;
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if c[at].is_ascii_digit() {
            while at < c.len()
                && (part(c[at])
                    || c[at] == '.'
                    || (c[at] == '-' && c[at - 1] == 'e' && c[start] != 'x'))
            {
                at += 1;
            }
        } else if part(c[at]) {
            while at < c.len() && part(c[at]) {
                at += 1;
            }
        } else {
            at += 1;
        }
        out.push(c[start..at].iter().collect());
    }
    out
}

/// An expression or statement.
fn body(text: &str) -> String {
    let text = text
        .replace("bitcast<u32>", "BITS")
        .replace("bitcast<i32>", "(int32_t)BITS")
        .replace("bitcast<f32>(", "FLOAT_OF(")
        .replace("vec2<f32>(", "PAIR_F(")
        .replace("vec2<u32>(", "PAIR_U(");
    let words: Vec<String> = tokens(&text).iter().map(|t| word(t)).collect();
    let mut out = String::new();
    let mut k = 0;
    while k < words.len() {
        let called = words.get(k + 1).is_some_and(|n| n == "(");
        match words[k].as_str() {
            // A constructor is a cast.
            t @ ("float" | "int32_t" | "uint32_t") if called => out.push_str(&format!("({t})")),
            "FLOAT_OF" => {
                let close = matching(&words, k + 1);
                let inner: String = words[k + 2..close].concat();
                out.push_str(&format!("as_float(BITS({}))", body(&inner)));
                k = close;
            }
            "PAIR_F" | "PAIR_U" | "WSplit" | "WAngle" if called => {
                let close = matching(&words, k + 1);
                let name = match words[k].as_str() {
                    "PAIR_F" => "vec2f",
                    "PAIR_U" => "vec2u",
                    name => name,
                };
                let inner: String = words[k + 2..close].concat();
                out.push_str(&format!("(({name}){{{}}})", body(&inner)));
                k = close;
            }
            other => out.push_str(other),
        }
        k += 1;
    }
    out
}

/// The place of the parenthesis that closes the one at `open`.
fn matching(words: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (k, w) in words.iter().enumerate().skip(open) {
        match w.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return k;
        }
    }
    words.len()
}

fn type_of(name: &str) -> &str {
    match name.trim() {
        "f32" => "float",
        "i32" => "int32_t",
        "u32" => "uint32_t",
        "bool" => "_Bool",
        "vec2<f32>" => "vec2f",
        "vec2<u32>" => "vec2u",
        other => other,
    }
}

/// `name: type` as C's `type name`.
fn declared(text: &str) -> String {
    match text.split_once(':') {
        Some((name, kind)) => format!("{} {}", type_of(kind), name.trim()),
        None => text.trim().to_string(),
    }
}

/// The restricted WGSL of the elementary functions, statement by statement, as C.
fn translate(wgsl: &str) -> String {
    // Statements that are spread over lines come together.
    let mut lines: Vec<String> = Vec::new();
    for line in wgsl.lines() {
        match lines.last_mut() {
            Some(last) if !last.trim_end().ends_with([';', '{', '}', ',']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_string()),
        }
    }
    let mut out = String::from(PRELUDE);
    let mut record = None;
    for line in &lines {
        let code = line.trim();
        let c = if let Some(rest) = code.strip_prefix("fn ") {
            let (name, rest) = rest.split_once('(').unwrap_or((rest, ""));
            let (list, rest) = rest.split_once(')').unwrap_or((rest, ""));
            let kind = rest.trim().trim_start_matches("->").trim_end_matches('{');
            let list: Vec<String> = list.split(',').map(declared).collect();
            format!("static {} {name}({}) {{", type_of(kind), list.join(", "))
        } else if let Some(rest) = code.strip_prefix("const ") {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            format!("static const {} ={}", declared(name), body(value))
        } else if let Some(name) = code.strip_prefix("struct ") {
            record = Some(name.trim_end_matches('{').trim().to_string());
            "typedef struct {".to_string()
        } else if let (Some(name), "}") = (&record, code) {
            let end = format!("}} {name};");
            record = None;
            end
        } else if record.is_some() {
            format!("{};", declared(code.trim_end_matches(',')))
        } else {
            statement(code)
        };
        out.push_str(&c);
        out.push('\n');
    }
    out
}

/// Conditions get the parentheses that C asks for.
fn statement(code: &str) -> String {
    for keyword in ["if ", "while ", "switch "] {
        if let Some(rest) = code.strip_prefix(keyword) {
            let rest = rest.strip_suffix('{').unwrap_or(rest);
            return format!("{keyword}({}) {{", body(rest.trim()));
        }
    }
    match code.strip_prefix("let ").or(code.strip_prefix("var ")) {
        Some(rest) if rest.split('=').next().unwrap_or_default().contains(':') => {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            format!("{} ={}", declared(name), body(value))
        }
        _ => body(code),
    }
}

/// A function, the greatest error in ulp, and the exact one.
type Entry = (&'static str, f64, fn(f64) -> f64);

/// The bounds are those of `math.rs`, with half an ulp for divisions and roots that a compiler takes by reciprocals.
const ENTRIES: &[Entry] = &[
    ("w_exp", 1.0, f64::exp),
    ("w_exp2", 1.25, f64::exp2),
    ("w_expm1", 2.0, f64::exp_m1),
    ("w_log", 1.0, f64::ln),
    ("w_log1p", 2.0, f64::ln_1p),
    ("w_log2", 2.0, f64::log2),
    ("w_log10", 2.0, f64::log10),
    ("w_sin", 2.0, f64::sin),
    ("w_cos", 2.0, f64::cos),
    ("w_tan", 4.0, f64::tan),
    ("w_atan", 2.0, f64::atan),
    ("w_asin", 2.5, f64::asin),
    ("w_acos", 2.5, f64::acos),
    ("w_tanh", 2.5, f64::tanh),
    ("w_sinh", 3.0, f64::sinh),
    ("w_cosh", 2.0, f64::cosh),
    ("w_asinh", 4.0, libm::asinh),
    ("w_acosh", 4.0, |x| {
        if x < 1.0 { f64::NAN } else { libm::acosh(x) }
    }),
    ("w_atanh", 4.0, libm::atanh),
    ("w_erf", 2.0, libm::erf),
    ("w_erfc", 4.0, libm::erfc),
];

/// Reads pairs of floats, writes each function of them in turn, `pow` and `atan2` last.
fn program() -> String {
    let names: Vec<&str> = ENTRIES
        .iter()
        .map(|e| e.0)
        .chain(["w_pow", "w_atan2"])
        .collect();
    let mut c = translate(&wgrad_shaders::math::prelude(&names).expect("known names"));
    c.push_str("int main(void) {\n static float in[2]; static float out[64];\n");
    c.push_str(" while (fread(in, 4, 2, stdin) == 2) {\n  int n = 0;\n");
    for (name, ..) in ENTRIES {
        c.push_str(&format!("  out[n++] = {name}(in[0]);\n"));
    }
    c.push_str("  out[n++] = w_pow(in[0], in[1]);\n  out[n++] = w_atan2(in[0], in[1]);\n");
    c.push_str("  fwrite(out, 4, n, stdout);\n }\n return 0;\n}\n");
    c
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn compile(source: &Path, flags: &[&str], to: &Path) -> Result<(), String> {
    let run = Command::new("cc")
        .args(flags)
        .args(["-std=gnu11", "-fwrapv", "-w", "-o"])
        .arg(to)
        .arg(source)
        .arg("-lm")
        .output()
        .map_err(|e| e.to_string())?;
    match run.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&run.stderr).into_owned()),
    }
}

/// Every normal exponent and many significands, and what is easily lost: values near 1, multiples of π/2, whole numbers.
fn pairs() -> Vec<[f32; 2]> {
    let step = if cfg!(debug_assertions) {
        40_009
    } else {
        2_053
    };
    let spread = (0..=u32::MAX).step_by(step).map(f32::from_bits);
    let turns = (1..3000).map(|k| (f64::from(k) * std::f64::consts::FRAC_PI_2) as f32);
    let ones = (-20_000..20_000).map(|k| 1.0 + k as f32 * 1e-5);
    let small = (-20_000..20_000).map(|k| k as f32 * 5e-3);
    let all = spread.chain(turns).chain(ones).chain(small);
    let kept = all.filter(|x: &f32| x.is_finite() && (*x == 0.0 || x.is_normal()));
    let mut out: Vec<[f32; 2]> = Vec::new();
    for (k, x) in kept.enumerate() {
        // Exponents for which the power stays in range, and ordinates of all directions.
        let u = ((k as u64).wrapping_mul(2_654_435_761) >> 8 & 0xffff) as f32 / 32768.0 - 1.0;
        let log = f64::from(x.abs()).log2().abs().max(1e-6);
        let y = (f64::from(u) * 120.0 / log) as f32;
        out.push([x, if k % 3 == 0 { x * u * 4.0 } else { y }]);
    }
    out
}

fn ulp(got: f32, want: f64) -> f64 {
    let exponent = ((want.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    (f64::from(got) - want).abs() / 2f64.powi(exponent - 23)
}

/// Whether a result counts: not where it overflows or does not exist, nor where it or a part of it may be flushed.
fn counts(want: f64) -> bool {
    want == 0.0 || (want.is_finite() && want.abs() < 3.4e38 && want.abs() > 1e-36)
}

fn outputs(program: &Path, input: &[u8]) -> Vec<f32> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the compiled program");
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("its output").stdout;
    writer.join().expect("the writer").expect("all input");
    output
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn error_bounds_hold_under_fast_math() {
    if Command::new("cc").arg("--version").output().is_err() {
        println!(
            "skipped: no C compiler `cc`, so the functions were not compiled with -ffast-math"
        );
        return;
    }
    let source = scratch("fast_math.c");
    std::fs::write(&source, program()).expect("a scratch file");
    let pairs = pairs();
    let input: Vec<u8> = pairs
        .iter()
        .flatten()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut failures = Vec::new();
    for (n, flags) in FLAGS.iter().enumerate() {
        let binary = scratch(&format!("fast_math_{n}"));
        if let Err(e) = compile(&source, flags, &binary) {
            // Another processor's flags.
            assert!(
                flags.contains(&"-mfma") && !cfg!(target_arch = "x86_64"),
                "{flags:?}: {e}"
            );
            println!("skipped: {flags:?}");
            continue;
        }
        let got = outputs(&binary, &input);
        let width = ENTRIES.len() + 2;
        assert_eq!(got.len(), width * pairs.len());
        let mut worst = vec![(0.0, [0.0f32; 2]); width];
        for (row, pair) in got.chunks_exact(width).zip(&pairs) {
            let (x, y) = (f64::from(pair[0]), f64::from(pair[1]));
            let one = ENTRIES.iter().map(|e| (e.2)(x));
            for (k, want) in one.chain([x.powf(y), x.atan2(y)]).enumerate() {
                let usable = counts(want)
                    && (k < ENTRIES.len() || (pair[1].is_normal() && pair[1].is_finite()));
                let e = if usable { ulp(row[k], want) } else { 0.0 };
                if e.is_nan() || e > worst[k].0 {
                    worst[k] = (e, *pair);
                }
            }
        }
        let limits = ENTRIES
            .iter()
            .map(|e| (e.0, e.1))
            .chain([("w_pow", 4.0), ("w_atan2", 2.5)]);
        for ((name, limit), (e, at)) in limits.zip(worst) {
            println!("{name:8} {e:.3} ulp at {at:?} with {flags:?}");
            if e.is_nan() || e > limit {
                failures.push(format!(
                    "{name} {e:.3} ulp, not {limit}, at {at:?} with {flags:?}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
