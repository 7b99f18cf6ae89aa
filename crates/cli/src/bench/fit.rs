//! `wgrad bench --fit FILE`: what the ways of convolutions take on this processor, as a section of the file that the cpu executor
//! chooses by, and how good choices by it are for shapes that it was not fitted to. Only asks and prints.

use crate::{Result, processor};
use std::path::Path;
use wgrad::{FitChoice, FitOptions, fit_convolutions};

/// Measures and writes the section to `file`.
pub fn run(file: &Path, [seed, shapes]: [u64; 2], filter: Option<&str>) -> Result<()> {
    let options = FitOptions {
        threads: processor::threads(),
        seed,
        shapes: usize::try_from(shapes)?,
    };
    outln!("{}", processor::description());
    let fit = fit_convolutions(&options);
    std::fs::write(file, &fit.section)?;
    for choice in &fit.choices {
        if filter.is_some_and(|filter| super::picks(filter, &choice.shape)) {
            outln!(
                "{} {}: fitted {:.2}, own {:.2}",
                choice.kind,
                choice.shape,
                choice.fitted,
                choice.own
            );
        }
    }
    outln!("time of the chosen way by that of the fastest, {shapes} shapes that were not fitted");
    outln!(
        "{:<10} {:>10} {:>10} {:>10} {:>10}",
        "",
        "fitted",
        "worst",
        "own",
        "worst"
    );
    for kind in ["forward", "input", "weight"] {
        let of_kind = || fit.choices.iter().filter(|choice| choice.kind == kind);
        let mean = |ratio: fn(&FitChoice) -> f64| {
            let logs: f64 = of_kind().map(|choice| ratio(choice).ln()).sum();
            (logs / of_kind().count().max(1) as f64).exp()
        };
        let worst = |ratio: fn(&FitChoice) -> f64| of_kind().map(ratio).fold(1.0, f64::max);
        outln!(
            "{kind:<10} {:>10.3} {:>10.2} {:>10.3} {:>10.2}",
            mean(|c| c.fitted),
            worst(|c| c.fitted),
            mean(|c| c.own),
            worst(|c| c.own),
        );
    }
    Ok(())
}
