//! What the processor is, and how much memory this process holds. Reads what the operating system tells; other
//! systems than Linux tell less.

/// The widest vector instructions that the cpu executor has code for and this processor runs.
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            "AVX-512"
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            "AVX2"
        } else {
            "SSE2"
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "no SIMD"
    }
}

/// How many threads the cpu executor uses.
pub fn threads() -> usize {
    // The rule that the executor follows.
    let chosen = std::env::var("WGRAD_THREADS")
        .ok()
        .and_then(|n| n.parse().ok());
    match chosen {
        Some(n) if n > 0 => n,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Name, SIMD level and threads.
pub fn description() -> String {
    let name = name().map_or(String::new(), |name| format!("{name}, "));
    format!("{name}{}, {} threads", simd(), threads())
}

fn name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// Bytes of memory that the process has in RAM.
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes of memory that the process has had in RAM.
pub fn peak_resident() -> Option<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = super::resident().unwrap();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = super::resident().unwrap();
        assert!(after >= before + (48 << 20), "{before} {after}");
        drop(block);
        let peak = super::peak_resident().unwrap();
        assert!(peak >= before + (48 << 20), "{before} {peak}");
    }
}
